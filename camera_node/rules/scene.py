"""What a rule looks at, what it finds, and the seam between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from camera_node.tracker import Track
from camera_node.zone import FractionBox
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The tracks of one frame."""

    now_ms: int
    """Monotonic capture time of the frame."""
    width_px: int
    height_px: int
    tracks: Sequence[Track]

    def box(self, track: Track) -> FractionBox:
        """A track's box in fractions, cut at the frame's edges."""
        x1, y1, x2, y2 = track.bbox_xyxy_px
        return (
            _cut(x1 / self.width_px),
            _cut(y1 / self.height_px),
            _cut(x2 / self.width_px),
            _cut(y2 / self.height_px),
        )


def _cut(value: float) -> float:
    return min(1.0, max(0.0, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person must be told."""

    rule: RuleCode
    label: str
    zone: str
    precedence: Precedence
    confidence: float
    box_xyxy: FractionBox
    track: int


class Rule(Protocol):
    """Judges one camera's scenes, frame by frame."""

    def look(self, scene: Scene) -> list[Finding]:
        """What is new on this frame. Called for every processed frame, also for those with nothing on them."""
