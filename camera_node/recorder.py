"""Records clips in the eye: the ring of the moments before, and the thread that writes a clip around each sighting.

Three threads meet here. The capture's hands over packets and never waits for the disk; the loop over frames says that
something was seen and gets the clip's name at once; the recorder's own writes. A clip's first byte is written a moment
after its sighting was reported, so that the alert's fsync does not stand behind the clip's. Two sightings whose clips
would overlap share one. When the camera dies, what has come is closed at once; when it comes back in time, with the same
parameters, the clip goes on.
"""

import errno
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import av.packet
import av.video.stream

from camera_node.clip_segment import StreamTemplate, sequence_parameters
from camera_node.clip_writer import ClipWriter
from camera_node.errors import CannotRecord
from camera_node.messages import ClipEnded, ClipReport, Recording, RecordingOrder
from camera_node.packet_ring import TICKS_PER_S, EncodedPacket, PacketRing
from relay.clock import Clock

ALERT_FIRST_MS: Final = 300
"""From a sighting to its clip's first write: spooling the alert takes some 10 ms, and an fsync waits for the other."""
_RING_BEYOND_MS: Final = 3000
"""Kept beyond the pre-roll: a sighting is reported that much after its frame at most (inference, N of M, the wait above)."""
_KEY_WITHIN_MS: Final = 30_000
"""Cameras that refresh their picture bit by bit never send a key frame: after this it is said."""
_SILENT_END_MS: Final = 1000
_LOOK_EVERY_S: Final = 0.25


class _Clip:
    """A clip under way, and the packets that wait for the writer. Guarded by the recorder's lock."""

    def __init__(
        self, name: str, template: StreamTemplate, *, begins_ms: int, ends_ms: int, write_from_ms: int
    ) -> None:
        self.name = name
        self.template = template
        self.begins_ms = begins_ms
        self.ends_ms = ends_ms
        self.write_from_ms = write_from_ms
        self.waiting: deque[EncodedPacket] = deque()
        self.waiting_bytes = 0
        self.lost_packets = 0
        self.needs_key = False
        self.is_over = False
        self.why = ""
        self.flush_wanted = False

    def push(self, packet: EncodedPacket, most_bytes: int) -> None:
        if self.needs_key and not packet.is_key:
            self.lost_packets += 1
            return
        if self.waiting_bytes + len(packet.data) > most_bytes:
            self.lost_packets += 1
            self.needs_key = True
            return
        self.needs_key = False
        self.waiting.append(packet)
        self.waiting_bytes += len(packet.data)

    def end(self, why: str = "") -> None:
        self.is_over, self.why = True, self.why or why


