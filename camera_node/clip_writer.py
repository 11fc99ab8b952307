"""One clip's file while it is recorded: packets in, segments closed and fsynced one by one.

The clip's clock starts at 0 with its first packet. Within one opening of the stream the camera's own time stamps give the
spacing; where a stream was opened anew, or its stamps jump, the times of arrival say how long the hole is.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from camera_node.clip_segment import Placed, StreamTemplate, mux, split
from camera_node.messages import ClipSegment
from camera_node.packet_ring import TICKS_PER_S, EncodedPacket
from relay.identity import sync_dir

_MOST_SEGMENT_BYTES: Final = 4 * 1024 * 1024
_LONG_SEGMENTS: Final = 4
"""A camera with one key frame in half a minute: a segment ends without one after this many times its length."""
_JUMP_TICKS: Final = 5 * TICKS_PER_S
"""How far stamps and arrival may part before the stamps are not believed: more than any network's jitter."""


class ClipWriter:
    """Owned by the recorder's thread."""

    def __init__(self, folder: Path, name: str, template: StreamTemplate, *, segment_ms: int) -> None:
        """Make the file.

        Raises:
            OSError: it can't be made.
        """
        self.name = name
        self.size_bytes = 0
        self._template = template
        self._segment_ms = segment_ms
        self._file = folder / name
        self._descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        sync_dir(folder)
        self._open: list[Placed] = []
        self._open_bytes = 0
        self._segments = 0
        self._first: EncodedPacket | None = None
        self._epoch = -1
        self._offset = 0
        self._last_dts = -1
        self._last_duration = TICKS_PER_S // 25

    def add(self, packet: EncodedPacket) -> ClipSegment | None:
        """Take the next packet in; a segment, if this one was the first after its end.

        Raises:
            CannotRecord, OSError: the segment is not in the file.
        """
        is_full, placed = self._is_full(packet), self._place(packet)
        closed = self.flush(end_dts=placed.dts) if is_full else None
        self._open.append(placed)
        self._open_bytes += len(packet.data)
        return closed

    def flush(self, end_dts: int | None = None) -> ClipSegment | None:
        """Close the segment with what is here, durably; None if that is nothing. ``end_dts``: where the next one begins.

        Raises:
            CannotRecord, OSError: it is not in the file, and nothing of it is left there.
        """
        if not self._open:
            return None
        packets, self._open, self._open_bytes = self._with_durations(end_dts), [], 0
        header, segment = split(mux(self._template, packets, number=self._segments + 1))
        data = header + segment if self._segments == 0 else segment
        try:
            _write_all(self._descriptor, data)
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size_bytes)
            os.lseek(self._descriptor, self.size_bytes, os.SEEK_SET)
            raise
        self._segments += 1
        first, last = packets[0], packets[-1]
        closed = ClipSegment(
            clip=self.name, number=self._segments, offset_bytes=self.size_bytes, size_bytes=len(data),
            sha256=hashlib.sha256(data).digest(), started_monotonic_ms=first.packet.monotonic_ms,
            started_wall_ms=first.packet.wall_ms,
            duration_ms=(last.dts + last.duration - first.dts) * 1000 // TICKS_PER_S,
            codec=self._template.codec, width_px=self._template.width_px, height_px=self._template.height_px,
        )  # fmt: skip
        self.size_bytes += len(data)
        return closed

    def close(self) -> None:
        """Let go of the file; what was not flushed is lost."""
        os.close(self._descriptor)
        if not self.size_bytes:
            self._file.unlink(missing_ok=True)

    def _is_full(self, packet: EncodedPacket) -> bool:
        if not self._open:
            return False
        long_ms = packet.monotonic_ms - self._open[0].packet.monotonic_ms
        due_ms = self._segment_ms if packet.is_key else self._segment_ms * _LONG_SEGMENTS
        return long_ms >= due_ms or self._open_bytes >= _MOST_SEGMENT_BYTES

    def _place(self, packet: EncodedPacket) -> Placed:
        if self._first is None:
            self._first = packet
        arrived = (packet.monotonic_ms - self._first.monotonic_ms) * TICKS_PER_S // 1000
        is_believed = packet.epoch == self._epoch and abs(packet.dts + self._offset - arrived) <= _JUMP_TICKS
        if not is_believed:
            self._epoch = packet.epoch
            self._offset = max(arrived, self._last_dts + self._last_duration if self._last_dts >= 0 else 0) - packet.dts
        dts = max(packet.dts + self._offset, self._last_dts + 1)
        self._last_dts, self._last_duration = dts, packet.duration or self._last_duration
        return Placed(packet=packet, dts=dts, pts=max(dts, packet.pts + self._offset), duration=packet.duration)

    def _with_durations(self, end_dts: int | None) -> list[Placed]:
        """Each lasts until the next: a hole in the stream is a long picture, and not a shift of all that follows."""
        last = self._open[-1]
        ends = [placed.dts for placed in self._open[1:]]
        ends.append(end_dts if end_dts is not None else last.dts + self._last_duration)
        return [Placed(packet=placed.packet, dts=placed.dts, pts=placed.pts, duration=max(1, end - placed.dts))
                for placed, end in zip(self._open, ends, strict=True)]  # fmt: skip


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
