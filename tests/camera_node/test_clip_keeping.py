"""Clips in the node: room, age, damage, and what a kill leaves behind. Real files and a real database."""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import av
import pytest

from camera_node import clip_book, snapshot_hold
from camera_node.clip_book import Clip, ClipState
from camera_node.clip_keeper import ClipKeeper
from camera_node.clip_report import describe, lines
from camera_node.clip_segment import Placed, StreamTemplate, mux, split, whole_segments
from camera_node.config import CameraConfig, ClipConfig
from camera_node.messages import ClipEnded, ClipSegment
from relay import spool
from relay.clock import SimulatedClock
from relay.counters import Counters
from relay.database import Database
from tests.camera_node.film import write_film
from tests.camera_node.test_recorder import _packet
from tests.camera_node.waiting import until

T = TypeVar("T")


class Store:
    """A keeper at work, and shorthands."""

    def __init__(self, keeper: ClipKeeper, database: Database, film: bytes, counters: Counters) -> None:
        self.keeper, self.database, self.film, self.counters = keeper, database, film, counters
        self.folder = keeper.folder_of("gate")

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self.database.run_blocking(work)

    def clips(self) -> list[Clip]:
        return self.ask(lambda connection: clip_book.newest(connection, 100))[::-1]

    def states(self) -> list[str]:
        return [clip.state.value for clip in self.clips()]

    def write(self, name: str) -> list[ClipSegment]:
        """A clip's file as an eye leaves it, and what the eye says of it."""
        file = self.folder / name
        file.write_bytes(self.film)
        return [
            ClipSegment(clip=name, number=number, offset_bytes=span.offset_bytes, size_bytes=span.size_bytes,
                        sha256=hashlib.sha256(self.film[span.offset_bytes : span.end_bytes]).digest(),
                        started_monotonic_ms=5, started_wall_ms=6, duration_ms=1000, codec="h264", width_px=160,
                        height_px=120)
            for number, span in enumerate(whole_segments(file), start=1)
        ]  # fmt: skip

    async def record(self, name: str, *, is_sent: bool = False) -> Clip:
        self.ask(lambda connection: clip_book.show(connection, "gate", name, hashlib.sha256(name.encode()).digest()))
        for segment in self.write(name):
            self.keeper.recorded("gate", segment)
        self.keeper.recorded("gate", ClipEnded(clip=name))
        await until(lambda: next(clip for clip in self.clips() if clip.file == name).state is not ClipState.RECORDING)
        if is_sent:
            self.ask(lambda connection: connection.execute("UPDATE clip SET state = 'heard' WHERE file = ?", (name,)))
        return next(clip for clip in self.clips() if clip.file == name)


PARTS = {"spool": spool.SCHEMA, "clips": clip_book.SCHEMA, snapshot_hold.PART: snapshot_hold.SCHEMA}


