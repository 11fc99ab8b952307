"""Something of a class that always matters, such as a weapon, was seen on N of M frames.

Known false alarms: phones, wallets, umbrellas, tools and crisp packets in the hand (Kenwood, 2025); the guns of officers
who answer the first alert (Antioch, 2025); pictures of weapons on screens and posters; toys. What is done about it: N of M
with misses as zeros, a gate on the median score, hold-off by track and place; before an alert the gate (a closer look at
the crop, learned suppressions), after it ``contradiction``. Known misses: a weapon seen on fewer than N frames,
or smaller than the detector's input resolves.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from camera_node.rules.confirmation import ConfirmationWindow
from camera_node.rules.hold_off import HoldOff
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.tracker import Track
from camera_node.zone import Point, Zone, foot_of, middle_of, zone_at
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence

PrecedenceName = Literal["FLASH", "IMMEDIATE"]
"""What an alert may have: only these two are never evicted, and may use the spool's reserve."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
FrameCount = Annotated[int, msgspec.Meta(ge=1, le=100)]

WEAPON_LABELS: Final = (
    "handgun", "pistol", "revolver", "gun", "firearm", "weapon", "rifle", "long gun", "long_gun", "longgun", "shotgun",
    "submachine gun", "machine gun", "machete", "knife", "axe", "sword",
)  # fmt: skip
_WEAPONS: Final = frozenset(WEAPON_LABELS)
_KIND: Final = "weapon"


def kind_of(label: str) -> str:
    """Labels that may be one and the same thing for a tracker: every weapon is a weapon."""
    return _KIND if label in _WEAPONS else label


def _weapons() -> dict[str, PrecedenceName]:
    return dict.fromkeys(WEAPON_LABELS, "FLASH")


class ClassOfInterestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                              tag_field="kind", tag="class_of_interest"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    labels: dict[str, PrecedenceName] = msgspec.field(default_factory=_weapons)
    """Which classes, and how urgent each is."""
    zones: tuple[str, ...] = ()
    """Only in these; empty: anywhere."""
    hits: FrameCount = 3
    window: FrameCount = 5
    least_confidence: Share = 0.4
    least_median: Share = 0.45
    hold_off_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 15.0


class ClassOfInterest:
    """The rule for one camera."""

    def __init__(self, settings: ClassOfInterestSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._zones = zones
        self._windows: dict[int, ConfirmationWindow] = {}
        self._hold_off = HoldOff(hold_off_s=settings.hold_off_s)

    def look(self, scene: Scene) -> list[Finding]:
        """What was confirmed on this frame and is not held off."""
        tracks = [track for track in scene.tracks if track.label in self._settings.labels]
        present = {track.number for track in tracks}
        self._windows = {number: window for number, window in self._windows.items() if number in present}
        places = {track.number: middle_of(scene.box(track)) for track in tracks}
        for track in tracks:
            if track.is_seen:
                self._hold_off.see(kind_of(track.label), track.number, places[track.number], scene.now_ms)
        return [finding for track in tracks if (finding := self._judge(track, places[track.number], scene)) is not None]

    def forget(self, track: int) -> None:
        """What was alerted of this track was taken back."""
        self._hold_off.forget(track)

    def _judge(self, track: Track, place: Point, scene: Scene) -> Finding | None:
        settings = self._settings
        window = self._windows.get(track.number)
        if window is None:
            window = self._windows[track.number] = ConfirmationWindow(
                hits=settings.hits, window=settings.window, least_score=settings.least_confidence,
                least_median=settings.least_median,
            )  # fmt: skip
        if not window.add(track.confidence) or not track.is_seen:
            return None
        zone = zone_at(self._zones, _stand(track, scene))
        if settings.zones and zone not in settings.zones:
            return None
        precedence = Precedence[settings.labels[track.label]]
        kind = kind_of(track.label)
        if self._hold_off.holds(kind, track.label, track.number, place, precedence, scene.now_ms):
            return None
        finding = Finding(rule=RuleCode.CLASS_OF_INTEREST, label=track.label, zone=zone, precedence=precedence,
                          confidence=track.confidence, box_xyxy=scene.box(track), track=track.number)  # fmt: skip
        if not self._gate.admits(finding, scene):
            return None
        self._hold_off.remember(kind, track.label, track.number, place, precedence, scene.now_ms)
        return finding


def _stand(track: Track, scene: Scene) -> Point:
    """Where its holder stands: the foot of the smallest person around it, else its own lower edge."""
    x, y = middle_of(scene.box(track))
    around = [box for box in (scene.box(t) for t in scene.tracks if t.label == "person")
              if box[0] <= x <= box[2] and box[1] <= y <= box[3]]  # fmt: skip
    return foot_of(min(around, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=scene.box(track)))
