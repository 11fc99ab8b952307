"""What a rule looks at, what it finds, and the seams between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from camera_node.frame import Pixels
from camera_node.tracker import Track
from camera_node.view import ViewFacts
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
    view: ViewFacts | None = None
    """What the whole picture says; None where nobody measured it."""
    pixels: Pixels | None = None
    """The frame itself, for a closer look; never written to."""

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


class Gate(Protocol):
    """Looks at a finding once more before it becomes an alert: a crop check, learned suppressions."""

    def admits(self, finding: Finding, scene: Scene) -> bool:
        """Whether it may be told. Asked again on later frames for as long as the rule still finds it."""


class OpenGate:
    """Lets everything through."""

    def admits(self, finding: Finding, scene: Scene) -> bool:
        """Always."""
        return True


OPEN_GATE: Gate = OpenGate()


class Rule(Protocol):
    """Judges one camera's scenes, frame by frame."""

    def look(self, scene: Scene) -> list[Finding]:
        """What is new on this frame. Called for every processed frame, also for those with nothing on them."""

    def forget(self, track: int) -> None:
        """An alert on this track was taken back: should it be found again, it is to be told again."""
