"""Opens a camera's stream with PyAV, by the kind of its source. The only file here that knows FFmpeg's options.

Every open and every read has a deadline; a camera that hangs ends in an error and not in silence. Whatever a source needs
beside it (a GStreamer process) ends with it.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import av
import av.container

from camera_node import gstreamer
from camera_node.source import Source, SourceKind

OPEN_TIMEOUT_S: Final = 4.0
READ_TIMEOUT_S: Final = 2.0
"""A camera that hangs ends in ExitError after this; without it PyAV waits until the camera comes back [M]."""
# Without nobuffer and a short analysis opening takes 0.94 s instead of 0.14 s [M].
_RTSP: Final = {"rtsp_transport": "tcp", "fflags": "nobuffer", "analyzeduration": "100000"}
_HTTP: Final = {"fflags": "nobuffer", "analyzeduration": "500000", "follow": "0"}


@contextlib.contextmanager
def opened(source: Source) -> Iterator[av.container.InputContainer]:
    """The container for the block.

    Raises:
        StreamError: GStreamer is missing, or its pipeline does not start.
        OSError, av.error.FFmpegError: as FFmpeg has it; ``stream_fault.explain`` says it in words.
    """
    timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
    match source.kind:
        case SourceKind.RTSP:
            container = av.open(source.address, options=_RTSP, timeout=timeout)
        case SourceKind.HTTP:
            container = av.open(source.address, options=_HTTP, timeout=timeout)
        case SourceKind.DEVICE:
            container = av.open(source.address, format="v4l2", timeout=timeout)
        case SourceKind.GSTREAMER:
            with (
                gstreamer.running(source.address, name=source.name, first_within_s=2 * OPEN_TIMEOUT_S,
                                  next_within_s=READ_TIMEOUT_S) as pipe,
                av.open(pipe, mode="r", format="matroska", options={"fflags": "nobuffer"}) as piped,
            ):  # fmt: skip
                yield piped
            return
        case SourceKind.FILE:
            # Named as a file, so that no file name can start a protocol of FFmpeg's.
            container = av.open(f"file:{source.address}")
    with container:
        yield container
