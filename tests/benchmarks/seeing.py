"""What seeing costs beside a bare loop, and how many alerts are right: on the footage and the labelled pictures of HEARD_TEST_DATA.

Cost: processor time a frame of decode, detect, track and rules, beside the same clip and weights in a bare ONNX Runtime loop. Alerts:
each labelled picture (COCO val) is shown for three seconds, slowly panned, and what the rules tell is held against its labels. With
HEARD_ULTRALYTICS_PYTHON naming a Python that has the ``ultralytics`` extra, its own ``track`` and ``predict`` run the same, in a
process of their own.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from camera_node.capture import read_clip
from camera_node.frame import Frame, Pixels
from camera_node.letterbox import letterbox
from camera_node.onnx_detector import OnnxDetector
from camera_node.onnx_session import open_session
from camera_node.rules.catalog import RuleSettings
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.rules.crowd import CrowdSettings
from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
from camera_node.sight import Sight
from camera_node.zone import Zone
from tests.benchmarks.figure import Figure
from tests.camera_node.test_detector import DATA

CLIP = DATA / "vtest_480x360.avi"
WEIGHTS = DATA / "yolo11n_qdq_416.onnx"
FRAMES = 200
SHOWN_FRAMES = 15
STEP_MS = 200
LEFT = Zone(name="left", polygon=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
LEAST_CROWD = 3


def measure() -> list[Figure]:
    if not DATA.is_dir():
        print(f"no test data in {DATA}: set HEARD_TEST_DATA", file=sys.stderr)
        return []
    cv2.setNumThreads(1)  # as an eye does
    _bare()  # warm
    bare_s, ours_s = _bare(), _ours()
    figures = [
        Figure(name="decode, detect, track, rules: processor time a frame", value=ours_s * 1000, unit="ms",
               peer="bare ONNX Runtime loop, same clip and weights", peer_value=bare_s * 1000, target_ratio=1.10,
               is_more_better=False),
        Figure(name="memory of this process at the end", value=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, unit="MB"),
    ]  # fmt: skip
    python = os.environ.get("HEARD_ULTRALYTICS_PYTHON", "")
    theirs = _ultralytics(python) if python else None
    if theirs is not None:
        figures += [
            Figure(name="frames a second and core", value=1 / ours_s, unit="frames/s", peer="ultralytics track, same clip and weights",
                   peer_value=theirs["frames_per_s_core"], target_ratio=1.3),
            Figure(name="memory", value=figures[1].value, unit="MB", peer="ultralytics track", peer_value=theirs["memory_mb"],
                   target_ratio=1.0, is_more_better=False),
        ]  # fmt: skip
    else:
        print("HEARD_ULTRALYTICS_PYTHON is not set: no comparison with ultralytics track", file=sys.stderr)
    return figures + _alerts(theirs)


def _cpu_s(work: Callable[[], int]) -> float:
    """Processor seconds a frame, all threads together."""
    began = time.process_time()
    frames = work()
    return (time.process_time() - began) / max(1, frames)


def _ours() -> float:
    detector = OnnxDetector(WEIGHTS.read_bytes(), name="yolo", least_confidence=0.25, threads=1)
    zone = Zone(name="path", polygon=((0.2, 0.4), (0.9, 0.4), (0.9, 0.9), (0.2, 0.9)))
    sight = Sight(detector, rules=[ClassOfInterestSettings(), ZoneIntrusionSettings(zones=("path",))], zones=[zone])

    def work() -> int:
        count = 0
        for frame in read_clip(CLIP):
            sight.look(frame)
            count += 1
            if count >= FRAMES:
                break
        return count

    return _cpu_s(work)


def _bare() -> float:
    session = open_session(WEIGHTS.read_bytes(), "yolo", 1)
    name, shape = session.get_inputs()[0].name, session.get_inputs()[0].shape

    def work() -> int:
        count = 0
        with av.open(str(CLIP)) as container:
            for picture in container.decode(video=0):
                fitted, _ = letterbox(
                    np.asarray(picture.to_ndarray(format="bgr24"), np.uint8), shape[3], shape[2], is_centered=True
                )
                tensor = np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / np.float32(255)
                session.run(None, {name: tensor})
                count += 1
                if count >= FRAMES:
                    break
        return count

    return _cpu_s(work)


# ---------------------------------------------------------------------- alerts, not boxes


@dataclass(slots=True)
class Score:
    """Of one rule."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, *, is_told: bool, is_there: bool) -> None:
        self.right += is_told and is_there
        self.wrong += is_told and not is_there
        self.missed += is_there and not is_told

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)


