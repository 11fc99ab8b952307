"""Clips as the eye records them: real H.264, played back; cameras that die; streams that can't be kept."""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest
from playwright.sync_api import sync_playwright

from camera_node.capture import Capture
from camera_node.clip_segment import whole_segments
from camera_node.messages import ClipEnded, ClipReport, ClipSegment, Recording
from camera_node.packet_ring import EncodedPacket, PacketRing
from camera_node.recorder import ALERT_FIRST_MS, Recorder
from camera_node.source import parse_source
from relay.backoff import Backoff
from relay.clock import SystemClock
from tests.camera_node.film import RATE, pictures, write_film
from tests.camera_node.recording_child import order

CHROMIUM_FILE = Path("/usr/bin/chromium")
ROOT = Path(__file__).parents[2]
CLOCK = SystemClock()


@dataclass
class Scene:
    """A camera that is read, its recorder, and what that said."""

    folder: Path
    recorder: Recorder
    capture: Capture
    said: list[tuple[int, ClipReport]] = field(default_factory=list)

    def segments(self, clip: str = "") -> list[ClipSegment]:
        words = [word for _, word in self.said if isinstance(word, ClipSegment)]
        return [word for word in words if clip in {"", word.clip}]

    def ended(self, clip: str) -> ClipEnded | None:
        return next((word for _, word in self.said if isinstance(word, ClipEnded) and word.clip == clip), None)

    def why_not(self) -> str:
        words = [word.why_not for _, word in self.said if isinstance(word, Recording)]
        return words[-1] if words else "nothing said"

    def wait(self, condition: Callable[[], object], within_s: float = 10) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)

    def see(self) -> tuple[str, int]:
        now_ms = CLOCK.monotonic_ms()
        return self.recorder.event(now_ms), now_ms


@contextlib.contextmanager
def scene(tmp_path: Path, source: Path | str, *, loop: bool = True, **changes: int) -> Iterator[Scene]:
    folder = tmp_path / "clips"
    folder.mkdir(exist_ok=True)
    settings = {"post_roll_ms": 800, **changes}
    made: list[Scene] = []
    recorder = Recorder(order(str(folder), **settings), clock=CLOCK,
                        report=lambda word: made[0].said.append((CLOCK.monotonic_ms(), word)))  # fmt: skip
    capture = Capture(parse_source(str(source)), clock=CLOCK, loop=loop, sink=recorder,
                      backoff=Backoff(least_s=0.05, most_s=0.1, stable_s=10))  # fmt: skip
    made.append(Scene(folder=folder, recorder=recorder, capture=capture))
    recorder.start()
    capture.start()
    try:
        yield made[0]
    finally:
        assert capture.close(8)
        assert recorder.close(8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4")


def test_clip_begins_with_a_key_frame_before_the_pre_roll_and_plays_to_its_end(tmp_path: Path, film: Path) -> None:
    with scene(tmp_path, film, pre_roll_ms=700) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 2000)
        name, seen_ms = camera.see()
        camera.wait(lambda: camera.ended(name))
        segments = camera.segments(name)
    content = (camera.folder / name).read_bytes()
    shown_s = pictures(content)
    lead_ms = seen_ms - segments[0].started_monotonic_ms
    assert 700 <= lead_ms <= 700 + 1200, "the last key frame before the pre-roll, one second apart"
    assert shown_s == sorted(shown_s)
    assert shown_s[0] == 0
    assert abs(shown_s[-1] + 1 / RATE - (lead_ms + 800) / 1000) < 0.25, "to the end of the post-roll"
    assert len(shown_s) == pytest.approx((shown_s[-1] + 1 / RATE) * RATE, abs=1), "no picture is missing"
    assert camera.ended(name) == ClipEnded(clip=name)
    assert sum(segment.size_bytes for segment in segments) == len(content)
    for segment, span in zip(segments, whole_segments(camera.folder / name), strict=True):
        assert (segment.offset_bytes, segment.size_bytes) == (span.offset_bytes, span.size_bytes)
        assert hashlib.sha256(content[span.offset_bytes : span.end_bytes]).digest() == segment.sha256
    first_write_ms = next(at for at, word in camera.said if isinstance(word, ClipSegment))
    assert first_write_ms - seen_ms >= ALERT_FIRST_MS, "the alert's fsync goes first"


