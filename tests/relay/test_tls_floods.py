"""Whoever floods a TLS path waits behind itself; what is over a bound is not read."""

import asyncio
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from relay import limits, open_files
from relay.config import ListenConfig, PathConfig
from relay.header import Kind
from relay.passport import Role
from relay.path import Lane
from relay.paths.tls_connection import TlsConnection, Turns
from relay.precedence import Precedence
from tests.relay.house import House, Kept, until
from tests.relay.test_status_view import shown
from tests.relay.tls_ends import (
    Transport,
    framed,
    listening,
    stranger,
)


async def test_parcel_over_the_bound_costs_its_sender_the_session_and_is_named_in_status(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    inbox = Kept()
    async with (
        house.station("center", listen=ListenConfig(kind="tls", endpoint="tls://127.0.0.1:0"), inbox=inbox) as center,
        house.station("gate", to=[PathConfig(name="up", kind="tls", endpoint=center.listening_on[0], peer="center")]) as gate,
    ):  # fmt: skip
        await until(lambda: gate.path_health()[0].is_up, "the path")
        [link] = list(gate._links)
        assert link.session.send(bytes(limits.MAX_PARCEL_BYTES + 1), Lane.URGENT)
        await until(lambda: center.counters["refused_oversized"] == 1, "the refusal")
        assert "oversized 1" in shown(await center.status())
        await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
        await until(lambda: len(inbox.arrivals) == 1, "the alert, over the next session", 30)


async def test_a_listener_that_sends_more_than_the_bound_loses_the_session_and_is_named() -> None:
    async with listening() as here:
        dialed = here.dial()
        await until(lambda: bool(here.heard.sessions), "the session")
        assert here.heard.sessions[0].send(bytes(limits.MAX_PARCEL_BYTES + 1), Lane.URGENT)
        await until(lambda: here.dialer_counters["refused_oversized"] == 1, "the refusal")
        await until(lambda: bool(dialed.closed), "the end")


class Slow:
    """An upper floor that takes a millisecond over each parcel, and remembers whose it was."""

    def __init__(self) -> None:
        self.whose: list[TlsConnection] = []

    def connection_made(self, connection: TlsConnection) -> None:
        """Nothing to do."""

    def parcel_came(self, connection: TlsConnection, parcel: bytes) -> None:
        ends_s = time.perf_counter() + 0.001
        while time.perf_counter() < ends_s:
            pass
        self.whose.append(connection)

    def oversized_came(self, connection: TlsConnection, error: Exception) -> None:
        """Nothing to do."""

    def connection_lost(self, connection: TlsConnection, reason: str) -> None:
        """Nothing to do."""


def three() -> Iterator[tuple[Slow, list[TlsConnection], list[Transport]]]:
    upstairs, turns = Slow(), Turns()
    connections = [TlsConnection(upstairs, turns) for _ in range(3)]
    transports = [Transport() for _ in connections]
    for connection, transport in zip(connections, transports, strict=True):
        connection.connection_made(transport)
    yield upstairs, connections, transports


async def test_who_floods_waits_behind_itself_and_leaves_the_loop_to_others() -> None:
    upstairs, (flooding, quiet, late), _ = next(three())
    flooding.data_received(framed(*[b"x" * 100] * 500))
    assert 1 <= len(upstairs.whose) <= 4, "two milliseconds' worth in one go"
    turned: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turned.append(len(upstairs.whose)))
    quiet.data_received(framed(b"alert"))
    await until(lambda: quiet in upstairs.whose, "the quiet one's turn")
    assert upstairs.whose.index(quiet) <= 8, "behind one parcel of each, not behind five hundred"
    assert turned, "the loop had other things to do"
    assert turned[0] <= 4, "and did them between"
    late.data_received(framed(b"alert", b"alert"))
    await until(lambda: upstairs.whose.count(late) == 2, "both")
    first, second = (at for at, whose in enumerate(upstairs.whose) if whose is late)
    assert second - first <= 2, "in turn with the flood"
    await until(lambda: len(upstairs.whose) == 503, "all of it", 30)
    assert [whose for whose in upstairs.whose if whose is flooding] == [flooding] * 500


async def test_a_connection_with_too_much_waiting_is_read_no_further_until_it_is_less() -> None:
    upstairs, (flooding, _, _), (transport, *_) = next(three())
    parcel = bytes(30_000)
    for _ in range(20):
        flooding.data_received(framed(parcel))
    assert not transport.is_read
    await until(lambda: transport.is_read, "reading to go on")
    assert len(upstairs.whose) >= 16, "not before most of it was taken"
    await until(lambda: len(upstairs.whose) == 20, "the rest")


async def test_a_flood_over_a_real_connection_is_held_back_by_tcp_and_all_of_it_comes() -> None:
    async with listening() as here, stranger(here.port) as caller:
        caller.say(caller.opening())
        await until(lambda: bool(here.heard.sessions), "the session")
        caller.say_raw(framed(*[b"f" * 2_000] * 3_000))
        await until(lambda: len(here.heard.parcels) == 3_000, "all of it", 60)


async def test_a_caller_is_turned_away_where_no_file_is_left_and_welcome_again_when_there_is() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening() as here:
        open_now = len([*open_files._FILES_DIR.iterdir()])
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + open_files.CONNECTION - 1, hard))
        try:
            async with stranger(here.port) as caller:
                assert await caller.is_cut()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert here.counters["refused_no_room"] == 1
        dialed = here.dial()
        await until(lambda: bool(dialed.sessions), "the next")