@pytest.fixture(scope="module")
def fragmented(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A film in segments, as a clip's file has them."""
    with av.open(str(write_film(tmp_path_factory.mktemp("film") / "film.mp4", seconds=2))) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        template = StreamTemplate(stream, first_packet=bytes(packets[0]))
        placed = []
        for number, packet in enumerate(packets):
            made = _packet(number * 100, is_key=packet.is_keyframe)
            encoded = type(made)(data=bytes(packet), pts=made.pts, dts=made.dts, duration=9000, is_key=made.is_key,
                                 epoch=1, monotonic_ms=made.monotonic_ms, wall_ms=made.wall_ms)  # fmt: skip
            placed.append(Placed(packet=encoded, dts=made.dts, pts=made.pts, duration=9000))
        header, first = split(mux(template, placed[:10], number=1))
        return header + first + split(mux(template, placed[10:], number=2))[1]


@contextlib.asynccontextmanager
async def store(tmp_path: Path, film: bytes, settings: ClipConfig | None = None,
                clock: SimulatedClock | None = None) -> AsyncIterator[Store]:  # fmt: skip
    with contextlib.closing(Database.open(tmp_path / "spool.sqlite", parts=PARTS)) as database:
        counters = Counters()
        keeper = ClipKeeper(tmp_path, settings or ClipConfig(reserve_bytes=0), database=database,
                            clock=clock or SimulatedClock(), counters=counters)  # fmt: skip
        assert keeper.order_for(CameraConfig(name="gate", source="x")) is not None
        await keeper.recover()
        task = asyncio.create_task(keeper.run())
        try:
            yield Store(keeper, database, film, counters)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_ended_clip_is_hashed_whole_and_by_segment(tmp_path: Path, fragmented: bytes) -> None:
    async with store(tmp_path, fragmented) as kept:
        clip = await kept.record("a.mp4")
        assert clip.state is ClipState.WAITING
        assert clip.sha256 == hashlib.sha256(fragmented).hexdigest()
        assert (clip.size_bytes, clip.duration_ms, clip.codec) == (len(fragmented), 2000, "h264")
        assert len(kept.ask(lambda connection: clip_book.segments(connection, clip.id))) == 2
        assert any("a.mp4 2.0 s" in line for line in lines(kept.ask(lambda connection: describe(connection, {}))))


async def test_quota_takes_what_the_center_has_first_and_counts_what_it_has_not(
    tmp_path: Path, fragmented: bytes
) -> None:
    room = 3 * len(fragmented) + 10
    settings = ClipConfig(quota_bytes=max(1_000_000, room), reserve_bytes=0)
    film = fragmented + _filler(settings.quota_bytes // 3 - len(fragmented) - 3)
    async with store(tmp_path, film, settings) as kept:
        for name, is_sent in (("a.mp4", False), ("b.mp4", True), ("c.mp4", False)):
            await kept.record(name, is_sent=is_sent)
        assert kept.states() == ["waiting", "heard", "waiting"]
        await kept.record("d.mp4")
        await until(
            lambda: kept.states() == ["waiting", "evicted", "waiting", "waiting"], what="the heard one goes first"
        )
        await kept.record("e.mp4")
        await until(lambda: kept.states() == ["evicted", "evicted", "waiting", "waiting", "waiting"], what="forced")
        await until(lambda: sorted(file.name for file in kept.folder.iterdir()) == ["c.mp4", "d.mp4", "e.mp4"])
        tallies = kept.ask(clip_book.tallies)
        assert (tallies["clips_evicted_heard"], tallies["clips_evicted_unheard"]) == (1, 1)
        assert kept.counters.snapshot()["clips_evicted"] == 2
        assert "quota" in kept.clips()[0].why


def _filler(size: int) -> bytes:
    """A segment of nothing, to make a clip as large as the test wants it."""
    moof = b"\x00\x00\x00\x08moof"
    return moof + (size - 8).to_bytes(4, "big") + b"mdat" + bytes(size - 16)


async def test_age_takes_what_nobody_waits_for_and_nothing_else(tmp_path: Path, fragmented: bytes) -> None:
    clock = SimulatedClock()
    async with store(tmp_path, fragmented, ClipConfig(reserve_bytes=0, keep_days=1), clock) as kept:
        await kept.record("sent.mp4", is_sent=True)
        await kept.record("waits.mp4")
        clock.advance(2 * 86_400_000)
        await kept.record("new.mp4", is_sent=True)
        await kept.keeper.eye_ended("gate")
        await until(lambda: kept.states() == ["evicted", "waiting", "heard"])


async def test_restart_ends_what_a_kill_left_and_cuts_the_torn_end_off(tmp_path: Path, fragmented: bytes) -> None:
    async with store(tmp_path, fragmented) as kept:
        await until(lambda: kept.clips() == [])
        (kept.folder / "unknown.mp4").write_bytes(fragmented + b"\x00\x00\x40\x00moof torn")
        (kept.folder / "torn.mp4").write_bytes(fragmented[:300])
        for segment in kept.write("known.mp4")[:1]:
            kept.keeper.recorded("gate", segment)
        await until(lambda: kept.states() == ["recording"])
    async with store(tmp_path, fragmented) as kept:
        await until(lambda: "recording" not in kept.states() and len(kept.clips()) == 3)
        found = {clip.file: clip for clip in kept.clips()}
        assert found["unknown.mp4"].sha256 == found["known.mp4"].sha256 == hashlib.sha256(fragmented).hexdigest()
        assert (kept.folder / "unknown.mp4").read_bytes() == fragmented
        assert found["torn.mp4"].state is ClipState.EMPTY
        assert not (kept.folder / "torn.mp4").exists()
        assert "process ended" in found["known.mp4"].why
        assert found["unknown.mp4"].started_wall_ms > 0


async def test_file_that_was_changed_is_damaged_and_not_sent(tmp_path: Path, fragmented: bytes) -> None:
    async with store(tmp_path, fragmented) as kept:
        segments = kept.write("a.mp4")
        changed = bytearray(fragmented)
        changed[-5] ^= 1
        (kept.folder / "a.mp4").write_bytes(changed)
        for segment in segments:
            kept.keeper.recorded("gate", segment)
        kept.keeper.recorded("gate", ClipEnded(clip="a.mp4"))
        await until(lambda: kept.states() == ["damaged"])
        assert kept.ask(clip_book.next_to_send) is None


async def test_a_camera_that_is_switched_off_has_no_clips_and_a_reason(tmp_path: Path, fragmented: bytes) -> None:
    async with store(tmp_path, fragmented) as kept:
        assert kept.keeper.order_for(CameraConfig(name="yard", source="x", is_recorded=False)) is None
        said = "\n".join(lines(kept.ask(lambda connection: describe(connection, kept.keeper.recordings))))
        assert "no clips of yard" in said


def test_camera_names_stay_in_the_clips_folder(tmp_path: Path) -> None:
    with contextlib.closing(Database.open(tmp_path / "x.sqlite", parts=PARTS)) as database:
        keeper = ClipKeeper(tmp_path, ClipConfig(), database=database, clock=SimulatedClock(), counters=Counters())
        for name in ("..", "a/b", "../x", "ü", "."):
            assert keeper.folder_of(name).parent == tmp_path / "clips"
            assert keeper.folder_of(name).resolve().parent == (tmp_path / "clips").resolve()