def test_every_prefix_of_segments_plays(tmp_path: Path, film: Path) -> None:
    with scene(tmp_path, film, post_roll_ms=1500) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 1500)
        name, _ = camera.see()
        camera.wait(lambda: camera.ended(name))
    content = (camera.folder / name).read_bytes()
    counts = [len(pictures(content[: span.end_bytes])) for span in whole_segments(camera.folder / name)]
    assert len(counts) >= 3
    assert counts == sorted(set(counts))


def test_sightings_that_overlap_share_a_clip_and_later_ones_do_not(tmp_path: Path, film: Path) -> None:
    with scene(tmp_path, film) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        first, seen_ms = camera.see()
        time.sleep(0.4)
        second, last_ms = camera.see()
        assert second == first
        camera.wait(lambda: camera.ended(first))
        assert CLOCK.monotonic_ms() - last_ms >= 700, "the later sighting has its post-roll"
        third, _ = camera.see()
        assert third not in {"", first}
        camera.wait(lambda: camera.ended(third))
        assert seen_ms < last_ms
    assert len(list(camera.folder.iterdir())) == 2


def test_clip_that_would_be_too_long_is_followed_by_another(tmp_path: Path, film: Path) -> None:
    with scene(tmp_path, film, longest_ms=2500, pre_roll_ms=200) as camera:
        names: list[str] = []
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        for _ in range(6):
            names.append(camera.see()[0])
            time.sleep(0.5)
        camera.wait(lambda: camera.ended(names[-1]))
        assert len(set(names)) >= 2
        for name in set(names):
            assert pictures((camera.folder / name).read_bytes())[-1] < 3.6


def test_camera_that_dies_mid_event_leaves_a_clip_with_its_last_picture(tmp_path: Path) -> None:
    film = write_film(tmp_path / "short.mp4", seconds=2)
    with scene(tmp_path, film, loop=False, post_roll_ms=2500) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 1200)
        name, seen_ms = camera.see()
        camera.wait(lambda: camera.capture.state().has_ended)
        assert CLOCK.monotonic_ms() < seen_ms + 2500, "the camera is gone before the event is over"
        camera.wait(lambda: camera.segments(name), within_s=2)
        time.sleep(0.2)
        assert len(pictures((camera.folder / name).read_bytes())) == 2 * RATE, "durable at once, not when time is up"
        camera.wait(lambda: camera.ended(name))
        ended = camera.ended(name)
        assert ended is not None
        assert "silent" in ended.why


def test_camera_that_comes_back_goes_on_in_the_same_clip(tmp_path: Path) -> None:
    film = write_film(tmp_path / "short.mp4", seconds=1)
    with scene(tmp_path, film, post_roll_ms=2500) as camera:  # the file is opened anew every second
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        name, _ = camera.see()
        camera.wait(lambda: camera.ended(name))
    shown_s = pictures((camera.folder / name).read_bytes())
    assert shown_s == sorted(set(shown_s))
    assert shown_s[-1] > 2.5
    assert max(b - a for a, b in itertools.pairwise(shown_s)) < 0.4


def test_pre_roll_of_another_resolution_is_not_mixed_in(tmp_path: Path) -> None:
    source = tmp_path / "camera.mp4"
    shutil.copy(write_film(tmp_path / "small.mp4", seconds=1), source)
    large = write_film(tmp_path / "large.mp4", seconds=2, size=(320, 240))
    with scene(tmp_path, source, post_roll_ms=3000) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 300)
        first, _ = camera.see()
        large.replace(source)
        camera.wait(lambda: camera.ended(first))
        ended = camera.ended(first)
        assert ended is not None
        assert "changed" in ended.why
        second, _ = camera.see()
        camera.wait(lambda: camera.segments(second))
    sizes = {word.clip: (word.width_px, word.height_px) for word in camera.segments()}
    assert sizes == {first: (160, 120), second: (320, 240)}
    assert pictures((camera.folder / first).read_bytes())


