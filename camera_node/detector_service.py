"""The node's one detector process: looks at the frames of all eyes, fairly, in batches where the weights take them.

Started by the node as ``python -m camera_node.detector_service <socket>``; gets its order over that socket, serves eyes on a
socket in the state folder, and ends with the node. It has no keys. Each eye has one frame waiting at most. Of those that wait, the
eye that was served longest ago comes first; weights with a free batch axis take several at once. So ten cameras on a
gateway too small for them each get a tenth of it, none starves, and each says how many frames it looks at.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from camera_node.child_process import die_with_parent_process
from camera_node.detector import Detection, Detector
from camera_node.detector_catalog import load
from camera_node.detector_wire import SOCKET_NAME, Found, FrameMemory, Hello, decode_request, found_of, receive_memory
from camera_node.errors import ModelRefused
from camera_node.frame import Frame, Pixels
from camera_node.messages import LENGTH, DetectorOrder, Refusal, frame_message, receive_message
from relay.errors import OperatorError

REFUSED_EXIT_CODE: Final = 2
_MOST_EYES: Final = 128


@runtime_checkable
class BatchDetector(Protocol):
    """A detector that takes several frames in one run."""

    @property
    def most_at_once(self) -> int:
        """How many; 1: only one by one."""

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """What is on each frame."""


@dataclass(slots=True)
class _Eye:
    connection: socket.socket
    memory: FrameMemory | None = None
    served_turn: int = 0
    wanted: tuple[int, Pixels] | None = None
    """The model and the pixels of the frame that waits."""


@dataclass(slots=True)
class Turns:
    """Who comes next. Pure."""

    turn: int = 0
    served: dict[int, int] = field(default_factory=dict)

    def choose(self, waiting: Sequence[tuple[int, int]], most: int) -> list[int]:
        """Of (eye, model) pairs: the eyes to serve now, all for one model, whoever waited longest first."""
        if not waiting:
            return []
        ordered = sorted(waiting, key=lambda pair: self.served.get(pair[0], 0))
        model = ordered[0][1]
        chosen = [eye for eye, wants in ordered if wants == model][: max(1, most)]
        for eye in chosen:
            self.turn += 1
            self.served[eye] = self.turn
        return chosen

    def forget(self, eye: int) -> None:
        """It is gone."""
        self.served.pop(eye, None)


class DetectorService:
    """Serves until its socket to the node closes."""

    def __init__(self, detectors: Sequence[Detector], socket_file: Path) -> None:
        self._detectors = detectors
        self._hello = msgspec.msgpack.encode(
            Hello(labels=tuple(tuple(d.labels) for d in detectors), provider=detectors[0].provider)
        )
        self._turns = Turns()
        self._eyes: dict[int, _Eye] = {}
        self._selector = selectors.DefaultSelector()
        socket_file.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = os.umask(0o177)  # this user alone
        try:
            self._listener.bind(str(socket_file))
        finally:
            os.umask(before)
        self._listener.listen(_MOST_EYES)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def run(self) -> None:
        """For ever."""
        while True:
            self.step(None if not any(eye.wanted for eye in self._eyes.values()) else 0)

    def step(self, timeout_s: float | None) -> None:
        """Take in what has come, and look at what is to be looked at next."""
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._listener:
                self._greet()
            else:
                self._take_in(key.fd)
        self._look()

    def close(self) -> None:
        """End all connections."""
        for fd in list(self._eyes):
            self._drop(fd)
        self._selector.close()
        self._listener.close()

    def _greet(self) -> None:
        connection, _ = self._listener.accept()
        if len(self._eyes) >= _MOST_EYES:
            connection.close()
            return
        connection.settimeout(1.0)
        self._eyes[connection.fileno()] = _Eye(connection=connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _take_in(self, fd: int) -> None:
        eye = self._eyes[fd]
        try:
            if eye.memory is None:
                eye.memory = receive_memory(eye.connection)
                eye.connection.send(self._hello)
                return
            data = eye.connection.recv(64)
            if not data:
                self._drop(fd)
                return
            request = decode_request(data, models=len(self._detectors))
            eye.wanted = (request.model, eye.memory.read(request.height_px, request.width_px))
        except (OSError, ValueError):
            self._drop(fd)

    def _look(self) -> None:
        waiting = [(fd, eye.wanted[0]) for fd, eye in self._eyes.items() if eye.wanted is not None]
        if not waiting:
            return
        most = max(_most_at_once(detector) for detector in self._detectors)
        chosen = self._turns.choose(waiting, most)
        eyes = [(fd, self._eyes[fd]) for fd in chosen]
        wanted = [eye.wanted for _, eye in eyes if eye.wanted is not None]
        detector = self._detectors[wanted[0][0]]
        frames = [Frame(pixels=pixels, captured_monotonic_ms=0, captured_wall_ms=0, sequence=0, clip_time_ms=0)
                  for _, pixels in wanted]  # fmt: skip
        for (fd, eye), found in zip(eyes, _detect(detector, frames), strict=True):
            eye.wanted = None
            try:
                eye.connection.send(msgspec.msgpack.encode(found))
            except OSError:
                self._drop(fd)

    def _drop(self, fd: int) -> None:
        eye = self._eyes.pop(fd)
        self._turns.forget(fd)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(eye.connection)
        eye.connection.close()
        if eye.memory is not None:
            eye.memory.close()


def _most_at_once(detector: Detector) -> int:
    return detector.most_at_once if isinstance(detector, BatchDetector) else 1


def _detect(detector: Detector, frames: Sequence[Frame]) -> list[Found]:
    """An answer for each frame; one that the weights choke on is answered with the reason."""
    step = min(len(frames), _most_at_once(detector))
    answers: list[Found] = []
    for at in range(0, len(frames), step):
        part = frames[at : at + step]
        try:
            if isinstance(detector, BatchDetector) and len(part) > 1:
                answers += [found_of(found) for found in detector.detect_many(part)]
            else:
                answers += [found_of(detector.detect(frame)) for frame in part]
        except ModelRefused as error:
            answers += [Found(error=str(error)[:500])] * len(part)
    return answers


def _end_with_node(connection: socket.socket) -> None:
    die_with_parent_process()

    def wait() -> None:
        with contextlib.suppress(OSError):
            connection.recv(1)  # the node says nothing more: this returns when it ends
        os._exit(0)

    threading.Thread(target=wait, name="wait for the node's end", daemon=True).start()


def main() -> None:
    """Run until the node ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node decides
    connection = socket.socket(fileno=int(sys.argv[1]))
    os.nice(3)
    try:
        order = msgspec.msgpack.decode(receive_message(connection), type=DetectorOrder)
        _end_with_node(connection)
        try:
            service = DetectorService([load(model) for model in order.models], Path(order.state_dir) / SOCKET_NAME)
        except OperatorError as error:
            connection.sendall(frame_message(Refusal(message=str(error)[:1500])))
            sys.exit(REFUSED_EXIT_CODE)
        connection.sendall(LENGTH.pack(2) + b"up")
        service.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the node ended


if __name__ == "__main__":
    main()
