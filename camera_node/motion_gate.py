"""Whether a frame is worth the detector's time: one without any change, of a scene in which nothing is followed, is not.

Off unless configured. A life-safety system that looks only where something moves must never be blinded by that: while
anything is tracked every frame is looked at, and without any motion one frame in ``at_least_every_s`` still is. Known misses:
what appears so slowly, or so small, that no block of 1/12 by 1/20 of the picture changes, is seen by the forced looks only.
"""

from typing import Annotated

import msgspec

from camera_node.view import ViewFacts


class MotionGateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[camera.motion_gate]``."""

    least_motion: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.004
    """Share of blocks that must have changed; 0.004 is one of 240."""
    at_least_every_s: Annotated[float, msgspec.Meta(ge=0.1, le=10)] = 0.5
    """A frame is looked at this often, whatever moves or does not."""
    for_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 2.0
    """How long every frame is looked at after a motion."""


class MotionGate:
    """For one camera; ``now_ms`` is the frame's capture time."""

    def __init__(self, settings: MotionGateSettings) -> None:
        self._settings = settings
        self._moved_ms: int | None = None
        self._looked_ms: int | None = None
        self.skipped = 0

    def opens(self, facts: ViewFacts, now_ms: int, *, is_following: bool) -> bool:
        """Whether to look at this frame. ``is_following``: something is tracked."""
        settings = self._settings
        if facts.motion >= settings.least_motion or facts.is_settling:
            self._moved_ms = now_ms
        is_moving = self._moved_ms is not None and now_ms - self._moved_ms <= settings.for_s * 1000
        is_due = self._looked_ms is None or now_ms - self._looked_ms >= settings.at_least_every_s * 1000
        if is_following or is_moving or is_due:
            self._looked_ms = now_ms
            return True
        self.skipped += 1
        return False
