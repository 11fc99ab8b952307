"""The moments before: a camera's last encoded packets, bounded by time and by bytes, always beginning with a key frame.

Filled by the capture's thread and read by the recorder, which holds the lock; nothing here decodes, writes or waits.
Cameras put in extra key frames, or one in half a minute: so it is bounded by time, and whole groups of pictures go.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TICKS_PER_S: Final = 90_000
"""The clock of RTP's video payloads (RFC 3551 §5), and of every clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPacket:
    """One encoded picture as the camera sent it, and when it came."""

    data: bytes
    pts: int
    """Ticks, comparable within one epoch only."""
    dts: int
    duration: int
    is_key: bool
    epoch: int
    """Which opening of the stream it is from."""
    monotonic_ms: int
    """CLOCK_BOOTTIME at its arrival: comparable with a frame's and an alert's."""
    wall_ms: int


class PacketRing:
    """Keeps at least ``keep_ms`` back to a key frame, unless that takes more than ``most_bytes``."""

    def __init__(self, *, keep_ms: int, most_bytes: int) -> None:
        self._keep_ms = keep_ms
        self._most_bytes = most_bytes
        self._groups: deque[list[EncodedPacket]] = deque()
        self._epoch: int | None = None
        self.size_bytes = 0
        self.overflows = 0
        """Times that one group of pictures alone was over the bound and was let go."""

    @property
    def reach_ms(self) -> int:
        """How far back it goes."""
        return self._groups[-1][-1].monotonic_ms - self._groups[0][0].monotonic_ms if self._groups else 0

    def add(self, packet: EncodedPacket) -> None:
        """Take a packet in; one that nothing could be decoded from is not kept."""
        if packet.is_key:
            self._groups.append([packet])
        elif self._groups and packet.epoch == self._epoch:
            self._groups[-1].append(packet)
        else:
            return  # in the middle of a group whose key frame we never saw
        self._epoch = packet.epoch
        self.size_bytes += len(packet.data)
        while len(self._groups) > 1 and (
            self._groups[1][0].monotonic_ms <= packet.monotonic_ms - self._keep_ms or self.size_bytes > self._most_bytes
        ):
            self.size_bytes -= sum(len(old.data) for old in self._groups.popleft())
        if self.size_bytes > self._most_bytes:
            self.clear()
            self.overflows += 1

    def since(self, monotonic_ms: int) -> Sequence[EncodedPacket]:
        """Everything from the last key frame at or before this time; from the oldest one if there is none so old."""
        first = 0
        for number, group in enumerate(self._groups):
            if group[0].monotonic_ms <= monotonic_ms:
                first = number
        return [packet for number, group in enumerate(self._groups) if number >= first for packet in group]

    def clear(self) -> None:
        """Forget everything: the stream is another one now."""
        self._groups.clear()
        self._epoch = None
        self.size_bytes = 0
