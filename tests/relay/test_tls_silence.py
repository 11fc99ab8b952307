"""What the kernel asks and gives up on a TLS path that is silent: on both ends, by lane, as it was set."""

import socket

from relay.path import Lane
from relay.paths.tls import DialedTlsSession
from relay.paths.tls_listen import AcceptedTlsSession
from tests.relay.tls_ends import listening, sessions_of


def set_on(session: DialedTlsSession | AcceptedTlsSession, lane: Lane) -> tuple[int, ...]:
    connection = session.connections[lane].socket
    assert connection is not None
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
    return (
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        *(connection.getsockopt(socket.IPPROTO_TCP, option) for option in options),
    )


async def test_both_ends_ask_after_two_seconds_of_silence_and_a_quiet_bulk_lane_ten_times_less_often() -> None:
    async with listening() as here:
        for session in await sessions_of(here, here.dial()):
            # Whether it asks, after how many seconds of silence, how often then, and when it gives up (ms).
            assert set_on(session, Lane.URGENT) == (1, 2, 1, 4_000)
            assert set_on(session, Lane.BULK) == (1, 20, 5, 30_000)
