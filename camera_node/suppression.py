"""Learned suppressions: what a person called a false alarm, at this place of this camera and looking like that, is not told again.

A suppression never hides a kind of thing, nor a place: both the place and the look of it must be the same (a holder for
umbrellas, a poster), it comes from the command center as a signed instruction of a named person, and it ends by itself. What
it holds back is counted and reported. Known misses: a weapon laid exactly over the suppressed thing and looking just like it.

The look is 24 by 24 gray values of the box with a little around it, light taken out: enough to know the same thing again at the
same place, useless to know a person by.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from camera_node.frame import Pixels
from camera_node.zone import FractionBox

EDGE_PX: Final = 24
LOOK_BYTES: Final = EDGE_PX * EDGE_PX
_AROUND: Final = 0.15
_SAME_PLACE: Final = 0.4
_SAME_LOOK: Final = 0.8
_FLAT: Final = 3.0
"""Gray values that hardly differ say nothing: such a look is like no other."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """One, as the eye is told."""

    id: str
    label: str
    box_xyxy: tuple[Share, Share, Share, Share]
    look: Annotated[bytes, msgspec.Meta(min_length=LOOK_BYTES, max_length=LOOK_BYTES)]


def look_of(pixels: Pixels, box: FractionBox) -> bytes:
    """The look of a box of a frame, ``LOOK_BYTES`` gray values row by row."""
    height, width = pixels.shape[:2]
    wide, high = (box[2] - box[0]) * _AROUND, (box[3] - box[1]) * _AROUND
    left, top = int(max(0.0, box[0] - wide) * width), int(max(0.0, box[1] - high) * height)
    right, bottom = int(min(1.0, box[2] + wide) * width), int(min(1.0, box[3] + high) * height)
    crop = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
    gray = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(gray, (EDGE_PX, EDGE_PX), interpolation=cv2.INTER_AREA), np.uint8).tobytes()


class Suppressions:
    """Those in force on one camera. Asked on the eye's loop; replaced as a whole by the node."""

    def __init__(self, known: Sequence[Suppression] = ()) -> None:
        self._known = tuple(known)
        self.held_back: dict[str, int] = {}
        """How often each one did, by its id."""

    def replace(self, known: Sequence[Suppression]) -> None:
        """From now on these are in force."""
        self._known = tuple(known)

    def hides(self, label: str, box: FractionBox, pixels: Pixels) -> bool:
        """Whether one of them is about this: same label, same place, same look."""
        for one in self._known:
            if one.label != label or _overlap(one.box_xyxy, box) < _SAME_PLACE:
                continue
            # Looked at in its own box and not in the detector's, which jitters: a camera stands still.
            if _likeness(_values(look_of(pixels, one.box_xyxy)), _values(one.look)) >= _SAME_LOOK:
                self.held_back[one.id] = self.held_back.get(one.id, 0) + 1
                return True
        return False


def _values(look: bytes) -> NDArray[np.float64]:
    return np.frombuffer(look, np.uint8).astype(np.float64)


def _likeness(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pearson's correlation; 0 where one of the two is flat."""
    if first.std() < _FLAT or second.std() < _FLAT:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _overlap(first: FractionBox, second: FractionBox) -> float:
    """Intersection over union."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / max(1e-12, areas - shared)
