"""Somebody crosses a line, in one direction or either: the foot of a track moves from firmly one side to firmly the other.

Known false alarms: a box whose lower end jumps (half hidden behind a car) and seems to step over; who stands on the line and
sways, which is why a side counts only beyond a margin; two people whose track numbers swap as they pass each other at the
line. Known misses: a track that begins on the line, or breaks on it and goes on under a new number; a crossing faster than
the frames given to the detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from camera_node.rules.class_of_interest import PrecedenceName, Share
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.tracker import Track
from camera_node.zone import Point, Zone, foot_of
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence

Direction = Literal["both", "to_right", "to_left"]


class LineCrossingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                           tag_field="kind", tag="line_crossing"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    name: str = "line"
    """Stands as the zone in the alert; at most 12 bytes."""
    line: tuple[tuple[Share, Share], tuple[Share, Share]]
    """From one point to another, as fractions of the picture."""
    direction: Direction = "both"
    """Seen by somebody who walks along the line from its first point: to the right-hand or the left-hand side."""
    zones: tuple[str, ...] = ()
    """Only crossings that end in one of these; empty: any."""
    labels: tuple[str, ...] = ("person",)
    precedence: PrecedenceName = "IMMEDIATE"
    margin: Annotated[float, msgspec.Meta(ge=0, le=0.2)] = 0.01
    """How far beyond the line a foot must be to count as on that side, as a fraction of the picture."""
    least_confidence: Share = 0.4
    hold_off_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 10.0
    """The same track is not told again within this time."""


@dataclass(slots=True)
class _Walk:
    side: int
    place: Point
    last_seen_ms: int
    alerted_ms: int | None = None


class LineCrossing:
    """The rule for one camera."""

    def __init__(self, settings: LineCrossingSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._zones = [zone for zone in zones if zone.name in settings.zones]
        self._walks: dict[int, _Walk] = {}

    def look(self, scene: Scene) -> list[Finding]:
        """Who crossed by this frame."""
        present = {track.number for track in scene.tracks}
        self._walks = {number: walk for number, walk in self._walks.items() if number in present}
        return [finding for track in scene.tracks if (finding := self._judge(track, scene)) is not None]

    def forget(self, track: int) -> None:
        """What was alerted of this track was taken back."""
        if track in self._walks:
            self._walks[track].alerted_ms = None

    def _judge(self, track: Track, scene: Scene) -> Finding | None:
        settings = self._settings
        if not track.is_seen or track.label not in settings.labels or track.confidence < settings.least_confidence:
            return None
        foot = foot_of(scene.box(track))
        side = self._side(foot)
        walk = self._walks.get(track.number)
        if side == 0:
            return None
        if walk is None:
            self._walks[track.number] = _Walk(side=side, place=foot, last_seen_ms=scene.now_ms)
            return None
        before, walk.side = walk.side, side
        begun, walk.place = walk.place, foot
        walk.last_seen_ms = scene.now_ms
        if side == before or not self._meets(begun, foot) or not self._is_wanted(side, foot):
            return None
        if walk.alerted_ms is not None and scene.now_ms - walk.alerted_ms < settings.hold_off_s * 1000:
            return None
        finding = Finding(rule=RuleCode.LINE_CROSSING, label=track.label, zone=settings.name,
                          precedence=Precedence[settings.precedence], confidence=track.confidence,
                          box_xyxy=scene.box(track), track=track.number)  # fmt: skip
        if not self._gate.admits(finding, scene):
            walk.side, walk.place = before, begun  # still to be told, should the gate open
            return None
        walk.alerted_ms = scene.now_ms
        return finding

    def _is_wanted(self, side: int, foot: Point) -> bool:
        direction = self._settings.direction
        if direction != "both" and side != (1 if direction == "to_right" else -1):
            return False
        return not self._zones or any(zone.contains(foot) for zone in self._zones)

    def _side(self, point: Point) -> int:
        """1 to the right of the line, -1 to the left, 0 within the margin. The picture's y axis points down."""
        (x1, y1), (x2, y2) = self._settings.line
        length = max(1e-9, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        distance = ((x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)) / length
        return 0 if abs(distance) <= self._settings.margin else (1 if distance > 0 else -1)

    def _meets(self, begun: Point, ended: Point) -> bool:
        """Whether the way between two places on either side goes through the line itself and not past its ends."""
        (x1, y1), (x2, y2) = self._settings.line
        return _turn(begun, ended, (x1, y1)) * _turn(begun, ended, (x2, y2)) <= 0


def _turn(first: Point, second: Point, third: Point) -> float:
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])
