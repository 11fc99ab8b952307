"""Clips of a camera with privacy masks: its pictures are encoded once more, with the masks burnt in, and only then kept.

Stands between the capture and the recorder, which gets these packets in place of the camera's own; nothing of the camera's stream
goes into the ring or onto the disk. Costs what an encoder costs, so it takes ten pictures a second of 1280 pixels at most. Runs on
the capture's thread, which decodes anyway.
"""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Protocol

import av
import av.container
import av.error
import av.packet
import av.video.codeccontext
import av.video.frame
import av.video.stream
import numpy as np

from camera_node.errors import CannotRecord
from camera_node.snapshot import mask
from camera_node.zone import Point

FRAMES_PER_S: Final = 10.0
WIDTH_PX: Final = 1280
_BIT_RATE: Final = 1_500_000
_TICKS: Final = Fraction(1, 90_000)
_EARLY_MS: Final = 5


class EncodedSink(Protocol):
    """Who gets the packets: the recorder."""

    def opened(self, stream: av.video.stream.VideoStream) -> None:
        """A stream begins."""

    def packet(self, packet: "av.packet.Packet[av.video.stream.VideoStream]", monotonic_ms: int, wall_ms: int) -> None:
        """A packet of it."""

    def closed(self) -> None:
        """It ended."""


class MaskedRecording:
    """A ``PictureSink`` for ``Capture``."""

    def __init__(self, masks: Sequence[Sequence[Point]], sink: EncodedSink) -> None:
        self._masks = masks
        self._sink = sink
        self._encoder: av.video.codeccontext.VideoCodecContext | None = None
        self._holder: av.container.InputContainer | None = None
        self._due_ms = 0.0
        self._began_ms = 0
        self.failures = 0
        """Pictures that could not be encoded."""

    def picture(self, frame: av.video.frame.VideoFrame, monotonic_ms: int, wall_ms: int) -> None:
        """The next picture of the camera; left out if it comes sooner than a tenth of a second after the last."""
        interval_ms = 1000 / FRAMES_PER_S
        if monotonic_ms < self._due_ms - _EARLY_MS:
            return
        self._due_ms = max(self._due_ms + interval_ms, monotonic_ms - interval_ms)
        try:
            packets = self._encode(frame, monotonic_ms)
        except (av.error.FFmpegError, ValueError, CannotRecord):
            self.failures += 1
            self.closed()
            return
        for packet in packets:
            if self._holder is None:
                self._begin(bytes(packet))
            self._sink.packet(packet, monotonic_ms, wall_ms)

    def closed(self) -> None:
        """The camera's stream ended: the next picture begins another."""
        if self._holder is not None:
            self._sink.closed()
            self._holder.close()
        self._encoder = self._holder = None

    def _encode(
        self, frame: av.video.frame.VideoFrame, monotonic_ms: int
    ) -> "list[av.packet.Packet[av.video.stream.VideoStream]]":
        scale = min(1.0, WIDTH_PX / frame.width)
        width, height = (max(16, round(size * scale)) // 2 * 2 for size in (frame.width, frame.height))
        if self._encoder is not None and (self._encoder.width, self._encoder.height) != (width, height):
            self.closed()  # the camera changed its picture
        if self._encoder is None:
            self._encoder, self._began_ms = _encoder(width, height), monotonic_ms
        pixels = np.asarray(frame.reformat(width=width, height=height, format="bgr24").to_ndarray(), np.uint8)
        masked = av.VideoFrame.from_ndarray(mask(pixels, self._masks), format="bgr24").reformat(format="yuv420p")
        masked.pts = (monotonic_ms - self._began_ms) * 90
        masked.time_base = _TICKS
        masked.pict_type = av.video.frame.PictureType.NONE
        return list(self._encoder.encode(masked))

    def _begin(self, key_frame: bytes) -> None:
        """Tell the sink what the stream is, by its first packet: parameter sets are in band."""
        self._holder = av.open(io.BytesIO(key_frame), mode="r", format="h264")
        self._sink.opened(self._holder.streams.video[0])


def _encoder(width: int, height: int) -> av.video.codeccontext.VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.video.codeccontext.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = _TICKS
    context.framerate = Fraction(round(FRAMES_PER_S))
    context.bit_rate = _BIT_RATE
    context.options = {
        "preset": "ultrafast", "tune": "zerolatency", "g": str(round(FRAMES_PER_S)), "bf": "0", "sc_threshold": "0",
        "x264-params": "repeat-headers=1:annexb=1",
    }  # fmt: skip
    return context
