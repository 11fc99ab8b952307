"""One camera's way from a frame to what must be told: detect, track, judge. No clock, no I/O of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from camera_node.detector import Box, Detection, Detector
from camera_node.frame import Frame
from camera_node.rules.catalog import RuleSettings, build
from camera_node.rules.class_of_interest import kind_of
from camera_node.rules.scene import Finding, Scene
from camera_node.tracker import Track, Tracker
from camera_node.zone import Zone

_SAME_THING: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one frame gave."""

    detections: Sequence[Detection]
    tracks: Sequence[Track]
    findings: Sequence[Finding]


class Sight:
    """The state between frames."""

    def __init__(self, detector: Detector, *, rules: Sequence[RuleSettings], zones: Sequence[Zone]) -> None:
        self._detector = detector
        self._tracker = Tracker(kind_of=kind_of)
        self._rules = [build(settings, zones) for settings in rules]

    def look(self, frame: Frame) -> Look:
        """Process a frame; frames must come in the order of their capture times."""
        detections = one_each(self._detector.detect(frame))
        tracks = self._tracker.update(detections, frame.captured_monotonic_ms,
                                      frame_size_px=(frame.width_px, frame.height_px))  # fmt: skip
        scene = Scene(now_ms=frame.captured_monotonic_ms, width_px=frame.width_px, height_px=frame.height_px,
                      tracks=[track for track in tracks if track.is_confirmed])  # fmt: skip
        return Look(detections=detections, tracks=tracks,
                    findings=[finding for rule in self._rules for finding in rule.look(scene)])  # fmt: skip


def one_each(detections: Sequence[Detection]) -> list[Detection]:
    """The same without a thing's second name: a detector that wavers gives handgun *and* rifle for one object.

    Of two boxes of one kind of which one covers most of the other, the surer one is kept. ``detections`` are best first.
    """
    kept: list[Detection] = []
    for candidate in detections:
        if not any(
            kind_of(other.label) == kind_of(candidate.label) and other.label != candidate.label
            and _share_covered(other.bbox_xyxy_px, candidate.bbox_xyxy_px) > _SAME_THING
            for other in kept
        ):  # fmt: skip
            kept.append(candidate)
    return kept


def _share_covered(first: Box, second: Box) -> float:
    """Intersection over the smaller of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(width * height / max(1e-9, min(areas)))
