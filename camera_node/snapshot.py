"""The picture that follows an alert: masked, marked, small enough for a thin link."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from camera_node.frame import Frame, Pixels
from camera_node.zone import FractionBox, Point

WIDTH_PX: Final = 960
TARGET_BYTES: Final = 40_000
_QUALITIES: Final = (82, 74, 66, 58, 50, 42)
_COLOR_BGR: Final = (40, 60, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A JPEG and its size in pixels."""

    jpeg: bytes
    width_px: int
    height_px: int


def take(frame: Frame, *, box: FractionBox, caption: str, masks: Sequence[Sequence[Point]],
         target_bytes: int = TARGET_BYTES) -> Snapshot:  # fmt: skip
    """The frame as JPEG, 960 pixels wide at most, with privacy masks blacked out and the box drawn.

    Guarantees: no pixel of a mask leaves, the box's border included. The size is a target: a picture full of noise is
    made smaller, down to 480 pixels, before it is let be.
    """
    masked = mask(frame.pixels, masks)
    for width_px in (WIDTH_PX, 720, 480):
        picture = _draw(_shrink(masked, width_px), box, caption)
        for quality in _QUALITIES:
            is_done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not is_done:
                raise ValueError(f"OpenCV can't encode a picture of shape {picture.shape} as JPEG")
            if data.nbytes <= target_bytes or (width_px == 480 and quality == _QUALITIES[-1]):
                return Snapshot(jpeg=data.tobytes(), width_px=picture.shape[1], height_px=picture.shape[0])
    raise AssertionError("unreachable: the last size and quality are always taken")


def mask(pixels: Pixels, masks: Sequence[Sequence[Point]]) -> Pixels:
    """A copy with these polygons (fractions) black; the frame itself is never written to."""
    masked = pixels.copy()
    height, width = pixels.shape[:2]
    for polygon in masks:
        corners = np.array([(round(x * width), round(y * height)) for x, y in polygon], np.int32)
        cv2.fillPoly(masked, [corners], (0, 0, 0))
    return masked


def _shrink(pixels: Pixels, width_px: int) -> Pixels:
    height, width = pixels.shape[:2]
    if width <= width_px:
        return pixels.copy()
    smaller = cv2.resize(pixels, (width_px, max(1, round(height * width_px / width))), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


def _draw(pixels: Pixels, box: FractionBox, caption: str) -> Pixels:
    if box[2] <= box[0] or box[3] <= box[1]:
        return pixels
    height, width = pixels.shape[:2]
    left, top = int(box[0] * (width - 1)), int(box[1] * (height - 1))
    right, bottom = int(box[2] * (width - 1)), int(box[3] * (height - 1))
    cv2.rectangle(pixels, (left, top), (right, bottom), _COLOR_BGR, 2)
    # OpenCV's fonts have ASCII only; a name in another script is in the alert itself.
    text = caption.encode("ascii", "replace").decode()
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    x, y = max(0, min(left, width - text_width - 6)), top - 6 if top > text_height + 10 else bottom + text_height + 8
    cv2.rectangle(pixels, (x, y - text_height - 5), (x + text_width + 6, y + 5), _COLOR_BGR, -1)
    cv2.putText(pixels, text, (x + 3, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return pixels
