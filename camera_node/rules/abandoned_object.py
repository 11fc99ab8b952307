"""A thing that somebody could have carried stands still with nobody near it for too long.

It is the place that is remembered, not the track: a bag that is hidden by passers-by for a while goes on being alone under a
new number. Known false alarms: what belongs there (a bin that the detector calls a suitcase: suppress the spot), a bag beside
a bench whose owner is hidden, stalls and luggage carts. Known misses: bags smaller than the detector resolves; a place where
somebody is always within ``near``; a thing that nobody brought into view is told as well, unless ``needs_owner``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from camera_node.rules.class_of_interest import PrecedenceName, Share
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.tracker import Track
from camera_node.zone import FractionBox, Point, Zone, middle_of, zone_at
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence

_SEEN_ENOUGH: Final = 0.5
"""Share of the frames while alone on which it was really seen."""


class AbandonedObjectSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                              tag_field="kind", tag="abandoned_object"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    labels: tuple[str, ...] = ("backpack", "handbag", "suitcase")
    owners: tuple[str, ...] = ("person",)
    zones: tuple[str, ...] = ()
    precedence: PrecedenceName = "IMMEDIATE"
    alone_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 60.0
    near: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.12
    """Somebody within this distance of its box, as a fraction of the picture, is with it."""
    still: Annotated[float, msgspec.Meta(gt=0, le=0.5)] = 0.03
    """Moved further than this, it is somewhere else and begins anew."""
    grace_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 15.0
    """How long it may be hidden without beginning anew."""
    needs_owner: bool = False
    """Only things that somebody was with before."""
    least_confidence: Share = 0.35


@dataclass(slots=True)
class _Spot:
    label: str
    place: Point
    box: FractionBox
    track: int
    alone_since_ms: int
    last_seen_ms: int
    had_owner: bool
    frames: int = 0
    seen: int = 0
    is_alerted: bool = False


class AbandonedObject:
    """The rule for one camera."""

    def __init__(self, settings: AbandonedObjectSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._zones = [zone for zone in zones if zone.name in settings.zones]
        self._spots: list[_Spot] = []

    def look(self, scene: Scene) -> list[Finding]:
        """What has been alone for long enough by this frame; each spot is told once."""
        settings = self._settings
        self._spots = [s for s in self._spots if scene.now_ms - s.last_seen_ms <= settings.grace_s * 1000]
        owners = [scene.box(t) for t in scene.tracks if t.label in settings.owners and t.is_seen]
        for spot in self._spots:
            spot.frames += 1
        for track in scene.tracks:
            is_one = track.label in settings.labels and track.is_seen and track.confidence >= settings.least_confidence
            if is_one:
                self._see(track, scene)
        for spot in self._spots:
            if any(_gap(spot.box, owner) <= settings.near for owner in owners):
                spot.alone_since_ms, spot.had_owner, spot.frames, spot.seen = scene.now_ms, True, 0, 0
                spot.is_alerted = False  # fetched, or looked at: left again, it is told again
        return [finding for spot in self._spots if (finding := self._judge(spot, scene)) is not None]

    def forget(self, track: int) -> None:
        """What was alerted of this track was taken back."""
        for spot in self._spots:
            spot.is_alerted &= spot.track != track

    def _see(self, track: Track, scene: Scene) -> None:
        box = scene.box(track)
        place = middle_of(box)
        near = [s for s in self._spots if s.label == track.label and math.dist(s.place, place) <= self._settings.still]
        spot = min(near, key=lambda s: math.dist(s.place, place), default=None)
        if spot is None:
            moved = next((s for s in self._spots if s.track == track.number), None)
            if moved is not None:  # carried away: the old spot is empty
                self._spots.remove(moved)
            spot = _Spot(label=track.label, place=place, box=box, track=track.number, alone_since_ms=scene.now_ms,
                         last_seen_ms=scene.now_ms, had_owner=moved is not None and moved.had_owner, frames=1)  # fmt: skip
            self._spots.append(spot)
        spot.box, spot.track, spot.last_seen_ms = box, track.number, scene.now_ms
        spot.seen += 1

    def _judge(self, spot: _Spot, scene: Scene) -> Finding | None:
        settings = self._settings
        if spot.is_alerted or spot.last_seen_ms != scene.now_ms:
            return None
        if scene.now_ms - spot.alone_since_ms < settings.alone_s * 1000 or spot.seen < spot.frames * _SEEN_ENOUGH:
            return None
        if settings.needs_owner and not spot.had_owner:
            return None
        zone = zone_at(self._zones, spot.place)
        if self._zones and not zone:
            return None
        track = next(t for t in scene.tracks if t.number == spot.track)
        finding = Finding(rule=RuleCode.ABANDONED_OBJECT, label=spot.label, zone=zone,
                          precedence=Precedence[settings.precedence], confidence=track.confidence, box_xyxy=spot.box,
                          track=spot.track)  # fmt: skip
        spot.is_alerted = self._gate.admits(finding, scene)
        return finding if spot.is_alerted else None


def _gap(first: FractionBox, second: FractionBox) -> float:
    """Distance between two boxes; 0 where they meet."""
    across = max(first[0] - second[2], second[0] - first[2], 0.0)
    down = max(first[1] - second[3], second[1] - first[3], 0.0)
    return math.hypot(across, down)
