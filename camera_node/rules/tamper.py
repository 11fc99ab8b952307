"""Somebody did something to the camera: it is covered, turned away, or blinded.

Covered: the picture lost nearly all its texture. Moved: it has texture, in other places than the learned view. Blinded: half
of it is at the upper end. Each must last; each is told once until the usual view is back. Known false alarms: lights out in a
windowless room without infrared, dense fog, snow on the dome (all "covered": the camera sees nothing, whoever did it); the sun
or headlights straight into the lens; a lorry that parks before it; a camera on a swaying mast. Known misses: a picture of the
scene held before the lens; a camera turned while the node was off, since the view is learned anew at each start.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from camera_node.rules.class_of_interest import PrecedenceName
from camera_node.rules.scene import OPEN_GATE, Finding, Gate, Scene
from camera_node.view import ViewFacts
from camera_node.zone import Zone
from relay.kinds.alert import Rule as RuleCode
from relay.precedence import Precedence

_COVERED: Final = 0.25
"""Of the usual texture."""
_MOVED: Final = 0.35
_USUAL: Final = 0.5
_BLINDED: Final = 0.5
_WHOLE_PICTURE: Final = (0.0, 0.0, 1.0, 1.0)


class TamperSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                     tag_field="kind", tag="tamper"):  # fmt: skip
    """Settings of this rule, as they stand in the configuration."""

    precedence: PrecedenceName = "IMMEDIATE"
    after_s: Annotated[float, msgspec.Meta(ge=0.5, le=600)] = 4.0
    """For how long without a break."""
    usual_again_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 10.0
    """How long the usual view must be back before the next is told."""
    zones: tuple[str, ...] = ()
    """None: tampering has no place."""


class Tamper:
    """The rule for one camera. Needs ``Scene.view``."""

    def __init__(self, settings: TamperSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> None:
        self._settings = settings
        self._gate = gate
        self._manner = ""
        self._since_ms = 0
        self._told = ""
        self._usual_since_ms: int | None = None

    def look(self, scene: Scene) -> list[Finding]:
        """What has been done to the camera for long enough by this frame."""
        if scene.view is None or not scene.view.is_learned:
            return []
        manner, confidence = _manner(scene.view)
        self._rearm(manner, scene)
        if manner != self._manner:
            self._manner, self._since_ms = manner, scene.now_ms
        if not manner or self._told == manner or scene.now_ms - self._since_ms < self._settings.after_s * 1000:
            return []
        finding = Finding(rule=RuleCode.TAMPER, label=manner, zone="", precedence=Precedence[self._settings.precedence],
                          confidence=confidence, box_xyxy=_WHOLE_PICTURE, track=0)  # fmt: skip
        if not self._gate.admits(finding, scene):
            return []
        self._told = manner
        return [finding]

    def forget(self, track: int) -> None:
        """Tampering has no track."""

    def _rearm(self, manner: str, scene: Scene) -> None:
        assert scene.view is not None
        if manner or scene.view.likeness < _USUAL:
            self._usual_since_ms = None
            return
        if self._usual_since_ms is None:
            self._usual_since_ms = scene.now_ms
        if scene.now_ms - self._usual_since_ms >= self._settings.usual_again_s * 1000:
            self._told = ""


def _manner(view: ViewFacts) -> tuple[str, float]:
    """What it looks like on this frame, empty if nothing; and how far beyond its bound, 0 … 1."""
    if view.bright_share >= _BLINDED and view.likeness < _USUAL:
        return "blinded", min(1.0, view.bright_share)
    if view.texture < _COVERED * view.usual_texture:
        return "covered", min(1.0, 1 - view.texture / max(1e-6, view.usual_texture))
    if view.likeness < _MOVED:
        return "moved", min(1.0, 1 - max(0.0, view.likeness))
    return "", 0.0
