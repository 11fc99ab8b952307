"""The TCP connections under a ZeroMQ socket: libzmq hides them, and five things need them.

A connection whose key is withdrawn must be cut, each lane's packets carry that lane's marking, what is urgent is sent again soon, bulk leaves evenly spread, and under a congestion
control that leaves its pace alone. A
frame tells the descriptor it was read from, a socket's monitor the one it connected with; that may have been given to somebody else meanwhile, so nothing is done unless the address at its other end is
still the one that was seen. Private to ``relay/paths/zeromq.py``.
"""

import contextlib
import os
import socket as socket_module
import sys
from typing import Final

import zmq

from relay.congestion import Congestion
from relay.marking import Marking
from relay.path import Lane
from relay.retransmission import CONGESTION, hasten
from relay.tcp_info import TcpInfo, tcp_info_of

_SO_MAX_PACING_RATE: Final = 47
"""asm-generic/socket.h; Python's ``socket`` has no name for it."""
UNLIMITED: Final = (1 << 32) - 1


def connection_of(frame: zmq.Frame) -> tuple[int, object]:
    """The descriptor that a frame was read from, and the address at its other end."""
    descriptor = int(frame.get(zmq.SRCFD))
    return descriptor, peer_of(descriptor)


def peer_of(descriptor: int) -> object:
    """The address at its other end; None if it is no connection any more."""
    try:
        with socket_module.socket(fileno=os.dup(descriptor)) as connection:
            return connection.getpeername()
    except OSError:  # closed meanwhile, or no socket any more
        return None


def mark(descriptor: int, address: object, marking: Marking, lane: Lane) -> None:
    """Mark an accepted connection's packets; only if its other end is still the one that we saw."""
    if address is None or peer_of(descriptor) != address:
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        marking.put_on(connection, lane)


def hurry(descriptor: int, address: object) -> None:
    """Let a connection of the urgent lane send again soon what got lost; only if its other end is still the one that we saw."""
    if address is None or peer_of(descriptor) != address:
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        hasten(connection)


def cut(descriptor: int, address: object) -> None:
    """Shut a TCP connection down under libzmq, which has no way to close one of a ROUTER's connections.

    Only if its other end is still the one that we saw: the descriptor may have been given to somebody else.
    """
    if address is None or peer_of(descriptor) != address:
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket_module.SHUT_RDWR)


def slow_down(descriptor: int, address: object, bytes_s: int) -> None:
    """Let the kernel spread a connection's segments over time (tcp(7) has its own timer for it since Linux 4.13).

    A chunk is three segments or more, and an alert that meets it in a thin uplink's queue then waits for one of them only.
    """
    if address is None or peer_of(descriptor) != address:
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        connection.setsockopt(
            socket_module.SOL_SOCKET, _SO_MAX_PACING_RATE, min(bytes_s, UNLIMITED).to_bytes(4, sys.byteorder)
        )


def steer(descriptor: int, address: object, congestion: Congestion) -> None:
    """Let a bulk connection run under what is chosen for it; a kernel that has or allows none of that leaves it as it is."""
    if address is None or peer_of(descriptor) != address:
        congestion.look_again()
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        for name in congestion.choice(tcp_info_of(connection)):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket_module.IPPROTO_TCP, CONGESTION, name)
                return


def read_tcp_info(descriptor: int, address: object) -> TcpInfo | None:
    """What the kernel knows of the connection, if its other end is still the one that we saw."""
    if address is None or peer_of(descriptor) != address:
        return None
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        return tcp_info_of(connection)
    return None
