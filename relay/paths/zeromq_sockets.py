"""ZeroMQ sockets as the path needs them: tuned, read without tasks, and with an answer to ZAP's question.

Private to ``relay/paths/zeromq.py``, which says why each option is what it is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import zmq
from zmq.utils import z85

from relay import limits
from relay.path import Lane

HANDSHAKE_S: Final = 6.0
_DRAIN_S: Final = 0.002
"""How long is read in one go before other tasks may run: a dozen alerts with their verifying. Whoever floods fills socket and loop, but
holds nobody else's commit or receipt up for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroMqTuning:
    """Deadlines and depths, by lane where they differ."""

    connect_timeout_ms: int = 4_000
    max_retransmit_ms: int = 8_000
    """TCP_USER_TIMEOUT: unacknowledged bytes older than this end the connection."""
    heartbeat_interval_ms: tuple[int, int] = (1_000, 5_000)
    """(urgent, bulk): 1 s/3 s kills a slow transfer, so bulk waits longer."""
    heartbeat_timeout_ms: tuple[int, int] = (4_000, 30_000)
    send_depth: int = 64
    least_delay_s: float = 0.2
    most_delay_s: float = 10.0
    stable_s: float = 15.0
    """Longer than a session without a single word lives (``links.IDLE_DEADLINE_MS``, and the next look)."""


class Pump:
    """Reads a socket dry whenever its edge-triggered descriptor says so, without a task or a copy of the queue."""

    def __init__(self, socket: "zmq.Socket[bytes]", on_frames: Callable[[list[zmq.Frame]], None]) -> None:
        self._socket = socket
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._is_nudged = False
        self._loop.add_reader(self._descriptor, self._drain)
        self.nudge()

    def nudge(self) -> None:
        """Look again: a send may have consumed the edge that announced something to read. Once for all that is sent in one go."""
        if not self._is_nudged:
            self._is_nudged = True
            self._loop.call_soon(self._drain)

    def close(self) -> None:
        """Stop reading and close the socket."""
        self._loop.remove_reader(self._descriptor)
        self._socket.close(linger=0)

    def _drain(self) -> None:
        self._is_nudged = False  # what is sent from here on may consume another edge
        ends_s = time.perf_counter() + _DRAIN_S
        while time.perf_counter() < ends_s:
            if self._socket.closed:
                return
            try:
                frames = [self._socket.recv(zmq.NOBLOCK, copy=False)]
            except zmq.Again:
                return
            while frames[-1].more:  # cheaper than recv_multipart, which asks the socket after each frame
                frames.append(self._socket.recv(zmq.NOBLOCK, copy=False))
            self._on_frames(frames)
        self.nudge()


def set_common_options(socket: "zmq.Socket[bytes]", tuning: ZeroMqTuning, lane: Lane) -> None:
    """What every socket of the path has in common."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, limits.MAX_PARCEL_BYTES)
    socket.setsockopt(zmq.SNDHWM, tuning.send_depth)
    # Unbounded: a connection whose input has stopped and which then dies ends the process, if a heartbeat meets it (``set_heartbeats``).
    # What comes is read dry at once, and bounded by the floors above.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S * 1000))
    socket.setsockopt(zmq.TCP_MAXRT, tuning.max_retransmit_ms * (1 if lane == Lane.URGENT else 4))
    socket.setsockopt(zmq.IPV6, 1)


def set_heartbeats(socket: "zmq.Socket[bytes]", tuning: ZeroMqTuning, lane: Lane) -> None:
    """For the end that dials, alone: each asks the listener for a sign of life, and tells it when to give this end up.

    Never on a listener. libzmq 4.3.5 ends the process with ``!_io_error`` when its heartbeat meets a connection that died while its
    input had stopped (its issues 4364 and 4767), and any neighbor could bring that about: by a routing id that another connection of
    its own takes over, or by sending faster than it is read.
    """
    socket.setsockopt(zmq.HEARTBEAT_IVL, tuning.heartbeat_interval_ms[lane])
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, tuning.heartbeat_timeout_ms[lane])
    socket.setsockopt(zmq.HEARTBEAT_TTL, tuning.heartbeat_timeout_ms[lane])


def text_of(option: int | bytes) -> str:
    """A textual socket option without its final zero."""
    return option.rstrip(b"\0").decode() if isinstance(option, bytes) else str(option)


def answer_zap(zap: "zmq.Socket[bytes]", frames: list[zmq.Frame], banned: set[bytes]) -> None:
    """Answer libzmq's question whether a CURVE key may connect."""
    zap.send_multipart(_zap_reply(frames, banned))


def _zap_reply(frames: list[zmq.Frame], banned: set[bytes]) -> list[bytes]:
    """Answer libzmq's question about a CURVE key (RFC 27/ZAP 1.0): yes unless banned; the key becomes the User-Id."""
    parts = [frame.bytes for frame in frames]
    at = parts.index(b"") + 1
    request_id, mechanism, credentials = parts[at + 1], parts[at + 5], parts[at + 6 :]
    is_welcome = mechanism == b"CURVE" and len(credentials) == 1 and credentials[0] not in banned
    status = (b"200", b"OK", z85.encode(credentials[0])) if is_welcome else (b"400", b"not welcome", b"")
    return [*parts[:at], b"1.0", request_id, *status, b""]
