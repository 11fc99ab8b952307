"""Black and frozen pictures are faults of the camera, and not "nothing there". Pure: ``now_ms`` is an argument.

A camera whose encoder hangs repeats its last frame for as long as it is asked (Viseron#1164); Ultralytics' loader hands
out black frames for a dead one. Both look like a quiet scene to a detector.
"""

import zlib

import numpy as np

from camera_node.errors import StreamFault
from camera_node.frame import Pixels

_STEP = 8
"""Every 8th pixel each way: 1/64 of the work; 0.2 ms for 1080p."""


class PictureCheck:
    """Watches the frames of one camera."""

    def __init__(self, *, black_after_s: float, frozen_after_s: float) -> None:
        self._black_after_ms = round(black_after_s * 1000)
        self._frozen_after_ms = round(frozen_after_s * 1000)
        self._black_since_ms: int | None = None
        self._same_since_ms: int | None = None
        self._digest = -1

    def judge(self, pixels: Pixels, now_ms: int) -> StreamFault | None:
        """What is wrong with the picture, as far as the frames until now say.

        BLACK: mean under 10 of 255 and hardly any contrast (a lit window at night has contrast) for ``black_after_s``.
        FROZEN: not one sampled pixel changed for ``frozen_after_s``; sensors have noise, so a live picture changes.
        """
        sample = np.ascontiguousarray(pixels[::_STEP, ::_STEP])
        is_black = float(sample.mean()) < 10.0 and float(sample.std()) < 4.0
        self._black_since_ms = (now_ms if self._black_since_ms is None else self._black_since_ms) if is_black else None
        digest = zlib.crc32(sample.tobytes())
        if digest != self._digest:
            self._digest = digest
            self._same_since_ms = now_ms
        if self._black_since_ms is not None and now_ms - self._black_since_ms >= self._black_after_ms:
            return StreamFault.BLACK
        if self._same_since_ms is not None and now_ms - self._same_since_ms >= self._frozen_after_ms:
            return StreamFault.FROZEN
        return None

    def restart(self) -> None:
        """The stream was opened anew: what was seen before says nothing."""
        self._black_since_ms = self._same_since_ms = None
        self._digest = -1
