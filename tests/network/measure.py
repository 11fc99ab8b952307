"""What fail-over costs: ``python -m tests.network.measure``. Prints a table and fails naming each target that is missed.

Two nodes stand side by side, raise alerts at the same pace and share the links, the disk and the two cores, so what
disturbs one disturbs the other. *Alone* has only the best path that will still live. *Three* has that one, a better one
that dies silently before the count begins, and a satellite. Fail-over adds nothing if the two need as long.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.benchmarks.__main__ import show
from tests.benchmarks.figure import Figure, percentile
from tests.network import namespaces
from tests.network.bench import bench
from tests.network.emulator import Change, Forget
from tests.network.scenario import LinkWanted, Scenario
from tests.network.station_process import Halt, Raise

_ROUNDS = 3
_COUNT_S = 11.0
"""Longer than it takes to notice that a path is dead (4 s), so that both times are in the count."""
ALERTS_PER_S = 20.0
_LINKS = (
    LinkWanted(name="wifi", both={"delay_ms": 10}),
    LinkWanted(name="lte", both={"delay_ms": 40}),
    LinkWanted(name="sat", both={"delay_ms": 300}),
)
SCENARIO = Scenario(title="One of three paths is silently dead.", lasts_s=_COUNT_S, alerts_per_s=ALERTS_PER_S, nodes=2,
                     link=_LINKS)  # fmt: skip
THREE, ALONE = "node-1", "node-2"
DEAD, LIVING, BEST_RTT_MS, LIVING_RTT_MS = "wifi", "lte", 20.0, 80.0


ONLY = Scenario(title="The only path's connections are forgotten by an address translator; new ones would work.", lasts_s=8.0,
                alerts_per_s=10.0, link=(LinkWanted(name="only", both={"delay_ms": 40}),))  # fmt: skip
FIRST_MS = 20.0
"""IMMEDIATE's least hedge delay."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Put-to-heard of both nodes after the cut, and what went over the links."""

    three_ms: tuple[float, ...]
    alone_ms: tuple[float, ...]
    calm_three_ms: tuple[float, ...]
    lost: int
    shown_twice: int
    alerts: int
    bytes_by_link: dict[str, int]


async def _round(precedence: str, seed: int, state_dir: Path) -> Round:
    async with bench(SCENARIO, seed, state_dir, only={ALONE: LIVING}) as made:
        made.order("node", Raise(alerts_per_s=ALERTS_PER_S, precedence=precedence))
        await asyncio.sleep(4)
        cut_s = time.monotonic()
        made.tell(Change(link=DEAD, to={"is_blackhole": True}))
        await asyncio.sleep(_COUNT_S)
        made.order("node", Halt())
        await made.wait_for(lambda: len(made.journal.counters) == 2, "the counters", 10)
        await made.wait_for(lambda: not made.journal.waiting, "the last receipt", 60)
        standing = made.standing()
        assert standing.up[DEAD].swallowed, "the cut happened"
        await made.stop_stations()
        await made.read()
        journal = made.journal
        return Round(
            three_ms=tuple(journal.heard_ms(THREE, since_s=cut_s)),
            alone_ms=tuple(journal.heard_ms(ALONE, since_s=cut_s)),
            calm_three_ms=tuple(journal.heard_ms(THREE, since_s=cut_s - 3, until_s=cut_s - 1)),
            lost=len(journal.raised.keys() - journal.shown.keys()),
            shown_twice=sum(count > 1 for count in journal.shown.values()), alerts=len(journal.raised),
            bytes_by_link={name: standing.up[name].passed_bytes + standing.down[name].passed_bytes for name in standing.up},
        )  # fmt: skip


def _rounds(precedence: str) -> list[Round]:
    found: list[Round] = []
    for seed in range(1, _ROUNDS + 1):
        with tempfile.TemporaryDirectory(prefix="heard-") as folder:
            found.append(asyncio.run(_round(precedence, seed, Path(folder))))
    return found


