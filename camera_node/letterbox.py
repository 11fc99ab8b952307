"""Fitting a frame into a detector's input without changing its proportions, and boxes back."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from camera_node.frame import Pixels

_PAD = 114
"""The gray that YOLO is trained with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a frame lies in the input."""

    scale: float
    left_px: int
    top_px: int
    frame_width_px: int
    frame_height_px: int

    def to_frame(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (N, 4) from input pixels to frame pixels, cut at its edges."""
        shift = np.array([self.left_px, self.top_px, self.left_px, self.top_px], np.float32)
        limit = np.array([self.frame_width_px, self.frame_height_px] * 2, np.float32)
        fitted: NDArray[np.float32] = np.clip((boxes_xyxy - shift) / np.float32(self.scale), 0, limit).astype(
            np.float32
        )
        return fitted


def letterbox(pixels: Pixels, width_px: int, height_px: int, *, is_centered: bool) -> tuple[Pixels, Fit]:
    """The frame scaled into (height_px, width_px, 3), padded with gray; at the middle or at the top left."""
    frame_height, frame_width = pixels.shape[:2]
    scale = min(width_px / frame_width, height_px / frame_height)
    inner_width, inner_height = max(1, round(frame_width * scale)), max(1, round(frame_height * scale))
    left = round((width_px - inner_width) / 2 - 0.1) if is_centered else 0
    top = round((height_px - inner_height) / 2 - 0.1) if is_centered else 0
    canvas: Pixels = np.full((height_px, width_px, 3), _PAD, np.uint8)
    inner = canvas[top : top + inner_height, left : left + inner_width]
    if (inner_width, inner_height) == (frame_width, frame_height):
        inner[:] = pixels
    else:
        cv2.resize(pixels, (inner_width, inner_height), dst=inner, interpolation=cv2.INTER_LINEAR)
    return canvas, Fit(scale=scale, left_px=left, top_px=top, frame_width_px=frame_width, frame_height_px=frame_height)
