"""The eye's side of the shared detector: a Detector whose work is done in the node's one detector process."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from camera_node.detector import Detection
from camera_node.detector_wire import MAX_ANSWER_BYTES, SOCKET_NAME, Found, FrameMemory, Hello, Request, send_memory
from camera_node.errors import DetectorGone, ModelRefused
from camera_node.frame import Frame

_CONNECT_WITHIN_S: Final = 30.0
"""The service loads its weights first: 10 s on a small board."""
_AGAIN_WITHIN_S: Final = 5.0
_ANSWER_WITHIN_S: Final = 5.0
_found: Final = msgspec.msgpack.Decoder(Found)


class DetectorLine:
    """One eye's connection to the service; its detectors share it, one frame at a time."""

    def __init__(self, state_dir: Path) -> None:
        self._path = str(state_dir / SOCKET_NAME)
        self._memory = FrameMemory.made()
        self._connection: socket.socket | None = None
        self.hello = self._connect(_CONNECT_WITHIN_S)

    def ask(self, frame: Frame, model: int) -> list[Detection]:
        """What the service finds on a frame. A service that was started anew is asked again.

        Raises:
            DetectorGone: it does not come back, or does not answer.
            ModelRefused: the weights choke on this frame.
        """
        for is_last in (False, True):
            try:
                return self._ask(frame, model)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                self._hang_up()
                if is_last:
                    raise DetectorGone(
                        f"the shared detector does not answer: {error or type(error).__name__}"
                    ) from error
                self.hello = self._connect(_AGAIN_WITHIN_S)
        raise AssertionError("unreachable: the last try returns or raises")

    def close(self) -> None:
        """Hang up."""
        self._hang_up()
        self._memory.close()

    def _ask(self, frame: Frame, model: int) -> list[Detection]:
        assert self._connection is not None
        self._memory.write(frame.pixels)
        self._connection.send(Request(model=model, height_px=frame.height_px, width_px=frame.width_px).encode())
        data = self._connection.recv(MAX_ANSWER_BYTES)
        if not data:
            raise ConnectionResetError("the service ended")
        found = _found.decode(data)
        if found.error:
            raise ModelRefused(found.error)
        return found.detections()

    def _connect(self, within_s: float) -> Hello:
        deadline_s = time.monotonic() + within_s
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                connection.settimeout(_ANSWER_WITHIN_S)
                connection.connect(self._path)
                send_memory(connection, self._memory)
                hello = msgspec.msgpack.decode(connection.recv(MAX_ANSWER_BYTES), type=Hello)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                connection.close()
                if time.monotonic() > deadline_s:
                    raise DetectorGone(
                        f"the shared detector can't be reached within {within_s:g} s: {error}"
                    ) from error
                time.sleep(0.1)
                continue
            self._connection = connection
            return hello

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SharedDetector:
    """A Detector by way of a ``DetectorLine``."""

    def __init__(self, line: DetectorLine, model: int = 0) -> None:
        self._line = line
        self._model = model

    @property
    def labels(self) -> Sequence[str]:
        """Every label that it may give."""
        return self._line.hello.labels[self._model]

    @property
    def provider(self) -> str:
        """What it runs on."""
        return f"{self._line.hello.provider}, shared"[:40]

    def detect(self, frame: Frame) -> list[Detection]:
        """What is on this frame."""
        return self._line.ask(frame, self._model)

    def close(self) -> None:
        """The line is closed by whoever opened it."""
