"""What the numbers that come out of a YOLO mean: three kinds of head, decoded into boxes, scores and classes.

========= ================ ==========================================================================
head      output           meaning
========= ================ ==========================================================================
ANCHOR_FREE (1, 4+C, N)    YOLOv8 … 11: center and size in input pixels, class scores; needs NMS
END_TO_END  (1, N, 6)      YOLOv10, 26: x1 y1 x2 y2 score class, already without duplicates
GRID        (1, N, 5+C)    YOLOX: raw offsets on a grid, objectness, class scores; needs decoding and NMS
========= ================ ==========================================================================

Pure numpy, no per-box Python loop except over what survives suppression.
"""

import enum
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from camera_node.errors import ModelRefused

Floats = NDArray[np.float32]
STRIDES = (8, 16, 32)
_MAX_CANDIDATES = 1000
"""Best boxes that go into suppression; a frame with more above the threshold is not a frame of this world."""


class Head(enum.Enum):
    """The kinds of output that are understood."""

    ANCHOR_FREE = "anchor_free"
    END_TO_END = "end_to_end"
    GRID = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """N boxes in input pixels, best first. Shapes (N, 4), (N,), (N,)."""

    xyxy: Floats
    scores: Floats
    classes: NDArray[np.intp]


def cells(width_px: int, height_px: int) -> int:
    """How many places a net with strides 8, 16, 32 looks at."""
    return sum((width_px // stride) * (height_px // stride) for stride in STRIDES)


def recognize(shape: tuple[int, int], label_count: int | None, *, width_px: int, height_px: int,
              is_end_to_end: bool) -> tuple[Head, int]:  # fmt: skip
    """Which head has this output shape (without the batch), and how many classes it has.

    Raises:
        ModelRefused: none that we know.
    """
    rows, columns = shape
    count = cells(width_px, height_px)
    if columns == 6 and (is_end_to_end or rows != count):
        return Head.END_TO_END, label_count or 80
    if label_count is not None:
        if rows == 4 + label_count:
            return Head.ANCHOR_FREE, label_count
        if columns == 5 + label_count:
            return Head.GRID, label_count
    elif columns == count and rows > 4:
        return Head.ANCHOR_FREE, rows - 4
    elif rows == count and columns > 5:
        return Head.GRID, columns - 5
    named = f"{label_count} class names" if label_count is not None else "no class names"
    raise ModelRefused(
        f"expected the output of a YOLO detector, (1, 4 + classes, N), (1, N, 6) or (1, N, 5 + classes), found "
        f"(1, {rows}, {columns}) and {named}: export it with task=detect, or give the right class names"
    )


def decode(head: Head, output: Floats, *, least_score: float, width_px: int, height_px: int) -> Boxes:
    """Boxes with at least this score; ``output`` without the batch axis. Not suppressed yet."""
    if head is Head.END_TO_END:
        chosen = output[output[:, 4] >= least_score]
        return _sorted(chosen[:, :4], chosen[:, 4], chosen[:, 5].astype(np.intp))
    if head is Head.ANCHOR_FREE:
        # Which class it is takes ten times as long as how sure it is, and is asked only of what is sure enough.
        keep = np.flatnonzero(output[4:].max(axis=0) >= least_score)
        scores = output[4:, keep]
        return _sorted(_corners(output[:4, keep].T), scores.max(axis=0), scores.argmax(axis=0))
    keep = np.flatnonzero(output[:, 4] * output[:, 5:].max(axis=1) >= least_score)
    sure = output[keep]
    classes = sure[:, 5:].argmax(axis=1)
    scores = sure[:, 4] * sure[np.arange(len(sure)), 5 + classes]
    grid, stride = _grid(width_px, height_px)
    grid, stride = grid[keep], stride[keep]
    raw = sure[:, :4]
    centered = np.concatenate(((raw[:, :2] + grid) * stride, np.exp(np.minimum(raw[:, 2:4], 20)) * stride), axis=1)
    return _sorted(_corners(centered), scores, classes)


def suppress(boxes: Boxes, *, overlap: float) -> Boxes:
    """Greedy non-maximum suppression within each class; ``boxes`` are best first."""
    if len(boxes.scores) < 2:
        return boxes
    # Moving each class to a place of its own makes one pass do for all of them.
    span = float(boxes.xyxy.max()) + 1.0
    corners = boxes.xyxy + (boxes.classes[:, None] * span).astype(np.float32)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    waiting = np.arange(len(corners))
    kept: list[int] = []
    while len(waiting):
        best, rest = int(waiting[0]), waiting[1:]
        kept.append(best)
        low = np.maximum(corners[best, :2], corners[rest, :2])
        high = np.minimum(corners[best, 2:], corners[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        waiting = rest[shared <= overlap * (areas[best] + areas[rest] - shared)]
    chosen = np.array(kept, np.intp)
    return Boxes(xyxy=boxes.xyxy[chosen], scores=boxes.scores[chosen], classes=boxes.classes[chosen])


def _corners(centered: Floats) -> Floats:
    half = centered[:, 2:4] / 2
    corners: Floats = np.concatenate((centered[:, :2] - half, centered[:, :2] + half), axis=1)
    return corners


def _sorted(xyxy: Floats, scores: Floats, classes: NDArray[np.intp]) -> Boxes:
    finite = np.isfinite(xyxy).all(axis=1) & np.isfinite(scores)
    xyxy, scores, classes = xyxy[finite], scores[finite], classes[finite]
    order = np.argsort(-scores, kind="stable")[:_MAX_CANDIDATES]
    return Boxes(xyxy=xyxy[order].astype(np.float32), scores=scores[order], classes=classes[order])


@functools.lru_cache(maxsize=4)
def _grid(width_px: int, height_px: int) -> tuple[Floats, Floats]:
    """Cell corners (N, 2) and strides (N, 1), in YOLOX's order."""
    corners: list[Floats] = []
    strides: list[Floats] = []
    for stride in STRIDES:
        columns, rows = width_px // stride, height_px // stride
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        corners.append(np.stack((x, y), 2).reshape(-1, 2).astype(np.float32))
        strides.append(np.full((columns * rows, 1), stride, np.float32))
    return np.concatenate(corners), np.concatenate(strides)
