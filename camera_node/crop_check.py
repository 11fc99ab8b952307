"""The second stage: one closer look at what the first stage calls a weapon, by what else it could be.

The crop around the box, with some of its surroundings, goes through a net that knows the look-alikes: phones, wallets,
umbrellas, tools, crisp packets. That net is a detector (the first stage's own, at the crop's full resolution, or another) or
an image classifier exported by Ultralytics (``task: classify``). Only a look-alike that clearly beats the weapon stops an
alert; a crop that says nothing stops none, because a miss costs more than a false alarm. Source: detector, then CNN on the
crop: 80 % fewer false alarms (MULTICAST, arXiv 2104.11653); binary classifiers against phone, bill, purse, card (ODeBiC, 2020).
"""

import enum
from collections.abc import Sequence
from typing import Final, Protocol

import cv2
import numpy as np

from camera_node.detector import Detector
from camera_node.frame import Frame, Pixels
from camera_node.onnx_classifier import OnnxClassifier
from camera_node.zone import FractionBox

LOOK_ALIKES: Final = (
    "cell phone", "phone", "smartphone", "remote", "wallet", "purse", "card", "bill", "umbrella", "hair drier", "hair dryer",
    "bottle", "book", "banana", "scissors", "toothbrush", "tool", "power drill", "crisp packet", "toy gun", "camera",
)  # fmt: skip
_SURROUNDINGS: Final = 0.75
"""Of the box's longer side, added on each side."""
_LEAST_PX: Final = 8
_LEAST_CROP_PX: Final = 160
"""A smaller crop is enlarged: nets see little in a picture of 40 pixels."""


class Verdict(enum.Enum):
    """What the closer look says."""

    CONFIRMED = "confirmed"
    LOOK_ALIKE = "look_alike"
    UNSURE = "unsure"


class CropCheck(Protocol):
    """Looks at one box of one frame."""

    def check(self, pixels: Pixels, box: FractionBox, labels: Sequence[str]) -> tuple[Verdict, str]:
        """Whether it is one of ``labels``, and what it looks like most."""


class Scales:
    """Weighs what was found for the weapon against what was found for the look-alikes. Pure."""

    def __init__(self, *, look_alikes: Sequence[str], least_confidence: float, margin: float) -> None:
        self._look_alikes = frozenset(look_alikes)
        self._least_confidence = least_confidence
        self._margin = margin

    def weigh(self, scores: dict[str, float], labels: Sequence[str]) -> tuple[Verdict, str]:
        """``scores``: the best of each label."""
        wanted = max((scores.get(label, 0.0) for label in labels), default=0.0)
        alike = max(
            (label for label in scores if label in self._look_alikes), key=lambda label: scores[label], default=""
        )
        if alike and scores[alike] >= self._least_confidence and scores[alike] >= wanted + self._margin:
            return Verdict.LOOK_ALIKE, alike
        if wanted >= self._least_confidence:
            return Verdict.CONFIRMED, max(labels, key=lambda label: scores.get(label, 0.0))
        return Verdict.UNSURE, ""


class DetectorCropCheck:
    """A detector looks at the crop."""

    def __init__(self, detector: Detector, scales: Scales) -> None:
        self._detector = detector
        self._scales = scales

    def check(self, pixels: Pixels, box: FractionBox, labels: Sequence[str]) -> tuple[Verdict, str]:
        """What it finds in the middle of the crop."""
        crop, inner = cut(pixels, box)
        frame = Frame(pixels=crop, captured_monotonic_ms=0, captured_wall_ms=0, sequence=0, clip_time_ms=0)
        scores: dict[str, float] = {}
        for found in self._detector.detect(frame):
            x1, y1, x2, y2 = (float(edge) for edge in found.bbox_xyxy_px)
            if _meets((x1, y1, x2, y2), inner):
                scores[found.label] = max(found.confidence, scores.get(found.label, 0.0))
        return self._scales.weigh(scores, labels)


class ClassifierCropCheck:
    """An image classifier looks at the crop."""

    def __init__(self, classifier: OnnxClassifier, scales: Scales) -> None:
        self._classifier = classifier
        self._scales = scales

    def check(self, pixels: Pixels, box: FractionBox, labels: Sequence[str]) -> tuple[Verdict, str]:
        """What it takes the crop for."""
        crop, _ = cut(pixels, box)
        return self._scales.weigh(self._classifier.classify(crop), labels)


def cut(pixels: Pixels, box: FractionBox) -> tuple[Pixels, tuple[float, float, float, float]]:
    """The square crop around a box, cut at the frame's edges and enlarged if small; and the box within it, in its pixels.

    *Shapes*: (H, W, 3) uint8 BGR in and out.
    """
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    half = max(x2 - x1, y2 - y1, _LEAST_PX) * (0.5 + _SURROUNDINGS)
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = int(max(0, middle_x - half)), int(max(0, middle_y - half))
    right, bottom = int(min(width, middle_x + half + 1)), int(min(height, middle_y + half + 1))
    crop = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = max(1.0, _LEAST_CROP_PX / max(1, *crop.shape[:2]))
    if scale > 1.0:
        size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    inner = ((x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale)
    return np.ascontiguousarray(crop), inner


def _meets(found: tuple[float, float, float, float], inner: tuple[float, float, float, float]) -> bool:
    """Whether a box found in the crop is the thing that was asked about: it covers its middle and is of its size."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    area = max(1.0, (inner[2] - inner[0]) * (inner[3] - inner[1]))
    found_area = (found[2] - found[0]) * (found[3] - found[1])
    return found[0] <= x <= found[2] and found[1] <= y <= found[3] and area / 6 <= found_area <= area * 6
