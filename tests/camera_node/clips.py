"""Makes small clips with PyAV."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Painter = Callable[[int], NDArray[np.uint8]]


def moving(width_px: int = 160, height_px: int = 120) -> Painter:
    """A bright square that goes through a noisy picture."""
    chance = np.random.default_rng(7)

    def paint(number: int) -> NDArray[np.uint8]:
        picture = chance.integers(60, 120, (height_px, width_px, 3), dtype=np.uint8)
        left = number * 3 % (width_px - 30)
        picture[40:80, left : left + 30] = 230
        return picture

    return paint


def still(level: int, width_px: int = 160, height_px: int = 120) -> Painter:
    """The same picture for ever; level 0 is black."""
    picture = np.full((height_px, width_px, 3), level, np.uint8)
    if level:
        picture[20:60, 20:60] = 255 - level
    return lambda _: picture


def write_clip(file: Path, painter: Painter, *, frames: int = 50, rate: int = 25) -> Path:
    """An MPEG-4 clip of what the painter gives."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        first = painter(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(painter(number) if number else first, format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file