class Recorder:
    """One camera's; a sink for ``Capture``. ``report`` is called on several threads."""

    def __init__(self, order: RecordingOrder, *, clock: Clock, report: Callable[[ClipReport], None]) -> None:
        self._order = order
        self._folder = Path(order.folder)
        self._clock = clock
        self._report = report
        self._lock = threading.Condition()
        self.ring = PacketRing(keep_ms=order.pre_roll_ms + _RING_BEYOND_MS, most_bytes=order.ring_bytes)
        self._template: StreamTemplate | None = None
        self._stream: av.video.stream.VideoStream | None = None
        self._epoch = 0
        self._opened_ms = 0
        self._needs_key = True
        self._why_not = "no key frame has come yet"
        self._told: Recording | None = None
        self._clips: deque[_Clip] = deque()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, wait_s: float = 5.0) -> bool:
        """End the clips under way with what is there; False if the disk hangs."""
        with self._lock:
            self._stop = True
            self._lock.notify()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    # ------------------------------------------------------------------ the capture's thread

    def opened(self, stream: av.video.stream.VideoStream) -> None:
        """A stream begins, for the first time or again."""
        with self._lock:
            self._epoch += 1
            self._stream, self._needs_key = stream, True
            self._opened_ms = self._clock.monotonic_ms()
            self._why_not = self._why_not or "no key frame has come since the stream was opened"

    def packet(self, packet: "av.packet.Packet[av.video.stream.VideoStream]", monotonic_ms: int, wall_ms: int) -> None:
        """A packet came."""
        if self._stream is None or not packet.size:
            return
        if self._needs_key and not packet.is_keyframe:
            if monotonic_ms - self._opened_ms > _KEY_WITHIN_MS:
                self._tell()
            return
        try:
            if self._needs_key or (packet.is_keyframe and self._is_another(bytes(packet))):
                self._begin_epoch(self._stream, bytes(packet))
            taken = self._taken(packet, monotonic_ms, wall_ms)
        except CannotRecord as error:
            self._refuse(str(error))
            return
        with self._lock:
            self.ring.add(taken)
            clip = self._clips[-1] if self._clips else None
            if clip is not None and not clip.is_over:
                if monotonic_ms >= clip.ends_ms:
                    clip.end()
                else:
                    clip.push(taken, self._order.ring_bytes)
                self._lock.notify()

    def closed(self) -> None:
        """The stream ended: what is here of a clip is made durable now."""
        with self._lock:
            self._stream = None
            for clip in self._clips:
                clip.flush_wanted = clip.needs_key = True
            self._lock.notify()

    def _is_another(self, key_frame: bytes) -> bool:
        """Whether the camera changed its picture without ending the stream."""
        assert self._template is not None
        found = sequence_parameters(self._template.codec, key_frame)
        return bool(found) and found not in self._template.parameters

    def _begin_epoch(self, stream: av.video.stream.VideoStream, first_packet: bytes) -> None:
        """The first key frame of a stream: find out whether it can be recorded, and whether it is still the same."""
        template = StreamTemplate(stream, first_packet=first_packet)
        template.require_muxable(first_packet)
        with self._lock:
            if self._template is not None and not self._template.is_same(template):
                self.ring.clear()
                for clip in self._clips:
                    clip.end("the camera's picture changed its codec or size")
            self._template, self._needs_key, self._why_not = template, False, ""
        self._tell()

    def _taken(
        self, packet: "av.packet.Packet[av.video.stream.VideoStream]", monotonic_ms: int, wall_ms: int
    ) -> EncodedPacket:
        assert self._template is not None
        base = packet.time_base
        stamps = [None if stamp is None or base is None else round(stamp * base * TICKS_PER_S)
                  for stamp in (packet.dts, packet.pts)]  # fmt: skip
        dts, pts = stamps
        if pts is None and self._template.has_reordering:
            raise CannotRecord("its pictures come out of order and carry no time of display")
        if dts is None and pts is None:
            dts = monotonic_ms * TICKS_PER_S // 1000
        at = dts if dts is not None else pts
        assert at is not None
        duration = round(packet.duration * base * TICKS_PER_S) if packet.duration and base else 0
        return EncodedPacket(data=bytes(packet), pts=at if pts is None else pts, dts=at, duration=duration,
                             is_key=bool(packet.is_keyframe), epoch=self._epoch, monotonic_ms=monotonic_ms,
                             wall_ms=wall_ms)  # fmt: skip

    def _refuse(self, why: str) -> None:
        with self._lock:
            self._why_not, self._stream = why, None
            self.ring.clear()
            for clip in self._clips:
                clip.end(why)
            self._lock.notify()
        self._tell()

    def _tell(self) -> None:
        codec = self._template.codec if self._template is not None else ""
        said = Recording(codec=codec, why_not=self._why_not)
        if said != self._told:
            self._told = said
            self._report(said)

    # ------------------------------------------------------------------ the loop over frames

    def event(self, seen_monotonic_ms: int) -> str:
        """Something was seen: the name of the clip that shows it, empty if there will be none. Touches no disk."""
        now_ms = self._clock.monotonic_ms()
        ends_ms = seen_monotonic_ms + self._order.post_roll_ms
        with self._lock:
            current = self._clips[-1] if self._clips and not self._clips[-1].is_over else None
            if current is not None and ends_ms - current.begins_ms <= self._order.longest_ms:
                current.ends_ms = max(current.ends_ms, ends_ms)
                return current.name
            before = self.ring.since(seen_monotonic_ms - self._order.pre_roll_ms)
            if self._template is None or not before:
                return ""
            if current is not None:
                current.end("it is as long as a clip may be; the next one goes on")
            clip = _Clip(_new_name(before[0].wall_ms), self._template, begins_ms=before[0].monotonic_ms, ends_ms=ends_ms,
                         write_from_ms=now_ms + ALERT_FIRST_MS)  # fmt: skip
            for packet in before:
                clip.push(packet, self._order.ring_bytes)
            self._clips.append(clip)
            self._lock.notify()
            return clip.name

    # ------------------------------------------------------------------ the recorder's thread

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._clips and not self._stop:
                    self._lock.wait()
                if not self._clips:
                    return
                clip = self._clips[0]
            self._write(clip)
            with self._lock:
                clip.end()
                self._clips.remove(clip)

    def _write(self, clip: _Clip) -> None:
        try:
            self._wait_for_alert(clip)
            self._require_room()
            writer = ClipWriter(self._folder, clip.name, clip.template, segment_ms=self._order.segment_ms)
        except OSError as error:
            self._report(ClipEnded(clip=clip.name, why=f"not recorded: {error.strerror or error}"))
            return
        try:
            why = self._write_packets(clip, writer)
        except (OSError, CannotRecord) as error:
            why = f"cut off: {getattr(error, 'strerror', None) or error}"
        finally:
            writer.close()
        self._report(ClipEnded(clip=clip.name, why=why, lost_packets=clip.lost_packets))

    def _wait_for_alert(self, clip: _Clip) -> None:
        early_ms = clip.write_from_ms - self._clock.monotonic_ms()
        if early_ms > 0 and not self._stop:
            time.sleep(min(early_ms, ALERT_FIRST_MS) / 1000)

    def _write_packets(self, clip: _Clip, writer: ClipWriter) -> str:
        """Until the clip is over; why it is shorter than it should be, if it is."""
        while True:
            packets, is_over, flush_wanted = self._next(clip)
            for packet in packets:
                closed = writer.add(packet)
                if closed is not None:
                    self._report(closed)
                    self._require_room()
                if writer.size_bytes > self._order.most_bytes:
                    return f"cut off at {self._order.most_bytes} bytes"
            if is_over or flush_wanted:
                closed = writer.flush()
                if closed is not None:
                    self._report(closed)
            if is_over:
                return clip.why

    def _next(self, clip: _Clip) -> tuple[list[EncodedPacket], bool, bool]:
        with self._lock:
            if not clip.waiting and not clip.is_over and not clip.flush_wanted and not self._stop:
                self._lock.wait(_LOOK_EVERY_S)
            if self._stop:
                clip.end("the node stopped")
            elif self._clock.monotonic_ms() >= clip.ends_ms + _SILENT_END_MS:
                clip.end("the camera fell silent")
            packets = list(clip.waiting)
            clip.waiting.clear()
            clip.waiting_bytes = 0
            flush_wanted, clip.flush_wanted = clip.flush_wanted, False
            return packets, clip.is_over, flush_wanted

    def _require_room(self) -> None:
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < self._order.reserve_bytes:
            kept = f"{self._order.reserve_bytes} are kept for the spool"
            raise OSError(errno.ENOSPC, f"the disk has {free_bytes} bytes free, {kept}")


def _new_name(wall_ms: int) -> str:
    """Sorts by time where the clock is right, and is new where it is not."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall_ms / 1000)) + f"-{secrets.token_hex(4)}.mp4"
