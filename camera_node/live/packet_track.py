"""A video track of encoded packets: what one viewer gets, switched between renditions without a new negotiation.

Time stamps follow the packets' arrival from the camera. What is replayed to a new viewer (the packets since the last key
frame) is stamped a millisecond apart up to the newest, so that a browser decodes it at once and is not late by the age of the
key frame for the rest of the session.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.packet
import av.stream
from aiortc import MediaStreamTrack

TICKS_PER_MS: Final = 90
_TIME_BASE: Final = Fraction(1, 90_000)
_MOST_WAITING: Final = 90
_BETWEEN_REPLAYED_S: Final = 0.001
"""A whole group in one burst overflows receive buffers of 200 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePacket:
    """One picture behind start codes, with its parameter sets if it is a key frame."""

    data: bytes
    is_key: bool
    arrived_ms: int
    """Monotonic: when the camera's packet came."""


class PacketTrack(MediaStreamTrack):
    """``recv`` is aiortc's; the rest belongs to the session."""

    kind = "video"

    def __init__(self, on_wanted: Callable[[], None]) -> None:
        super().__init__()
        self._on_wanted = on_wanted
        self._is_wanted = False
        self._queue: deque[tuple[LivePacket, int]] = deque()
        self._replaying = 0
        self._arrival = asyncio.Event()
        self._needs_key = True
        self._origin_ms: int | None = None
        self._last_ticks = -TICKS_PER_MS
        self.dropped_packets = 0
        self.given_bytes = 0
        self.given_packets = 0

    def begin(self, packets: Sequence[LivePacket]) -> None:
        """Another rendition from now on: the packets since its last key frame."""
        self._queue.clear()
        self._needs_key = True
        self._replaying = 0
        if not packets:
            return
        newest_ms = packets[-1].arrived_ms
        for number, packet in enumerate(packets):
            self._push(packet, newest_ms - (len(packets) - 1 - number))
        self._replaying = len(self._queue)

    def push(self, packet: LivePacket) -> None:
        """The next packet; a viewer that does not keep up loses whole groups."""
        self._push(packet, packet.arrived_ms)

    def _push(self, packet: LivePacket, shown_ms: int) -> None:
        if self._needs_key and not packet.is_key:
            self.dropped_packets += 1
            return
        if len(self._queue) >= _MOST_WAITING and not packet.is_key:
            self._needs_key = True
            self.dropped_packets += 1
            return
        if packet.is_key and len(self._queue) >= _MOST_WAITING:
            self.dropped_packets += len(self._queue)
            self._queue.clear()
        self._needs_key = False
        self._queue.append((packet, shown_ms))
        self._arrival.set()

    async def recv(self) -> "av.packet.Packet[av.stream.Stream]":
        """The next packet, with its time."""
        if not self._is_wanted:
            self._is_wanted = True
            self._on_wanted()
        while not self._queue:
            self._arrival.clear()
            await self._arrival.wait()
        if self._replaying:
            self._replaying -= 1
            await asyncio.sleep(_BETWEEN_REPLAYED_S)
        if not self._queue:  # another rendition began meanwhile, with nothing yet
            return await self.recv()
        packet, shown_ms = self._queue.popleft()
        if self._origin_ms is None:
            self._origin_ms = shown_ms
        ticks = max(self._last_ticks + TICKS_PER_MS, (shown_ms - self._origin_ms) * TICKS_PER_MS)
        self._last_ticks = ticks
        self.given_bytes += len(packet.data)
        self.given_packets += 1
        sent = av.Packet(packet.data)
        sent.pts = ticks
        sent.time_base = _TIME_BASE
        return sent
