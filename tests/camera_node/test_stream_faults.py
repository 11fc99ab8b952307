"""What a stream does to those who read it: damaged bits, pictures of another size, a clock that is set while it runs."""

import contextlib
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest
from numpy.typing import NDArray

from camera_node.capture import Capture
from camera_node.clip_segment import whole_segments
from camera_node.detector import Detection
from camera_node.frame import Frame
from camera_node.recorder import Recorder
from camera_node.source import parse_source
from relay.backoff import Backoff
from relay.clock import ClockQuality, SystemClock
from tests.camera_node.clips import moving
from tests.camera_node.film import pictures, write_film
from tests.camera_node.recording_child import order
from tests.camera_node.test_capture import reading
from tests.camera_node.test_detector import open_net
from tests.camera_node.test_recorder import scene
from tests.camera_node.test_rtsp import _free_port, _has_server, serving
from tests.camera_node.tiny_onnx import always_sees

DAY_MS = 86_400_000
needs_server = pytest.mark.skipif(not _has_server(), reason="gir1.2-gst-rtsp-server-1.0 is not installed")


def access_units(width_px: int, height_px: int, count: int) -> list[bytes]:
    """H.264 of a moving square, 25 pictures a second, the first and every twenty-fifth a key frame."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width_px, height_px, "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = {"tune": "zerolatency", "g": "25", "preset": "ultrafast"}
    painter, made = moving(width_px, height_px), []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(painter(number), format="bgr24")
        picture.pts = number
        made += [bytes(packet) for packet in context.encode(picture)]
    return made


def write_units(file: Path, units: Sequence[bytes]) -> Path:
    file.write_bytes(b"".join(struct.pack(">I", len(unit)) + unit for unit in units))
    return file


def damaged(unit: bytes, chance: random.Random, *, share: float) -> bytes:
    """The same unit with bits flipped behind the header of its first slice, as a lossy line or a dying camera leaves it."""
    bits = bytearray(unit)
    begin = unit.rindex(b"\x00\x00\x01") + 12
    for place in chance.sample(range(begin, len(bits)), round((len(bits) - begin) * share)):
        bits[place] ^= 1 << chance.randrange(8)
    return bytes(bits)


def complaints(units: Sequence[bytes]) -> int:
    """How often a decoder complains of these; it invents what is missing, and only its log says so.

    One thread decodes: what a decoder's other threads say is not this thread's to hear.
    """
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=True) as words:
            for unit in units:
                with contextlib.suppress(av.error.InvalidDataError):
                    context.decode(av.Packet(unit))
    finally:
        av.logging.set_level(before)
    return sum(level <= av.logging.ERROR for level, _, _ in words)


def wait(condition: Callable[[], object], what: str, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@needs_server
def test_damaged_bits_from_a_camera_cost_pictures_and_nothing_else(tmp_path: Path) -> None:
    units = access_units(320, 240, 50)
    chance = random.Random(11)
    units[6:22] = [damaged(unit, chance, share=0.2) for unit in units[6:22]]
    assert complaints(units) >= 1, "the fault did not happen: a decoder takes all of it"
    port = _free_port()
    with serving(write_units(tmp_path / "units", units), port), \
         scene(tmp_path, f"rtsp://cam:geheim@127.0.0.1:{port}/cam", pre_roll_ms=500, post_roll_ms=2500) as camera:  # fmt: skip
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600, within_s=20)
        name, _ = camera.see()
        before = camera.capture.state().frames
        camera.wait(lambda: camera.ended(name), within_s=60)
        state = camera.capture.state()
        assert state.frames - before >= 25, "the pictures between the damaged ones are seen"
        assert state.fault is None
        assert state.reconnects == 0, "a damaged picture is no reason to hang up"
    with contextlib.closing(av.open(str(camera.folder / name))) as clip:
        assert sum(1 for packet in clip.demux(video=0) if packet.size) >= 40, "what came is on record as it came"


@needs_server
def test_camera_that_changes_its_picture_size_is_seen_on_without_a_new_connection(tmp_path: Path) -> None:
    units = access_units(320, 240, 25) + access_units(640, 480, 25)
    detector = open_net(always_sees("handgun"), labels=["handgun"])
    port = _free_port()
    with serving(write_units(tmp_path / "units", units), port), \
         reading(f"rtsp://cam:geheim@127.0.0.1:{port}/cam") as capture:  # fmt: skip
        seen: dict[tuple[int, int], list[Detection]] = {}
        switches, last = 0, (0, 0)
        deadline = time.monotonic() + 30
        while switches < 4 and time.monotonic() < deadline:
            frame = capture.take(5)
            assert frame is not None, capture.state()
            size = shape(frame)
            switches += size != last
            last = size
            seen[size] = list(detector.detect(frame))
        assert switches >= 4, "the fault did not happen: the size stayed"
        assert capture.state().reconnects == 0
    assert set(seen) == {(320, 240), (640, 480)}
    for (width_px, height_px), found in seen.items():
        assert found
        for detection in found:
            left, top, right, bottom = detection.bbox_xyxy_px
            assert -1 <= left < right <= width_px + 1
            assert -1 <= top < bottom <= height_px + 1
    small, large = (np.array(seen[size][0].bbox_xyxy_px) for size in ((320, 240), (640, 480)))
    np.testing.assert_allclose(large, small * 2, atol=2, err_msg="the same place in the picture")


def shape(frame: Frame) -> tuple[int, int]:
    pixels: NDArray[np.uint8] = frame.pixels
    return pixels.shape[1], pixels.shape[0]


class SetClock(SystemClock):
    """The machine's own clocks, but for a wall clock that somebody sets."""

    def __init__(self) -> None:
        super().__init__()
        self.offset_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.offset_ms


