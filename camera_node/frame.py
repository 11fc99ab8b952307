"""A frame: pixels, and when they were captured by clocks that can be trusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of one camera. Never written to: who draws on it copies it first."""

    pixels: Pixels
    captured_monotonic_ms: int
    """CLOCK_BOOTTIME when the packet arrived, before it was decoded: comparable between processes."""
    captured_wall_ms: int
    sequence: int
    """Counts what the camera delivered, skipped frames included."""
    clip_time_ms: int
    """Place within the file or stream, by its own time stamps; 0 when it has none."""

    @property
    def width_px(self) -> int:
        """Width of the picture."""
        return int(self.pixels.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the picture."""
        return int(self.pixels.shape[0])
