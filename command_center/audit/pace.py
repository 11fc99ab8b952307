"""How much of the time the audit's index takes: pure arithmetic, told of each slice.

Where little arrives, half. Where alerts come, one in three hundred meets a slice, and what is behind waits; only where that does not even follow
what arrives does it take more, up to a hundredth: beyond some 500 entries a second it falls behind, and ``index.Lag`` says by how much.
"""

from typing import Final

SLICE_QUIET: Final = 100
SLICE_BUSY: Final = 50
"""Entries: half a millisecond."""
RESTS_QUIET: Final = 1.0
MOST_RESTS: Final = 299.0
LEAST_RESTS: Final = 99.0
"""As long as a slice has taken of the processor, so many times: waiting for the disk or for its turn, it is in nobody's way."""
_BUSY_A_SECOND: Final = 20.0
_SPARE: Final = 1.25
_NOTICED_S: Final = 0.1
_REMEMBERED_S: Final = 2.0
"""That alerts begin to come is noticed at once; how many there are is an average."""
_KEPT: Final = 0.99
"""Of what slices have cost, with each further one: a commit, once in many slices, costs as much as all of them."""


class Pace:
    """What arrives, what a slice costs, and how long to rest after one."""

    def __init__(self) -> None:
        self._size, self._looked_s = 0, 0.0
        self._arrives_now, self._arrived_a_second = 0.0, 0.0
        self._spent_s, self._taken = 0.0, 0.0
        self._is_first = True

    def note(self, *, size: int, taken: int, took_s: float, now_s: float) -> None:
        """After a slice. ``size``: entries in the journal; ``now_s``: when the slice began, on one clock."""
        if self._size > 0:
            passed_s = max(now_s - self._looked_s, 0.001)
            a_second = (size - self._size) / passed_s
            self._arrives_now += (a_second - self._arrives_now) * min(1.0, passed_s / _NOTICED_S)
            self._arrived_a_second += (a_second - self._arrived_a_second) * min(1.0, passed_s / _REMEMBERED_S)
        self._is_first = False
        self._size, self._looked_s = size, now_s
        if taken:
            self._spent_s, self._taken = self._spent_s * _KEPT + took_s, self._taken * _KEPT + taken

    @property
    def is_busy(self) -> bool:
        """Whether alerts may be on their way; before anything is known, they may."""
        return self._is_first or self._arrives_now > _BUSY_A_SECOND

    @property
    def at_most(self) -> int:
        """Entries of the next slice."""
        return SLICE_BUSY if self.is_busy else SLICE_QUIET

    @property
    def rests(self) -> float:
        """How long to rest, in lengths of the slice before."""
        if not self.is_busy:
            return RESTS_QUIET
        share = _SPARE * self._arrived_a_second * self._spent_s / max(self._taken, 1.0)
        return min(MOST_RESTS, max(LEAST_RESTS, 1.0 / share - 1.0)) if share > 0 else MOST_RESTS
