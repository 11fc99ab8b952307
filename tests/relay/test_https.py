"""What only the https path has: a way down that is a request left open, for as long as nothing is to be said."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from relay.config import ListenConfig, PathConfig
from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Role
from relay.paths import https, https_listen, parcels
from relay.precedence import Precedence
from relay.spool import Draft
from tests.network import namespaces
from tests.network.namespaces import entered, ip
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_status_view import shown


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


async def test_what_is_to_be_said_comes_down_the_poll_that_waits_and_an_empty_one_is_renewed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a poll of 0.3 s instead of 20: pings every 2 s leave several of them empty."""
    for module in (https, https_listen):
        monkeypatch.setattr(module, "POLL_S", 0.3)
    answered: list[tuple[int, int]] = []
    waiting = 0
    really_poll = https_listen.HttpsListen._poll

    async def counted(self: https_listen.HttpsListen, request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        try:
            response = await really_poll(self, request)
        finally:
            waiting -= 1
        answered.append((response.status, len(response.body or b"")))  # type: ignore[arg-type]
        return response

    monkeypatch.setattr(https_listen.HttpsListen, "_poll", counted)
    inbox, node_inbox = Kept(), Kept()
    async with (
        house.station("center", listen=ListenConfig(kind="https", endpoint="http://127.0.0.1:0"), inbox=inbox) as center,
        house.station("gate-camera", to=[PathConfig(name="up", kind="https", endpoint=center.listening_on[0], peer="center")],
                      inbox=node_inbox) as node,
    ):  # fmt: skip
        spooled = await node.put(an_alert(node))
        await until(lambda: bool(inbox.arrivals), "the alert")
        [link] = list(center._links)
        await until(lambda: sum(status == 204 for status, _ in answered) >= 4, "empty polls", timeout_s=30)
        await until(lambda: waiting == 1, "a poll that waits")
        seen = Acknowledgement(
            alert_ids=(spooled.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
        )
        await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                               destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
        await until(lambda: bool(node_inbox.arrivals), "the acknowledgement")
        assert any(status == 200 and size > 200 for status, size in answered)
        await asyncio.sleep(0)
        assert list(center._links) == [link], "it took another session"


async def test_an_answer_over_the_bound_is_not_read_on_and_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener, or whatever stands in its place, that would fill our memory."""
    sent = 0

    async def endless(self: https_listen.HttpsListen, request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                await response.write(bytes(65_536))
                sent += 65_536
        return response

    monkeypatch.setattr(https_listen.HttpsListen, "_poll", endless)
    async with (
        house.station("center", listen=ListenConfig(kind="https", endpoint="http://127.0.0.1:0")) as center,
        house.station("gate-camera", to=[PathConfig(name="up", kind="https", endpoint=center.listening_on[0], peer="center")]) as node,
    ):  # fmt: skip
        await until(lambda: node.counters["refused_oversized"] > 0, "the refusal")
        assert "oversized" in shown(await node.status())
    assert parcels.MAX_BATCH_BYTES < sent < 65_536_000, "it was cut off, not read to its end"


@pytest.fixture
def two_ways() -> Iterator[tuple[str, str]]:
    """(center's namespace, node's namespace): a cheap way over ``cheap0``, which routes prefer, and one over ``dear0``."""
    if not namespaces.can_make():
        pytest.skip("needs root, `ip` and /dev/net/tun")
    with namespaces.made(["center", "node"]) as names:
        center, node = names["center"], names["node"]
        ip("address", "add", "10.78.0.1/32", "dev", "lo", inside=center)
        for number, device in enumerate(("cheap0", "dear0"), start=1):
            ip("link", "add", device, "netns", center, "type", "veth", "peer", "name", device, "netns", node)
            for place, host in ((center, 1), (node, 2)):
                ip("address", "add", f"10.78.{number}.{host}/24", "dev", device, inside=place)
                ip("link", "set", device, "up", inside=place)
            ip(
                "route",
                "add",
                "10.78.0.1/32",
                "via",
                f"10.78.{number}.1",
                "dev",
                device,
                "metric",
                str(number * 10),
                inside=node,
            )
        yield center, node


def sent_over(device: str) -> int:
    """Bytes, of the namespace that this thread is in."""
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        name, _, figures = line.strip().partition(":")
        if name == device:
            return int(figures.split()[8])
    raise AssertionError(f"no {device}")


@pytest.mark.parametrize(("interface", "used", "idle"), [("", "cheap0", "dear0"), ("dear0", "dear0", "cheap0")])
async def test_a_path_takes_the_interface_that_it_is_pinned_to_whatever_the_routes_prefer(
    house: House, two_ways: tuple[str, str], interface: str, used: str, idle: str
) -> None:
    center_space, node_space = two_ways
    inbox = Kept()
    async with contextlib.AsyncExitStack() as stack:
        with entered(center_space):
            center = await stack.enter_async_context(
                house.station("center", listen=ListenConfig(kind="https", endpoint="http://10.78.0.1:0"), inbox=inbox)
            )
        with entered(node_space):  # sockets that are made from here on stay there
            pinned = PathConfig(
                name="up", kind="https", endpoint=center.listening_on[0], peer="center", interface=interface
            )
            before = {device: sent_over(device) for device in (used, idle)}
            node = await stack.enter_async_context(house.station("gate-camera", to=[pinned]))
            await node.put(an_alert(node))
            await until(lambda: len(inbox.arrivals) == 1, "the alert")
            assert sent_over(used) - before[used] > 1_000
            assert sent_over(idle) - before[idle] < 1_000, "neighbor discovery at most"
            ip("link", "set", used, "down", inside=node_space)
            if interface:
                await until(lambda: not node.path_health()[0].is_up, "the path to go down with it", timeout_s=5)
                await node.put(an_alert(node))
                await asyncio.sleep(1.0)
                assert len(inbox.arrivals) == 1, "it took the other interface"
                ip("link", "set", used, "up", inside=node_space)
                ip(
                    "route",
                    "replace",
                    "10.78.0.1/32",
                    "via",
                    "10.78.2.1",
                    "dev",
                    used,
                    "metric",
                    "20",
                    inside=node_space,
                )
            await until(lambda: len(inbox.arrivals) >= (2 if interface else 1), "the next alert", timeout_s=40)
