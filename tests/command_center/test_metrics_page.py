"""The center's metrics page as Prometheus' own parser reads it, and who may read it."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from command_center.accounts import UserRole
from command_center.config import CenterConfig, SessionConfig
from tests.command_center.house import House, running_center
from tests.command_center.test_tokens import make_token


async def test_the_page_is_prometheus_text_and_names_what_the_station_refused(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.signed_in(role=UserRole.SUPERVISOR) as client:
        gate = house.node("gate")
        await house.deliver(gate, gate.alert())
        house.center.station.counters.refused("bad_signature")
        page = (await client.get("/metrics")).text
        assert 'heard_events_total{event="stored_alert"} 1' in page
        samples = {sample.name: sample.value for family in text_string_to_metric_families(page) for sample in family.samples
                   if not sample.labels}  # fmt: skip
        assert samples["heard_station_refused_bad_signature"] == 1
        assert samples["heard_incidents_unacknowledged"] == 1
        assert all(family.type != "unknown" for family in text_string_to_metric_families(page))


async def asked(house: House, address: str, host: str = "127.0.0.1:8480", **headers: str) -> int:
    """The status that a program without a name gets."""
    async with house.browser(address) as program:
        return (await program.get(f"http://{host}/metrics", headers=headers)).status_code


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.7", "2001:db8::1"])
async def test_strangers_learn_nothing_of_how_much_happens_here(house: House, address: str) -> None:
    assert await asked(house, address) == 401


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1:8480"), ("::1", "[::1]:8480"), ("::ffff:127.0.0.1", "localhost:8480")],
)
async def test_an_agent_on_this_machine_needs_no_token(house: House, address: str, host: str) -> None:
    assert await asked(house, address, host) == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_what_a_proxy_on_this_machine_passes_on_is_not_from_this_machine(house: House, header: str) -> None:
    assert await asked(house, "127.0.0.1", **{header: "198.51.100.9"}) == 401


async def test_a_web_page_that_leads_to_the_loopback_by_its_name_reads_nothing(house: House) -> None:
    assert await asked(house, "127.0.0.1", "evil.example:8480") == 401


async def test_behind_a_proxy_that_says_nothing_the_loopback_is_nobody(tmp_path: Path) -> None:
    config = CenterConfig(http="127.0.0.1:0", sessions=SessionConfig(requires_https=True))
    async with running_center(tmp_path / "center", config=config) as house:
        assert await asked(house, "127.0.0.1") == 401


async def test_a_token_for_metrics_reads_them_from_anywhere_and_nothing_else(house: House) -> None:
    async with house.signed_in(role=UserRole.SUPERVISOR) as owner, house.browser("198.51.100.7") as program:
        made = await make_token(owner, "metrics.read")
        program.headers["Authorization"] = f"Bearer {made['secret']}"
        assert (await program.get("/metrics")).status_code == 200
        assert (await program.get("/api/v1/incidents")).status_code == 403
        program.headers["Authorization"] = "Bearer heard_token_guessed"
        assert (await program.get("/metrics")).status_code == 401


async def test_a_dispatcher_has_no_business_with_metrics_and_the_refusal_is_journalled(house: House) -> None:
    async with house.signed_in() as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, "metrics.read" in answer.text) == (403, True)
    assert await house.query("SELECT actor, COUNT(*) FROM entry WHERE kind = 'denied' GROUP BY 1") == [
        ("user:alice", 1)
    ]


async def test_prometheus_scrapes_a_running_center_over_its_socket(house: House) -> None:
    async with httpx.AsyncClient(trust_env=False) as agent:
        answer = await agent.get(f"{house.center.url}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert list(text_string_to_metric_families(answer.text))
