"""Keeps the clips' files: ends them, checks them, finds them again after a kill, and makes room.

The eyes write into one folder for each camera below ``clips`` in the state folder, and report; they have no keys. A
clip's hashes are made from its file by this process, and compared with those that the eye reported for each segment as
it was closed. Nothing here stands in an alert's way: reports are put into a queue, and files are read on other threads.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog

from camera_node import clip_book, clip_orders
from camera_node.clip_book import Clip, ClipState
from camera_node.clip_segment import whole_segments
from camera_node.config import CameraConfig, ClipConfig
from camera_node.messages import ClipEnded, ClipReport, ClipSegment, Recording, RecordingOrder
from relay import limits
from relay.clock import Clock, ClockQuality
from relay.counters import Counters
from relay.database import Database
from relay.errors import OperatorError

_log = structlog.get_logger("camera_node.clip_keeper")

_HOUSE_EVERY_S: Final = 20.0
_END_WITHIN_S: Final = 10.0
_MOST_REPORTS: Final = 10_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class _EyeEnded:
    """Whatever this camera's eye had under way ends here."""

    is_done: asyncio.Event


class ClipKeeper:
    """``recover`` once, then ``run``; they own the files."""

    def __init__(self, state_dir: Path, settings: ClipConfig, *, database: Database, clock: Clock,
                 counters: Counters) -> None:  # fmt: skip
        self._clips_dir = state_dir / "clips"
        self._settings = settings
        self._database = database
        self._clock = clock
        self._counters = counters
        self._cameras: set[str] = set()
        self._kept_house_ms = -(1 << 40)
        self._reports: deque[tuple[str, ClipSegment | ClipEnded | _EyeEnded]] = deque()
        self._wake = asyncio.Event()
        self.ended = asyncio.Event()
        """Set when a clip has ended; who waits for it clears it."""
        self.recordings: dict[str, Recording] = {}
        """What each camera's eye last said of its stream."""

    def order_for(self, camera: CameraConfig) -> RecordingOrder | None:
        """What its eye is told; None: no clips of this camera. Makes its folder.

        Raises:
            OperatorError: the folder can't be made.
        """
        self._cameras.add(camera.name)
        if not camera.is_recorded:
            self.recordings[camera.name] = Recording(codec="", why_not="its is_recorded is false")
            return None
        folder = self.folder_of(camera.name)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(f"can't make {folder} for clips: {error.strerror}") from error
        settings = self._settings
        pre_roll_s, post_roll_s = settings.rolls_s(camera)
        return RecordingOrder(
            folder=str(folder.absolute()), pre_roll_ms=round(pre_roll_s * 1000), post_roll_ms=round(post_roll_s * 1000),
            longest_ms=round(settings.longest_s * 1000), segment_ms=round(settings.segment_s * 1000),
            ring_bytes=settings.ring_bytes, reserve_bytes=settings.reserve_bytes,
            most_bytes=min(limits.MAX_OBJECT_BYTES - (16 << 20), max(1, settings.quota_bytes // 2)),
        )  # fmt: skip

    def folder_of(self, camera: str) -> Path:
        """A camera's folder. Its name may hold anything; the folder's does not."""
        return self._clips_dir / f"camera-{quote(camera, safe='')}"

    def file_of(self, clip: Clip) -> Path:
        """A clip's file."""
        return self.folder_of(clip.camera) / clip.file

    # ------------------------------------------------------------------ what the eyes say

    def recorded(self, camera: str, report: ClipReport) -> None:
        """Take a report; it is worked on later."""
        if isinstance(report, Recording):
            self.recordings[camera] = report
            if report.why_not:
                _log.warning("no clips", camera=camera, codec=report.codec, why=report.why_not)
            return
        if len(self._reports) >= _MOST_REPORTS:
            self._counters.count("clip_reports_dropped")  # the file says the same when the clip ends
            return
        self._reports.append((camera, report))
        self._wake.set()

    async def eye_ended(self, camera: str) -> None:
        """End its clips with what is in their files; they are ended when this returns, unless the disk hangs."""
        ended = _EyeEnded(is_done=asyncio.Event())
        self._reports.append((camera, ended))
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_WITHIN_S):
                await ended.is_done.wait()

    # ------------------------------------------------------------------ the loop

    async def recover(self) -> None:
        """End what a kill left behind; before any eye begins."""
        for camera in sorted(self._cameras):
            await self._guarded(self._recover(camera))
        await self._guarded(self._recover(None))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._clock.monotonic_ms() - self._kept_house_ms >= _HOUSE_EVERY_S * 1000:
                await self._guarded(self._keep_house())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HOUSE_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            while self._reports:
                camera, report = self._reports.popleft()
                match report:
                    case ClipSegment():
                        await self._guarded(self._note(camera, report))
                    case ClipEnded():
                        await self._guarded(self._end_reported(camera, report))
                    case _EyeEnded():
                        await self._guarded(self._recover(camera))
                        report.is_done.set()

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        """A failing disk must end no more than the clip that it failed."""
        try:
            await work
        except (OperatorError, OSError) as error:
            self._counters.count("clip_work_failed")
            _log.error("clip not kept as it should be", error=str(error))

    async def _note(self, camera: str, segment: ClipSegment) -> None:
        await self._database.run(lambda connection: clip_book.add_segment(connection, camera, segment))

    async def _end_reported(self, camera: str, report: ClipEnded) -> None:
        def find(connection: sqlite3.Connection) -> Clip:
            return clip_book.get(connection, clip_book.begin(connection, camera, report.clip))

        clip = await self._database.run(find)
        if clip.state is ClipState.RECORDING:
            await self._end(clip, report.why, report.lost_packets)

    async def _recover(self, camera: str | None) -> None:
        """End what nobody records any more, of one camera or of those that are not configured now.

        A file without a row is one; a file whose row says that it was evicted is deleted at last.
        """

        def adopt(connection: sqlite3.Connection) -> list[Clip]:
            for file in files if camera is not None else []:
                clip_book.begin(connection, camera or "", file)
            return clip_book.recording(connection, camera)

        files = await asyncio.to_thread(_names, self.folder_of(camera)) if camera is not None else []
        for clip in await self._database.run(adopt):
            await self._end(clip, "cut off: the camera's process ended", 0)
        if camera is not None:
            gone = await self._database.run(lambda connection: clip_book.evicted(connection, camera))
            for file in gone.intersection(files):
                await asyncio.to_thread((self.folder_of(camera) / file).unlink, missing_ok=True)

    async def _end(self, clip: Clip, why: str, lost_packets: int) -> None:
        file = self.file_of(clip)
        reported = await self._database.run(lambda connection: clip_book.segments(connection, clip.id))
        found, whole, written_wall_ms = await asyncio.to_thread(_close_file, file)
        is_wanted = await self._database.run(lambda connection: clip_orders.is_wanted(connection, clip.id))
        by_place = {(offset, size): digest for offset, size, digest in found}
        is_damaged = any(by_place.get(place) != digest for place, digest in reported.items())
        if is_damaged:
            state, why = ClipState.DAMAGED, "its file is not what was recorded: the disk failed, or somebody changed it"
        elif not found:
            state, why = ClipState.EMPTY, why or "nothing was recorded"
        else:
            state = ClipState.WAITING if self._settings.is_sent == "always" or is_wanted else ClipState.KEPT
        now_ms = self._clock.wall_ms()
        await self._database.run(
            lambda connection: clip_book.end(connection, clip.id, state=state, why=why, sha256=whole, now_ms=now_ms,
                                             found=found, lost_packets=lost_packets, written_wall_ms=written_wall_ms)
        )  # fmt: skip
        log = _log.warning if why or lost_packets else _log.info
        log("clip ended", camera=clip.camera, clip=clip.file, state=state.value, why=why, segments=len(found),
            bytes=found[-1][0] + found[-1][1] if found else 0, sha256=whole.hex(), lost_packets=lost_packets)  # fmt: skip
        self.ended.set()
        await self._keep_house()

    # ------------------------------------------------------------------ room

    async def _keep_house(self) -> None:
        """Delete what is past its time; then, while there is too much, what is least needed here."""
        self._kept_house_ms = self._clock.monotonic_ms()
        if self._clock.quality() is not ClockQuality.UNSET:
            await self._database.run(lambda connection: clip_orders.end_holds(connection, self._clock.wall_ms()))
        oldest_ms = round(self._clock.wall_ms() - self._settings.keep_days * _DAY_MS)
        for clip in await self._database.run(lambda connection: clip_book.too_old(connection, oldest_ms)):
            await self._evict(clip, f"older than {self._settings.keep_days:g} days")
        while why := await self._too_much():
            victim = await self._database.run(clip_book.first_to_go)
            if victim is None:
                await self._say_what_is_held(why)
                return
            if victim.state is ClipState.WAITING:
                _log.error(
                    "a clip that nobody else has is deleted for room", camera=victim.camera, clip=victim.file, why=why
                )
            await self._evict(victim, why)

    async def _say_what_is_held(self, why: str) -> None:
        held_bytes = await self._database.run(clip_book.held_bytes)
        if held_bytes:
            self._counters.count("clip_room_on_hold")
            _log.error("clips on hold take the room: nothing else can go", held_bytes=held_bytes, why=why)

    async def _too_much(self) -> str:
        total_bytes = await self._database.run(clip_book.total_bytes)
        if total_bytes > self._settings.quota_bytes:
            return f"the quota of {self._settings.quota_bytes} bytes"
        if not total_bytes:
            return ""
        free_bytes = (await asyncio.to_thread(shutil.disk_usage, self._clips_dir)).free
        if free_bytes < self._settings.reserve_bytes:
            return f"the disk has {free_bytes} bytes free, {self._settings.reserve_bytes} are kept for the spool"
        return ""

    async def _evict(self, clip: Clip, why: str) -> None:
        """The row first: a file without a row is found and deleted, a row without a file would be a lie."""
        await self._database.run(lambda connection: clip_book.evict(connection, clip, f"deleted for {why}"))
        await asyncio.to_thread(self.file_of(clip).unlink, missing_ok=True)
        self._counters.count("clips_evicted")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(file.name for file in folder.iterdir() if file.suffix == ".mp4" and file.is_file())
    except FileNotFoundError:
        return []


def _close_file(file: Path) -> tuple[list[tuple[int, int, bytes]], bytes, int]:
    """Cut a torn end off, and hash what is left: offset, size and SHA-256 of each segment, of the whole, and the last write."""
    if not file.exists() or file.is_symlink():
        return [], b"", 0
    written_wall_ms = int(file.stat().st_mtime * 1000)
    spans = whole_segments(file)
    if not spans:
        file.unlink()
        return [], b"", written_wall_ms
    whole, found = hashlib.sha256(), list[tuple[int, int, bytes]]()
    with file.open("r+b") as stream:
        if stream.seek(0, os.SEEK_END) != spans[-1].end_bytes:
            stream.truncate(spans[-1].end_bytes)
        os.fsync(stream.fileno())
        stream.seek(0)
        for span in spans:
            data = stream.read(span.size_bytes)
            whole.update(data)
            found.append((span.offset_bytes, span.size_bytes, hashlib.sha256(data).digest()))
    return found, whole.digest(), written_wall_ms
