"""How many alerts of each rule are right, on labeled pictures: precision and recall of alerts, not of boxes.

The boxes may be anybody's: the product's own detector's, or those of Ultralytics' ``predict`` with the same weights, so that what
differs is the detector's code alone. Tampering is done to the pictures here, so its truth is known.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from camera_node.detector import Detection
from camera_node.frame import Frame, Pixels
from camera_node.rules.abandoned_object import AbandonedObjectSettings
from camera_node.rules.catalog import RuleSettings
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.rules.crowd import CrowdSettings
from camera_node.rules.line_crossing import LineCrossingSettings
from camera_node.rules.loitering import LoiteringSettings
from camera_node.rules.scene import Scene
from camera_node.rules.tamper import Tamper, TamperSettings
from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
from camera_node.sight import Sight
from camera_node.view import View
from camera_node.zone import Zone
from relay.kinds.alert import Rule
from tests.benchmarks.labeled_shows import (
    BAG,
    CROWD,
    LEAST_CROWD,
    LINE,
    LOITERING,
    MIDDLE,
    NEAR,
    PERSON,
    WEAPON,
    ZONE,
    LabeledPicture,
    shown,
    truth,
)

LEFT = Zone(name="left", polygon=((0.0, 0.0), (MIDDLE, 0.0), (MIDDLE, 1.0), (0.0, 1.0)))
RULES: dict[str, RuleSettings] = {
    WEAPON: ClassOfInterestSettings(),
    PERSON: ClassOfInterestSettings(labels={"person": "IMMEDIATE"}),
    ZONE: ZoneIntrusionSettings(zones=("left",)),
    LOITERING: LoiteringSettings(zones=("left",), dwell_s=1.2),
    LINE: LineCrossingSettings(line=((MIDDLE, 0.0), (MIDDLE, 1.0))),
    CROWD: CrowdSettings(least_count=LEAST_CROWD, for_s=1.5),
    BAG: AbandonedObjectSettings(alone_s=1.4, near=NEAR),
}
_NAMES = {Rule.ZONE_INTRUSION: ZONE, Rule.LOITERING: LOITERING, Rule.LINE_CROSSING: LINE, Rule.CROWD: CROWD,
          Rule.ABANDONED_OBJECT: BAG}  # fmt: skip
BoxesOf = Callable[[Frame], list[Detection]]


@dataclass(slots=True)
class Score:
    """Of one rule, over pictures."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, *, is_told: bool, is_there: bool) -> None:
        """One picture."""
        self.right += is_told and is_there
        self.wrong += is_told and not is_there
        self.missed += is_there and not is_told

    @property
    def there(self) -> int:
        """How many pictures should be told."""
        return self.right + self.missed

    @property
    def precision(self) -> float:
        """Share of the alerts that were right; 1 where there were none."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Share of what should be told that was; 1 where there was nothing to tell."""
        return self.right / self.there if self.there else 1.0


@dataclass(slots=True)
class _Given:
    """A Detector whose boxes come from elsewhere."""

    boxes_of: BoxesOf
    labels: Sequence[str] = ()
    provider: str = "given"

    def detect(self, frame: Frame) -> list[Detection]:
        return self.boxes_of(frame)

    def close(self) -> None:
        pass


@dataclass(slots=True)
class AlertScores:
    """Of all rules; fed with one picture after the other."""

    scores: dict[str, Score] = field(default_factory=lambda: {name: Score() for name in RULES})

    def show(self, picture: LabeledPicture, boxes_of: BoxesOf) -> None:
        """Show it to all rules at once, and hold what they tell against its labels."""
        sight, told = Sight(_Given(boxes_of), rules=list(RULES.values()), zones=[LEFT]), set[str]()
        for frame in shown(picture):
            for finding in sight.look(frame).findings:
                by_class = PERSON if finding.label == "person" else WEAPON
                told.add(_NAMES.get(finding.rule, by_class))
        for name, is_there in truth(picture).items():
            if is_there is not None:
                self.scores[name].add(is_told=name in told, is_there=is_there)


# ---------------------------------------------------------------------- tampering

_STEP_MS = 200
_LEARN, _AFTER = 60, 30
_SIZE = (320, 192)


def tamper_score(scenes: Iterable[Pixels]) -> Score:
    """Each scene is learned for twelve seconds; then something is done to the camera, or only to the light, for six."""
    small = [np.asarray(cv2.resize(scene, _SIZE, interpolation=cv2.INTER_AREA), np.uint8) for scene in scenes]
    score = Score()
    for number, scene in enumerate(small):
        other = small[(number + 1) % len(small)]
        for done, is_tampering in _deeds(scene, other):
            score.add(is_told=_is_told(scene, done), is_there=is_tampering)
    return score


def _deeds(scene: Pixels, other: Pixels) -> Iterator[tuple[Callable[[int], Pixels], bool]]:
    gray = np.asarray(cv2.cvtColor(cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
    yield lambda n: np.full_like(scene, 50), True  # covered
    yield lambda n: np.full_like(scene, 252), True  # blinded
    yield lambda n: other, True  # turned away
    yield lambda n: scene, False
    yield lambda n: np.asarray(scene * max(0.35, 1 - n / 20), np.uint8), False  # dusk
    yield lambda n: gray, False  # the infrared filter
    yield lambda n: _passed(scene, n), False  # somebody walks by, large


def _passed(scene: Pixels, number: int) -> Pixels:
    wide = scene.shape[1]
    at = (number * wide // 12) % (2 * wide)
    picture = scene.copy()
    cv2.rectangle(picture, (at - wide // 4, scene.shape[0] // 4), (at, scene.shape[0]), (40, 50, 60), -1)
    return picture


def _is_told(scene: Pixels, done: Callable[[int], Pixels]) -> bool:
    rule, view, chance = Tamper(TamperSettings(), []), View(), np.random.default_rng(3)
    noise = chance.normal(0, 2, scene.shape).astype(np.int16)
    is_told = False
    for number in range(_LEARN + _AFTER):
        pixels = scene if number < _LEARN else done(number - _LEARN)
        noisy = np.clip(pixels + np.roll(noise, 17 * number, axis=(0, 1)), 0, 255).astype(np.uint8)
        facts = view.measure(noisy, number * _STEP_MS)
        seen = Scene(now_ms=number * _STEP_MS, width_px=_SIZE[0], height_px=_SIZE[1], tracks=[], view=facts)
        is_told |= bool(rule.look(seen))
    return is_told
