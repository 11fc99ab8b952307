"""Every scenario with many seeds and ``kill -9`` at random: ``make campaign``, or ``python -m tests.network.campaign [NAME …]``.

Writes what came of it to ``campaign.txt`` beside this file, a line a scenario, and takes up where it was left: runs of an earlier
call with the same code stand, so that a long campaign can be run in pieces. Fails if an alert was lost, unheard or shown twice.
``--carrier tls`` is a campaign of its own, with every way over that carrier: ``campaign-tls.txt``.
"""

import argparse
import asyncio
import functools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks.figure import percentile
from tests.network import namespaces, scenario
from tests.network.outcome import Outcome
from tests.network.runner import SIDE_BY_SIDE, run_all, run_fleet
from tests.network.scenario import Carrier

_FOLDER_DIR: Final = Path(__file__).parent
SEEDS, KILLS, FLEET_KILLS = 20, 3, 1
"""Runs, and stations killed in each; a fleet's nodes share a process, and killing that kills a thousand at once."""


def report_file(carrier: Carrier | None) -> Path:
    """What came of all runs."""
    return _FOLDER_DIR / f"campaign{f'-{carrier}' if carrier else ''}.txt"


def runs_file(carrier: Carrier | None) -> Path:
    """Every run by itself; not in the repository."""
    return _FOLDER_DIR / f"campaign-runs{f'-{carrier}' if carrier else ''}.jsonl"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run, without its thousands of single times."""

    revision: str
    kills: int
    """Asked for."""
    killed: int
    """That fitted into its timetable, beside the scenario's own."""
    outcome: Outcome


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of a scenario."""

    scenario: str
    runs: int
    killed: int
    """Stations killed at random; the scenario's own kills come on top."""
    raised: int
    lost: int
    unheard: int
    shown_twice: int
    proved_nothing: int
    """Runs in which a fault of the scenario did not happen; they count for nothing."""
    p50_ms: float
    p99_ms: float
    clear_p50_ms: float
    clear_p99_ms: float
    """Of these times what passed while a whole way stood open."""
    revisions: tuple[str, ...]


def row_of(name: str, runs: Sequence[Run]) -> Row:
    """Sum up the runs of one scenario."""
    outcomes = [run.outcome for run in runs]
    return Row(
        scenario=name, runs=len(outcomes), killed=sum(run.killed for run in runs),
        raised=sum(outcome.raised for outcome in outcomes), lost=sum(outcome.lost for outcome in outcomes),
        unheard=sum(outcome.unheard for outcome in outcomes),
        shown_twice=sum(outcome.shown_twice for outcome in outcomes),
        proved_nothing=sum(bool(outcome.faults_missing) for outcome in outcomes),
        p50_ms=percentile([outcome.p50_ms for outcome in outcomes], 0.5), p99_ms=max(outcome.p99_ms for outcome in outcomes),
        clear_p50_ms=percentile([outcome.clear_p50_ms for outcome in outcomes], 0.5),
        clear_p99_ms=max(outcome.clear_p99_ms for outcome in outcomes), revisions=tuple(sorted({run.revision for run in runs})),
    )  # fmt: skip


