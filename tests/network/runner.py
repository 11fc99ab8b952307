"""Run scenarios: ``python -m tests.network.runner [NAME …] [--seeds N]``. Prints a line a run; fails if one is not good.

A run waits more than it works, so several seeds of one scenario run side by side, each in namespaces of its own; fleets
run alone.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.network import namespaces, scenario
from tests.network.bench import Bench, bench
from tests.network.outcome import Outcome, faults_missing, summed_up
from tests.network.scenario import Carrier, Event, Scenario
from tests.network.station_process import Halt, Raise

SIDE_BY_SIDE: Final = 5
LIVES_ON_S: Final = 1.5
"""How long alerts are still raised when the last of the killed is back."""


async def run(name: str, wanted: Scenario, seed: int, state_dir: Path) -> Outcome:
    """One scenario with one seed."""
    async with bench(wanted, seed, state_dir) as made:
        outcome = await _live(made, name, wanted, seed)
        await made.stop_stations()
    return outcome


async def run_fleet(
    name: str, seeds: Sequence[int], kills: int, keep: Callable[[Outcome], None], carrier: Carrier | None = None
) -> None:
    """A fleet's start takes a minute: it is started once and lives through all its seeds, each with chances and kills of its own."""
    own = scenario.load(name, carrier)
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        async with bench(own, seeds[0], Path(folder)) as made:
            for seed in seeds:
                await made.begin_anew(seed)
                outcome = await _live(made, name, scenario.with_kills(own, seed, kills), seed)
                print(outcome.line(), flush=True)
                keep(outcome)


async def _live(made: Bench, name: str, wanted: Scenario, seed: int) -> Outcome:
    """The timetable, and what came of it."""
    made.order("node", Raise(alerts_per_s=wanted.alerts_per_s, together=wanted.together, precedence=wanted.precedence))
    timetable = wanted.timetable(seed)
    started_s = time.monotonic()
    async with asyncio.TaskGroup() as group:  # a link's fault that waits to be met holds no station's start back
        links = group.create_task(_play(made, [item for item in timetable if item[1].link], started_s), name="links")
        group.create_task(_play(made, [item for item in timetable if not item[1].link], started_s), name="stations")
    first_event_s = started_s + timetable[0][0] if timetable else float("inf")
    started_s += links.result()
    await asyncio.sleep(started_s + wanted.lasts_s - time.monotonic())
    await made.hold_until_met(made.faults.begun)
    if made.killed:
        await made.wait_for_the_killed()
        await asyncio.sleep(LIVES_ON_S)
    made.order("node", Halt())
    await _settle(made, wanted.patience_s)
    standing, unmet = made.standing(), made.faults.unmet(made.seen())
    await made.read()
    missing = faults_missing(wanted, standing, made.killed, unmet)
    return summed_up(name, seed, made.journal, standing, first_event_s, missing, made.ways.closed())


async def _play(made: Bench, timetable: Sequence[tuple[float, Event]], started_s: float) -> float:
    """Let everything happen in its time; returns by how much that was held back, s."""
    held_s = 0.0
    for after_s, event in timetable:
        await asyncio.sleep(started_s + held_s + after_s - time.monotonic())
        due_s = time.monotonic()
        await made.apply(event)
        held_s += time.monotonic() - due_s if event.link else 0.0
    return held_s


async def _settle(made: Bench, patience_s: float) -> None:
    """Until every alert is heard, or patience ends: the outcome says which."""
    with contextlib.suppress(AssertionError):
        await made.wait_for(lambda: bool(made.journal.counters), "the node's counters", patience_s)
        if not made.killed["node"]:  # who was killed may have settled what it never came to tell us: its spool knows
            await made.wait_for(lambda: not made.journal.waiting, "the last receipt", patience_s)
        await made.empty_spools(patience_s)


async def _run_in_own_folder(
    name: str, seed: int, kills: int, carrier: Carrier | None, room: asyncio.Semaphore
) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        async with room:
            wanted = scenario.with_kills(scenario.load(name, carrier), seed, kills)
            outcome = await run(name, wanted, seed, Path(folder))
        bound_ms = None if kills else wanted.p99_at_most_ms  # whoever is killed has nobody to be quick
        is_slow = bound_ms is not None and outcome.p99_ms > bound_ms
        print(outcome.line() + (f" | SLOW: p99 over {bound_ms:.0f} ms" if is_slow else ""), flush=True)
        return outcome


def run_all(
    runs: Sequence[tuple[str, int]], *, side_by_side: int = SIDE_BY_SIDE, kills: int = 0, carrier: Carrier | None = None
) -> list[Outcome]:
    """Scenarios with seeds, some at a time; prints a line for each.

    ``kills``: -9 of any station, so often in each run. ``carrier``: of every way, instead of the file's.
    """

    async def all_of_them() -> list[Outcome]:
        room = asyncio.Semaphore(1 if any(scenario.load(name).nodes > 1 for name, _ in runs) else side_by_side)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_run_in_own_folder(name, seed, kills, carrier, room), name=f"{name} {seed}")
                for name, seed in runs
            ]
        return [task.result() for task in tasks]

    return asyncio.run(all_of_them())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=scenario.names())
    parser.add_argument("--seeds", type=int, default=1, help="runs of each scenario")
    parser.add_argument("--seed", type=int, help="the first seed; a random one if it is left out")
    parser.add_argument("--side-by-side", type=int, default=SIDE_BY_SIDE, help="runs at the same time")
    parser.add_argument(
        "--kills", type=int, default=0, help="kill -9 any station at random moments, so often in each run"
    )
    parser.add_argument("--carrier", choices=scenario.CARRIERS, help="of every way, instead of what the files say")
    wanted = parser.parse_args()
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    first = random.SystemRandom().randrange(100_000) if wanted.seed is None else wanted.seed
    bad = 0
    for name in wanted.names:
        outcomes = run_all(
            [(name, seed) for seed in range(first, first + wanted.seeds)],
            side_by_side=wanted.side_by_side,
            kills=wanted.kills,
            carrier=wanted.carrier,
        )
        bad += sum(not outcome.is_good for outcome in outcomes)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
