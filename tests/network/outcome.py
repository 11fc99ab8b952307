"""What a run of a scenario came to: nothing lost, nothing shown twice, how fast, how dear, and whether the faults happened."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from tests.benchmarks.figure import percentile
from tests.network.emulator import Standing
from tests.network.scenario import Scenario
from tests.network.ways import open_s

_EXPECTED_AT_LEAST = 10
"""A fault that comes by chance must have happened only where this many were to be expected."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    scenario: str
    seed: int
    raised: int
    lost: int
    """Promised by the node and never shown by the center."""
    unheard: int
    """Shown, but the node never learned of it."""
    shown_twice: int
    heard_ms: tuple[float, ...]
    """Put to heard, of each alert."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float
    clear_p50_ms: float
    """Of each alert's time only what passed while a whole way stood open: what noticing, dialing and sending again cost."""
    clear_p99_ms: float
    calm_p99_ms: float
    """Of the alerts raised well before the first event; 0 if there were none."""
    failover_ms: float
    """By how much the slowest of those raised later exceeds that."""
    bytes_by_link: dict[str, tuple[int, int]]
    """(up, down), what came out at the far end."""
    faults_missing: tuple[str, ...]
    """What was to go wrong and did not: the run proves nothing."""

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept and every fault happened."""
        return not (self.lost or self.unheard or self.shown_twice or self.faults_missing) and self.raised > 0

    def line(self) -> str:
        """For people."""
        traffic = sum(up + down for up, down in self.bytes_by_link.values())
        return (
            f"{self.scenario:24} seed {self.seed:<6} raised {self.raised:5} lost {self.lost} unheard {self.unheard} "
            f"twice {self.shown_twice} | ms p50 {self.p50_ms:6.0f} p95 {self.p95_ms:6.0f} p99 {self.p99_ms:6.0f} "
            f"clear p50 {self.clear_p50_ms:5.0f} p99 {self.clear_p99_ms:5.0f} "
            f"calm p99 {self.calm_p99_ms:5.0f} failover +{self.failover_ms:.0f} | "
            f"{traffic / max(1, self.raised):,.0f} bytes an alert"
            + (f" | NO FAULT: {', '.join(self.faults_missing)}" if self.faults_missing else "")
        )


class Journal:
    """What the stations told, joined by alert."""

    def __init__(self) -> None:
        self.raised: dict[str, tuple[str, float]] = {}
        """Station, and when its put began, by alert."""
        self.heard: dict[str, float] = {}
        self.carried: dict[str, list[tuple[float, int]]] = {}
        """By station: when how much of a clip was receipted."""
        self.shown: Counter[str] = Counter()
        """From the center's own table, at the end."""
        self.spooled: set[str] = set()
        """What its node still keeps at the end: no receipt has freed it."""
        self.counters: dict[str, dict[str, int]] = {}

    @property
    def waiting(self) -> set[str]:
        """Promised and not heard yet."""
        return self.raised.keys() - self.heard.keys()

    def heard_ms(self, station: str = "", *, since_s: float = 0.0, until_s: float = float("inf")) -> list[float]:
        """Put to heard, of the alerts raised in a period, of one station or all."""
        return [(self.heard[key] - at_s) * 1000 for key, (name, at_s) in self.raised.items()
                if key in self.heard and since_s <= at_s < until_s and station in {"", name}]  # fmt: skip

    def clear_ms(self, closed: Sequence[tuple[float, float]]) -> list[float]:
        """The same without what passed in the closed spans."""
        return [
            open_s(closed, at_s, self.heard[key]) * 1000 for key, (_, at_s) in self.raised.items() if key in self.heard
        ]


def summed_up(
    name: str, seed: int, journal: Journal, standing: Standing, first_event_s: float, faults_missing: tuple[str, ...],
    closed: Sequence[tuple[float, float]] = (),
) -> Outcome:  # fmt: skip
    """Everything about a run that has ended."""
    every = journal.heard_ms() or [0.0]
    clear = journal.clear_ms(closed) or [0.0]
    calm = journal.heard_ms(until_s=first_event_s - 1.0)
    later = journal.heard_ms(since_s=first_event_s - 1.0)
    calm_p99_ms = percentile(calm, 0.99) if calm else 0.0
    return Outcome(
        scenario=name, seed=seed, raised=len(journal.raised), lost=len(journal.raised.keys() - journal.shown.keys()),
        unheard=len(journal.spooled & journal.shown.keys()),
        shown_twice=sum(count > 1 for count in journal.shown.values()), heard_ms=tuple(every),
        p50_ms=percentile(every, 0.5), p95_ms=percentile(every, 0.95), p99_ms=percentile(every, 0.99),
        worst_ms=max(every), clear_p50_ms=percentile(clear, 0.5), clear_p99_ms=percentile(clear, 0.99), calm_p99_ms=calm_p99_ms,
        failover_ms=max(0.0, max(later, default=0.0) - calm_p99_ms) if calm else 0.0,
        bytes_by_link={link: (standing.up[link].passed_bytes, standing.down[link].passed_bytes) for link in standing.up},
        faults_missing=faults_missing,
    )  # fmt: skip


def faults_missing(
    scenario: Scenario, standing: Standing, killed: Mapping[str, int], unmet: Sequence[str]
) -> tuple[str, ...]:
    """Faults of a scenario that left no trace; ``unmet`` are the links' that nobody met."""
    missing = list(unmet)
    for link in scenario.link:
        for direction, tallies in (("up", standing.up), ("down", standing.down)):
            how, tally = link.impairment("up" if direction == "up" else "down"), tallies[link.name]
            bursts_pct = how.burst_loss_pct * how.burst_start_pct / (how.burst_start_pct + how.burst_end_pct)
            if tally.offered * (how.loss_pct + bursts_pct / 3) / 100 > _EXPECTED_AT_LEAST and not tally.lost:
                missing.append(f"{link.name} {direction} lost nothing")
            if tally.offered * how.duplicate_pct / 100 > _EXPECTED_AT_LEAST and not tally.doubled:
                missing.append(f"{link.name} {direction} doubled nothing")
    wanted = Counter(dict.fromkeys(killed, 0))
    for event in scenario.event:
        wanted[event.kill] += event.times if event.kill else 0
    missing += [
        f"{place} was killed {killed.get(place, 0)} of {n} times"
        for place, n in wanted.items()
        if killed.get(place, 0) < n
    ]
    return tuple(missing)
