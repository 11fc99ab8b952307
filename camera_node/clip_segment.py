"""Segments of a clip: encoded packets put into fragmented MP4 as they are, and found again in a file.

A clip's file is a header (``ftyp``, ``moov``) and then segments (``moof``, ``mdat``), each complete when it is written
(ISO/IEC 14496-12 §8.8), so that every prefix that ends with a segment plays. Each segment comes from a muxer of its own:
nothing is held back for the next one, and a muxer that fails spoils no more than its segment. Nothing is re-encoded.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.container
import av.error
import av.video.stream

from camera_node.errors import CannotRecord
from camera_node.packet_ring import TICKS_PER_S, EncodedPacket

_TIME_BASE: Final = Fraction(1, TICKS_PER_S)
_BOX: Final = struct.Struct(">I4s")
_LARGE_BOX: Final = struct.Struct(">Q")
_HEADER: Final = (b"ftyp", b"moov")
_SEGMENT: Final = (b"moof", b"mdat")
_START_CODE: Final = b"\x00\x00\x01"
_SEARCHED_BYTES: Final = 4096
"""Parameter sets stand before the first slice of a key frame."""


class StreamTemplate:
    """What a stream is: codec, size and parameter sets (SPS and PPS). Outlives the stream that it was taken from."""

    def __init__(self, stream: av.video.stream.VideoStream, *, first_packet: bytes) -> None:
        """``first_packet``: a key frame. Parameter sets in it count, and the description's where it has none.

        Raises:
            CannotRecord: it does not go into MP4.
        """
        context = stream.codec_context
        self.codec = str(context.name)
        self.width_px, self.height_px = int(context.width), int(context.height)
        self.parameters = bytes(context.extradata or b"")
        self.has_reordering = bool(context.has_b_frames)
        if self.has_reordering and "avi" in stream.container.format.name.split(","):
            # AVI numbers pictures in the order of decoding; FFmpeg's guess at the rest shows them out of order [M].
            raise CannotRecord("its pictures come out of order, and AVI does not say when they are shown")
        try:
            if sequence_parameters(self.codec, first_packet):
                stream = self._from_band(first_packet)
            self._holder = av.open(io.BytesIO(), "w", format="mp4")
            self.stream = self._holder.add_stream_from_template(stream, opaque=True)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise CannotRecord(f"{self.codec} does not go into MP4 without encoding it again") from error

    def _from_band(self, first_packet: bytes) -> av.video.stream.VideoStream:
        self._band = av.open(io.BytesIO(first_packet), format=self.codec)
        found = self._band.streams.video[0]
        self.parameters = bytes(found.codec_context.extradata or b"")
        self.width_px, self.height_px = int(found.codec_context.width), int(found.codec_context.height)
        return found

    def require_muxable(self, key_frame: bytes) -> None:
        """Try it with one key frame.

        Raises:
            CannotRecord: the muxer refuses this codec.
        """
        trial = EncodedPacket(data=key_frame, pts=0, dts=0, duration=1, is_key=True, epoch=0, monotonic_ms=0, wall_ms=0)
        mux(self, [Placed(packet=trial, dts=0, pts=0, duration=1)], number=1)

    def is_same(self, other: "StreamTemplate") -> bool:
        """Whether packets of the other can go on in the same clip."""
        return (self.codec, self.width_px, self.height_px, self.parameters) == (
            other.codec, other.width_px, other.height_px, other.parameters,
        )  # fmt: skip


def sequence_parameters(codec: str, key_frame: bytes) -> bytes:
    """The SPS that a key frame brings along; empty if it has none. A new one is a new picture size or profile.

    Source: ITU-T H.264 §7.4.1 and Annex B; H.265 §7.4.2.2 and Annex B.
    """
    if codec not in {"h264", "hevc"} or not key_frame[:4].lstrip(b"\x00").startswith(b"\x01"):
        return b""  # not Annex B
    parts = key_frame[:_SEARCHED_BYTES].split(_START_CODE)[1:]
    for part in parts:
        kind = part[0] & 0x1F if codec == "h264" and part else part[0] >> 1 & 0x3F if part else 0
        if kind == (7 if codec == "h264" else 33):
            return part.rstrip(b"\x00")
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A packet and its place in the clip, in ticks."""

    packet: EncodedPacket
    dts: int
    pts: int
    duration: int


def mux(template: StreamTemplate, packets: Sequence[Placed], *, number: int) -> bytes:
    """One segment as bytes, with the header before it. ``number`` counts from 1.

    Raises:
        CannotRecord: the muxer refuses this codec or these packets.
    """
    sink = io.BytesIO()
    options = {
        "movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer", "use_editlist": "0",
        "avoid_negative_ts": "disabled", "fragment_index": str(number), "video_track_timescale": str(TICKS_PER_S),
    }  # fmt: skip
    try:
        with av.open(sink, "w", format="mp4", options=options) as container:
            stream = container.add_stream_from_template(template.stream, opaque=True)
            stream.time_base = _TIME_BASE
            for placed in packets:
                packet = av.Packet(placed.packet.data)
                packet.dts, packet.pts, packet.duration = placed.dts, placed.pts, placed.duration
                packet.time_base, packet.is_keyframe = _TIME_BASE, placed.packet.is_key
                packet.stream = stream
                container.mux_one(packet)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CannotRecord(f"{template.codec} does not go into MP4 without encoding it again ({reason})") from error
    return sink.getvalue()


def split(muxed: bytes) -> tuple[bytes, bytes]:
    """Header and segment of what ``mux`` made."""
    stream = io.BytesIO(muxed)
    parts = {False: b"", True: b""}
    for kind, offset, size in _boxes(stream, len(muxed)):
        if kind in _HEADER or kind in _SEGMENT:
            parts[kind in _SEGMENT] += muxed[offset : offset + size]
    return parts[False], parts[True]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a segment lies in its file. The first one begins with the file's header."""

    offset_bytes: int
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        """The first byte after it."""
        return self.offset_bytes + self.size_bytes


def whole_segments(file: Path) -> list[Span]:
    """The complete segments of a clip; what a kill tore off at the end is not among them.

    Raises:
        OSError: the file can't be read.
    """
    found: list[Span] = []
    begin, before = 0, b""
    with file.open("rb") as stream:
        for kind, offset, size in _boxes(stream, file.stat().st_size):
            if kind == b"mdat" and before == b"moof":
                found.append(Span(offset_bytes=begin, size_bytes=offset + size - begin))
                begin = offset + size
            elif kind not in {b"moof", *_HEADER}:
                break
            before = kind
    return found


def _boxes(stream: io.BufferedReader | io.BytesIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and size of each complete box at the top level; stops at the first that is none."""
    offset = 0
    while offset + _BOX.size <= end:
        stream.seek(offset)
        size, kind = _BOX.unpack(stream.read(_BOX.size))
        least = _BOX.size
        if size == 1 and offset + 16 <= end:
            (size,) = _LARGE_BOX.unpack(stream.read(_LARGE_BOX.size))
            least = 16
        if size < least or offset + size > end:
            return
        yield kind, offset, size
        offset += size
