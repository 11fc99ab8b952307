"""One camera's way from a frame to what must be told: the view, detect, track, judge, look again. No clock, no I/O of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from camera_node.contradiction import Contradiction, Contradictions
from camera_node.detector import Box, Detection, Detector
from camera_node.frame import Frame
from camera_node.motion_gate import MotionGate, MotionGateSettings
from camera_node.rules.catalog import RuleSettings, build
from camera_node.rules.class_of_interest import WEAPON_LABELS, kind_of
from camera_node.rules.scene import Finding, Scene
from camera_node.second_look import SecondLook
from camera_node.tracker import Track, Tracker
from camera_node.view import View, ViewFacts
from camera_node.zone import Zone

_SAME_THING: Final = 0.6
_MEASURED_EVERY_MS: Final = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one frame gave."""

    detections: Sequence[Detection] = ()
    tracks: Sequence[Track] = ()
    findings: Sequence[Finding] = ()
    contradictions: Sequence[Contradiction] = ()
    was_detected: bool = True
    """False: nothing moved and nothing was followed, so the detector was not asked."""


class Sight:
    """The state between frames."""

    def __init__(
        self, detector: Detector, *, rules: Sequence[RuleSettings], zones: Sequence[Zone],
        second_look: SecondLook | None = None, motion_gate: MotionGateSettings | None = None,
    ) -> None:  # fmt: skip
        self._detector = detector
        self._tracker = Tracker(kind_of=kind_of)
        self.second_look = second_look or SecondLook()
        self._rules = [build(settings, zones, self.second_look) for settings in rules]
        self._view = View()
        self._gate = MotionGate(motion_gate) if motion_gate is not None else None
        self._contradictions = Contradictions(self.second_look)
        self._facts: ViewFacts | None = None
        self._measured_ms = 0
        self._is_following = False
        self._told = 0
        self.held_off = 0
        """Boxes left out because the whole picture had just changed."""

    @property
    def skipped(self) -> int:
        """Frames that the motion gate kept from the detector."""
        return self._gate.skipped if self._gate is not None else 0

    def restart(self) -> None:
        """The stream was opened anew."""
        self._view.restart()

    def _measured(self, frame: Frame) -> ViewFacts:
        """The view as of this frame: measured anew for the motion gate, else five times a second, which is enough to judge it."""
        now_ms = frame.captured_monotonic_ms
        if self._gate is not None or self._facts is None or now_ms - self._measured_ms >= _MEASURED_EVERY_MS:
            self._facts, self._measured_ms = self._view.measure(frame.pixels, now_ms), now_ms
        return self._facts

    def look(self, frame: Frame) -> Look:
        """Process a frame; frames must come in the order of their capture times.

        Findings are numbered from 1 as they come out, and contradictions name them by that number.
        """
        now_ms = frame.captured_monotonic_ms
        view = self._measured(frame)
        is_open = self._gate is None or self._gate.opens(view, now_ms, is_following=self._is_following)
        detections = one_each(self._detector.detect(frame)) if is_open else []
        if view.is_settling:
            # Day to night makes things out of nothing; a weapon is looked at all the same, and its N of M must hold.
            kept = [d for d in detections if d.label in WEAPON_LABELS]
            self.held_off += len(detections) - len(kept)
            detections = kept
        tracks = self._tracker.update(detections, now_ms, frame_size_px=(frame.width_px, frame.height_px))
        self._is_following = bool(tracks)
        scene = Scene(now_ms=now_ms, width_px=frame.width_px, height_px=frame.height_px, view=view, pixels=frame.pixels,
                      tracks=[track for track in tracks if track.is_confirmed])  # fmt: skip
        findings = [finding for rule in self._rules for finding in rule.look(scene)]
        contradictions = self._contradictions.look(detections, scene)
        for finding in findings:
            self._told += 1
            self._contradictions.told(self._told, finding, now_ms)
        for contradiction in contradictions:
            for rule in self._rules:
                rule.forget(contradiction.track)
        return Look(detections=detections, tracks=tracks, findings=findings, contradictions=contradictions,
                    was_detected=is_open)  # fmt: skip


def one_each(detections: Sequence[Detection]) -> list[Detection]:
    """The same without a thing's second name: a detector that wavers gives handgun *and* rifle for one object.

    Of two boxes of one kind of which one covers most of the other, the surer one is kept. ``detections`` are best first.
    """
    kept: list[Detection] = []
    for candidate in detections:
        if not any(
            other.label != candidate.label and kind_of(other.label) == kind_of(candidate.label)
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