def text_of(rows: Sequence[Row], carrier: Carrier | None = None) -> str:
    """The report, for people."""
    head = (
        f"{'scenario':22}{'runs':>6}{'kills':>7}{'alerts':>9}{'lost':>6}{'unheard':>9}{'twice':>7}{'void':>6}"
        f"{'p50 ms':>8}{'worst p99':>11}{'clear p50':>11}{'worst p99':>11}  revision"
    )
    lines = [
        f"{row.scenario:22}{row.runs:6}{row.killed:7}{row.raised:9,}{row.lost:6}{row.unheard:9}{row.shown_twice:7}"
        f"{row.proved_nothing:6}{row.p50_ms:8.0f}{row.p99_ms:11.0f}"
        f"{row.clear_p50_ms:11.0f}{row.clear_p99_ms:11.0f}  {', '.join(row.revisions)}"
        for row in rows
    ]
    total = (
        f"{'all':22}{sum(row.runs for row in rows):6}{sum(row.killed for row in rows):7}"
        f"{sum(row.raised for row in rows):9,}{sum(row.lost for row in rows):6}{sum(row.unheard for row in rows):9}"
        f"{sum(row.shown_twice for row in rows):7}{sum(row.proved_nothing for row in rows):6}"
    )
    notes = (
        "Every scenario of tests/network/scenarios with many seeds and stations killed -9 at random moments: "
        + (
            f"every way over {carrier}, `python -m tests.network.campaign --carrier {carrier}`."
            if carrier
            else "`make campaign`."
        ),
        "lost: promised by a node and never shown by the center. unheard: shown, and the node never learned of it. void: a fault of",
        "the scenario did not happen in that run. Times are from the put to the receipt at the node, outages and kills included.",
        "clear: of these times only what passed while a whole way stood open, every station on it running and every link carrying.",
        "revision: the commit that was run; + where the tree differed from it.",
        "Many stations share two cores here, so the times say as much of how busy the machine was: what counts is lost, unheard, twice.",
    )
    return "\n".join([*notes, "", head, *lines, total]) + "\n"


def revision() -> str:
    """The commit that is run, marked where the tree differs from it; the report itself, which every run rewrites, is no difference."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git(
        "status", "--porcelain", "--untracked-files=no", "--", str(Path.cwd()), f":(exclude){_FOLDER_DIR}/campaign*.txt"
    )
    return f"{head or 'unknown'}{'+' if changed else ''}"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()


def _killed(outcome: Outcome, kills: int) -> int:
    own = scenario.load(outcome.scenario)
    return sum(bool(event.kill) for event in scenario.with_kills(own, outcome.seed, kills).event[len(own.event) :])


def keep(outcome: Outcome, kills: int, carrier: Carrier | None) -> None:
    """Write a run down."""
    run = Run(revision=revision(), kills=kills, killed=_killed(outcome, kills),
              outcome=msgspec.structs.replace(outcome, heard_ms=()))  # fmt: skip
    with runs_file(carrier).open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def known_runs(carrier: Carrier | None) -> list[Run]:
    """What earlier calls wrote."""
    file = runs_file(carrier)
    return [msgspec.json.decode(line, type=Run) for line in file.read_bytes().splitlines()] if file.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=scenario.names())
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--kills", type=int, default=KILLS, help="kill -9 any station, so often in each run")
    parser.add_argument("--side-by-side", type=int, default=SIDE_BY_SIDE)
    parser.add_argument("--again", action="store_true", help="forget what earlier calls ran")
    parser.add_argument("--carrier", choices=scenario.CARRIERS, help="of every way, instead of what the files say")
    wanted = parser.parse_args()
    carrier: Carrier | None = wanted.carrier
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    if wanted.again:
        runs_file(carrier).unlink(missing_ok=True)
    for name in wanted.names:
        is_fleet = scenario.load(name).nodes > 1
        kills = min(wanted.kills, FLEET_KILLS) if is_fleet else wanted.kills
        done = {run.outcome.seed for run in known_runs(carrier) if run.outcome.scenario == name and run.kills == kills}
        seeds = [seed for seed in range(1, wanted.seeds + 1) if seed not in done]
        if is_fleet and seeds:
            write_down = functools.partial(keep, kills=kills, carrier=carrier)
            asyncio.run(run_fleet(name, seeds, kills, write_down, carrier))
            continue
        for at in range(0, len(seeds), wanted.side_by_side):
            for outcome in run_all([(name, seed) for seed in seeds[at : at + wanted.side_by_side]],
                                   side_by_side=wanted.side_by_side, kills=kills, carrier=carrier):  # fmt: skip
                keep(outcome, kills, carrier)
    runs = known_runs(carrier)
    by_name = {name: [run for run in runs if run.outcome.scenario == name] for name in scenario.names()}
    rows = [row_of(name, found) for name, found in by_name.items() if found]
    report = text_of(rows, carrier)
    report_file(carrier).write_text(report, encoding="utf-8")
    print(report)
    return 1 if any(row.lost or row.unheard or row.shown_twice for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
