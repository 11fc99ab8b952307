"""Interfaces that go and come: what the kernel says, what a path does, and both together over a real pair of devices."""

import asyncio
import contextlib
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.backoff import Backoff
from relay.config import PathConfig
from relay.header import Kind
from relay.interfaces import Change, Interfaces, What
from relay.passport import Role
from relay.paths.zeromq_sockets import ZeroMqTuning
from relay.precedence import Precedence
from relay.redial import Redial
from relay.spool import Draft
from relay.station import Station
from tests.network import namespaces
from tests.network.namespaces import entered, ip
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert

_AN_HOUR_S = 3600.0
_UP, _LOWER_UP = 0x1, 0x10000


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def link(index: int, name: str, flags: int, kind: int = 16) -> bytes:
    named = name.encode() + b"\0"
    padded = named + bytes(-len(named) % 4)
    return message(kind, struct.pack("=BxHiII", 0, 1, index, flags, 0) + struct.pack("=HH", 4 + len(named), 3) + padded)


DONE = message(3, bytes(4))


def test_the_first_list_is_no_news_and_every_later_turn_is() -> None:
    known = Interfaces()
    assert known.take(link(2, "wwan0", _UP | _LOWER_UP) + link(3, "wlan0", _UP) + DONE) == []
    assert (known.is_up("wwan0"), known.is_up("wlan0"), known.is_up("eth9")) == (True, False, None)
    assert known.take(link(2, "wwan0", _UP)) == [Change(interface="wwan0", what=What.DOWN)]
    assert known.take(link(2, "wwan0", _UP)) == []
    assert known.take(link(2, "wwan0", _UP | _LOWER_UP)) == [Change(interface="wwan0", what=What.UP)]
    assert known.take(link(2, "wwan0", _UP | _LOWER_UP, kind=17)) == [Change(interface="wwan0", what=What.DOWN)]
    assert known.take(link(4, "usb0", _UP | _LOWER_UP)) == [Change(interface="usb0", what=What.UP)], (
        "a modem was plugged in"
    )


def test_an_address_or_a_route_over_an_interface_that_is_up_is_news() -> None:
    known = Interfaces()
    known.take(link(2, "wwan0", _UP | _LOWER_UP) + link(3, "wlan0", _UP) + DONE)
    address = struct.pack("=BBBBI", 2, 24, 0, 0, 2)
    route = struct.pack("=8BI", 2, 0, 0, 0, 254, 0, 0, 0, 0) + struct.pack("=HHI", 8, 4, 2)
    assert known.take(message(20, address) + message(24, route)) == [Change(interface="wwan0", what=What.SETTLED)] * 2
    assert known.take(message(20, struct.pack("=BBBBI", 2, 24, 0, 0, 3))) == [], "its carrier is off"


@given(st.binary(max_size=200))
def test_whatever_bytes_come_nothing_breaks(data: bytes) -> None:
    known = Interfaces()
    known.take(link(2, "wwan0", _UP | _LOWER_UP) + DONE)
    known.take(data)
    known.take(link(2, "wwan0", _UP | _LOWER_UP) + data + DONE)
    for cut in range(40):
        known.take(link(2, "wwan0", _UP)[:cut])


async def test_a_nudge_cuts_the_wait_short_and_a_returning_interface_ends_a_hopeless_attempt() -> None:
    redial = Redial(Backoff(least_s=_AN_HOUR_S, most_s=_AN_HOUR_S, stable_s=_AN_HOUR_S))
    attempts, ended = 0, list[str]()

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            try:
                await asyncio.sleep(_AN_HOUR_S)
            finally:
                ended.append("the second")

    keeping = asyncio.ensure_future(redial.keep(attempt))
    try:
        await until(lambda: attempts == 1, "the first attempt")
        redial.nudge()
        await until(lambda: attempts == 2, "the second, an hour early")
        redial.nudge()
        await asyncio.sleep(0.05)
        assert not ended, "a nudge leaves an attempt alone"
        redial.start_over()
        await until(lambda: attempts == 3, "the third")
        assert ended == ["the second"]
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
    assert keeping.cancelled()