RULES: dict[str, RuleSettings] = {
    "class_of_interest (person)": ClassOfInterestSettings(labels={"person": "IMMEDIATE"}),
    "zone_intrusion (left half)": ZoneIntrusionSettings(zones=("left",)),
    "crowd (3 or more)": CrowdSettings(least_count=LEAST_CROWD, for_s=1.5),
}


def truth(people: list[tuple[float, float, float, float]]) -> dict[str, bool]:
    """What each rule should tell of a picture with these people (x, y, width, height as shares, from the middle)."""
    feet = [(x, min(0.999, y + height / 2)) for x, y, _, height in people]
    return {
        "class_of_interest (person)": bool(people), "zone_intrusion (left half)": any(LEFT.contains(foot) for foot in feet),
        "crowd (3 or more)": len(people) >= LEAST_CROWD,
    }  # fmt: skip


def shown(pixels: Pixels) -> Iterator[Frame]:
    """The picture for three seconds, the camera swaying by two percent, with a sensor's noise."""
    height, width = pixels.shape[:2]
    chance = np.random.default_rng(5)
    for number in range(SHOWN_FRAMES):
        shift = round(0.01 * width * np.sin(number / 3))
        moved = cv2.warpAffine(
            pixels, np.array([[1, 0, shift], [0, 1, 0]], np.float32), (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        noisy = np.clip(moved + chance.normal(0, 2, moved.shape), 0, 255).astype(np.uint8)
        yield Frame(
            pixels=noisy, captured_monotonic_ms=number * STEP_MS, captured_wall_ms=0, sequence=number, clip_time_ms=0
        )


def pictures() -> Iterator[tuple[Path, list[tuple[float, float, float, float]]]]:
    """Each labelled picture with its people."""
    for file in sorted((DATA / "coco_val128/images").glob("*.jpg")):
        label_file = DATA / "coco_val128/labels" / f"{file.stem}.txt"
        lines = label_file.read_text().split("\n") if label_file.exists() else []
        rows = [[float(part) for part in line.split()] for line in lines if line.strip()]
        yield file, [(row[1], row[2], row[3], row[4]) for row in rows if int(row[0]) == 0]


def _alerts(theirs: dict[str, float] | None) -> list[Figure]:
    detector = OnnxDetector(WEIGHTS.read_bytes(), name="yolo", least_confidence=0.25, threads=2)
    scores = {name: Score() for name in RULES}
    for file, people in pictures():
        pixels = np.asarray(cv2.imread(str(file)), np.uint8)
        told: dict[str, bool] = dict.fromkeys(RULES, False)
        sights = {name: Sight(_Once(detector), rules=[settings], zones=[LEFT]) for name, settings in RULES.items()}
        for frame in shown(pixels):
            found = detector.detect(frame)
            for name, sight in sights.items():
                once = sight._detector
                assert isinstance(once, _Once)
                once.found = found
                told[name] |= bool(sight.look(frame).findings)
        for name, is_there in truth(people).items():
            scores[name].add(is_told=told[name], is_there=is_there)
    figures: list[Figure] = []
    for name, score in scores.items():
        for what, value in (("precision", score.precision), ("recall", score.recall)):
            peer = None if theirs is None else theirs.get(f"{name} {what}")
            figures.append(Figure(name=f"alerts of {name}: {what}", value=value, unit="share", peer_value=peer,
                                  peer="" if peer is None else "ultralytics predict on one frame, same weights"))  # fmt: skip
    return figures


class _Once:
    """The boxes of a frame, found once for all rules."""

    def __init__(self, detector: OnnxDetector) -> None:
        self.labels, self.provider = detector.labels, detector.provider
        self.found: list = []  # type: ignore[type-arg]

    def detect(self, frame: Frame) -> list:  # type: ignore[type-arg]
        return self.found

    def close(self) -> None:
        pass


def _ultralytics(python: str) -> dict[str, float] | None:
    script = Path(__file__).with_name("ultralytics_peer.py")
    done = subprocess.run([python, str(script), str(CLIP), str(WEIGHTS), str(FRAMES), str(DATA / "coco_val128")],
                          capture_output=True, text=True, timeout=1200)  # fmt: skip
    if done.returncode:
        print(f"ultralytics did not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
