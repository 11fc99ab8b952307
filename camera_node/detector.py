"""The seam between a picture and what is in it: every detector is this Protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from camera_node.frame import Frame

Box = NDArray[np.float32]
"""(4,) float32: x1, y1, x2, y2 in pixels of the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing on one frame."""

    label: str
    confidence: float
    bbox_xyxy_px: Box


class Detector(Protocol):
    """Finds things. Not thread-safe: one detector belongs to one thread."""

    @property
    def labels(self) -> Sequence[str]:
        """Every label that it may give."""

    @property
    def provider(self) -> str:
        """What it runs on, for people: ``CPU``, ``CUDA``, ``Tensorrt``; ``CPU, not CUDA`` where a better one did not start."""

    def detect(self, frame: Frame) -> list[Detection]:
        """What is on this frame, boxes within it, best first."""

    def close(self) -> None:
        """Give its memory back."""
