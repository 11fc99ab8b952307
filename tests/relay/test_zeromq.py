"""The ZeroMQ path over real TCP: two lanes, one interface, and a dead link noticed within seconds."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.errors import ConfigError, EndpointInUse
from relay.identity import Identity
from relay.path import Lane, PathFacts, Session
from relay.paths.zeromq import ZeroMqDial, ZeroMqListen
from tests.relay.house import until

FACTS = PathFacts(name="test", mtu_bytes=65536)
LISTENER = Identity.from_seed(b"L" * 32)
DIALER = Identity.from_seed(b"D" * 32)


class Heard:
    """Remembers what a path told."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.parcels: list[bytes] = []
        self.closed: list[str] = []

    def session_opened(self, session: Session) -> None:
        self.sessions.append(session)

    def session_received(self, session: Session, parcel: bytes) -> None:
        self.parcels.append(parcel)

    def session_closed(self, session: Session, reason: str) -> None:
        self.sessions.remove(session)
        self.closed.append(reason)


@contextlib.asynccontextmanager
async def listening(endpoint: str = "tcp://127.0.0.1:0") -> AsyncIterator[tuple[ZeroMqListen, Heard, Crew]]:
    listener = ZeroMqListen(facts=FACTS, endpoint=endpoint, identity=LISTENER, counters=Counters())
    heard = Heard()
    async with crew() as members:
        members.start(listener.run(heard), "listen")
        await asyncio.wait_for(listener.is_listening.wait(), 5)
        yield listener, heard, members


def dial_to(
    endpoint: str, *, server: Identity = LISTENER, identity: Identity = DIALER, interface: str = ""
) -> ZeroMqDial:
    return ZeroMqDial(
        facts=FACTS, endpoint=endpoint, server_key=server.transport_key, identity=identity, interface=interface
    )


def connections_to(port: int) -> set[str]:
    """Our own ends of the established TCP connections to a port of this machine."""
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            local, remote, state = line.split()[1:4]
            if state == "01" and int(remote.rsplit(":", 1)[1], 16) == port:
                found.add(local)
    return found


async def test_two_lanes_are_two_tcp_connections_of_one_session() -> None:
    async with listening() as (listener, accepted, members):
        dialed = Heard()
        members.start(dial_to(listener.endpoint).run(dialed), "dial")
        await until(lambda: bool(dialed.sessions), "the session")
        for lane in Lane:
            assert dialed.sessions[0].send(lane.name.encode(), lane)
        await until(lambda: len(accepted.parcels) == 2, "both lanes")
        assert len(accepted.sessions) == 1
        assert len(connections_to(int(listener.endpoint.rsplit(":", 1)[1]))) == 2
        assert accepted.sessions[0].transport_key == DIALER.transport_key
        assert dialed.sessions[0].transport_key == LISTENER.transport_key
        for lane in Lane:
            assert accepted.sessions[0].send(lane.name.encode(), lane)
        await until(lambda: len(dialed.parcels) == 2, "both ways")


async def test_full_bulk_lane_does_not_stop_the_urgent_one() -> None:
    async with listening() as (listener, accepted, members):
        dialed = Heard()
        members.start(dial_to(listener.endpoint).run(dialed), "dial")
        await until(lambda: bool(dialed.sessions), "the session")
        session = dialed.sessions[0]
        sent = 0
        while session.send(bytes(60_000), Lane.BULK):
            sent += 1
            assert sent < 10_000, "the bulk lane must say that it is full"
        assert session.send(b"alert", Lane.URGENT)
        await until(lambda: b"alert" in accepted.parcels, "the alert", timeout_s=5)
        await until(lambda: len(accepted.parcels) == sent + 1, "the bulk")


async def test_session_comes_back_after_the_listener_was_away() -> None:
    dialed = Heard()
    async with crew() as outer:
        async with listening() as (listener, _, _):
            endpoint = listener.endpoint
            outer.start(dial_to(endpoint).run(dialed), "dial")
            await until(lambda: bool(dialed.sessions), "the first session")
            first = dialed.sessions[0]
        await until(lambda: bool(dialed.closed), "its end")
        assert not first.send(b"late", Lane.URGENT), "a closed session takes nothing"
        async with listening(endpoint) as (_, accepted, _):
            await until(lambda: bool(dialed.sessions), "the next session")
            assert dialed.sessions[0].send(b"again", Lane.URGENT)
            await until(lambda: accepted.parcels == [b"again"], "the parcel")


async def test_listener_with_another_key_is_not_spoken_to() -> None:
    async with listening() as (listener, accepted, members):
        dialed = Heard()
        members.start(dial_to(listener.endpoint, server=Identity.generate()).run(dialed), "dial")
        with pytest.raises(AssertionError, match="in vain"):
            await until(lambda: bool(dialed.sessions), "a session", timeout_s=1)
        assert not accepted.sessions


async def test_banned_key_is_cut_off_and_kept_out_and_others_stay() -> None:
    other = Identity.generate()
    async with listening() as (listener, accepted, members):
        banned, welcome = Heard(), Heard()
        members.start(dial_to(listener.endpoint).run(banned), "banned")
        members.start(dial_to(listener.endpoint, identity=other).run(welcome), "welcome")
        await until(lambda: bool(banned.sessions and welcome.sessions), "both")
        for heard in (banned, welcome):
            for lane in Lane:
                heard.sessions[0].send(b"hello", lane)
        await until(lambda: len(accepted.parcels) == 4, "both are heard")
        listener.ban({DIALER.transport_key})
        assert [session.transport_key for session in accepted.sessions] == [other.transport_key]
        await until(lambda: bool(banned.closed), "the connection to be closed", timeout_s=5)
        with pytest.raises(AssertionError, match="in vain"):
            await until(lambda: bool(banned.sessions), "the banned one to come back", timeout_s=1.5)
        assert not welcome.closed
        assert welcome.sessions[0].send(b"still here", Lane.URGENT)
        await until(lambda: b"still here" in accepted.parcels, "the other one")


async def test_port_in_use_is_told_in_one_line() -> None:
    async with listening() as (listener, _, _):
        with pytest.raises(
            EndpointInUse, match=r"is in use by another program: stop it .*or listen elsewhere"
        ) as failure:
            await ZeroMqListen(facts=FACTS, endpoint=listener.endpoint, identity=LISTENER, counters=Counters()).run(
                Heard()
            )
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("endpoint", ["", "tcp://", "tcp://host", "udp://host:1", "host:5701"])
def test_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="expected an endpoint like tcp://host:5701"):
        dial_to(endpoint)


def test_backoff_differs_between_machines_grows_and_is_capped() -> None:
    machines = [Backoff(least_s=0.2, most_s=10, stable_s=10) for _ in range(20)]
    delays = [[machine.next_delay_s() for _ in range(40)] for machine in machines]
    assert len({tuple(row) for row in delays}) == len(machines), "no two come back in step"
    assert len({round(row[0], 4) for row in delays}) > 10, "not even the first time"
    assert all(0.2 <= delay <= 10 for row in delays for delay in row)
    assert max(delay for row in delays for delay in row[5:]) > 5


def test_backoff_starts_anew_only_after_a_stable_while() -> None:
    backoff = Backoff(least_s=0.2, most_s=10, stable_s=10, source=random.Random(7))
    for _ in range(30):
        backoff.next_delay_s()
    backoff.succeeded_for(9.9)
    assert max(backoff.next_delay_s() for _ in range(10)) > 2
    backoff.succeeded_for(10)
    assert backoff.next_delay_s() <= 0.6
