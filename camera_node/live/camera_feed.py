"""One camera as the stage has it: the eye's tap on one side, its renditions with their viewers on the other.

Connected only while somebody watches. Packets pass through untouched where a browser can play them live: H.264 without
reordering, a key frame at least every 1.2 s, and no privacy masks. Anything else is encoded once for all.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from camera_node.annex_b import StreamForm, form_of, to_annex_b
from camera_node.live.ladder import Rung
from camera_node.live.orders import LiveCamera
from camera_node.live.packet_track import LivePacket, PacketTrack
from camera_node.live.rendering import Format, Rendering, StillPicture
from camera_node.packet_tap import (
    LENGTH,
    MAX_TAP_MESSAGE_BYTES,
    TapEnded,
    TapPacket,
    TapStream,
    decode,
    short_name,
)
from relay.clock import Clock

_log = structlog.get_logger("camera_node.live.camera_feed")

LONGEST_GROUP_MS: Final = 1200
"""GOPs of 1 s, and their jitter: longer ones are encoded again, as nobody can ask a camera for a key frame here."""
_PLAYED: Final = frozenset({"yuv420p", "yuvj420p", ""})
_RECONNECT_S: Final = 0.3
_FRESH_MS: Final = 3000
_MOST_KEPT_BYTES: Final = 8 * 1024 * 1024
_MASKED: Final = "it has privacy masks"
AS_IT_IS: Final = "as-it-is"
MAIN: Final = "main"
SUB: Final = "sub"


class Rendition:
    """One quality of a camera: the packets since its last key frame, and who gets them."""

    def __init__(self) -> None:
        self._group: list[LivePacket] = []
        self._group_bytes = 0
        self._tracks: set[PacketTrack] = set()

    def __contains__(self, track: PacketTrack) -> bool:
        return track in self._tracks

    @property
    def is_wanted(self) -> bool:
        """Whether anybody gets it."""
        return bool(self._tracks)

    def publish(self, packet: LivePacket) -> None:
        """To everybody."""
        if packet.is_key:
            self._group, self._group_bytes = [], 0
        if packet.is_key or self._group:
            self._group.append(packet)
            self._group_bytes += len(packet.data)
            if self._group_bytes > _MOST_KEPT_BYTES:
                self._group, self._group_bytes = [], 0
        for track in self._tracks:
            track.push(packet)

    def forget(self) -> None:
        """What was kept belongs to another stream."""
        self._group, self._group_bytes = [], 0

    def add(self, track: PacketTrack) -> None:
        """From now on, beginning with the last key frame."""
        track.begin(self._group)
        self._tracks.add(track)

    def remove(self, track: PacketTrack) -> None:
        """Not any more."""
        self._tracks.discard(track)


class CameraFeed:
    """``watching`` keeps it connected; all on the stage's event loop but ``Rendering``'s thread."""

    def __init__(self, camera: LiveCamera, *, main_kbps: int, sub_kbps: int, clock: Clock) -> None:
        self.camera = camera
        self._clock = clock
        self._formats = {
            MAIN: Format(name=MAIN, width_px=1280, frames_per_s=15, kbps=main_kbps),
            SUB: Format(name=SUB, width_px=480, frames_per_s=8, kbps=sub_kbps),
        }
        self._renditions = {name: Rendition() for name in (AS_IT_IS, MAIN, SUB)}
        self._stream: TapStream | None = None
        self._form = StreamForm(length_bytes=0, parameters=b"")
        self._group: list[TapPacket] = []
        self._rendering: Rendering | None = None
        self._stills_wanted = 0
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._described = asyncio.Event()
        self._kbps = 0.0
        self._last_packet_ms = clock.monotonic_ms()
        self._second: tuple[int, int] = (0, 0)
        self._placed: dict[PacketTrack, Rung] = {}
        self._sub = (
            CameraFeed(LiveCamera(name=camera.name, tap_file=camera.sub_tap_file, privacy_masks=camera.privacy_masks),
                       main_kbps=main_kbps, sub_kbps=sub_kbps, clock=clock)
            if camera.sub_tap_file else None
        )  # fmt: skip
        """The camera's own second stream: taken for the small one where it can pass through."""
        self.bad_packets = 0
        self.why_encoded = _MASKED if camera.privacy_masks else ""
        """Why its packets can't pass through; empty: they do."""

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["CameraFeed"]:
        """Connected for the block."""
        self._watchers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name=f"tap of {self.camera.name}")
        try:
            async with contextlib.AsyncExitStack() as stack:
                if self._sub is not None:
                    await stack.enter_async_context(self._sub.watching())
                yield self
        finally:
            self._watchers -= 1
            if not self._watchers and self._task is not None:
                task, self._task = self._task, None
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                await self._stop_rendering()
                self._described.clear()
                self._stream, self._group = None, []
                for rendition in self._renditions.values():
                    rendition.forget()

    async def described(self, within_s: float) -> TapStream | None:
        """What the camera sends; None if it gives no picture in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._described.wait()
        except TimeoutError:
            return None
        return self._stream

    @property
    def is_playable(self) -> bool:
        """Whether its packets can be passed on now."""
        return self._stream is not None and not self.why_encoded and self.silent_ms() < _FRESH_MS

    @property
    def main_kbps(self) -> float:
        """What the main stream takes now."""
        return float(self._formats[MAIN].kbps) if self.why_encoded else self._kbps

    def silent_ms(self) -> int:
        """Since the camera's last packet."""
        return self._clock.monotonic_ms() - self._last_packet_ms

    @property
    def encodings(self) -> int:
        """Encoders at work."""
        return self._rendering.encodings if self._rendering is not None else 0

    # ------------------------------------------------------------------ viewers

    def place(self, track: PacketTrack, rung: Rung) -> None:
        """Give a viewer's track the rendition of this rung; none on the rungs of stills."""
        self._placed[track] = rung
        is_by_sub = rung is Rung.SUB and self._sub is not None and self._sub.is_playable
        wanted = None if is_by_sub else self._rendition_of(rung)
        for rendition in self._renditions.values():
            if rendition is not wanted:
                rendition.remove(track)
        if wanted is not None:
            wanted.add(track)
        if self._sub is not None and is_by_sub:
            self._sub.place(track, Rung.MAIN)
        elif self._sub is not None:
            self._sub.leave(track)
        self._balance()

    def leave(self, track: PacketTrack) -> None:
        """A viewer is gone."""
        self._placed.pop(track, None)
        if self._sub is not None:
            self._sub.leave(track)
        for rendition in self._renditions.values():
            rendition.remove(track)
        self._balance()

    async def still(self, most_bytes: int, within_s: float) -> StillPicture | None:
        """A fresh picture, masked; None if the camera gives none in time."""
        self._stills_wanted += 1
        try:
            self._balance()
            if self._rendering is None:
                return None
            async with asyncio.timeout(within_s):
                return await asyncio.wrap_future(self._rendering.still(most_bytes))
        except (TimeoutError, asyncio.CancelledError):
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return None  # too late, or the rendering was closed
        finally:
            self._stills_wanted -= 1

    def keep_stills(self, *, is_wanted: bool) -> None:
        """Whether somebody will want one still after the other."""
        self._stills_wanted += 1 if is_wanted else -1
        self._balance()

    def _rendition_of(self, rung: Rung) -> Rendition | None:
        if rung is Rung.MAIN:
            return self._renditions[MAIN if self.why_encoded else AS_IT_IS]
        return self._renditions[SUB] if rung is Rung.SUB else None

    def _balance(self) -> None:
        """Decode and encode what is wanted, and nothing else."""
        formats = [self._formats[name] for name in (MAIN, SUB) if self._renditions[name].is_wanted]
        if not formats and not self._stills_wanted:
            if self._rendering is not None:
                rendering, self._rendering = self._rendering, None
                asyncio.get_running_loop().run_in_executor(None, rendering.close)
            return
        if self._rendering is None:
            loop = asyncio.get_running_loop()

            def publish(name: str, packet: LivePacket) -> None:
                loop.call_soon_threadsafe(self._renditions[name].publish, packet)

            self._rendering = Rendering(
                self.camera.name, masks=self.camera.privacy_masks, clock=self._clock,
                publish=publish,
            )  # fmt: skip
            if self._stream is not None:
                self._rendering.stream(self._stream)
            self._rendering.want(formats)
            for packet in self._group:
                self._rendering.add(packet)
            self._rendering.start()
        self._rendering.want(formats)

    async def _stop_rendering(self) -> None:
        rendering, self._rendering = self._rendering, None
        if rendering is not None:
            await asyncio.to_thread(rendering.close)

    # ------------------------------------------------------------------ the tap

    async def _stay_connected(self) -> None:
        """Read the tap for as long as somebody watches: eyes are killed and started anew."""
        while True:
            try:
                await self._read()
            except (OSError, asyncio.IncompleteReadError):
                pass  # the eye is not there now
            except (msgspec.DecodeError, ValueError) as error:
                _log.error("the tap says something that it should not", camera=self.camera.name, error=str(error))
            self._ended()
            await asyncio.sleep(_RECONNECT_S)

    async def _read(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            with short_name(Path(self.camera.tap_file)) as name:
                await asyncio.get_running_loop().sock_connect(connection, name)
            reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 20)
        except BaseException:  # cancelled as well: the socket is ours to close
            connection.close()
            raise
        try:
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                if length > MAX_TAP_MESSAGE_BYTES:
                    raise ValueError(f"expected at most {MAX_TAP_MESSAGE_BYTES} bytes, found {length}")
                message = decode(await reader.readexactly(length))
                match message:
                    case TapStream():
                        self._begin(message)
                    case TapPacket():
                        self._take(message)
                    case TapEnded():
                        self._ended()
        finally:
            writer.close()

    def _begin(self, stream: TapStream) -> None:
        is_another = self._stream is None or self._stream.epoch != stream.epoch or self._stream.codec != stream.codec
        self._stream = stream
        self.why_encoded = why_not_as_it_is(stream, self.camera.privacy_masks)
        if is_another:
            self._form = (
                form_of(stream.extradata) if stream.codec == "h264" else StreamForm(length_bytes=0, parameters=b"")
            )
            self._group = []
            for rendition in self._renditions.values():
                rendition.forget()
            if self._rendering is not None:
                self._rendering.stream(stream)
        wanted = self._rendition_of(Rung.MAIN)
        for track, rung in list(self._placed.items()):
            if rung is Rung.MAIN and wanted is not None and (is_another or track not in wanted):
                self.place(track, rung)

    def _take(self, packet: TapPacket) -> None:
        if not self._described.is_set():
            self._described.set()
        self._last_packet_ms = self._clock.monotonic_ms()
        if packet.is_key:
            self._group = []
        self._group.append(packet)
        self._measure(packet)
        if self._rendering is not None:
            self._rendering.add(packet)
        if self.why_encoded:
            return
        try:
            data = to_annex_b(packet.data, self._form, is_key=packet.is_key)
        except ValueError:
            self.bad_packets += 1
            return
        self._renditions[AS_IT_IS].publish(LivePacket(data=data, is_key=packet.is_key, arrived_ms=packet.monotonic_ms))

    def _measure(self, packet: TapPacket) -> None:
        began_ms, size = self._second
        size += len(packet.data)
        if packet.monotonic_ms - began_ms >= 1000:
            if began_ms:
                self._kbps = size * 8 / (packet.monotonic_ms - began_ms)
            began_ms, size = packet.monotonic_ms, 0
        self._second = (began_ms, size)

    def _ended(self) -> None:
        self._group = []
        for rendition in self._renditions.values():
            rendition.forget()


def why_not_as_it_is(stream: TapStream, masks: Sequence[object]) -> str:
    """Why a camera's packets can't be passed to a browser; empty if they can."""
    if masks:
        return _MASKED
    if stream.codec != "h264":
        return f"browsers don't play {stream.codec} live"
    if stream.has_reordering:
        return "its pictures come out of order (B-frames)"
    if stream.pixel_format not in _PLAYED:
        return f"browsers don't play {stream.pixel_format}"
    if stream.group_ms > LONGEST_GROUP_MS:
        return f"its key frames are {stream.group_ms / 1000:.1f} s apart"
    return ""