@contextlib.contextmanager
def recording(tmp_path: Path, film: Path, clock: SetClock) -> Iterator[tuple[Recorder, Capture, list[object], Path]]:
    folder = tmp_path / "clips"
    folder.mkdir()
    said: list[object] = []
    recorder = Recorder(order(str(folder), post_roll_ms=2000, pre_roll_ms=500), clock=clock, report=said.append)
    capture = Capture(parse_source(str(film)), clock=clock, loop=True, sink=recorder,
                      backoff=Backoff(least_s=0.05, most_s=0.1, stable_s=10))  # fmt: skip
    recorder.start()
    capture.start()
    try:
        yield recorder, capture, said, folder
    finally:
        assert capture.close(8)
        assert recorder.close(8)


@pytest.mark.parametrize("step_ms", [-30 * DAY_MS, 30 * DAY_MS], ids=["a month back", "a month ahead"])
def test_clock_that_is_set_mid_event_changes_no_order_no_length_and_stalls_nothing(
    tmp_path: Path, step_ms: int
) -> None:
    clock = SetClock()
    assert clock.quality() in ClockQuality
    film = write_film(tmp_path / "film.mp4")
    with recording(tmp_path, film, clock) as (recorder, capture, said, folder):
        wait(lambda: recorder.ring.reach_ms > 600, "the ring fills")
        name = recorder.event(clock.monotonic_ms())
        frames = [frame for _ in range(5) if (frame := capture.take(5)) is not None]
        clock.offset_ms = step_ms
        stepped = threading.Event()
        for _ in range(8):
            frame = capture.take(5)
            assert frame is not None, "pictures go on"
            frames.append(frame)
            if abs(frame.captured_wall_ms - frames[0].captured_wall_ms) > DAY_MS:
                stepped.set()
        assert stepped.is_set(), "the fault did not happen: the wall clock stood"
        times_ms = [frame.captured_monotonic_ms for frame in frames]
        assert times_ms == sorted(times_ms)
        assert capture.state().fault is None, "a step is no silence"
        wait(lambda: any(type(word).__name__ == "ClipEnded" for word in said), "the clip ends")
        file = folder / name
        shown_s = pictures(file.read_bytes())
        assert 2.0 <= shown_s[-1] - shown_s[0] <= 8.0, "pre-roll, event and post-roll, by the clock that never steps"
        assert shown_s == sorted(set(shown_s))
        assert whole_segments(file)
