"""What a TCP socket of the bulk lane is told: how fast its segments leave, and under which congestion control.

For the carriers that have such sockets, whoever made them. What the kernel does not know or allow is left as it is.
"""

import contextlib
import socket as socket_module
import sys
from typing import Final

from relay.congestion import Congestion
from relay.retransmission import CONGESTION
from relay.tcp_info import tcp_info_of

_SO_MAX_PACING_RATE: Final = 47
"""asm-generic/socket.h; Python's ``socket`` has no name for it."""
_UNLIMITED: Final = (1 << 32) - 1


def spread(connection: socket_module.socket, bytes_s: int) -> None:
    """Let the kernel spread a connection's segments over time (tcp(7) has its own timer for it since Linux 4.13); 0: at once.

    A chunk is three segments or more, and an alert that meets it in a thin uplink's queue then waits for one of them only.
    """
    rate = min(bytes_s or _UNLIMITED, _UNLIMITED)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket_module.SOL_SOCKET, _SO_MAX_PACING_RATE, rate.to_bytes(4, sys.byteorder))


def steer(connection: socket_module.socket, congestion: Congestion) -> None:
    """Let it run under what is chosen for it, by what the kernel has counted."""
    for name in congestion.choice(tcp_info_of(connection)):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket_module.IPPROTO_TCP, CONGESTION, name)
            return


class BulkSockets:
    """Of a lane whose connections a library makes, closes and makes again: whichever stands is told what the lane was told."""

    def __init__(self) -> None:
        self._made: list[socket_module.socket] = []
        self._congestion = Congestion()
        self._pace_bytes_s = 0

    @property
    def standing(self) -> list[socket_module.socket]:
        """Those that nobody has closed: one, and while a library tries several addresses of a host side by side, more."""
        return [connection for connection in self._made if connection.fileno() >= 0]

    def made(self, connection: socket_module.socket) -> None:
        """A socket, connected or soon to be."""
        self._made = [*self.standing, connection]
        self._congestion = Congestion()  # its counts begin with the connection
        if self._pace_bytes_s:
            self.pace(self._pace_bytes_s)
        steer(connection, self._congestion)

    def pace(self, bytes_s: int) -> None:
        """Spread what goes evenly over time, on what stands and on what will; 0: at once."""
        self._pace_bytes_s = bytes_s
        self._congestion.paced(bytes_s)
        for connection in self.standing:
            spread(connection, bytes_s)

    def steer(self) -> None:
        """Another parcel goes: now and again, look what it is to run under."""
        if self._congestion.is_due():
            for connection in self.standing[-1:]:
                steer(connection, self._congestion)
