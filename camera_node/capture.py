"""One reader thread per camera: packets in, the newest frame out, and an honest word on why there is none.

The reader never waits for the detector: a frame that nobody took in time is replaced by the next. It never gives up:
whatever breaks is named, counted and tried again with jitter, a camera that was absent at boot included. A frame's
times are taken when its packet arrives, before it is decoded. Called by ``eye``; nothing starts before ``start``.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import av
import av.container
import av.error
import av.packet
import av.video.frame
import av.video.stream

from camera_node.errors import StreamError, StreamFault
from camera_node.frame import Frame
from camera_node.opening import READ_TIMEOUT_S, opened
from camera_node.pixel_converter import PixelConverter
from camera_node.presentation_times import PresentationTimes
from camera_node.source import Source, SourceKind
from camera_node.stream_fault import explain
from relay.backoff import Backoff
from relay.clock import Clock

_BAD_PACKETS: Final = 50
"""Undecodable packets in a row before a stream counts as unreadable: a join in the middle of a GOP gives some."""


class PacketSink(Protocol):
    """Who gets the encoded packets, on the reader's thread. Must neither wait nor raise."""

    def opened(self, stream: av.video.stream.VideoStream) -> None:
        """A stream begins."""

    def packet(self, packet: "av.packet.Packet[av.video.stream.VideoStream]", monotonic_ms: int, wall_ms: int) -> None:
        """A packet of it, and when it came."""

    def closed(self) -> None:
        """It ended."""


class PictureSink(Protocol):
    """Who gets every decoded picture, on the reader's thread. Must not raise, and be faster than the camera."""

    def picture(self, frame: av.video.frame.VideoFrame, monotonic_ms: int, wall_ms: int) -> None:
        """The next picture, and when its packet came."""

    def closed(self) -> None:
        """The stream ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureState:
    """What the reader has to say."""

    fault: StreamFault | None
    detail: str
    reconnects: int
    frames: int
    last_frame_monotonic_ms: int | None
    has_ended: bool
    promised_per_s: float = 0.0
    """Frames a second, as the stream says; 0: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    picture: av.video.frame.VideoFrame
    captured_monotonic_ms: int
    captured_wall_ms: int
    sequence: int
    clip_time_ms: int


