"""The TCP connections under a ZeroMQ socket: libzmq hides them, and five things need them.

A connection whose key is withdrawn must be cut, each lane's packets carry that lane's marking, what is urgent is sent again soon, bulk leaves evenly spread, and under a congestion
control that leaves its pace alone. A
frame tells the descriptor it was read from, a socket's monitor the one it connected with; that may have been given to somebody else meanwhile, so nothing is done unless the address at its other end is
still the one that was seen. Private to ``relay/paths/zeromq.py``.
"""

import contextlib
import os
import socket as socket_module

import zmq

from relay.congestion import Congestion
from relay.marking import Marking
from relay.path import Lane
from relay.paths import bulk_socket
from relay.retransmission import hasten
from relay.tcp_info import TcpInfo, tcp_info_of


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
    """``bulk_socket.spread``; only if its other end is still the one that we saw."""
    if address is None or peer_of(descriptor) != address:
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        bulk_socket.spread(connection, bytes_s)


def steer(descriptor: int, address: object, congestion: Congestion) -> None:
    """``bulk_socket.steer``; only if its other end is still the one that we saw."""
    if address is None or peer_of(descriptor) != address:
        congestion.look_again()
        return
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        bulk_socket.steer(connection, congestion)


def read_tcp_info(descriptor: int, address: object) -> TcpInfo | None:
    """What the kernel knows of the connection, if its other end is still the one that we saw."""
    if address is None or peer_of(descriptor) != address:
        return None
    with contextlib.suppress(OSError), socket_module.socket(fileno=os.dup(descriptor)) as connection:
        return tcp_info_of(connection)
    return None
