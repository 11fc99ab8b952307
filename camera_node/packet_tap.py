"""Lends a camera's encoded packets to the process that shows them live: a UNIX socket in the eye, one listener at a time.

Nobody there: a packet costs one lock. Somebody connects: the stream's description, the packets since the last key frame,
then every packet as it comes, so that a viewer sees a picture at once. A listener that does not keep up misses whole
groups of pictures, never the eye a frame: packets wait in memory up to a bound, and the tap's own thread writes them.

Messages are a big-endian 4-byte length and a msgpack array. Nothing is masked here: what goes to a viewer passes through
``live``, which masks it.
"""

import contextlib
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av.packet
import av.video.stream
import msgspec

from camera_node.capture import PacketSink

LENGTH: Final = struct.Struct(">I")
MAX_TAP_MESSAGE_BYTES: Final = 8 * 1024 * 1024
_MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
_SEND_TIMEOUT_S: Final = 5.0
_ACCEPT_TIMEOUT_S: Final = 0.5
_GROUPS_REMEMBERED: Final = 8
_WORTH_SAYING_MS: Final = 150


class TapStream(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """A stream begins, or what is known of it has changed."""

    codec: str
    extradata: bytes
    width_px: int
    height_px: int
    pixel_format: str
    has_reordering: bool
    """Pictures come in another order than they are shown: no browser plays that live."""
    group_ms: int
    """The longest group of pictures lately; 0: not known yet."""
    epoch: int


class TapPacket(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=2):
    """One encoded picture."""

    data: bytes
    is_key: bool
    monotonic_ms: int
    wall_ms: int


class TapEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=3):
    """The camera's stream ended; the eye tries to open it again."""


TapMessage = TapStream | TapPacket | TapEnded
_decoder: Final = msgspec.msgpack.Decoder(TapMessage)


def decode(data: bytes) -> TapMessage:
    """A message's typed view.

    Raises:
        msgspec.DecodeError: it is none.
    """
    message: TapMessage = _decoder.decode(data)
    return message


def _framed(message: TapMessage) -> bytes:
    data = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(data)) + data


@contextlib.contextmanager
def short_name(socket_file: Path) -> Iterator[str]:
    """A name of at most 40 bytes for a socket's file: sun_path holds 107, and a state folder may be deep."""
    folder = os.open(socket_file.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket_file.name}"
    finally:
        os.close(folder)


def sub_tap_file(tap_file: str) -> str:
    """Where a camera's second stream is lent, beside its first."""
    return f"{tap_file}.sub"


