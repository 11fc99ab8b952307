"""Decodes one camera once, on a thread of its own, for everybody who can't have its packets as they are.

Outputs, each made only while somebody wants it: ``main`` (masks burnt in, or a codec that browsers lack), ``sub`` (small, for
thin lines) and stills. An encoding is shared by all its viewers. Privacy masks are black in every picture that comes out of
here; a camera with masks gives nothing else.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.error
import av.video.codeccontext
import av.video.frame
import cv2
import numpy as np

from camera_node.frame import Pixels
from camera_node.live.packet_track import LivePacket
from camera_node.packet_tap import TapPacket, TapStream
from camera_node.snapshot import mask
from camera_node.zone import Point
from relay.clock import Clock

_MOST_WAITING: Final = 150
_STILL_SIZES: Final = ((640, 70), (640, 50), (480, 50), (480, 35), (320, 45), (320, 25), (160, 30))
"""Width in pixels and JPEG quality, tried in this order until the picture is small enough."""
_STILL_FRESH_MS: Final = 1000
_TICKS: Final = Fraction(1, 1000)
_IDLE_WAIT_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One encoding."""

    name: str
    width_px: int
    """At most; the picture's own shape is kept."""
    frames_per_s: float
    kbps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StillPicture:
    """A JPEG and when its frame came."""

    jpeg: bytes
    width_px: int
    height_px: int
    arrived_ms: int
    wall_ms: int


@dataclass(slots=True)
class _StillWanted:
    most_bytes: int
    answer: "Future[StillPicture]"


@dataclass(frozen=True, slots=True)
class _Picture:
    frame: av.video.frame.VideoFrame
    arrived_ms: int
    wall_ms: int


