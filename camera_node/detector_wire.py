"""What an eye and the shared detector say to each other: requests by datagram, pixels by shared memory.

An eye connects to the service's socket (SOCK_SEQPACKET, in the node's state folder), hands over a memory file once, and then, for
each frame, writes the pixels there and sends a request. One request is under way for each eye: whoever is served late takes
the newest frame next, and no queue grows. The service trusts no eye with more than its own memory file.
"""

import array
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from camera_node.detector import Detection
from camera_node.frame import Pixels

SOCKET_NAME: Final = "detector.sock"
MEMORY_BYTES: Final = 3 * 4096 * 2304
"""A frame of 4096 by 2304 pixels: more than any camera here gives."""
MAX_ANSWER_BYTES: Final = 200_000
_REQUEST: Final = struct.Struct(">BIIf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One frame to look at."""

    model: int
    """0: the first stage, 1: the second."""
    height_px: int
    width_px: int
    waited_ms: float = 0.0
    """How old the frame was when it was sent."""

    def encode(self) -> bytes:
        """Its bytes."""
        return _REQUEST.pack(self.model, self.height_px, self.width_px, self.waited_ms)


def decode_request(data: bytes, *, models: int) -> Request:
    """The typed view of a request, for a service that has so many models.

    Raises:
        ValueError: not one, or a frame larger than the memory.
    """
    if len(data) != _REQUEST.size:
        raise ValueError(f"expected {_REQUEST.size} bytes, found {len(data)}")
    model, height, width, waited_ms = _REQUEST.unpack(data)
    if model >= models or not 0 < height <= 1 << 16 or not 0 < width <= 1 << 16 or height * width * 3 > MEMORY_BYTES:
        raise ValueError(
            f"expected a model below {models} and a frame of at most {MEMORY_BYTES} bytes, found {model}, {width} x {height}"
        )
    return Request(model=model, height_px=height, width_px=width, waited_ms=waited_ms)


class Hello(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The service's first word to an eye."""

    labels: tuple[tuple[str, ...], ...]
    """By model."""
    provider: str


class Found(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is on a frame; or why it could not be looked at."""

    boxes: tuple[tuple[str, float, float, float, float, float], ...] = ()
    """Label, confidence, x1, y1, x2, y2 in pixels of the frame."""
    error: str = ""

    def detections(self) -> list[Detection]:
        """As a detector gives them."""
        return [
            Detection(label=label, confidence=confidence, bbox_xyxy_px=np.array(corners, np.float32))
            for label, confidence, *corners in self.boxes
        ]


def found_of(detections: list[Detection]) -> Found:
    """The answer for what was found."""
    return Found(boxes=tuple(
        (d.label, d.confidence, *(float(edge) for edge in d.bbox_xyxy_px)) for d in detections[:1000]  # type: ignore[misc]
    ))  # fmt: skip


class FrameMemory:
    """A frame's pixels, seen by two processes."""

    def __init__(self, fd: int) -> None:
        """Takes the descriptor over.

        Raises:
            ValueError: it is smaller than a frame may be.
        """
        size_bytes = os.fstat(fd).st_size
        if size_bytes < MEMORY_BYTES:
            os.close(fd)
            raise ValueError(f"expected a memory file of {MEMORY_BYTES} bytes, found {size_bytes}")
        self.fd = fd
        self._memory = mmap.mmap(fd, MEMORY_BYTES)

    @classmethod
    def made(cls) -> "FrameMemory":
        """A new one."""
        fd = os.memfd_create("heard-frame", os.MFD_CLOEXEC)
        os.ftruncate(fd, MEMORY_BYTES)
        return cls(fd)

    def write(self, pixels: Pixels) -> None:
        """Put a frame there.

        Raises:
            ValueError: it is larger than the memory.
        """
        if pixels.nbytes > MEMORY_BYTES:
            raise ValueError(f"expected a frame of at most {MEMORY_BYTES} bytes, found {pixels.nbytes}")
        np.frombuffer(self._memory, np.uint8, pixels.nbytes)[:] = np.ascontiguousarray(pixels).reshape(-1)

    def read(self, height_px: int, width_px: int) -> Pixels:
        """A copy of the frame that is there: whoever writes next can't change what is looked at."""
        return np.frombuffer(self._memory, np.uint8, height_px * width_px * 3).reshape(height_px, width_px, 3).copy()

    def close(self) -> None:
        """Let it go."""
        self._memory.close()
        os.close(self.fd)


def send_memory(connection: socket.socket, memory: FrameMemory) -> None:
    """Hand the memory file to the other end."""
    connection.sendmsg([b"memory"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory.fd]))])


def receive_memory(connection: socket.socket) -> FrameMemory:
    """Take the memory file from the other end.

    Raises:
        ValueError: it sent something else.
    """
    data, ancillary, _, _ = connection.recvmsg(16, socket.CMSG_SPACE(4 * array.array("i").itemsize))
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if data != b"memory" or len(descriptors) != 1:
        for fd in descriptors:
            os.close(fd)
        raise ValueError("expected one memory file")
    return FrameMemory(descriptors[0])