@pytest.fixture
def pair() -> Iterator[tuple[str, str, str, str]]:
    """(center's namespace, node's namespace, center's device, node's device), wired to each other."""
    if not namespaces.can_make():
        pytest.skip("needs root, `ip` and /dev/net/tun")
    tag = uuid.uuid4().hex[:6]
    near, far = f"n{tag}", f"f{tag}"
    with namespaces.made(["center", "node"]) as names:
        ip("link", "add", far, "netns", names["center"], "type", "veth", "peer", "name", near, "netns", names["node"])
        for place, device, address in (("center", far, "10.77.0.1/24"), ("node", near, "10.77.0.2/24")):
            ip("address", "add", address, "dev", device, inside=names[place])
            ip("link", "set", device, "up", inside=names[place])
        yield names["center"], names["node"], far, near


@pytest.mark.parametrize("is_far_end", [False, True], ids=["switched-off", "cable-pulled"])
async def test_a_path_goes_down_with_its_interface_and_returns_with_it_whatever_the_back_off(
    is_far_end: bool, pair: tuple[str, str, str, str], tmp_path: Path
) -> None:
    center_space, node_space, far, near = pair
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate-camera", Role.CAMERA)
    house.settle()
    inbox = Kept()
    space, device = (center_space, far) if is_far_end else (node_space, near)
    async with contextlib.AsyncExitStack() as stack:
        with entered(center_space):
            center = await stack.enter_async_context(house.station("center", listen="tcp://10.77.0.1:0", inbox=inbox))
        with entered(node_space):  # sockets that are made from here on, and libzmq's thread, stay there
            pinned = PathConfig(name="wwan", endpoint=center.listening_on[0], peer="center", interface=near)
            node = await stack.enter_async_context(house.station("gate-camera", to=[pinned]))
            await until(lambda: node.path_health()[0].is_up, "the path")
            # From now on the back-off alone would not dial for an hour.
            redial: Redial = node._dials[0].redial  # type: ignore[attr-defined]
            redial.backoff = Backoff(least_s=_AN_HOUR_S, most_s=_AN_HOUR_S, stable_s=_AN_HOUR_S)
            redial.is_cut_off = lambda: False  # as with another path up: the haste of who has none must not help here
            ups, downs = node.counters["interface_up"], node.counters["interface_down"]
            ip("link", "set", device, "down", inside=space)
            await until(lambda: node.counters["interface_down"] > downs, "the kernel's word")
            await until(lambda: not node.path_health()[0].is_up, "the path to be down", timeout_s=2)
            await node.put(an_alert(node))
            ip("link", "set", device, "up", inside=space)
            await until(lambda: node.path_health()[0].is_up, "the path to be back", timeout_s=30)
            await until(lambda: len(inbox.arrivals) == 1, "the alert")
            assert node.counters["interface_up"] > ups


@pytest.mark.parametrize(("precedence", "is_dialed"), [(Precedence.FLASH, True), (Precedence.BULK, False)])
async def test_a_flash_alert_that_finds_no_path_up_waits_for_no_back_off(
    precedence: Precedence, is_dialed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.paths.zeromq.HANDSHAKE_S", 0.2)
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate-camera", Role.CAMERA)
    house.settle()
    inbox = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as first:
        endpoint = first.listening_on[0]
    async with house.station("gate-camera", to=[("center", endpoint)]) as node:
        redial: Redial = node._dials[0].redial  # type: ignore[attr-defined]
        redial.backoff = Backoff(least_s=_AN_HOUR_S, most_s=_AN_HOUR_S, stable_s=_AN_HOUR_S)
        redial.is_cut_off = lambda: False  # as with another path up: the haste of who has none must not help here
        node._dials[0]._tuning = ZeroMqTuning(connect_timeout_ms=200)  # type: ignore[attr-defined]
        redial.start_over()
        attempts = 0

        def counted(least_s: float) -> float:
            nonlocal attempts
            attempts += 1
            return least_s

        monkeypatch.setattr(redial.backoff, "next_delay_s", lambda: counted(_AN_HOUR_S))
        await until(
            lambda: attempts >= 2, "the attempt after the nudge to end"
        )  # from now on it would sleep for an hour
        async with house.station("center", listen=endpoint, inbox=inbox):
            kind = Kind.ALERT if is_dialed else Kind.CHUNK
            await node.put(a_draft(node, kind, precedence))
            if is_dialed:
                await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=20)
                assert node.counters["dialed_for_an_alert"] == 1
            else:
                await asyncio.sleep(0.5)
                assert node.counters["dialed_for_an_alert"] == 0


def a_draft(station: Station, kind: Kind, precedence: Precedence) -> Draft:
    return station.draft_up(kind, precedence, bytes(100))
