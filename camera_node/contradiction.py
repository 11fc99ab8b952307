"""After an alert: do later frames contradict it? If they do, it is to be taken back.

Followed for 20 s after a weapon was told, as long as its track lives. Two grounds. *Contradicted*: on most of the frames on
which the place is seen, the detector itself now gives a look-alike there and no weapon. *Second stage*: the crop check says
look-alike three times running, and never "confirmed" since the alert. That the weapon is out of sight is no ground: it
may be in a pocket. That the camera was covered is none either: who is armed covers cameras. So a retraction says that
something else was seen, not that nothing was. What is taken back is told anew if it is found again.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from camera_node.crop_check import LOOK_ALIKES, Verdict
from camera_node.detector import Detection
from camera_node.rules.class_of_interest import WEAPON_LABELS
from camera_node.rules.scene import Finding, Scene
from camera_node.second_look import SecondLook
from camera_node.zone import FractionBox, middle_of
from relay.kinds.alert import Rule as RuleCode
from relay.kinds.retraction import Ground

_WATCHED_MS: Final = 20_000
_FRAMES: Final = 12
_MOST: Final = 9
"""Of the last 12 frames on which something was seen there."""
_CHECKS: Final = 3
_CHECK_EVERY_MS: Final = 700
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """An alert that is to be taken back."""

    number: int
    """The caller's number of the finding."""
    track: int
    ground: Ground
    note: str


@dataclass(slots=True)
class _Watched:
    number: int
    finding: Finding
    told_ms: int
    place: FractionBox
    seen_as: deque[str] = field(default_factory=lambda: deque(maxlen=_FRAMES))
    checked_ms: int = 0
    alike: int = 0
    is_confirmed: bool = False


class Contradictions:
    """What was told lately on one camera."""

    def __init__(self, second_look: SecondLook, *, look_alikes: Iterable[str] = LOOK_ALIKES) -> None:
        self._second_look = second_look
        self._look_alikes = frozenset(look_alikes)
        self._watched: list[_Watched] = []

    def told(self, number: int, finding: Finding, now_ms: int) -> None:
        """An alert was raised for this finding."""
        if finding.rule is not RuleCode.CLASS_OF_INTEREST or finding.label not in WEAPON_LABELS:
            return
        self._watched.append(_Watched(number=number, finding=finding, told_ms=now_ms, place=finding.box_xyxy,
                                      checked_ms=now_ms))  # fmt: skip
        del self._watched[:-_AT_ONCE]

    def look(self, detections: Sequence[Detection], scene: Scene) -> list[Contradiction]:
        """What this frame, with those before, contradicts. Each alert is taken back once at most."""
        self._watched = [one for one in self._watched if scene.now_ms - one.told_ms <= _WATCHED_MS]
        found: list[Contradiction] = []
        for one in list(self._watched):
            contradiction = self._judge(one, detections, scene)
            if contradiction is not None:
                self._watched.remove(one)
                found.append(contradiction)
        return found

    def _judge(self, one: _Watched, detections: Sequence[Detection], scene: Scene) -> Contradiction | None:
        track = next((t for t in scene.tracks if t.number == one.finding.track), None)
        if track is not None:
            one.place = scene.box(track)
        self._note_seen(one, detections, scene)
        others = [label for label in one.seen_as if label in self._look_alikes]
        is_all_else = len(others) >= _MOST and not any(label in WEAPON_LABELS for label in one.seen_as)
        if is_all_else and not one.is_confirmed:
            most = max(set(others), key=others.count)
            return Contradiction(number=one.number, track=one.finding.track, ground=Ground.CONTRADICTED,
                                 note=f"seen as {most} on {len(others)} of {len(one.seen_as)} later frames")  # fmt: skip
        if self._second_look.has_check and track is not None and track.is_seen:
            return self._check(one, scene)
        return None

    def _note_seen(self, one: _Watched, detections: Sequence[Detection], scene: Scene) -> None:
        """The surest label whose box covers the place's middle; nothing is noted where nothing is seen."""
        x, y = middle_of(one.place)
        x, y = x * scene.width_px, y * scene.height_px
        area = max(
            1.0, (one.place[2] - one.place[0]) * (one.place[3] - one.place[1]) * scene.width_px * scene.height_px
        )
        there = [d for d in detections if d.label in self._look_alikes or d.label in WEAPON_LABELS]
        there = [d for d in there if _holds(d, x, y, area)]
        if there:
            one.seen_as.append(max(there, key=lambda d: d.confidence).label)

    def _check(self, one: _Watched, scene: Scene) -> Contradiction | None:
        if scene.now_ms - one.checked_ms < _CHECK_EVERY_MS:
            return None
        one.checked_ms = scene.now_ms
        current = Finding(rule=one.finding.rule, label=one.finding.label, zone=one.finding.zone,
                          precedence=one.finding.precedence, confidence=one.finding.confidence, box_xyxy=one.place,
                          track=one.finding.track)  # fmt: skip
        verdict = self._second_look.verdict(current, scene)
        one.is_confirmed |= verdict is Verdict.CONFIRMED
        one.alike = one.alike + 1 if verdict is Verdict.LOOK_ALIKE else 0
        if one.alike < _CHECKS or one.is_confirmed:
            return None
        return Contradiction(number=one.number, track=one.finding.track, ground=Ground.SECOND_STAGE,
                             note=f"{one.alike} closer looks in a row say that it is no weapon")  # fmt: skip


def _holds(detection: Detection, x: float, y: float, area: float) -> bool:
    x1, y1, x2, y2 = (float(edge) for edge in detection.bbox_xyxy_px)
    return x1 <= x <= x2 and y1 <= y <= y2 and area / 6 <= (x2 - x1) * (y2 - y1) <= area * 6