class Capture:
    """The reader of one camera. ``take`` and ``state`` may be called from other threads."""

    def __init__(self, source: Source, *, clock: Clock, loop: bool = False, lost_after_s: float = 3.0,
                 backoff: Backoff | None = None, sink: PacketSink | None = None,
                 pictures: PictureSink | None = None) -> None:  # fmt: skip
        self._source = source
        self._pictures = pictures
        self._sink = sink
        self._clock = clock
        self._loop = loop
        self._lost_after_ms = round(lost_after_s * 1000)
        self._backoff = backoff or Backoff(least_s=0.5, most_s=10.0, stable_s=10.0)
        self._stop = threading.Event()
        self._fresh = threading.Condition()
        self._converter = PixelConverter()
        self._newest: _Raw | None = None
        self._fault: StreamFault | None = None
        self._detail = "connecting"
        self._reconnects = 0
        self._frames = 0
        self._opened_ms: int | None = None
        self._last_frame_ms: int | None = None
        self._has_ended = False
        self._promised_per_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"capture {source.name}"[:60], daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self, wait_s: float = READ_TIMEOUT_S + 1) -> bool:
        """Stop reading; False if the reader hangs in its device and had to be left behind."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def take(self, timeout_s: float, *, not_before_ms: float = 0) -> Frame | None:
        """The newest frame that was not taken yet, or None if none came in time.

        ``not_before_ms``: only one captured since then (monotonic); an older one is let go, so that whoever looks at fewer
        frames than the camera gives looks at fresh ones.
        """
        deadline_ms = self._clock.monotonic_ms() + timeout_s * 1000
        with self._fresh:
            while self._newest is None or self._newest.captured_monotonic_ms < not_before_ms:
                self._newest = None
                left_s = (deadline_ms - self._clock.monotonic_ms()) / 1000
                if left_s <= 0 or not self._fresh.wait(left_s):
                    break
            raw, self._newest = self._newest, None
            if raw is not None and raw.captured_monotonic_ms < not_before_ms:
                raw = None
        if raw is None:
            return None
        return Frame(pixels=self._converter.pixels(raw.picture), captured_monotonic_ms=raw.captured_monotonic_ms,
                     captured_wall_ms=raw.captured_wall_ms, sequence=raw.sequence,
                     clip_time_ms=raw.clip_time_ms)  # fmt: skip

    def state(self) -> CaptureState:
        """How it is. Silence is a fault, even if the reader hangs and can't say so itself."""
        with self._fresh:
            fault, detail = self._fault, self._detail
            if fault is None:
                since = self._last_frame_ms if self._last_frame_ms is not None else self._opened_ms
                silent_ms = self._clock.monotonic_ms() - since if since is not None else 0
                if silent_ms > self._lost_after_ms:
                    fault, silent = StreamFault.TIMEOUT, f"no frame for {silent_ms / 1000:.1f} s"
                    never = "" if self._last_frame_ms is not None else ": check the camera's power and network"
                    detail = f"{self._source.name}: {silent}{never}"
            return CaptureState(fault=fault, detail=detail, reconnects=self._reconnects, frames=self._frames,
                                last_frame_monotonic_ms=self._last_frame_ms, has_ended=self._has_ended,
                                promised_per_s=self._promised_per_s)  # fmt: skip

    # ------------------------------------------------------------------ the reader's thread

    def _run(self) -> None:
        while not self._stop.is_set():
            began_ms = self._clock.monotonic_ms()
            with self._fresh:
                self._opened_ms = began_ms
                self._last_frame_ms = None
                frames_before = self._frames
            try:
                self._read()
            except StreamError as error:
                fault, detail = error.fault, str(error)
            except (OSError, ValueError, av.error.FFmpegError) as error:
                problem = explain(error, self._source)
                fault, detail = problem.fault, str(problem)
            else:
                return  # told to stop
            delivered = self._frames > frames_before
            if delivered and fault in {StreamFault.CONNECTION_FAILED, StreamFault.NOT_FOUND}:
                fault = StreamFault.GONE
            if delivered:
                self._backoff.succeeded_for((self._clock.monotonic_ms() - began_ms) / 1000)
            with self._fresh:
                self._fault, self._detail = fault, detail
                self._has_ended = fault is StreamFault.ENDED
                self._reconnects += not self._has_ended
            if self._has_ended:
                return
            self._stop.wait(self._backoff.next_delay_s())

    def _read(self) -> None:
        """Read until told to stop; every other end is raised."""
        while not self._stop.is_set():
            with opened(self._source) as container:
                try:
                    self._read_container(container)
                finally:
                    for sink in (self._sink, self._pictures):
                        if sink is not None:
                            sink.closed()
            if self._stop.is_set():
                return
            if self._source.kind is not SourceKind.FILE:
                raise StreamError(StreamFault.GONE, f"{self._source.name}: the camera ended the stream")
            if not self._loop:
                raise StreamError(StreamFault.ENDED, f"{self._source.name}: the clip is over")

    def _read_container(self, container: av.container.InputContainer) -> None:
        stream = _video(container, self._source)
        promised = float(stream.average_rate or 0)
        self._promised_per_s = promised if 0 < promised <= 120 else 0.0
        pace = _Pace(self._clock, self._stop) if self._source.kind is SourceKind.FILE else None
        if self._sink is not None:
            self._sink.opened(stream)
        arrivals: dict[int, tuple[int, int]] = {}
        times = PresentationTimes()
        newest = (0, 0)
        bad_packets = 0
        packets_before = self._frames
        for packet in container.demux(stream):
            if pace is not None:
                pace.wait(packet)
            if self._stop.is_set():
                return
            now = (self._clock.monotonic_ms(), self._clock.wall_ms())
            if self._sink is not None:
                self._sink.packet(packet, *now)
            if packet.pts is not None:
                arrivals[packet.pts] = now
                if len(arrivals) > 64:
                    arrivals.pop(next(iter(arrivals)))
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError as error:
                bad_packets += 1
                if bad_packets >= _BAD_PACKETS:
                    raise StreamError(
                        StreamFault.CODEC_UNSUPPORTED,
                        f"{self._source.name}: {bad_packets} packets in a row can't be decoded",
                    ) from error
                continue
            for picture in pictures:
                bad_packets = 0
                came = arrivals.pop(picture.pts, now) if picture.pts is not None else now
                # What was sent ahead of its turn (B-frames) came before what is shown before it: time does not run backwards.
                newest = max(newest, came, key=lambda pair: pair[0])
                self._publish(picture, newest, times.of(picture))
        if self._frames == packets_before and not self._stop.is_set():
            raise StreamError(StreamFault.CODEC_UNSUPPORTED, f"{self._source.name}: there is no frame in it")

    def _publish(self, picture: object, times: tuple[int, int], clip_time_ms: int) -> None:
        if not isinstance(picture, av.video.frame.VideoFrame):
            return
        if self._pictures is not None:
            self._pictures.picture(picture, *times)
        with self._fresh:
            self._frames += 1
            self._newest = _Raw(picture=picture, captured_monotonic_ms=times[0], captured_wall_ms=times[1],
                                sequence=self._frames, clip_time_ms=clip_time_ms)  # fmt: skip
            self._last_frame_ms = times[0]
            self._fault, self._detail = None, ""
            self._fresh.notify()


class _Pace:
    """Lets a file's packets go at the clip's own speed."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop
        self._start_ms: float | None = None

    def wait(self, packet: "av.packet.Packet[av.video.stream.VideoStream]") -> None:
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or packet.time_base is None:
            return
        due_ms = float(stamp * packet.time_base) * 1000
        now_ms = self._clock.monotonic_ms()
        if self._start_ms is None or now_ms - (self._start_ms + due_ms) > 1000:  # too slow to follow: don't rush after
            self._start_ms = now_ms - due_ms
        delay_s = (self._start_ms + due_ms - now_ms) / 1000
        if 0 < delay_s < 60:
            self._stop.wait(delay_s)


def read_clip(file: Path) -> Iterator[Frame]:
    """Every frame of a file, as fast as it decodes, with times as if it had started at 0: for tests and measurements.

    Raises:
        StreamError: it can't be read.
    """
    source = Source(kind=SourceKind.FILE, address=str(file), name=str(file))
    converter, times = PixelConverter(), PresentationTimes()
    try:
        with opened(source) as container:
            for number, picture in enumerate(container.decode(_video(container, source)), start=1):
                at_ms = times.of(picture)
                yield Frame(pixels=converter.pixels(picture), captured_monotonic_ms=at_ms, captured_wall_ms=at_ms,
                            sequence=number, clip_time_ms=at_ms)  # fmt: skip
    except (OSError, av.error.FFmpegError) as error:
        raise explain(error, source) from None


def _video(container: av.container.InputContainer, source: Source) -> av.video.stream.VideoStream:
    if not container.streams.video:
        raise StreamError(StreamFault.CODEC_UNSUPPORTED, f"{source.name}: there is no video in it")
    stream = container.streams.video[0]
    # Frame threads would hold back as many frames as there are threads; slices don't.
    stream.thread_type = "SLICE"
    return stream
