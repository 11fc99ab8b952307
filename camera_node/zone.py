"""A named part of a camera's picture, drawn in fractions so that it survives a change of resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
FractionBox = tuple[float, float, float, float]
"""x1, y1, x2, y2 as fractions of the frame, 0 … 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A polygon; its corners are fractions of width and height. May be concave."""

    name: str
    polygon: tuple[Point, ...]

    def contains(self, point: Point) -> bool:
        """Whether a point lies within: even-odd rule, edges count as either side."""
        x, y = point
        is_inside = False
        previous_x, previous_y = self.polygon[-1]
        for corner_x, corner_y in self.polygon:
            if (corner_y > y) != (previous_y > y):
                crossing = corner_x + (y - corner_y) * (previous_x - corner_x) / (previous_y - corner_y)
                is_inside ^= x < crossing
            previous_x, previous_y = corner_x, corner_y
        return is_inside


def foot_of(box: FractionBox) -> Point:
    """The middle of a box's lower edge: where somebody stands. Just within the frame, if the box ends at its edge."""
    return (box[0] + box[2]) / 2, min(box[3], 0.999)


def middle_of(box: FractionBox) -> Point:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def zone_at(zones: Sequence[Zone], point: Point) -> str:
    """The name of the first zone that holds this point; empty if none does."""
    return next((zone.name for zone in zones if zone.contains(point)), "")
