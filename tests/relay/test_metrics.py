"""The metrics page: what Prometheus' own parser makes of it, on the loopback only, and never a secret in it."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.config import PathConfig
from relay.counters import Counters
from relay.errors import ConfigError, EndpointInUse
from relay.exposition import text_of
from relay.latency import BOUNDS_S, Latencies
from relay.metrics_server import address_of, serving
from relay.passport import Role
from relay.path_health import PathReport
from relay.station import Station
from relay.status import StationStatus
from tests.relay.house import House, until
from tests.relay.test_path_conformance import an_alert

Found = dict[str, list[tuple[dict[str, str], float]]]


def parsed(page: str) -> Found:
    """Samples by name, as Prometheus reads them; each family has its help and its type."""
    found: Found = {}
    for family in text_string_to_metric_families(page):
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


async def ask(url: str, path: str = "/metrics", *, host: str = "", method: str = "GET") -> tuple[int, str]:
    address = url.removeprefix("http://").partition("/")[0]
    name, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host or address}\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


async def test_page_tells_paths_backlog_refusals_and_latencies_as_they_are(house: House) -> None:
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        lte = PathConfig(name="lte", endpoint=center.listening_on[0], peer="center", provider='A "quoted" \\ name')
        async with house.station("gate-camera", to=[lte]) as node, serving(node, "127.0.0.1:0") as url:
            await until(lambda: node.path_health()[0].is_up and node.path_health()[0].rtt_ms > 0, "the path")
            await node.put(an_alert(node))
            await until(lambda: node.counters["envelopes_receipted"] == 1, "the receipt")
            node.counters.refused("bad_signature")
            status, page = await ask(url)
            assert status == 200
            found = parsed(page)
            assert found["heard_relay_path_up"] == [
                ({"path": "lte", "carrier": "zeromq", "provider": 'A "quoted" \\ name'}, 1.0)
            ]
            assert ({"precedence": "FLASH"}, 0.0) in found["heard_relay_backlog_envelopes"]
            assert found["heard_relay_refused_total"] == [({"reason": "bad_signature"}, 1.0)]
            assert ({"event": "envelopes_receipted"}, 1.0) in found["heard_relay_events_total"]
            assert found["heard_relay_hop_seconds_count"] == [({"path": "lte", "answer": "receipt"}, 1.0)]
            assert found["heard_relay_heard_seconds_count"] == [({}, 1.0)]
            assert 0 < found["heard_relay_path_rtt_seconds"][0][1] < 5
            await _tells_no_secret(page, house, node)


async def _tells_no_secret(page: str, house: House, node: Station) -> None:
    identity = house.identities["gate-camera"]
    for secret in (identity.transport_secret, bytes(identity.signing), identity.transport_key, identity.signing_key):
        assert secret.hex() not in page
    assert "handgun" not in page


async def test_only_the_page_is_served_and_only_under_this_machine_s_names(house: House) -> None:
    async with house.station("center") as center, serving(center, "127.0.0.1:0") as url:
        assert (await ask(url, "/"))[0] == 404
        assert (await ask(url, method="POST"))[0] == 405
        assert (await ask(url, host="attacker.example"))[0] == 403
        assert await ask(url, method="HEAD") == (200, "")
        assert (await ask(url, host="localhost:1"))[0] == 200
        taken = url.removeprefix("http://").partition("/")[0]
        with pytest.raises(EndpointInUse, match="metrics"):
            async with serving(center, taken):
                pass


async def test_whoever_says_nothing_or_too_much_is_hung_up_on(house: House) -> None:
    async with house.station("center") as center, serving(center, "127.0.0.1:0") as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\n" + b"X-Pad: " + b"a" * 20_000)
        assert await reader.read() == b""
        writer.close()
        assert (await ask(url))[0] == 200


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:9464", "192.0.2.1:9464", "127.0.0.1", "example.org:80", "[::]:1", "nonsense"]
)
def test_only_the_loopback_is_listened_on(listen: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        address_of(listen)


def test_loopback_addresses_are_understood() -> None:
    assert address_of("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert address_of("[::1]:9464") == ("::1", 9464)


def test_histograms_are_cumulative_and_end_with_all() -> None:
    latencies = Latencies()
    for milliseconds in (1, 6, 30, 10_000_000):
        latencies.hop("lte", "stored", milliseconds)
    found = parsed(text_of(a_status(), latencies))
    rows = [(labels["le"], value) for labels, value in found["heard_relay_hop_seconds_bucket"]]
    assert [value for _, value in rows] == sorted(value for _, value in rows)
    assert rows[0] == ("0.005", 1.0)
    assert rows[-1] == ("+Inf", 4.0)
    assert len(rows) == len(BOUNDS_S) + 1


def test_a_neighbor_can_t_make_series_without_end() -> None:
    latencies = Latencies()
    for number in range(10_000):
        latencies.hop(f"path {number}", "stored", 1)
    assert len(latencies.hops) < 300
    assert sum(found.count for found in latencies.hops.values()) == 10_000


def a_status() -> StationStatus:
    counters = Counters()
    counters.refused("malformed")
    return StationStatus(
        name="yard-relay", role="relay", site="yard", node_id="00" * 8, backlog=(1, 0, 2, 3, 400), oldest_waiting_s=7,
        spool_bytes=123_456, forgone=((3, 4), (9, 9)),
        paths=(PathReport(path="lte", is_up=True, is_metered=True, rtt_ms=48.5, budget_left=0.25, spent=1.5),
               PathReport(path="sat", is_up=False)),
        neighbors=("center",), counters=dict(counters.snapshot()), left_without_receipt={"evicted_bulk": 2},
        listening_on=("tcp://0.0.0.0:5701",), spool_capacity_bytes=10**9, uptime_s=93_784, release="0.1.0",
        conduct={"yard-camera": {"flood": 12_000}},
    )  # fmt: skip


def test_a_path_that_is_down_has_no_last_word_and_one_without_budget_no_budget() -> None:
    found = parsed(text_of(a_status(), Latencies()))
    assert [labels["path"] for labels, _ in found["heard_relay_path_last_word_seconds"]] == ["lte"]
    assert found["heard_relay_path_budget_left_ratio"] == [({"path": "lte"}, 0.25)]
    assert [value for _, value in found["heard_relay_path_up"]] == [1.0, 0.0]
    assert found["heard_relay_left_without_receipt_total"] == [({"how": "evicted_bulk"}, 2.0)]
