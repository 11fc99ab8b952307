"""More people in a zone than there should be, for as long as it takes to be sure.

On six of ten frames over ``for_s``, and now: one bad frame neither makes a crowd nor breaks one up. Known false alarms: a group
that passes through, if ``for_s`` is short; a queue at a door; mirrors and posters. Known misses: people who hide each other
are one box, so that a dense crowd is counted low: set ``least_count`` by what the camera really counts there.
"""

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from camera_node.rules.class_of_interest import PrecedenceName, Share
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.tracker import Track
from camera_node.zone import FractionBox, Zone, foot_of
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence

LABEL: Final = "crowd"
_SHARE: Final = 0.6
"""Of the frames over ``for_s``, which must show a crowd."""
_DISSOLVED: Final = 0.75
"""Of ``least_count``: below this the crowd is over, and the next one is told again."""
_WHOLE: Final = Zone(name="", polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
_MOST_COUNTS: Final = 4096


class CrowdSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                    tag_field="kind", tag="crowd"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    least_count: Annotated[int, msgspec.Meta(ge=2, le=1000)]
    zones: tuple[str, ...] = ()
    """Each counted for itself; empty: the whole picture."""
    labels: tuple[str, ...] = ("person",)
    precedence: PrecedenceName = "IMMEDIATE"
    for_s: Annotated[float, msgspec.Meta(ge=0.2, le=3600)] = 10.0
    least_confidence: Share = 0.35


@dataclass(slots=True)
class _Counts:
    zone: Zone
    seen: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_MOST_COUNTS))
    is_alerted: bool = False


class Crowd:
    """The rule for one camera."""

    def __init__(self, settings: CrowdSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._counts = [_Counts(zone=zone) for zone in zones if zone.name in settings.zones] or [_Counts(zone=_WHOLE)]

    def look(self, scene: Scene) -> list[Finding]:
        """Which zones have become crowded by this frame."""
        return [finding for counts in self._counts if (finding := self._judge(counts, scene)) is not None]

    def forget(self, track: int) -> None:
        """A crowd has no track."""

    def _judge(self, counts: _Counts, scene: Scene) -> Finding | None:
        settings = self._settings
        within = [
            track
            for track in scene.tracks
            if self._counts_as(track) and counts.zone.contains(foot_of(scene.box(track)))
        ]
        window_ms = settings.for_s * 1000
        counts.seen.append((scene.now_ms, len(within)))
        while len(counts.seen) > 1 and scene.now_ms - counts.seen[1][0] >= window_ms:
            counts.seen.popleft()
        usual = statistics.median(count for _, count in counts.seen)
        if usual < settings.least_count * _DISSOLVED:
            counts.is_alerted = False
        is_long_enough = scene.now_ms - counts.seen[0][0] >= window_ms
        crowded = sum(count >= settings.least_count for _, count in counts.seen)
        is_crowd = len(within) >= settings.least_count and crowded >= _SHARE * len(counts.seen)
        if counts.is_alerted or not is_long_enough or not is_crowd:
            return None
        finding = Finding(
            rule=RuleCode.CROWD, label=LABEL, zone=counts.zone.name, precedence=Precedence[settings.precedence],
            confidence=statistics.fmean(track.confidence for track in within),
            box_xyxy=_around([scene.box(track) for track in within]), track=0,
        )  # fmt: skip
        counts.is_alerted = self._gate.admits(finding, scene)
        return finding if counts.is_alerted else None

    def _counts_as(self, track: Track) -> bool:
        settings = self._settings
        return track.is_seen and track.label in settings.labels and track.confidence >= settings.least_confidence


def _around(boxes: Sequence[FractionBox]) -> FractionBox:
    """The smallest box around all of these."""
    return (min(box[0] for box in boxes), min(box[1] for box in boxes),
            max(box[2] for box in boxes), max(box[3] for box in boxes))  # fmt: skip
