"""Records one long clip of a film for ever, to be killed: ``python -m tests.camera_node.recording_child <film> <folder>``.

Prints each report's kind and its clip as soon as it is made.
"""

import sys
import time

from camera_node.capture import Capture
from camera_node.messages import ClipReport, ClipSegment, RecordingOrder
from camera_node.recorder import Recorder
from camera_node.source import parse_source
from relay.clock import SystemClock


def order(folder: str, **changes: int) -> RecordingOrder:
    settings = {"pre_roll_ms": 500, "post_roll_ms": 600_000, "longest_ms": 900_000, "segment_ms": 500,
                "ring_bytes": 8_000_000, "most_bytes": 1 << 30, "reserve_bytes": 0, **changes}  # fmt: skip
    return RecordingOrder(folder=folder, **settings)


def main() -> None:
    def report(said: ClipReport) -> None:
        if isinstance(said, ClipSegment):
            print(said.clip, said.number, said.offset_bytes + said.size_bytes, said.sha256.hex(), flush=True)

    clock = SystemClock()
    recorder = Recorder(order(sys.argv[2]), clock=clock, report=report)
    capture = Capture(parse_source(sys.argv[1]), clock=clock, loop=True, sink=recorder)
    recorder.start()
    capture.start()
    while not recorder.event(clock.monotonic_ms()):
        time.sleep(0.02)
    time.sleep(600)


if __name__ == "__main__":
    main()
