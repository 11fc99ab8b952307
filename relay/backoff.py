"""When to try again: decorrelated jitter, which never gives up and never lets a fleet return in step.

Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), the decorrelated variant; ZeroMQ's own
``RECONNECT_IVL_MAX`` has no jitter, so a thousand nodes would come back at the same moment.
"""

import random


class Backoff:
    """Delays between attempts. Pure but for its random source."""

    def __init__(self, *, least_s: float, most_s: float, stable_s: float, source: random.Random | None = None) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._stable_s = stable_s
        self._random = source or random.SystemRandom()
        self._last_s = least_s

    def next_delay_s(self, *, at_most_s: float = float("inf")) -> float:
        """How long to wait before the next attempt; ``at_most_s`` is for who has no other way, and still not in step."""
        self._last_s = min(self._most_s, self._random.uniform(self._least_s, self._last_s * 3))
        if self._last_s <= at_most_s:
            return self._last_s
        return self._random.uniform(min(self._least_s, at_most_s), at_most_s)

    def succeeded_for(self, seconds: float) -> None:
        """Start from the shortest delay again, but only after a stable while: a brief success is not one."""
        if seconds >= self._stable_s:
            self._last_s = self._least_s
