"""A real RTSP camera that logs in, hangs, vanishes and comes back. Skipped where GStreamer's server is not installed."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from camera_node.errors import StreamFault
from tests.camera_node.clips import moving
from tests.camera_node.test_capture import reading, wait_for_fault

PYTHON = "/usr/bin/python3"
_PROBE = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')"


def _has_server() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", _PROBE], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


pytestmark = pytest.mark.skipif(not _has_server(), reason="gir1.2-gst-rtsp-server-1.0 is not installed")


@pytest.fixture(scope="module")
def units_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of H.264, an access unit each frame."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = {"tune": "zerolatency", "g": "25", "preset": "ultrafast"}
    painter = moving(320, 240)
    file = tmp_path_factory.mktemp("rtsp") / "units"
    with file.open("wb") as sink:
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(painter(number), format="bgr24")
            frame.pts = number
            for packet in context.encode(frame):
                data = bytes(packet)
                sink.write(struct.pack(">I", len(data)) + data)
    return file


@contextlib.contextmanager
def serving(units_file: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    script = Path(__file__).with_name("rtsp_server.py")
    with subprocess.Popen([PYTHON, str(script), str(units_file), str(port), "cam:geheim"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_camera_vanishes_and_is_found_again(units_file: Path) -> None:
    port = _free_port()
    with reading(f"rtsp://cam:geheim@127.0.0.1:{port}/cam") as capture:
        assert wait_for_fault(capture, within_s=5) is StreamFault.CONNECTION_FAILED
        with serving(units_file, port) as server:
            frame = capture.take(15)
            assert frame is not None
            assert frame.pixels.shape == (240, 320, 3)
            server.kill()
            began = time.monotonic()
            assert wait_for_fault(capture, within_s=5) in {StreamFault.GONE, StreamFault.CONNECTION_FAILED}
            assert time.monotonic() - began < 5
        while capture.take(0.2) is not None:
            pass
        with serving(units_file, port):
            assert capture.take(15) is not None, "it is found again without anybody's help"
            assert capture.state().reconnects >= 2


def test_camera_that_hangs_is_a_timeout_within_five_seconds_and_recovers(units_file: Path) -> None:
    port = _free_port()
    with serving(units_file, port) as server, reading(f"rtsp://cam:geheim@127.0.0.1:{port}/cam") as capture:
        assert capture.take(15) is not None
        os.kill(server.pid, signal.SIGSTOP)
        began = time.monotonic()
        while "T" not in Path(f"/proc/{server.pid}/stat").read_text().split(")")[1].split()[0]:
            assert time.monotonic() - began < 5, "the fault did not happen: the server runs on"
            time.sleep(0.01)
        began = time.monotonic()
        assert wait_for_fault(capture, within_s=5) is StreamFault.TIMEOUT
        assert time.monotonic() - began < 5
        while capture.take(0.2) is not None:
            pass
        os.kill(server.pid, signal.SIGCONT)
        assert capture.take(20) is not None


def test_wrong_password_is_told_and_not_repeated_in_the_message(units_file: Path) -> None:
    port = _free_port()
    with serving(units_file, port), reading(f"rtsp://cam:falsch@127.0.0.1:{port}/cam") as capture:
        assert wait_for_fault(capture, within_s=5) is StreamFault.AUTH_FAILED
        assert "falsch" not in capture.state().detail
