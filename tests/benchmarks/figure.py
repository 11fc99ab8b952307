"""A measured figure, what it is compared with, and whether it reaches its target."""

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a benchmark's table."""

    name: str
    value: float
    unit: str
    peer: str = ""
    """What it is compared with, measured in the same run, or the limit."""
    peer_value: float | None = None
    target_ratio: float | None = None
    """Bound on value / peer_value."""
    is_more_better: bool = True

    @property
    def ratio(self) -> float | None:
        """Value / peer_value."""
        return None if not self.peer_value else self.value / self.peer_value

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target_ratio is None or self.ratio is None:
            return None
        return self.ratio >= self.target_ratio if self.is_more_better else self.ratio <= self.target_ratio


class NoFigure(Exception):
    """A benchmark can't say what it was asked for: why, and what it found all the same. It proves nothing about the code, and fails."""

    def __init__(self, why: str, figures: Sequence[Figure] = ()) -> None:
        super().__init__(why)
        self.figures = list(figures)


def rate(work: Callable[[], object], *, at_least_s: float = 0.6, rounds: int = 3) -> float:
    """Calls a second of CPU-bound work, the median of some rounds."""
    results: list[float] = []
    for _ in range(rounds):
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < at_least_s:
            for _ in range(20):
                work()
            count += 20
        results.append(count / elapsed)
    return statistics.median(results)


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