async def _forgotten(seed: int, state_dir: Path) -> list[float]:
    async with bench(ONLY, seed, state_dir) as made:
        made.order("node", Raise(alerts_per_s=ONLY.alerts_per_s))
        await asyncio.sleep(3)
        cut_s = time.monotonic()
        made.tell(Forget(link="only"))
        await asyncio.sleep(ONLY.lasts_s)
        made.order("node", Halt())
        await made.wait_for(lambda: "node" in made.journal.counters, "the counters", 10)
        await made.wait_for(lambda: not made.journal.waiting, "the last receipt", 60)
        assert made.standing().up["only"].swallowed, "the connections were forgotten"
        return made.journal.heard_ms("node", since_s=cut_s)


def forgotten_worst_ms() -> float:
    """The longest that an alert took whose only path had been forgotten: the median of three runs."""
    worst: list[float] = []
    for seed in range(1, _ROUNDS + 1):
        with tempfile.TemporaryDirectory(prefix="heard-") as folder:
            worst.append(max(asyncio.run(_forgotten(seed, Path(folder)))))
    return statistics.median(worst)


def measure() -> list[Figure]:
    flash, immediate = _rounds("FLASH"), _rounds("IMMEDIATE")
    rounds = [*flash, *immediate]
    alerts = sum(item.alerts for item in rounds)
    return [
        *_failover("FLASH", flash, target=1.1),
        *_failover("IMMEDIATE", immediate, target=None),
        Figure(name="IMMEDIATE p99, one of three dead", value=percentile([v for item in immediate for v in item.three_ms], 0.99),
               unit="ms", peer="2.5 × the living path's RTT", peer_value=2.5 * LIVING_RTT_MS, target_ratio=1.0,
               is_more_better=False),
        Figure(name="IMMEDIATE p95, all three alive", value=percentile([v for item in immediate for v in item.calm_three_ms], 0.95),
               unit="ms", peer="2.5 × the best RTT, and the least hedge", peer_value=2.5 * BEST_RTT_MS + FIRST_MS, target_ratio=1.0,
               is_more_better=False),
        Figure(name="alerts lost", value=sum(item.lost for item in rounds), unit=f"of {alerts}"),
        Figure(name="alerts shown twice", value=sum(item.shown_twice for item in rounds), unit=f"of {alerts}"),
        *(Figure(name=f"on the wire over {link.name}, both ways, FLASH",
                 value=sum(item.bytes_by_link[link.name] for item in flash)
                 / sum(item.alerts if link.name == LIVING else item.alerts / 2 for item in flash),
                 unit="bytes an alert") for link in _LINKS),
    ]  # fmt: skip


def _failover(precedence: str, rounds: list[Round], target: float | None) -> list[Figure]:
    three = [value for item in rounds for value in item.three_ms]
    alone = [value for item in rounds for value in item.alone_ms]
    calm = [value for item in rounds for value in item.calm_three_ms]
    peer = "best living path alone"
    return [
        Figure(name=f"{precedence} median, one of three dead", value=statistics.median(three), unit="ms", peer=peer,
               peer_value=statistics.median(alone), is_more_better=False),
        Figure(name=f"{precedence} p99, one of three dead", value=percentile(three, 0.99), unit="ms", peer=peer,
               peer_value=percentile(alone, 0.99), target_ratio=target, is_more_better=False),
        Figure(name=f"{precedence} worst, one of three dead", value=max(three), unit="ms", peer=peer,
               peer_value=max(alone), is_more_better=False),
        Figure(name=f"{precedence} median, all three alive", value=statistics.median(calm), unit="ms"),
    ]  # fmt: skip


def main() -> int:
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    figures = measure()
    show("network", figures)
    missed = [figure.name for figure in figures if figure.is_met is False]
    for name in missed:
        print(f"target missed: network: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