class _Encoding:
    """One running encoder: real-time H.264 that every browser plays, a key frame each second."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self._context: av.video.codeccontext.VideoCodecContext | None = None
        self._due_ms = 0.0

    def encode(self, frame: av.video.frame.VideoFrame, arrived_ms: int) -> list[LivePacket]:
        """The packets that came of a frame; none if it is left out to keep the rate."""
        interval_ms = 1000 / self.form.frames_per_s
        if arrived_ms < self._due_ms - 5:
            return []
        self._due_ms = max(self._due_ms + interval_ms, arrived_ms - interval_ms)
        scale = min(1.0, self.form.width_px / frame.width)
        width, height = (max(16, round(size * scale)) // 2 * 2 for size in (frame.width, frame.height))
        if self._context is None or (self._context.width, self._context.height) != (width, height):
            self._context = self._open(width, height)
        ready = frame.reformat(width=width, height=height, format="yuv420p")
        ready.pts = arrived_ms
        ready.time_base = _TICKS
        ready.pict_type = av.video.frame.PictureType.NONE
        return [LivePacket(data=bytes(packet), is_key=bool(packet.is_keyframe), arrived_ms=arrived_ms)
                for packet in self._context.encode(ready)]  # fmt: skip

    def _open(self, width: int, height: int) -> av.video.codeccontext.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.video.codeccontext.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = _TICKS
        context.framerate = Fraction(round(self.form.frames_per_s))
        context.bit_rate = self.form.kbps * 1000
        rate = f"{self.form.kbps}k"
        context.options = {
            "preset": "ultrafast", "tune": "zerolatency", "g": str(round(self.form.frames_per_s)), "bf": "0",
            "sc_threshold": "0", "maxrate": rate, "bufsize": rate, "x264-params": "repeat-headers=1:annexb=1",
        }  # fmt: skip
        context.profile = "Baseline"
        return context


class Rendering:
    """``want`` and ``still`` say what is needed; packets go in by ``add``. Everything but ``_run`` is called on the loop."""

    def __init__(self, name: str, *, masks: Sequence[Sequence[Point]], clock: Clock,
                 publish: Callable[[str, LivePacket], None]) -> None:  # fmt: skip
        """``publish`` is called on this object's thread."""
        self._masks = masks
        self._clock = clock
        self._publish = publish
        self._lock = threading.Condition()
        self._waiting: deque[TapPacket] = deque()
        self._needs_key = True
        self._stream: TapStream | None = None
        self._stream_changed = False
        self._formats: dict[str, Format] = {}
        self._stills: list[_StillWanted] = []
        self._newest: _Picture | None = None
        self._stop = False
        self.dropped_packets = 0
        self.undecodable_packets = 0
        self._thread = threading.Thread(target=self._run, name=f"rendering {name}"[:60], daemon=True)

    def start(self) -> None:
        """Begin to decode."""
        self._thread.start()

    def close(self) -> None:
        """Stop; who waits for a still is told."""
        with self._lock:
            self._stop = True
            wanted, self._stills = self._stills, []
            self._lock.notify()
        for item in wanted:
            item.answer.cancel()
        self._thread.join(5.0)

    def stream(self, stream: TapStream) -> None:
        """Another stream from now on."""
        with self._lock:
            self._stream, self._stream_changed, self._needs_key = stream, True, True
            self._waiting.clear()

    def add(self, packet: TapPacket) -> None:
        """The next packet. Decoding that can't keep up loses whole groups, so that what is shown is fresh."""
        with self._lock:
            if self._needs_key and not packet.is_key:
                self.dropped_packets += 1
                return
            if len(self._waiting) >= _MOST_WAITING:
                self.dropped_packets += len(self._waiting)
                self._waiting.clear()
                self._needs_key = not packet.is_key
                if self._needs_key:
                    return
            self._needs_key = False
            self._waiting.append(packet)
            self._lock.notify()

    def want(self, formats: Sequence[Format]) -> None:
        """Which encodings are needed now."""
        with self._lock:
            self._formats = {form.name: form for form in formats}

    def still(self, most_bytes: int) -> "Future[StillPicture]":
        """The newest picture as JPEG of at most so many bytes: at once if there is a fresh one, else from the next."""
        wanted = _StillWanted(most_bytes, Future())
        with self._lock:
            self._stills.append(wanted)
            self._lock.notify()
        return wanted.answer

    @property
    def encodings(self) -> int:
        """Encoders that are wanted now."""
        return len(self._formats)

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        decoder: av.video.codeccontext.VideoCodecContext | None = None
        encodings: dict[str, _Encoding] = {}
        while True:
            with self._lock:
                while not self._waiting and not self._stop and not (self._stills and self._has_fresh()):
                    self._lock.wait(_IDLE_WAIT_S)
                if self._stop:
                    return
                if self._stream_changed:
                    decoder, encodings, self._stream_changed, self._newest = None, {}, False, None
                stream = self._stream
                packet = self._waiting.popleft() if self._waiting else None
                formats, has_more = dict(self._formats), bool(self._waiting)
            if packet is not None and stream is not None:
                decoder = decoder or _decoder_of(stream)
                self._render(packet, decoder, encodings, formats, has_more=has_more)
            if not has_more:  # of a replayed group only the last picture is worth a JPEG
                self._give_stills()

    def _render(self, packet: TapPacket, decoder: av.video.codeccontext.VideoCodecContext,
                encodings: dict[str, _Encoding], formats: dict[str, Format], *, has_more: bool) -> None:  # fmt: skip
        try:
            frames = decoder.decode(av.Packet(packet.data))
        except av.error.FFmpegError:
            self.undecodable_packets += 1
            return
        for name in encodings.keys() - formats.keys():
            del encodings[name]
        for frame in frames:
            self._newest = _Picture(frame, packet.monotonic_ms, packet.wall_ms)
            if not formats or (has_more and not encodings and not packet.is_key):
                continue
            shown = self._masked(frame)
            for name, form in formats.items():
                encoding = encodings.get(name)
                if encoding is None or encoding.form != form:
                    encoding = encodings[name] = _Encoding(form)
                for made in encoding.encode(shown, packet.monotonic_ms):
                    self._publish(name, made)

    def _masked(self, frame: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
        if not self._masks:
            return frame
        return av.VideoFrame.from_ndarray(mask(_pixels(frame), self._masks), format="bgr24")

    def _has_fresh(self) -> bool:
        newest = self._newest
        return newest is not None and self._clock.monotonic_ms() - newest.arrived_ms < _STILL_FRESH_MS

    def _give_stills(self) -> None:
        with self._lock:
            if not self._stills or self._newest is None or not self._has_fresh():
                return
            wanted, self._stills, newest = self._stills, [], self._newest
        pixels = mask(_pixels(newest.frame), self._masks)
        for item in wanted:
            if item.answer.set_running_or_notify_cancel():
                item.answer.set_result(_jpeg(pixels, newest, item.most_bytes))


def _decoder_of(stream: TapStream) -> av.video.codeccontext.VideoCodecContext:
    context = av.CodecContext.create(stream.codec, "r")
    assert isinstance(context, av.video.codeccontext.VideoCodecContext)
    if stream.extradata:
        context.extradata = stream.extradata
    context.thread_type = "SLICE"  # frame threads would hold pictures back
    return context


def _pixels(frame: av.video.frame.VideoFrame) -> Pixels:
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _jpeg(pixels: Pixels, picture: _Picture, most_bytes: int) -> StillPicture:
    height, width = pixels.shape[:2]
    for width_px, quality in _STILL_SIZES:
        scale = min(1.0, width_px / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
        is_done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if is_done and data.nbytes <= most_bytes:
            break
    return StillPicture(jpeg=data.tobytes()[:most_bytes], width_px=size[0], height_px=size[1],
                        arrived_ms=picture.arrived_ms, wall_ms=picture.wall_ms)  # fmt: skip
