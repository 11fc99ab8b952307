"""What the kernel asks and gives up on a TLS path that is silent: on both ends, by lane, as it was set."""

import socket

from relay.counters import Counters
from relay.crew import crew
from relay.path import Lane
from relay.paths.tls import DialedTlsSession, TlsDial
from relay.paths.tls_listen import AcceptedTlsSession, TlsListen
from tests.relay.house import until
from tests.relay.path_end import DIALER, FACTS, LISTENER, PEER
from tests.relay.test_zeromq import Heard


def set_on(session: DialedTlsSession | AcceptedTlsSession, lane: Lane) -> tuple[int, ...]:
    connection = session.connections[lane].socket
    assert connection is not None
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
    return (
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        *(connection.getsockopt(socket.IPPROTO_TCP, option) for option in options),
    )


async def test_both_ends_ask_after_two_seconds_of_silence_and_a_quiet_bulk_lane_ten_times_less_often() -> None:
    listener = TlsListen(facts=FACTS, endpoint="tls://127.0.0.1:0", identity=LISTENER, counters=Counters())
    async with crew() as members:
        accepted, dialed = Heard(), Heard()
        members.start(listener.run(accepted), "listen")
        await listener.listening()
        dial = TlsDial(facts=FACTS, endpoint=listener.endpoint, peer=PEER, identity=DIALER, counters=Counters())
        members.start(dial.run(dialed), "dial")
        await until(lambda: bool(accepted.sessions and dialed.sessions), "the session")
        for session in (accepted.sessions[0], dialed.sessions[0]):
            assert isinstance(session, DialedTlsSession | AcceptedTlsSession)
            await until(lambda session=session: len(session.connections) == len(Lane), "both lanes")  # type: ignore[misc]
            # Whether it asks, after how many seconds of silence, how often then, and when it gives up (ms).
            assert set_on(session, Lane.URGENT) == (1, 2, 1, 4_000)
            assert set_on(session, Lane.BULK) == (1, 20, 5, 30_000)
