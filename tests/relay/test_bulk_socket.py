"""The bulk lane's sockets go at the pace that was chosen, before the lane was up, too, and when another connection has taken its place."""

import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest

from relay.counters import Counters
from relay.path import Lane, PacedSession, Session
from relay.paths.tls import DialedTlsSession
from relay.paths.tls_listen import AcceptedTlsSession
from relay.paths.zeromq import AcceptedSession, ZeroMqListen
from relay.paths.zeromq_dialed import DialedSession
from tests.relay.house import until
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