def test_resolution_switch_within_a_stream_begins_a_clip_of_its_own(tmp_path: Path) -> None:
    small = write_film(tmp_path / "small.ts", seconds=2)
    large = write_film(tmp_path / "large.ts", seconds=4, size=(320, 240))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with scene(tmp_path, joined, post_roll_ms=3000, loop=False) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        first, _ = camera.see()
        camera.wait(lambda: camera.ended(first))
        ended = camera.ended(first)
        assert ended is not None
        assert "changed" in ended.why
        second, _ = camera.see()
        camera.wait(lambda: camera.segments(second))
    sizes = {word.clip: (word.width_px, word.height_px) for word in camera.segments()}
    assert sizes == {first: (160, 120), second: (320, 240)}
    assert len(pictures((camera.folder / first).read_bytes())) >= 15
    assert len(pictures((camera.folder / second).read_bytes())) >= 5


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg4", "avi"), ("mjpeg", "avi"), ("libx264", "ts")])
def test_other_codecs_and_containers_are_taken_as_they_are(tmp_path: Path, codec: str, suffix: str) -> None:
    film = write_film(tmp_path / f"film.{suffix}", codec=codec, seconds=2, options={"bf": "0"})
    with scene(tmp_path, film) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        name, _ = camera.see()
        camera.wait(lambda: camera.ended(name))
        assert camera.segments(name)[0].codec == {"libx264": "h264"}.get(codec, codec)
    assert len(pictures((camera.folder / name).read_bytes())) > 8


def test_parameter_sets_are_found_in_the_stream_itself(tmp_path: Path) -> None:
    from camera_node.clip_segment import StreamTemplate

    film = write_film(tmp_path / "film.h264", seconds=1)
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        known = bytes(stream.codec_context.extradata or b"")
        first = next(packet for packet in container.demux(stream) if packet.is_keyframe)
        template = StreamTemplate(stream, first_packet=bytes(first))
        assert known
        assert template.parameters == known
        found = StreamTemplate.__new__(StreamTemplate)
        found.codec = "h264"
        band = found._from_band(bytes(first))
        assert found.parameters == known
        assert (found.width_px, found.height_px, band.type) == (160, 120, "video")


