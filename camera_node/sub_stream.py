"""A camera's own second, smaller stream: read in the eye, and only while somebody who shows it live listens.

For viewers on thin lines: what the camera encodes small anyway need not be encoded here. Nothing is detected or recorded in it.
"""

import threading
from pathlib import Path
from typing import Final

from camera_node.capture import Capture
from camera_node.packet_tap import PacketTap
from camera_node.source import parse_source
from relay.clock import Clock

_LOOK_EVERY_S: Final = 0.2


class SubStream:
    """``start`` begins to wait for a listener."""

    def __init__(self, address: str, socket_file: Path, *, clock: Clock, loop: bool = False) -> None:
        self._source = parse_source(address)
        self._clock = clock
        self._loop = loop
        self._tap = PacketTap(socket_file)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sub stream", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._tap.start()
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(5.0)
        self._tap.close()

    def _run(self) -> None:
        capture: Capture | None = None
        while not self._stop.wait(_LOOK_EVERY_S):
            if self._tap.is_heard and capture is None:
                capture = Capture(self._source, clock=self._clock, loop=self._loop, sink=self._tap)
                capture.start()
            elif capture is not None and not self._tap.is_heard:
                capture.close()
                capture = None
        if capture is not None:
            capture.close()