class PacketTap:
    """A sink for ``Capture``; ``start`` and ``close`` own the socket and the thread."""

    def __init__(self, socket_file: Path) -> None:
        self._socket_file = socket_file
        self._lock = threading.Condition()
        self._stream: TapStream | None = None
        self._group: list[TapPacket] = []
        self._group_bytes = 0
        self._group_lengths_ms: deque[int] = deque(maxlen=_GROUPS_REMEMBERED)
        self._last_pts: int | None = None
        self._is_heard = False
        self._waiting: deque[TapMessage] = deque()
        self._waiting_bytes = 0
        self._needs_key = False
        self._stop = threading.Event()
        self.dropped_packets = 0
        self._thread = threading.Thread(target=self._run, name="packet tap", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        with self._lock:
            self._lock.notify()
        if self._thread.is_alive():
            self._thread.join(_ACCEPT_TIMEOUT_S + _SEND_TIMEOUT_S)

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens."""
        return self._is_heard

    # ------------------------------------------------------------------ the capture's thread

    def opened(self, stream: av.video.stream.VideoStream) -> None:
        """A stream begins."""
        context = stream.codec_context
        with self._lock:
            epoch = self._stream.epoch + 1 if self._stream is not None else 1
            self._forget_group()
            self._last_pts = None
            self._describe(TapStream(
                codec=context.name, extradata=bytes(context.extradata or b""), width_px=context.width or 0,
                height_px=context.height or 0, pixel_format=context.pix_fmt or "",
                has_reordering=bool(context.has_b_frames), group_ms=max(self._group_lengths_ms, default=0), epoch=epoch,
            ))  # fmt: skip

    def packet(self, packet: "av.packet.Packet[av.video.stream.VideoStream]", monotonic_ms: int, wall_ms: int) -> None:
        """A packet came."""
        stream = self._stream
        if stream is None or not packet.size:
            return
        taken = TapPacket(
            data=bytes(packet), is_key=bool(packet.is_keyframe), monotonic_ms=monotonic_ms, wall_ms=wall_ms
        )
        with self._lock:
            self._note_order(stream, packet.pts, is_key=taken.is_key)
            self._note_group(monotonic_ms, is_over=taken.is_key)
            if taken.is_key:
                self._forget_group()
            elif not self._group:
                return  # nobody can begin in the middle
            self._group.append(taken)
            self._group_bytes += len(taken.data)
            if self._group_bytes > _MOST_WAITING_BYTES:
                self._forget_group()
            self._offer(taken)

    def closed(self) -> None:
        """It ended."""
        with self._lock:
            self._forget_group()
            if self._is_heard:
                self._put(TapEnded(), 0)

    def _note_order(self, stream: TapStream, pts: int | None, *, is_key: bool) -> None:
        """Some streams say nothing of their order and still have one."""
        if pts is None:
            return
        if self._last_pts is not None and pts < self._last_pts and not is_key and not stream.has_reordering:
            self._describe(msgspec.structs.replace(stream, has_reordering=True))
        self._last_pts = pts

    def _note_group(self, monotonic_ms: int, *, is_over: bool) -> None:
        """One that goes on and on counts, too: its key frame may never come."""
        if not self._group or self._stream is None:
            return
        length_ms = monotonic_ms - self._group[0].monotonic_ms
        if is_over:
            self._group_lengths_ms.append(length_ms)
        longest_ms = max(*self._group_lengths_ms, length_ms, 0)
        if abs(longest_ms - self._stream.group_ms) > _WORTH_SAYING_MS and (
            is_over or longest_ms > self._stream.group_ms
        ):
            self._describe(msgspec.structs.replace(self._stream, group_ms=longest_ms))

    def _describe(self, stream: TapStream) -> None:
        self._stream = stream
        if self._is_heard:
            self._put(stream, len(stream.extradata))

    def _forget_group(self) -> None:
        self._group, self._group_bytes = [], 0

    def _offer(self, packet: TapPacket) -> None:
        if not self._is_heard:
            return
        if self._needs_key and not packet.is_key:
            self.dropped_packets += 1
            return
        if self._waiting_bytes + len(packet.data) > _MOST_WAITING_BYTES:
            self._needs_key = True
            self.dropped_packets += 1
            return
        self._needs_key = False
        self._put(packet, len(packet.data))

    def _put(self, message: TapMessage, size_bytes: int) -> None:
        self._waiting.append(message)
        self._waiting_bytes += size_bytes
        self._lock.notify()

    # ------------------------------------------------------------------ the tap's thread

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            self._socket_file.unlink(missing_ok=True)
            with short_name(self._socket_file) as name:
                listener.bind(name)
            self._socket_file.chmod(0o600)
            listener.listen(1)
            listener.settimeout(_ACCEPT_TIMEOUT_S)
            while not self._stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(_SEND_TIMEOUT_S)
                    with contextlib.suppress(OSError):  # it left, or hangs: the next one may come
                        self._serve(connection)
                self._end_hearing()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._needs_key = False
            self._is_heard = True
            if self._stream is not None:
                self._waiting.append(self._stream)
            self._waiting.extend(self._group)
            self._waiting_bytes = self._group_bytes
        while not self._stop.is_set():
            with self._lock:
                while not self._waiting and not self._stop.is_set():
                    self._lock.wait(_ACCEPT_TIMEOUT_S)
                    if not self._waiting:
                        break
                messages = list(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = 0
            if messages:
                connection.sendall(b"".join(_framed(message) for message in messages))
            elif _has_left(connection):
                return

    def _end_hearing(self) -> None:
        with self._lock:
            self._is_heard = False
            self._waiting.clear()
            self._waiting_bytes = 0


def _has_left(connection: socket.socket) -> bool:
    """Whether the other end closed: it never says anything."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


class PacketSinks:
    """Several sinks as one, in order."""

    def __init__(self, *sinks: PacketSink) -> None:
        self._sinks = sinks

    def opened(self, stream: av.video.stream.VideoStream) -> None:
        """A stream begins."""
        for sink in self._sinks:
            sink.opened(stream)

    def packet(self, packet: "av.packet.Packet[av.video.stream.VideoStream]", monotonic_ms: int, wall_ms: int) -> None:
        """A packet came."""
        for sink in self._sinks:
            sink.packet(packet, monotonic_ms, wall_ms)

    def closed(self) -> None:
        """It ended."""
        for sink in self._sinks:
            sink.closed()
