# mypy: disable-error-code="import-not-found,import-untyped"
"""Ultralytics' own ``track`` and ``predict`` on the same clip, pictures and weights; run by a Python that has the extra.

``ultralytics_peer.py track CLIP WEIGHTS FRAMES`` prints what ``track`` costs, as ``seeing_cost`` does for the other sides.
``… predict WEIGHTS FILE`` writes what ``predict`` finds on every frame of every labeled show, a JSON array a line.

Its ONNX session has as many threads as there are processors, and they spin while they wait: ``track`` is measured as it comes, and
once more with one thread, as the other side has.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update({
    "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0", "OMP_NUM_THREADS": "1",
    "YOLO_CONFIG_DIR": tempfile.mkdtemp(), "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
})  # fmt: skip
sys.path.insert(0, str(Path(__file__).parents[2]))

import cv2
import onnxruntime

from camera_node.ultralytics_detector import _import_guarded
from tests.benchmarks.labeled_shows import pictures, shown
from tests.benchmarks.seeing_cost import WARM_FRAMES

LEAST = 0.25
"""Boxes below this are left out, as on the other side."""


def one_thread() -> None:
    """Give every session of ONNX Runtime one thread from now on."""
    made = onnxruntime.InferenceSession

    def session(weights: Any, sess_options: Any = None, **more: Any) -> Any:
        options = sess_options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return made(weights, options, **more)

    onnxruntime.InferenceSession = session


def track(clip: str, weights: str, frames: int) -> dict[str, float]:
    model = _import_guarded(1)(weights, task="detect")
    capture = cv2.VideoCapture(clip)
    count = 0
    began_s = wall_s = 0.0
    for number in range(WARM_FRAMES + frames):
        if number == WARM_FRAMES:
            began_s, wall_s = time.process_time(), time.perf_counter()
        is_read, picture = capture.read()
        if not is_read:
            break
        model.track(picture, persist=True, tracker="bytetrack.yaml", verbose=False)
        count += number >= WARM_FRAMES
    return {"cpu_s": (time.process_time() - began_s) / count, "wall_s": (time.perf_counter() - wall_s) / count,
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}  # fmt: skip


def predict(weights: str, to_file: Path) -> None:
    model = _import_guarded(1)(weights, task="detect")
    with to_file.open("w") as out:
        for picture in pictures():
            for frame in shown(picture):
                boxes = model.predict(frame.pixels, conf=LEAST, verbose=False)[0].boxes
                rows = zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxy.tolist(), strict=True)
                found = [(model.names[int(index)], confidence, *corners) for index, confidence, corners in rows]
                out.write(json.dumps(found) + "\n")


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "predict":
        one_thread()
        predict(arguments[0], Path(arguments[1]))
        return
    if what == "track-one-thread":
        one_thread()
    print(json.dumps(track(arguments[0], arguments[1], int(arguments[2]))))


main()
