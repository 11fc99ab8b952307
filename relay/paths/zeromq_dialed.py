"""The dialing end of a ZeroMQ session: one DEALER socket a lane, and what their connections do.

libzmq's own reconnecting is off. It would connect again under the same routing id before a busy process has heard that the connection
was lost; the listener's socket then hands the name over, and keeps what is left of the first connection for ever. So a socket makes one
connection in its life, and only calls again while nobody has taken its call. Private to ``relay/paths/zeromq.py``.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterator
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from relay.congestion import Congestion
from relay.path import Lane, PathFacts
from relay.paths.zeromq_connections import hurry, peer_of, read_tcp_info, slow_down, steer
from relay.paths.zeromq_sockets import Pump
from relay.tcp_info import TcpInfo

RETRY_S: Final = (0.25, 1.0)
"""Least and longest time until the next call within an attempt."""


class DialedSession:
    """Our end of a connection that we made: one DEALER socket a lane."""

    def __init__(self, facts: PathFacts, server_key: bytes, endpoint: str) -> None:
        self.facts = facts
        """Of the path."""
        self._endpoint = endpoint
        self._called: set[Lane] = set()
        self._pumps: dict[Lane, tuple[zmq.Socket[bytes], Pump]] = {}
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.transport_key = server_key
        self.is_outgoing = True
        self.bulk_connection: tuple[int, object] = (-1, None)
        """The descriptor and far address of the bulk lane's TCP connection."""
        self._congestion = Congestion()
        self._pace_bytes_s = 0

    def add_lane(self, lane: Lane, socket: "zmq.Socket[bytes]", pump: Pump) -> None:
        """Start using a socket."""
        self._pumps[lane] = (socket, pump)

    def call(self, lane: Lane) -> None:
        """Let a lane connect, if it does not already. Bulk calls when the urgent lane's call was taken: where nobody answers, one is enough."""
        if lane not in self._called and lane in self._pumps:
            self._called.add(lane)
            self._pumps[lane][0].connect(self._endpoint)

    def call_again(self, lane: Lane) -> None:
        """Nobody took the call: once more, soon, and not in step with others. Who was only being restarted is found again at once."""
        delay_s = random.uniform(*RETRY_S)  # noqa: S311  not a secret
        asyncio.get_running_loop().call_later(delay_s, self._call_again, lane)

    def _call_again(self, lane: Lane) -> None:
        if lane in self._pumps and not self.lost.done():
            socket = self._pumps[lane][0]
            with contextlib.suppress(zmq.ZMQError):  # it has forgotten the endpoint by itself
                socket.disconnect(self._endpoint)
            socket.connect(self._endpoint)

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue for the carrier; False if the lane is full or gone."""
        entry = self._pumps.get(lane)
        if entry is None or self.lost.done():
            return False
        socket, pump = entry
        try:
            socket.send(parcel, zmq.NOBLOCK)
        except zmq.Again:
            return False
        pump.nudge()
        if lane == Lane.BULK and self._congestion.is_due():
            steer(*self.bulk_connection, self._congestion)
        return True

    def pace(self, bytes_s: int) -> None:
        """Spread what goes on the bulk lane evenly over time, from when its connection is known."""
        self._pace_bytes_s = bytes_s
        self._congestion.paced(bytes_s)
        slow_down(*self.bulk_connection, bytes_s)

    def bulk_joined(self, connection: tuple[int, object]) -> None:
        """Somebody has taken the bulk lane's call."""
        self.bulk_connection = connection
        if self._pace_bytes_s:
            slow_down(*connection, self._pace_bytes_s)

    def bulk_tcp(self) -> TcpInfo | None:
        """What the kernel knows of the bulk lane's connection."""
        return read_tcp_info(*self.bulk_connection)

    def drop(self, reason: str) -> None:
        """End it; the path dials again after its back-off."""
        if not self.lost.done():
            self.lost.set_result(reason)

    def close(self) -> None:
        """Close the sockets."""
        for _, pump in self._pumps.values():
            pump.close()
        self._pumps.clear()


@contextlib.contextmanager
def watch(
    socket: "zmq.Socket[bytes]", lane: Lane, is_up: "asyncio.Future[str]", session: DialedSession
) -> Iterator[None]:
    """Follow a socket's connection: the urgent lane's handshake opens the session, either lane's end closes it.

    An end before the handshake ends the attempt too: libzmq never calls again where something else than ZMTP answered, such
    as a captive portal's login page.
    """
    watched = zmq.EVENT_CONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
    monitor = socket.get_monitor_socket(watched)

    def on_event(frames: list[zmq.Frame]) -> None:
        told = parse_monitor_message([frame.bytes for frame in frames])
        event = told["event"]
        if event == zmq.EVENT_CONNECTED and lane == Lane.BULK:
            session.bulk_joined((told["value"], peer_of(told["value"])))
        elif event == zmq.EVENT_CONNECTED:
            hurry(told["value"], peer_of(told["value"]))
            session.call(Lane.BULK)
        elif event == zmq.EVENT_CLOSED:
            session.call_again(lane)
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED and lane == Lane.URGENT and not is_up.done():
            is_up.set_result("up")
        elif event == zmq.EVENT_DISCONNECTED:
            session.drop(f"the {lane.name.lower()} connection was lost")

    pump = Pump(monitor, on_event)
    try:
        yield
    finally:
        if not socket.closed:
            socket.disable_monitor()
        pump.close()
