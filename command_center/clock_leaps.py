"""Whether the wall clock was set: it is compared with the monotonic clock, which nobody sets. Pure but for reading both."""

from typing import Final

from relay.clock import Clock

LEAST_MS: Final = 2_000
"""Below it is a time service at work, and the two readings' distance from each other."""


class ClockLeaps:
    """Remembers how far the two clocks were apart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._apart_ms = self._read_ms()

    @property
    def leapt_ms(self) -> int:
        """By how much the wall clock was set since ``forget``, forward positive; 0: it was not."""
        leapt_ms = self._read_ms() - self._apart_ms
        return leapt_ms if abs(leapt_ms) >= LEAST_MS else 0

    def forget(self) -> int:
        """The same, and from now on it is as it should be."""
        leapt_ms = self.leapt_ms
        self._apart_ms = self._read_ms()
        return leapt_ms

    def _read_ms(self) -> int:
        return self._clock.wall_ms() - self._clock.monotonic_ms()
