"""Somebody stays in a zone for longer than it takes to pass through: dwell by the monotonic clock.

Known false alarms: who waits for a bus, a lift or a friend; a seated person; a coat on a chair that the detector calls a
person. Known misses: a person whose track breaks begins to dwell anew, if the gap is longer than the grace time and the
new track does not start near where the old one was lost.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from camera_node.rules.class_of_interest import PrecedenceName, Share
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.tracker import Track
from camera_node.zone import Point, Zone, foot_of
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence

_NEAR = 0.08
"""A new track this near (fraction of the frame) to where a dwelling one was lost goes on with its time."""


class LoiteringSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                        tag_field="kind", tag="loitering"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    zones: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    labels: tuple[str, ...] = ("person",)
    precedence: PrecedenceName = "IMMEDIATE"
    dwell_s: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 60.0
    grace_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 4.0
    """How long somebody may be out of the zone, or out of sight, without starting anew."""
    least_confidence: Share = 0.4


@dataclass(slots=True)
class _Stay:
    zone: str
    track: int
    since_ms: int
    last_within_ms: int
    place: Point
    is_alerted: bool = False


class Loitering:
    """The rule for one camera."""

    def __init__(self, settings: LoiteringSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._zones = [zone for zone in zones if zone.name in settings.zones]
        self._stays: list[_Stay] = []

    def look(self, scene: Scene) -> list[Finding]:
        """Who has stayed long enough as of this frame; each stay is told once."""
        grace_ms = round(self._settings.grace_s * 1000)
        self._stays = [stay for stay in self._stays if scene.now_ms - stay.last_within_ms <= grace_ms]
        findings: list[Finding] = []
        for track in scene.tracks:
            if track.label not in self._settings.labels or not track.is_seen:
                continue
            if track.confidence < self._settings.least_confidence:
                continue
            foot = foot_of(scene.box(track))
            for zone in self._zones:
                if zone.contains(foot):
                    findings += self._stay_on(track, zone, foot, scene)
        return findings

    def forget(self, track: int) -> None:
        """What was alerted of this track was taken back."""
        for stay in self._stays:
            stay.is_alerted &= stay.track != track

    def _stay_on(self, track: Track, zone: Zone, foot: Point, scene: Scene) -> list[Finding]:
        stay = self._find(track, zone, foot, scene.now_ms)
        stay.track, stay.place, stay.last_within_ms = track.number, foot, scene.now_ms
        if stay.is_alerted or scene.now_ms - stay.since_ms < round(self._settings.dwell_s * 1000):
            return []
        finding = Finding(rule=RuleCode.LOITERING, label=track.label, zone=zone.name,
                          precedence=Precedence[self._settings.precedence], confidence=track.confidence,
                          box_xyxy=scene.box(track), track=track.number)  # fmt: skip
        stay.is_alerted = self._gate.admits(finding, scene)
        return [finding] if stay.is_alerted else []

    def _find(self, track: Track, zone: Zone, foot: Point, now_ms: int) -> _Stay:
        for stay in self._stays:
            if stay.zone == zone.name and stay.track == track.number:
                return stay
        for stay in self._stays:
            if stay.zone == zone.name and stay.last_within_ms < now_ms and math.dist(stay.place, foot) <= _NEAR:
                return stay
        stay = _Stay(zone=zone.name, track=track.number, since_ms=now_ms, last_within_ms=now_ms, place=foot)
        self._stays.append(stay)
        return stay
