"""How well detections agree with the truth: precision, recall, and which events were noticed at all.

Plain arithmetic on boxes, for model cards, for the demonstration's own figures and for comparing a new model with the
one in use. It runs no model and reads no pictures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BboxXyxyPx = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One box that a model drew."""

    label: str
    score: float
    bbox_xyxy_px: BboxXyxyPx


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueBox:
    """One box that should have been drawn."""

    label: str
    bbox_xyxy_px: BboxXyxyPx


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFrame:
    """One picture's detections beside its truth."""

    detections: tuple[Detection, ...]
    truth: tuple[TrueBox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Counts over some frames, for one label."""

    found: int
    missed: int
    false_alarms: int

    @property
    def precision(self) -> float:
        """The share of detections that were right; 1 when there were none, for then none was wrong."""
        drawn = self.found + self.false_alarms
        return self.found / drawn if drawn else 1.0

    @property
    def recall(self) -> float:
        """The share of true boxes that were found; 1 when there was nothing to find."""
        real = self.found + self.missed
        return self.found / real if real else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Frames from first to last, both included, in which something is to be noticed."""

    first_frame: int
    last_frame: int


def overlap(one: BboxXyxyPx, other: BboxXyxyPx) -> float:
    """Intersection over union; 0 for boxes that don't meet or have no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / (areas - shared)


def score_label(frames: Iterable[ScoredFrame], label: str, *, least_score: float, least_overlap: float) -> Quality:
    """Counts one label. Each true box is found at most once, by the most confident detection that fits it.

    *Source*: the matching of PASCAL VOC (Everingham and others, 2010, section 4.2), at one score.
    """
    found = missed = false_alarms = 0
    for frame in frames:
        left = [true.bbox_xyxy_px for true in frame.truth if true.label == label]
        drawn = [one for one in frame.detections if one.label == label and one.score >= least_score]
        for detection in sorted(drawn, key=lambda one: -one.score):
            best = max(left, key=lambda true: overlap(true, detection.bbox_xyxy_px), default=None)
            if best is not None and overlap(best, detection.bbox_xyxy_px) >= least_overlap:
                left.remove(best)
                found += 1
            else:
                false_alarms += 1
        missed += len(left)
    return Quality(found=found, missed=missed, false_alarms=false_alarms)


def noticed_events(events: Sequence[Span], frames_with_alarm: Iterable[int], *, within: int | None = None) -> int:
    """How many events have an alarm during them, or during their first `within` frames."""
    alarms = frozenset(frames_with_alarm)
    noticed = 0
    for event in events:
        last = event.last_frame if within is None else min(event.last_frame, event.first_frame + within - 1)
        noticed += any(frame in alarms for frame in range(event.first_frame, last + 1))
    return noticed