def test_stream_that_mp4_does_not_take_gives_no_clip_and_a_reason(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.nut", codec="rawvideo", seconds=1)
    with scene(tmp_path, film) as camera:
        camera.wait(camera.why_not)
        camera.wait(lambda: "rawvideo does not go into MP4" in camera.why_not())
        assert camera.see()[0] == ""
        assert camera.capture.take(3) is not None, "detection goes on"
    assert not list(camera.folder.iterdir())


def test_avi_with_reordered_pictures_gives_no_clip_and_a_reason(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", seconds=1, options={"bf": "2", "preset": "medium"})
    with scene(tmp_path, film) as camera:
        camera.wait(lambda: "AVI does not say" in camera.why_not())
        assert camera.see()[0] == ""


def test_full_disk_is_a_reason_and_not_a_clip(tmp_path: Path, film: Path) -> None:
    with scene(tmp_path, film, reserve_bytes=1 << 60) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        name, _ = camera.see()
        camera.wait(lambda: camera.ended(name))
        ended = camera.ended(name)
        assert ended is not None
        assert "kept for the spool" in ended.why
    assert not list(camera.folder.iterdir())


def test_kill_while_recording_leaves_every_closed_segment_playable(tmp_path: Path, film: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-m", "tests.camera_node.recording_child", str(film), str(folder)], cwd=ROOT,
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None
        closed = [process.stdout.readline().split() for _ in range(3)]
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL, "the fault happened"
        closed += [line.split() for line in process.stdout.read().splitlines()]
    (file,) = folder.iterdir()
    with file.open("ab") as stream:
        stream.write(b"\x00\x00\x40\x00moof a segment that the kill tore off")
    spans = whole_segments(file)
    assert len(spans) >= len(closed) >= 3, json.dumps(closed)
    content = file.read_bytes()
    for (_, _, end, sha256), span in zip(closed, spans, strict=False):
        assert int(end) == span.end_bytes
        assert hashlib.sha256(content[span.offset_bytes : span.end_bytes]).hexdigest() == sha256
    assert len(pictures(content[: spans[-1].end_bytes])) >= 3 * RATE // 2


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none")
def test_clip_plays_to_its_end_in_a_browser(tmp_path: Path, film: Path) -> None:
    with scene(tmp_path, film) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 1500)
        name, _ = camera.see()
        camera.wait(lambda: camera.ended(name))
    file = camera.folder / name
    shown_s = pictures(file.read_bytes())
    page_file = camera.folder / "page.html"
    page_file.write_text(f'<video id="clip" src="{name}" muted></video>')
    script = """async () => {
      const clip = document.getElementById("clip");
      await new Promise((done, failed) => { clip.onended = done; clip.onerror = () => failed(clip.error.message); clip.play(); });
      const quality = clip.getVideoPlaybackQuality();
      return [clip.videoWidth, clip.videoHeight, clip.currentTime, clip.duration, quality.totalVideoFrames];
    }"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(page_file.as_uri())
        width, height, at_s, duration_s, frames = page.evaluate(script)
        browser.close()
    assert (width, height) == (160, 120)
    assert at_s == pytest.approx(shown_s[-1] + 1 / RATE, abs=0.2)
    assert duration_s == pytest.approx(at_s, abs=0.2)
    assert frames >= len(shown_s) - 3


def _packet(at_ms: int, *, is_key: bool, size: int = 100, epoch: int = 1) -> EncodedPacket:
    return EncodedPacket(data=bytes(size), pts=at_ms * 90, dts=at_ms * 90, duration=9000, is_key=is_key, epoch=epoch,
                         monotonic_ms=at_ms, wall_ms=at_ms)  # fmt: skip


def test_ring_is_bounded_by_time_and_always_begins_with_a_key_frame() -> None:
    ring = PacketRing(keep_ms=3000, most_bytes=10**6)
    for at_ms in range(0, 60_000, 100):
        ring.add(_packet(at_ms, is_key=at_ms % 1000 == 0))
        assert ring.reach_ms >= min(at_ms, 3000)
        assert ring.reach_ms <= 3000 + 1000 + 100
        assert ring.since(0)[0].is_key
        wanted_ms = max(0, at_ms - 2500)
        assert ring.since(wanted_ms)[0].monotonic_ms <= wanted_ms
    assert ring.size_bytes == len(ring.since(0)) * 100


def test_ring_is_bounded_by_bytes_and_counts_a_group_that_is_too_large() -> None:
    ring = PacketRing(keep_ms=60_000, most_bytes=1500)
    for at_ms in range(0, 5000, 100):
        ring.add(_packet(at_ms, is_key=at_ms % 500 == 0))
        assert ring.size_bytes <= 1500
    before = ring.overflows
    for at_ms in range(5000, 9000, 100):
        ring.add(_packet(at_ms, is_key=at_ms == 5000))
        assert ring.size_bytes <= 1500
    assert (before, ring.overflows) == (0, 1)
    assert not ring.since(0), "what nothing could be decoded from is not kept"


def test_ring_takes_nothing_of_a_new_stream_before_its_key_frame() -> None:
    ring = PacketRing(keep_ms=60_000, most_bytes=10**6)
    ring.add(_packet(0, is_key=True))
    ring.add(_packet(100, is_key=False, epoch=2))
    assert len(ring.since(0)) == 1
    ring.add(_packet(200, is_key=True, epoch=2))
    ring.add(_packet(300, is_key=False, epoch=2))
    assert len(ring.since(0)) == 3
