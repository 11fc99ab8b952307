"""What every peer's two ends share: numbered messages up at a steady pace, their numbers back, one JSON line for each.

A peer is a module with ``center`` and ``node``, run as ``python -m tests.network.peers.exchange PEER END STATE_DIR ADDRESS…``: the
addresses are the center's, one on each link, best link first. Times are the machine's monotonic clock.
"""

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

PAYLOAD_BYTES: Final = 300
"""As long as a signed and sealed alert with its frame."""
PORT: Final = 5800
End = Literal["center", "node"]


class Go(msgspec.Struct, frozen=True, kw_only=True, tag="go"):
    """Order to the node: begin."""

    messages_per_s: float
    seconds: float
    patience_s: float
    """How long after the last one acknowledgements are waited for."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """This end is set up; the node's: it has reached the far end once."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag="sent"):
    """A message was handed over."""

    number: int
    at_s: float


class Heard(msgspec.Struct, frozen=True, kw_only=True, tag="heard"):
    """The far end's program has it, and the sender knows."""

    number: int
    at_s: float


Told = Ready | Sent | Heard
_lock = threading.Lock()


def tell(what: Told) -> None:
    """One line on stdout."""
    with _lock:
        sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
        sys.stdout.buffer.flush()


def message(number: int) -> bytes:
    """A number and noise."""
    return number.to_bytes(8, "big") + os.urandom(PAYLOAD_BYTES - 8)


def number_of(data: bytes) -> int:
    """Of a message, or of its acknowledgement, which is the number alone."""
    return int.from_bytes(data[:8], "big")


class Pace:
    """The node's loop; a peer gives it a way to send and tells it what comes back."""

    def __init__(self) -> None:
        self._heard: set[int] = set()
        self._sent = 0
        self._changed = threading.Condition()

    def heard(self, number: int) -> None:
        """An acknowledgement has arrived. Number 0 is the trial message."""
        with self._changed:
            is_news = number not in self._heard
            self._heard.add(number)
            self._changed.notify_all()
        if is_news and number:
            tell(Heard(number=number, at_s=time.monotonic()))

    def run(self, send: Callable[[bytes], object]) -> None:
        """Reach the far end once, say so, wait for the order, then send as ordered."""
        self._reach_once(send)
        tell(Ready())
        order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Go)
        started_s = time.monotonic()
        for number in range(1, int(order.seconds * order.messages_per_s) + 1):
            time.sleep(max(0.0, started_s + number / order.messages_per_s - time.monotonic()))
            tell(Sent(number=number, at_s=time.monotonic()))
            self._sent = number
            send(message(number))
        with self._changed:
            self._changed.wait_for(lambda: len(self._heard) > self._sent, order.patience_s)

    def _reach_once(self, send: Callable[[bytes], object]) -> None:
        for _ in range(60):
            send(message(0))
            with self._changed:
                if self._changed.wait_for(lambda: 0 in self._heard, 0.5):
                    return
        raise TimeoutError("the far end was not reached in 30 s")


def main() -> None:
    peer, end, state_dir, *addresses = sys.argv[1:]
    module = importlib.import_module(f"tests.network.peers.{peer}")
    if end == "center":
        module.center(Path(state_dir))
    else:
        module.node(Path(state_dir), addresses)


if __name__ == "__main__":
    main()
