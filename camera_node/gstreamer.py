"""A GStreamer pipeline as a camera: what PyAV's wheel can't open, such as a CSI sensor, or a vendor's source element.

The pipeline runs in a process of its own (``gst-launch-1.0``, no shell), and its pictures come through a pipe as Matroska: H.264
stays as it is, so that clips are cut without encoding again. When the pipe falls silent the read ends in an error; when the reader
stops, the process goes. ``csi:N`` is a pipeline too: NVIDIA's sensor source on a Jetson, libcamera's on a Raspberry Pi, with the
hardware's H.264 encoder where there is one (an Orin Nano has none). Those two are not run here: no such sensor.
"""

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Final

from camera_node.errors import StreamError, StreamFault

_LAUNCH: Final = "gst-launch-1.0"
_END: Final = "matroskamux streamable=true ! fdsink fd=1 sync=false"
_SOFTWARE: Final = (
    "videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bframes=0 bitrate=4000"
)
_MOST_WORDS: Final = 4_000


class _Pipe:
    """A reader for PyAV whose reads have a deadline."""

    def __init__(
        self, process: subprocess.Popen[bytes], name: str, first_within_s: float, next_within_s: float
    ) -> None:
        assert process.stdout is not None
        self._file = process.stdout
        self._process = process
        self._name = name
        self._within_s = first_within_s
        self._next_within_s = next_within_s

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ready, _, _ = select.select([self._file], [], [], self._within_s)
        if not ready:
            raise TimeoutError(f"{self._name}: the pipeline gives nothing for {self._within_s:g} s")
        self._within_s = self._next_within_s
        data = os.read(self._file.fileno(), size)
        if not data and self._process.poll() not in {None, 0}:
            raise StreamError(StreamFault.CONNECTION_FAILED, f"{self._name}: {_complaint(self._process)}")
        return data


@contextlib.contextmanager
def running(description: str, *, name: str, first_within_s: float, next_within_s: float) -> Iterator[_Pipe]:
    """The pipe of a pipeline that runs for the block.

    Raises:
        StreamError: gst-launch-1.0 is not installed, or the description can't be one.
    """
    if shutil.which(_LAUNCH) is None:
        raise StreamError(
            StreamFault.NOT_FOUND,
            f"{name}: needs {_LAUNCH}, which is not installed: apt-get install gstreamer1.0-tools",
        )
    process = subprocess.Popen([_LAUNCH, "-q", *words(description, name)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
    try:
        yield _Pipe(process, name, first_within_s, next_within_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def words(description: str, name: str) -> list[str]:
    """The pipeline's words, with where it ends: as Matroska on standard output.

    Raises:
        StreamError: quotes that don't match, or too long.
    """
    if description.startswith("csi:"):
        description = csi(description.removeprefix("csi:"), name)
    if len(description) > _MOST_WORDS:
        raise StreamError(StreamFault.NOT_FOUND, f"{name}: expected a pipeline of at most {_MOST_WORDS} characters")
    try:
        return shlex.split(f"{description} ! {_END}")
    except ValueError as error:
        raise StreamError(StreamFault.NOT_FOUND, f"{name}: the pipeline can't be read: {error}") from error


def has_element(element: str) -> bool:
    """Whether GStreamer has it on this machine."""
    if shutil.which("gst-inspect-1.0") is None:
        return False
    done = subprocess.run(["gst-inspect-1.0", "--exists", element], check=False, capture_output=True, timeout=30)
    return done.returncode == 0


def csi(sensor: str, name: str, has: Callable[[str], bool] = has_element) -> str:
    """The pipeline for a CSI sensor of this board.

    Raises:
        StreamError: not a number, or no element of this machine reads such a sensor.
    """
    if not sensor.isdecimal() or int(sensor) > 15:
        raise StreamError(StreamFault.NOT_FOUND, f"{name}: expected csi:0 … csi:15")
    if has("nvarguscamerasrc"):
        raw = f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1"
        if has("nvv4l2h264enc"):
            return f"{raw} ! nvv4l2h264enc insert-sps-pps=true idrinterval=30 iframeinterval=30 bitrate=4000000 ! h264parse"
        return f"{raw} ! nvvidconv ! video/x-raw,format=I420 ! {_SOFTWARE} ! h264parse"
    if has("libcamerasrc"):
        raw = "libcamerasrc ! video/x-raw,width=1280,height=720,framerate=30/1,format=NV12"
        if has("v4l2h264enc"):
            controls = "extra-controls=controls,repeat_sequence_header=1,h264_i_frame_period=30"
            return f"{raw} ! v4l2h264enc {controls} ! video/x-h264,level=(string)4 ! h264parse"
        return f"{raw} ! {_SOFTWARE} ! h264parse"
    raise StreamError(
        StreamFault.NOT_FOUND,
        f"{name}: GStreamer has neither nvarguscamerasrc (Jetson) nor libcamerasrc (Raspberry Pi) here: install the board's "
        "GStreamer packages, or give the sensor as /dev/videoN or gst:PIPELINE",
    )


def _complaint(process: subprocess.Popen[bytes]) -> str:
    """What the pipeline said as it ended, in its first line that says anything."""
    said = process.stderr.read(20_000).decode(errors="replace") if process.stderr is not None else ""
    lines = [line.strip() for line in said.splitlines() if "ERROR" in line or "erroneous" in line or "WARNING" in line]
    return f"the pipeline ended: {lines[0][:300] if lines else f'exit code {process.returncode}'}"
