"""How long things took, in buckets: what ``timeline`` sees of each alert, for the metrics. Pure, and bounded by its labels."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_BUCKETS_S: Final = (*BOUNDS_S, float("inf"))
_MOST_SERIES: Final = 256
"""Paths are configured, so there are few; a neighbor that names its own can't make many."""


@dataclass(slots=True)
class Histogram:
    """One series: how many took at most each of ``BOUNDS_S``, and above."""

    counts: Counter[float] = field(default_factory=Counter)
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Note one duration."""
        self.counts[_BUCKETS_S[bisect_left(BOUNDS_S, seconds)]] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.counts.values())


class Latencies:
    """Durations by what took them."""

    def __init__(self) -> None:
        self.hops: dict[tuple[str, str], Histogram] = {}
        """By path and answer (``stored``, ``receipt``): handed to the path until the answer was back."""
        self.held = Histogram()
        """Durable here until handed to the first path."""
        self.heard = Histogram()
        """Durable here until the command center's receipt was settled here."""

    def hop(self, path: str, answer: str, milliseconds: float) -> None:
        """An answer came."""
        if (path, answer) not in self.hops and len(self.hops) >= _MOST_SERIES:
            path = "other"
        self.hops.setdefault((path, answer), Histogram()).observe(milliseconds / 1000)
