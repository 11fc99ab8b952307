"""The bulk lane's sockets go at the pace that was chosen, before the lane was up, too, and when another connection has taken its place."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay.congestion import LOSSLESS
from relay.counters import Counters
from relay.crew import crew
from relay.path import Lane, PacedSession, Session
from relay.paths.bulk_socket import BulkSockets
from relay.paths.https import HttpsDial, HttpsSession
from relay.paths.https_listen import HttpsListen
from relay.paths.mqtt import MqttDial, MqttSession
from relay.paths.mqtt_listen import MqttListen
from relay.paths.tls import DialedTlsSession
from relay.paths.tls_listen import AcceptedTlsSession
from relay.paths.zeromq import AcceptedSession, ZeroMqListen
from relay.paths.zeromq_dialed import DialedSession
from tests.relay.house import until
from tests.relay.mosquitto import Mosquitto
from tests.relay.path_end import DIALER, FACTS, LISTENER
from tests.relay.test_zeromq import Heard
from tests.relay.tls_ends import listening, sessions_of, stranger

SO_MAX_PACING_RATE = 47
PACE_BYTES_S = 123_456
UNLIMITED = 0xFFFFFFFF

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux paces")


def pace_of(connection: socket.socket | None) -> int:
    assert connection is not None
    return connection.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) & UNLIMITED


def runs_under(connection: socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")


class Hasty(Heard):
    """Chooses a pace as soon as a session is there."""

    def session_opened(self, session: Session) -> None:
        assert isinstance(session, DialedTlsSession | AcceptedTlsSession)
        assert Lane.BULK not in session.connections, "the lane comes after the pace"
        session.pace(PACE_BYTES_S)
        super().session_opened(session)


async def test_a_pace_from_before_a_tls_path_has_its_bulk_lane_holds_on_it_at_both_ends_and_on_no_other() -> None:
    async with listening(heard=Hasty()) as here:
        for session in await sessions_of(here, here.dial(heard=Hasty())):
            assert pace_of(session.connections[Lane.BULK].socket) == PACE_BYTES_S
            assert pace_of(session.connections[Lane.URGENT].socket) == UNLIMITED


async def test_a_tls_connection_that_takes_another_s_place_goes_at_its_pace() -> None:
    async with listening() as here, stranger(here.port) as first, stranger(here.port) as second:
        first.say(first.opening(lane=Lane.BULK))
        await until(lambda: bool(here.heard.sessions), "the session")
        session = here.heard.sessions[0]
        assert isinstance(session, AcceptedTlsSession)
        replaced = session.connections[Lane.BULK]
        session.pace(PACE_BYTES_S)
        second.say(second.opening(lane=Lane.BULK))
        await until(lambda: session.connections[Lane.BULK] is not replaced, "the second one")
        assert pace_of(session.connections[Lane.BULK].socket) == PACE_BYTES_S
        session.pace(0)
        assert pace_of(session.connections[Lane.BULK].socket) == UNLIMITED


@contextlib.contextmanager
def connected() -> Iterator[socket.socket]:
    with (
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as there,
        contextlib.closing(socket.create_connection(there.getsockname())) as connection,
    ):
        yield connection


async def test_a_pace_from_before_a_zeromq_path_s_bulk_connection_is_known_holds_on_it_at_both_ends() -> None:
    listener = ZeroMqListen(facts=FACTS, endpoint="tcp://127.0.0.1:0", identity=LISTENER, counters=Counters())
    dialed = DialedSession(FACTS, LISTENER.transport_key, listener.endpoint)
    accepted = AcceptedSession(listener, b"attempt", DIALER.transport_key)
    with connected() as near, connected() as far, connected() as urgent:
        sessions: tuple[PacedSession, ...] = (dialed, accepted)
        for session in sessions:
            session.pace(PACE_BYTES_S)
        accepted.joined((urgent.fileno(), urgent.getpeername()), Lane.URGENT)
        accepted.joined((far.fileno(), far.getpeername()), Lane.BULK)
        dialed.bulk_joined((near.fileno(), near.getpeername()))
        assert (pace_of(near), pace_of(far), pace_of(urgent)) == (PACE_BYTES_S, PACE_BYTES_S, UNLIMITED)


async def test_a_pace_of_an_mqtt_path_holds_on_its_bulk_connection_and_on_no_other(tmp_path: Path) -> None:
    accepted, dialed = Heard(), Heard()
    async with Mosquitto(tmp_path).running() as broker, crew() as members:
        listener = MqttListen(facts=FACTS, endpoint=broker.endpoint, node_id=LISTENER.node_id, counters=Counters())
        members.start(listener.run(accepted), "listen")
        await listener.listening()
        dial = MqttDial(facts=FACTS, endpoint=broker.endpoint, listener=LISTENER.node_id, counters=Counters())
        members.start(dial.run(dialed), "dial")
        await until(lambda: bool(accepted.sessions and dialed.sessions), "the session")
        session = dialed.sessions[0]
        assert isinstance(session, MqttSession)
        assert session.bulk is not None
        assert not isinstance(accepted.sessions[0], PacedSession), "its connection is all its neighbors'"
        session.pace(PACE_BYTES_S)
        assert sorted(paces_towards(broker.port)) == [PACE_BYTES_S, UNLIMITED, UNLIMITED, UNLIMITED]
        bulk = session.bulk._bulk.standing[0]
        bulk.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        assert session.send(b"bulk", Lane.BULK)
        await until(lambda: accepted.parcels == [b"bulk"], "the parcel")
        assert runs_under(bulk) == LOSSLESS[0], "it is looked at with each of its first parcels"
        session.pace(0)
        assert paces_towards(broker.port) == [UNLIMITED] * 4


def paces_towards(port: int) -> list[int]:
    """Of our connections to a port."""
    found: list[int] = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as connection:
            if connection.family == socket.AF_INET and connection.getpeername()[1] == port:
                found.append(pace_of(connection))
    return found


def test_of_the_sockets_that_a_library_makes_each_is_told_the_pace_and_those_that_stand_hear_of_another() -> None:
    sockets = BulkSockets()
    with connected() as first, connected() as second, contextlib.closing(socket.socket()) as unconnected:
        sockets.made(first)
        assert pace_of(first) == UNLIMITED
        sockets.pace(PACE_BYTES_S)
        sockets.made(second)
        sockets.made(unconnected)
        assert [pace_of(each) for each in (first, second, unconnected)] == [PACE_BYTES_S] * 3
        first.close()
        assert sockets.standing == [second, unconnected]
        sockets.pace(2 * PACE_BYTES_S)
        assert [pace_of(each) for each in (second, unconnected)] == [2 * PACE_BYTES_S] * 2


def test_of_the_sockets_that_a_library_makes_the_last_that_stands_is_steered_by_counts_of_its_own() -> None:
    sockets = BulkSockets()
    with connected() as lost, connected() as won:
        for each in (won, lost):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            sockets.made(each)
            assert runs_under(each) == LOSSLESS[0]
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        lost.close()
        sockets.steer()
        assert runs_under(won) == LOSSLESS[0]


async def test_an_https_path_s_bulk_lane_knows_its_own_connection_and_the_one_that_takes_its_place() -> None:
    counters = Counters()
    listener = HttpsListen(facts=FACTS, endpoint="http://127.0.0.1:0", counters=counters)
    accepted, dialed = Heard(), Heard()
    async with crew() as members:
        members.start(listener.run(accepted), "listen")
        await listener.listening()
        members.start(HttpsDial(facts=FACTS, endpoint=listener.endpoint, counters=counters).run(dialed), "dial")
        await until(lambda: bool(dialed.sessions), "the session")
        session = dialed.sessions[0]
        assert isinstance(session, HttpsSession)
        assert not isinstance(session, PacedSession), (
            "one request at a time: what goes slower is believed to be all that it carries"
        )
        assert session.send(b"urgent", Lane.URGENT)
        await until(lambda: accepted.parcels == [b"urgent"], "the alert")
        assert session.bulk.standing == []
        for number, parcel in enumerate((b"first", b"second")):
            assert session.send(parcel, Lane.BULK)
            await until(lambda parcel=parcel: parcel in accepted.parcels, "the parcel")  # type: ignore[misc]
            [connection] = session.bulk.standing
            assert connection.getpeername()[1] == urlsplit(listener.endpoint).port
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            assert session.send(b"another", Lane.BULK)
            assert runs_under(connection) == LOSSLESS[0], "it is looked at with each of its first parcels"
            await until(lambda number=number: accepted.parcels.count(b"another") > number, "that one")  # type: ignore[misc]
            if number == 0:
                connection.shutdown(socket.SHUT_RDWR)
                await until(lambda connection=connection: connection not in session.bulk.standing, "its end")  # type: ignore[misc]
