"""What a whole picture says before anybody looks for things in it: light, texture, change, and whether it is the usual view.

Works on a small gray copy, about 160 pixels wide, so that it costs under a millisecond. Pure: a frame's capture time is the
clock. Feeds the motion gate, the tamper rule and the hold-off after a whole-picture change (day to night and back). It
judges nothing: the rules do.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from camera_node.frame import Pixels

_WIDTH_PX: Final = 160
_HEIGHT_PX: Final = 96
_BLOCK_PX: Final = 8
_BRIGHT: Final = 245
_CHANGED: Final = 8.0
"""Mean absolute difference of a block, of 255: above a sensor's noise at night after averaging 64 pixels."""
_JUMP_SHARE: Final = 0.6
"""Of all blocks changed from one frame to the next, brightness taken out or not: the light or the filter switched."""
_SETTLES_MS: Final = 2_000
_JUMPS_AGAIN_MS: Final = 10_000
"""A flickering lamp holds nothing off more often than this."""
_MONOCHROME: Final = 4.0
_LEARN_MS: Final = 10_000
_REFERENCE_S: Final = 60.0
_SAME: Final = 0.6

Small = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """Of one frame."""

    brightness: float
    """Mean, 0 … 255."""
    bright_share: float
    """Of pixels at the upper end."""
    is_monochrome: bool
    """No color anywhere: infrared light, or a gray camera."""
    texture: float
    """Mean gradient; a covered lens has hardly any."""
    usual_texture: float
    """Of the learned view; 0 until it is learned."""
    likeness: float
    """Correlation of the gradients with the learned view's, -1 … 1: lamps and weather hardly change it, turning the camera does."""
    motion: float
    """Share of blocks that changed since the last frame, changes of the whole picture's brightness taken out."""
    is_settling: bool
    """The whole picture changed within the last 2 s: what seems new in it may not be."""
    is_learned: bool
    """The usual view is known: 10 s of it were seen."""


class View:
    """One camera's usual view, learned slowly."""

    def __init__(self) -> None:
        self._last: Small | None = None
        self._last_ms = 0
        self._usual: Small | None = None
        self._learned_ms = 0
        self._jumped_ms: int | None = None
        self._was_monochrome: bool | None = None

    def measure(self, pixels: Pixels, now_ms: int) -> ViewFacts:
        """Take one frame, (H, W, 3) uint8 BGR, in the order of capture times."""
        thin = _thin(pixels)
        gray = _small_gray(thin)
        is_monochrome = _color(thin) < _MONOCHROME
        gradient = _gradient(gray)
        step_ms = max(0, now_ms - self._last_ms)
        changed, motion = self._changes(gray)
        has_switched = self._was_monochrome is not None and is_monochrome != self._was_monochrome
        is_calm = self._jumped_ms is None or now_ms - self._jumped_ms >= _JUMPS_AGAIN_MS
        if (changed >= _JUMP_SHARE or has_switched) and is_calm:
            self._jumped_ms = now_ms
        likeness = 0.0 if self._usual is None else _correlation(gradient, self._usual)
        texture = float(gradient.mean())
        usual_texture = 0.0 if self._usual is None else float(self._usual.mean())
        self._learn(gradient, likeness, step_ms)
        self._last, self._last_ms, self._was_monochrome = gray, now_ms, is_monochrome
        return ViewFacts(
            brightness=float(gray.mean()), bright_share=float((gray >= _BRIGHT).mean()), is_monochrome=is_monochrome,
            texture=texture, usual_texture=usual_texture, likeness=likeness, motion=motion,
            is_settling=self._jumped_ms is not None and now_ms - self._jumped_ms < _SETTLES_MS,
            is_learned=self._learned_ms >= _LEARN_MS,
        )  # fmt: skip

    def restart(self) -> None:
        """The stream was opened anew: the next frame follows none. What was learned stays: it is the same camera."""
        self._last = None

    def forget(self) -> None:
        """The camera looks elsewhere for good: learn that view."""
        self._usual, self._learned_ms = None, 0

    def _changes(self, gray: Small) -> tuple[float, float]:
        """Share of blocks that changed, as they are and with the whole picture's change of brightness taken out."""
        if self._last is None:
            return 0.0, 1.0
        difference = gray - self._last
        # Every second pixel each way has the same median, within a gray value.
        return _share_changed(difference), _share_changed(difference - np.median(difference[::2, ::2]))

    def _learn(self, gradient: Small, likeness: float, step_ms: int) -> None:
        """The usual view follows what is seen, with a time constant of a minute; what is unlike it is not learned."""
        if self._usual is None:
            self._usual, self._learned_ms = gradient, 0
            return
        is_learning = self._learned_ms < _LEARN_MS
        if not is_learning and likeness < _SAME:
            return
        seconds = min(step_ms, 1_000) / 1000
        rate = min(1.0, seconds / (2.0 if is_learning else _REFERENCE_S))
        self._usual = self._usual + (gradient - self._usual) * np.float32(rate)
        self._learned_ms = min(_LEARN_MS, self._learned_ms + min(step_ms, 1_000))


def _thin(pixels: Pixels) -> Pixels:
    """Four or sixteen pixels for each of the small copy, picked and not averaged: a 4K picture costs no more than a small one."""
    times = 4 if pixels.shape[1] >= 4 * _WIDTH_PX else 2
    size = (times * _WIDTH_PX, times * _HEIGHT_PX)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _small_gray(thin: Pixels) -> Small:
    """160 by 96 gray values, each the mean of its block."""
    gray = cv2.cvtColor(thin, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(gray, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA), np.float32)


def _color(thin: Pixels) -> float:
    """How far the three channels are apart, 0 … 255; of blocks' means, because a single pixel's noise has colors at night, too."""
    blue, green, red = cv2.split(cv2.resize(thin, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA))
    spread = cv2.subtract(cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red))
    return float(cv2.mean(spread)[0])


def _gradient(gray: Small) -> Small:
    smooth = cv2.GaussianBlur(gray, (5, 5), 0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _share_changed(difference: Small) -> float:
    """Of blocks whose mean absolute difference is more than noise."""
    blocks = cv2.resize(
        np.abs(difference), (_WIDTH_PX // _BLOCK_PX, _HEIGHT_PX // _BLOCK_PX), interpolation=cv2.INTER_AREA
    )
    return float((blocks > _CHANGED).mean())


def _correlation(first: Small, second: Small) -> float:
    """Pearson's, of two pictures of one size; 0 where one of them is flat."""
    one, other = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum() / scale) if scale > 1e-6 else 0.0
