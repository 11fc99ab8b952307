# mypy: disable-error-code="import-not-found,import-untyped"
"""Ultralytics' own ``track`` and ``predict`` on the same clip, pictures and weights; run by a Python that has the extra.

Arguments: clip, weights, frames, folder of labelled pictures. Prints one JSON object. One thread, as the other side.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.update({
    "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0", "OMP_NUM_THREADS": "1",
    "YOLO_CONFIG_DIR": tempfile.mkdtemp(), "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
})  # fmt: skip
sys.path.insert(0, str(Path(__file__).parents[2]))

import cv2

from camera_node.ultralytics_detector import _import_guarded


def main() -> None:
    clip, weights, frames, labelled = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    model = _import_guarded(1)(weights, task="detect")
    capture = cv2.VideoCapture(clip)
    began, count = time.process_time(), 0
    while count < frames:
        is_read, picture = capture.read()
        if not is_read:
            break
        model.track(picture, persist=True, tracker="bytetrack.yaml", verbose=False)
        count += 1
    spent_s = time.process_time() - began
    result = {
        "frames_per_s_core": count / spent_s,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    right = wrong = missed = 0
    for file in sorted((labelled / "images").glob("*.jpg")):
        label_file = labelled / "labels" / f"{file.stem}.txt"
        rows = label_file.read_text().split("\n") if label_file.exists() else []
        is_there = any(row.split()[:1] == ["0"] for row in rows)
        found = model.predict(cv2.imread(str(file)), conf=0.4, verbose=False)[0]
        is_told = any(int(index) == 0 for index in found.boxes.cls.tolist())
        right, wrong, missed = (
            right + (is_told and is_there),
            wrong + (is_told and not is_there),
            missed + (is_there and not is_told),
        )
    result["class_of_interest (person) precision"] = right / max(1, right + wrong)
    result["class_of_interest (person) recall"] = right / max(1, right + missed)
    print(json.dumps(result))


main()
