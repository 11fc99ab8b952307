"""What stands between a finding and an alert: the crop check and the learned suppressions. A Gate for the rules.

It says at which stage a finding was stopped, and counts it. What was stopped is asked about again on later frames, at most
twice a second for each track, so that one misleading crop can't hide a weapon for as long as it is in view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from camera_node.crop_check import CropCheck, Verdict
from camera_node.rules.class_of_interest import WEAPON_LABELS
from camera_node.rules.scene import Finding, Scene
from camera_node.suppression import Suppressions
from relay.kinds.alert import Rule as RuleCode

_AGAIN_MS: Final = 500
_REMEMBERED: Final = 64


@dataclass(slots=True)
class _Asked:
    at_ms: int
    verdict: Verdict


class SecondLook:
    """For one camera. ``check`` None: no second stage is configured."""

    def __init__(self, *, check: CropCheck | None = None, suppressions: Suppressions | None = None) -> None:
        self._check = check
        self._suppressions = suppressions or Suppressions()
        self._asked: dict[int, _Asked] = {}
        self.stopped: dict[str, int] = {"look_alike": 0, "suppressed": 0}
        """Findings that did not become alerts, by the stage that stopped them; each track once for each stage."""
        self._stopped_at: set[tuple[int, str]] = set()

    def admits(self, finding: Finding, scene: Scene) -> bool:
        """Whether it may become an alert. A frame without pixels can't be looked at and stops nothing."""
        if scene.pixels is None:
            return True
        if self._suppressions.hides(finding.label, finding.box_xyxy, scene.pixels):
            self._count(finding.track, "suppressed")
            return False
        if finding.rule is RuleCode.CLASS_OF_INTEREST and self.verdict(finding, scene) is Verdict.LOOK_ALIKE:
            self._count(finding.track, "look_alike")
            return False
        return True

    def verdict(self, finding: Finding, scene: Scene) -> Verdict:
        """The crop check's word on a finding, asked at most twice a second for each track."""
        if self._check is None or scene.pixels is None:
            return Verdict.UNSURE
        known = self._asked.get(finding.track)
        if known is not None and scene.now_ms - known.at_ms < _AGAIN_MS:
            return known.verdict
        verdict, _ = self._check.check(scene.pixels, finding.box_xyxy, labels_like(finding.label))
        self._asked[finding.track] = _Asked(at_ms=scene.now_ms, verdict=verdict)
        while len(self._asked) > _REMEMBERED:
            self._asked.pop(next(iter(self._asked)))
        return verdict

    @property
    def has_check(self) -> bool:
        """Whether a second stage is configured."""
        return self._check is not None

    def _count(self, track: int, stage: str) -> None:
        if (track, stage) not in self._stopped_at:
            self._stopped_at.add((track, stage))
            self.stopped[stage] += 1
            if len(self._stopped_at) > 10 * _REMEMBERED:
                self._stopped_at.clear()


def labels_like(label: str) -> Sequence[str]:
    """Labels that confirm this one: a crop that looks like another weapon is a weapon."""
    return WEAPON_LABELS if label in WEAPON_LABELS else (label,)
