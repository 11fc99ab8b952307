"""Somebody stands in a zone where nobody should be: the foot of the box on N of M frames.

Known false alarms: staff and animals that the detector calls a person; reflections and posters within the zone; a box
whose lower end is hidden (behind a car, a counter), which puts the foot too high and perhaps into another zone; a zone
drawn so near the horizon that a pixel is a meter. Known misses: who crosses the zone in fewer than N frames.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from camera_node.rules.class_of_interest import FrameCount, PrecedenceName, Share
from camera_node.rules.confirmation import ConfirmationWindow
from camera_node.rules.hold_off import HoldOff
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.tracker import Track
from camera_node.zone import Zone, foot_of
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence


class ZoneIntrusionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                            tag_field="kind", tag="zone_intrusion"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    zones: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    labels: tuple[str, ...] = ("person",)
    precedence: PrecedenceName = "IMMEDIATE"
    hits: FrameCount = 4
    window: FrameCount = 6
    least_confidence: Share = 0.4
    least_median: Share = 0.4
    hold_off_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0


class ZoneIntrusion:
    """The rule for one camera."""

    def __init__(self, settings: ZoneIntrusionSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._zones = [zone for zone in zones if zone.name in settings.zones]
        self._windows: dict[tuple[str, int], ConfirmationWindow] = {}
        self._hold_off = HoldOff(hold_off_s=settings.hold_off_s)

    def look(self, scene: Scene) -> list[Finding]:
        """Who is confirmed in a zone on this frame and was not alerted yet."""
        tracks = [track for track in scene.tracks if track.label in self._settings.labels]
        present = {track.number for track in tracks}
        self._windows = {key: window for key, window in self._windows.items() if key[1] in present}
        for track in tracks:
            if track.is_seen:
                for zone in self._zones:
                    self._hold_off.see(zone.name, track.number, foot_of(scene.box(track)), scene.now_ms)
        return [finding for track in tracks for zone in self._zones
                if (finding := self._judge(track, zone, scene)) is not None]  # fmt: skip

    def forget(self, track: int) -> None:
        """What was alerted of this track was taken back."""
        self._hold_off.forget(track)

    def _judge(self, track: Track, zone: Zone, scene: Scene) -> Finding | None:
        settings = self._settings
        key = (zone.name, track.number)
        foot = foot_of(scene.box(track))
        is_within = track.is_seen and zone.contains(foot)
        window = self._windows.get(key)
        if window is None:
            if not is_within:
                return None
            window = self._windows[key] = ConfirmationWindow(
                hits=settings.hits, window=settings.window, least_score=settings.least_confidence,
                least_median=settings.least_median,
            )  # fmt: skip
        precedence = Precedence[settings.precedence]
        if not window.add(track.confidence if is_within else 0.0) or not is_within:
            return None
        if self._hold_off.holds(zone.name, track.label, track.number, foot, precedence, scene.now_ms):
            return None
        finding = Finding(rule=RuleCode.ZONE_INTRUSION, label=track.label, zone=zone.name, precedence=precedence,
                          confidence=track.confidence, box_xyxy=scene.box(track), track=track.number)  # fmt: skip
        if not self._gate.admits(finding, scene):
            return None
        self._hold_off.remember(zone.name, track.label, track.number, foot, precedence, scene.now_ms)
        return finding
