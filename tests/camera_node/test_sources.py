"""Other ways to pictures: Motion JPEG over HTTP, GStreamer pipelines, CSI sensors by the pipeline that they become."""

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_node import gstreamer
from camera_node.connection_grade import ConnectionGrade, Grade
from camera_node.errors import StreamError, StreamFault
from camera_node.source import SourceKind, parse_source
from tests.camera_node.test_capture import reading, wait_for_fault

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")
TEST_PIPELINE = "gst:videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=20/1 ! jpegenc"


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """A camera that gives JPEGs without end, asks for a password at /locked, and falls silent when told to."""

    is_silent = threading.Event()
    is_over = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/locked":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        with contextlib.suppress(OSError):
            while not self.is_over.wait(0.05):
                if self.is_silent.is_set():
                    continue
                number += 1
                picture = np.full((120, 160, 3), 90, np.uint8)
                cv2.circle(picture, (20 + number * 3 % 120, 60), 12, (0, 0, 255), -1)
                jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                self.wfile.write(
                    b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"
                )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def motion_jpeg() -> Iterator[str]:
    MotionJpeg.is_silent.clear()
    MotionJpeg.is_over.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        MotionJpeg.is_over.set()
        server.shutdown()
        thread.join()


def test_motion_jpeg_is_read_and_its_silence_noticed(motion_jpeg: str) -> None:
    with reading(f"{motion_jpeg}/video") as capture:
        frame = capture.take(20)
        assert frame is not None
        assert frame.pixels.shape == (120, 160, 3)
        MotionJpeg.is_silent.set()
        began = time.monotonic()
        assert wait_for_fault(capture, within_s=15) in {StreamFault.TIMEOUT, StreamFault.GONE}
        assert time.monotonic() - began < 10


def test_a_camera_that_wants_a_password_says_so(motion_jpeg: str) -> None:
    with reading(f"{motion_jpeg.replace('127', 'admin:wrong@127')}/locked") as capture:
        assert wait_for_fault(capture, within_s=15) is StreamFault.AUTH_FAILED
        assert "wrong" not in capture.state().detail


@needs_gstreamer
def test_a_pipeline_is_a_camera_and_goes_with_its_reader() -> None:
    with reading(TEST_PIPELINE) as capture:
        frame = capture.take(20)
        assert frame is not None
        assert frame.pixels.shape == (240, 320, 3)
        assert frame.pixels.max() > 150, "the ball is there"
        children = _launched()
        assert children
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


@needs_gstreamer
def test_a_pipeline_that_hangs_or_is_killed_is_noticed_and_started_again() -> None:
    with reading(TEST_PIPELINE) as capture:
        assert capture.take(20) is not None
        os.kill(_launched()[0], signal.SIGSTOP)
        assert wait_for_fault(capture, within_s=15) in {StreamFault.TIMEOUT, StreamFault.GONE}
        again = _wait(lambda: capture.take(0.2), within_s=20)
        assert again is not None
        os.kill(_launched()[0], signal.SIGKILL)
        wait_for_fault(capture, within_s=15)
        assert _wait(lambda: capture.take(0.2), within_s=20) is not None


@needs_gstreamer
@pytest.mark.parametrize("pipeline", ["gst:nosuchelement", "gst:videotestsrc ! video/x-raw,format=nonsense ! jpegenc"])
def test_a_pipeline_that_can_not_be_says_why(pipeline: str) -> None:
    with reading(pipeline) as capture:
        wait_for_fault(capture, within_s=20)
        assert "pipeline" in capture.state().detail or "can't be read" in capture.state().detail


def _launched() -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "gst-launch" in line]


def _wait(look: Callable[[], object], *, within_s: float) -> object:
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        if (found := look()) is not None:
            return found
    return None


# ---------------------------------------------------------------------- CSI


def having(*elements: str) -> Callable[[str], bool]:
    return lambda element: element in elements


def test_a_sensor_becomes_the_pipeline_of_its_board() -> None:
    assert "nvv4l2h264enc" in gstreamer.csi("0", "csi:0", having("nvarguscamerasrc", "nvv4l2h264enc"))
    nano = gstreamer.csi("1", "csi:1", having("nvarguscamerasrc"))
    assert "sensor-id=1" in nano
    assert "x264enc" in nano, "an Orin Nano has no hardware encoder"
    assert "v4l2h264enc" in gstreamer.csi("0", "csi:0", having("libcamerasrc", "v4l2h264enc"))
    with pytest.raises(StreamError, match="neither nvarguscamerasrc"):
        gstreamer.csi("0", "csi:0", having())
    with pytest.raises(StreamError, match="csi:0 … csi:15"):
        gstreamer.csi("0;reboot", "csi:0", having("libcamerasrc"))


def test_words_of_a_pipeline_are_split_without_a_shell() -> None:
    assert gstreamer.words("filesrc location='a b.mp4' ! x; rm", "n")[:2] == ["filesrc", "location=a b.mp4"]
    with pytest.raises(StreamError, match="can't be read"):
        gstreamer.words("filesrc location='a", "n")


@pytest.mark.parametrize(("text", "kind"), [
    ("http://cam/video.mjpg", SourceKind.HTTP), ("HTTPS://cam/x", SourceKind.HTTP), ("gst:videotestsrc", SourceKind.GSTREAMER),
    ("csi:0", SourceKind.GSTREAMER), ("rtsp://cam/1", SourceKind.RTSP), ("clip.mp4", SourceKind.FILE),
])  # fmt: skip
def test_sources_are_told_apart(text: str, kind: SourceKind) -> None:
    assert parse_source(text).kind is kind


# ---------------------------------------------------------------------- the connection's grade


def graded(
    *, seconds: int = 120, per_s: float = 10, promised: float = 10, reconnects: int = 0, stalls: int = 0
) -> Grade:
    grading, grade = ConnectionGrade(), Grade.UNKNOWN
    for second in range(seconds):
        now_ms = second * 1000
        is_stalled = second % 2 == 1 and second // 2 < stalls
        grade = grading.note(now_ms, reconnects=min(reconnects, second), frames=int(second * per_s),
                             last_frame_ms=now_ms - (5_000 if is_stalled else 50), promised_per_s=promised)  # fmt: skip
    return grade


@pytest.mark.parametrize(("grade", "facts"), [
    (Grade.EXCELLENT, {}), (Grade.UNKNOWN, {"seconds": 5}), (Grade.FAIR, {"per_s": 8}), (Grade.POOR, {"per_s": 4}),
    (Grade.UNUSABLE, {"per_s": 0.05}), (Grade.FAIR, {"reconnects": 1}), (Grade.POOR, {"reconnects": 6}),
    (Grade.UNUSABLE, {"reconnects": 12}), (Grade.FAIR, {"stalls": 6}), (Grade.POOR, {"stalls": 40}),
    (Grade.EXCELLENT, {"promised": 0}),
])  # fmt: skip
def test_the_grade_follows_reconnects_stalls_and_frames(grade: Grade, facts: dict[str, float]) -> None:
    assert graded(**facts) is grade  # type: ignore[arg-type]


def test_an_hour_without_trouble_forgives() -> None:
    grading = ConnectionGrade()
    for second in range(4_000):
        grade = grading.note(second * 1000, reconnects=min(second, 6), frames=second * 10, last_frame_ms=second * 1000,
                             promised_per_s=10)  # fmt: skip
    assert grade is Grade.EXCELLENT
