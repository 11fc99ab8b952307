"""How many frames a second are looked at when the board is hot, throttled, or simply too slow. Pure; hysteresis by degrees.

A board that throttles by itself does so without saying so, and sees less than its configuration promises. So the node goes
down in steps before that, says so in its heartbeat, and comes back when it has cooled. It never goes below one frame a second.
"""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from hardware.board import BoardHealth

LEAST_FRAMES_PER_S: Final = 1.0
_STEPS: Final = (1.0, 0.5, 0.25)
_MORE_AFTER_MS: Final = 30_000
"""A step back up only after this long without a reason for the one that is in force."""


class GovernorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[governor]``."""

    warm_c: Annotated[float, msgspec.Meta(ge=30, le=120)] = 85.0
    """From here every second frame is left out."""
    hot_c: Annotated[float, msgspec.Meta(ge=30, le=125)] = 93.0
    """From here three of four."""
    cool_by_c: Annotated[float, msgspec.Meta(ge=1, le=40)] = 5.0
    """So much below the limit before it counts as cooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the governor decided."""

    share: float
    """Of each camera's configured frames per second."""
    why: str
    """Empty: nothing is held back."""

    def frames_per_s(self, configured: float) -> float:
        """For a camera."""
        return configured if self.share >= 1.0 else max(min(configured, LEAST_FRAMES_PER_S), configured * self.share)


FULL_PACE: Final = Pace(share=1.0, why="")


class Governor:
    """For the whole board."""

    def __init__(self, settings: GovernorSettings) -> None:
        self._settings = settings
        self._step = 0
        self._why = ""
        self._calm_since_ms: int | None = None

    def judge(self, health: BoardHealth, now_ms: int) -> Pace:
        """Take a reading; down at once, up one step after half a minute of calm."""
        wanted, why = self._wanted(health, is_slowed=self._step > 0)
        if wanted > self._step:
            self._step, self._why, self._calm_since_ms = wanted, why, None
        elif wanted == self._step:
            self._why, self._calm_since_ms = why, None
        elif self._calm_since_ms is None:
            self._calm_since_ms = now_ms
        elif now_ms - self._calm_since_ms >= _MORE_AFTER_MS:
            self._step, self._calm_since_ms = self._step - 1, None
            self._why = why if self._step == wanted else self._why
        return Pace(share=_STEPS[self._step], why=self._why if self._step else "")

    def _wanted(self, health: BoardHealth, *, is_slowed: bool) -> tuple[int, str]:
        settings = self._settings
        slack_c = settings.cool_by_c if is_slowed else 0.0
        hottest_c = health.hottest_c
        if hottest_c is not None and hottest_c >= settings.hot_c - (slack_c if self._step == 2 else 0.0):
            return 2, f"{hottest_c:.0f} °C"
        if hottest_c is not None and hottest_c >= settings.warm_c - slack_c:
            return 1, f"{hottest_c:.0f} °C"
        now = [reason for reason in health.throttled_because if "since the start" not in reason]
        return (1, f"the board slows itself down: {now[0]}") if now else (0, "")
