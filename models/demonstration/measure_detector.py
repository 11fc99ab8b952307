"""Measures the demonstration detector: on the shipped clip, and on rendered pictures that it has not seen.

Run it: `python -m models.demonstration.measure_detector [--weights FILE] [--pictures N]`. Prints the figures of
`MODEL_CARD.md` and, as its last line, the measurements as JSON for `model-bundle pack --measured`. Needs the `node`
extra. The camera node has a detector of its own; this one is kept apart so that a model can be judged without a node.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import av
import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from models.evaluation import Detection, ScoredFrame, Span, TrueBox, noticed_events, overlap, score_label
from models.manifest import Measurement

from . import SCENE_FILE, WEIGHTS_FILE, TruthBox, load_truth
from .render_scene import LABELS, Picture, render_pictures
from .train_detector import HELD_OUT_SEED, INPUT_HEIGHT_PX, INPUT_WIDTH_PX

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # or it tells its maker of each session
import onnxruntime

LEAST_SCORE: Final = 0.40
KEPT_SCORE: Final = 0.10
LEAST_OVERLAP: Final = 0.50
SAME_OBJECT_OVERLAP: Final = 0.60
WEAPONS: Final = tuple(label for label in LABELS if label != "person")


class Detector:
    """The exported network with its letterbox before and its non-maximum suppression after. One thread uses it."""

    def __init__(self, weights: bytes, *, threads: int = 2) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self._input: str = self._session.get_inputs()[0].name
        self.inference_s: list[float] = []

    def detect(self, picture: Picture) -> tuple[Detection, ...]:
        """Boxes in one picture. *Shapes*: `(H, W, 3) uint8, BGR`."""
        height, width = picture.shape[:2]
        scale = min(INPUT_WIDTH_PX / width, INPUT_HEIGHT_PX / height)
        size = (round(width * scale), round(height * scale))
        shown = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        left, top = (INPUT_WIDTH_PX - shown.shape[1]) // 2, (INPUT_HEIGHT_PX - shown.shape[0]) // 2
        canvas = np.full((INPUT_HEIGHT_PX, INPUT_WIDTH_PX, 3), 114, np.uint8)
        canvas[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
        tensor = canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255.0
        begun = time.perf_counter()
        (output,) = self._session.run(None, {self._input: np.ascontiguousarray(tensor)})
        self.inference_s.append(time.perf_counter() - begun)
        return tuple(_kept(_read(output[0], scale, left, top)))


def _read(output: npt.NDArray[np.float32], scale: float, left: int, top: int) -> list[Detection]:
    """All candidates. *Shapes*: `(4 + classes, N)`, rows center x, center y, width, height, then a score a class."""
    scores = output[4:]
    chosen = np.flatnonzero(scores.max(axis=0) >= KEPT_SCORE)
    found = []
    for column in chosen:
        x, y, width, height = (float(value) for value in output[:4, column])
        number = int(scores[:, column].argmax())
        box = (x - width / 2 - left, y - height / 2 - top, x + width / 2 - left, y + height / 2 - top)
        x0, y0, x1, y1 = (side / scale for side in box)
        found.append(
            Detection(label=LABELS[number], score=float(scores[number, column]), bbox_xyxy_px=(x0, y0, x1, y1))
        )
    return found


def _kept(candidates: list[Detection]) -> Iterator[Detection]:
    """The best of each heap of overlapping boxes of a class."""
    waiting = sorted(candidates, key=lambda one: -one.score)
    while waiting:
        best = waiting.pop(0)
        yield best
        waiting = [
            one
            for one in waiting
            if one.label != best.label or overlap(one.bbox_xyxy_px, best.bbox_xyxy_px) < SAME_OBJECT_OVERLAP
        ]


def detect_clip(
    detector: Detector, *, every: int = 1, scene_file: Path = SCENE_FILE
) -> Iterator[tuple[int, ScoredFrame]]:
    """Runs the detector over every n-th frame of the clip, beside the clip's truth."""
    truth = load_truth()
    with av.open(str(scene_file)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                yield index, scored(detector.detect(picture), truth.frames[index].boxes)


def scored(detections: tuple[Detection, ...], boxes: Iterable[TruthBox]) -> ScoredFrame:
    """Detections beside the truth of the same picture."""
    truth = tuple(TrueBox(label=box.label, bbox_xyxy_px=box.bbox_xyxy_px) for box in boxes)
    return ScoredFrame(detections=detections, truth=truth)


def frames_with_found_weapon(frames: Iterable[tuple[int, ScoredFrame]]) -> list[int]:
    """The frames in which a detection of any weapon label fits a true weapon of any label."""
    return [
        index
        for index, frame in frames
        if any(
            one.label in WEAPONS
            and one.score >= LEAST_SCORE
            and any(
                overlap(one.bbox_xyxy_px, true.bbox_xyxy_px) >= LEAST_OVERLAP
                for true in frame.truth
                if true.label in WEAPONS
            )
            for one in frame.detections
        )
    ]


def measurements(frames: list[ScoredFrame], data: str) -> list[Measurement]:
    """Precision and recall of each label, as a manifest states them."""
    made = []
    for label in LABELS:
        quality = score_label(frames, label, least_score=LEAST_SCORE, least_overlap=LEAST_OVERLAP)
        made.append(
            Measurement(
                data=data,
                label=label,
                score=LEAST_SCORE,
                iou=LEAST_OVERLAP,
                precision=round(quality.precision, 3),
                recall=round(quality.recall, 3),
                truth_boxes=max(quality.found + quality.missed, 1),
            )
        )
        print(f"  {label:9} precision {quality.precision:.3f}  recall {quality.recall:.3f}  {quality}")
    return made


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FILE)
    parser.add_argument("--pictures", type=int, default=96, help="unseen rendered pictures")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    detector = Detector(chosen.weights.read_bytes(), threads=chosen.threads)
    print(f"unseen rendered pictures: {chosen.pictures}, seed {HELD_OUT_SEED}")
    unseen = [
        scored(detector.detect(picture), boxes) for picture, boxes in render_pictures(chosen.pictures, HELD_OUT_SEED)
    ]
    made = measurements(unseen, f"{chosen.pictures} rendered pictures, seed {HELD_OUT_SEED}, not trained on")
    clip = list(detect_clip(detector))
    truth = load_truth()
    print(f"shipped clip: {len(clip)} frames, seed {truth.seed}")
    made += measurements([frame for _, frame in clip], f"scene.mp4, seed {truth.seed}, not trained on")
    events = [Span(first_frame=event.first_frame, last_frame=event.last_frame) for event in truth.events]
    found = frames_with_found_weapon(clip)
    within = 2 * truth.frames_per_second
    print(f"  events: {noticed_events(events, found)} of {len(events)} noticed, "
          f"{noticed_events(events, found, within=within)} within {within} frames")  # fmt: skip
    quiet = [frame for _, frame in clip if not any(true.label in WEAPONS for true in frame.truth)]
    alarmed = sum(any(one.label in WEAPONS and one.score >= LEAST_SCORE for one in frame.detections) for frame in quiet)
    print(f"  frames without a weapon: {len(quiet)}, of them with a weapon reported: {alarmed}")
    print(f"  inference: median {statistics.median(detector.inference_s) * 1000:.1f} ms, {chosen.threads} threads")
    print(msgspec.json.encode(made).decode())


if __name__ == "__main__":
    main()
