"""One node floods and another one raises alerts beside it: how much longer do those take?

``python -m tests.network.flood``. Two places where a flood can hurt: a thin uplink that both nodes' alerts share, where what is in flight
stands before everything else, and a center that is sent more than it can verify and store. The other node is counted before the
flood and in it, in the same run. The flooder's process has the processor only when nobody else wants it (``nice``): in the field
it is another machine. Prints a table and fails naming each target that is missed. Needs root; about a minute.

A round proves nothing where the flood was none, as on a machine so busy that the flooder got no processor, or where a station did not answer in
time: it says why, and another one is run in its place, twice at most for each place. A place without a round fails by name; the other's figures stand.
"""

import asyncio
import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tests.benchmarks.__main__ import main as run_benchmarks
from tests.benchmarks.figure import Figure, NoFigure, percentile
from tests.network import namespaces
from tests.network.bench import Bench, EndedByItself, bench
from tests.network.scenario import LinkWanted, Scenario
from tests.network.station_process import Flood, Halt, Raise

ALERTS_PER_S = 10.0
_CALM_S = 6.0
_SETTLE_S = 2.0
_FLOOD_S = 8.0
_ROUNDS = 2
_SPOILED_AT_MOST = 2
"""Rounds that prove nothing and are run again."""
_COUNTED_WITHIN_S = 60.0
"""The flooder yields to everybody: on a busy machine it takes long to hear that it is to halt."""
_HEARD_WITHIN_S = 60.0
_LEAST_AHEAD = 200
SHARED = Scenario(
    title="A site's two cameras share one uplink of 1 Mbit/s, 80 ms; one of them floods.", lasts_s=_FLOOD_S, alerts_per_s=ALERTS_PER_S,
    link=(
        LinkWanted(name="yard", far="relay", both={"delay_ms": 1}),
        LinkWanted(name="hall", near="flooder", far="relay", both={"delay_ms": 1}),
        LinkWanted(name="wan", near="relay", both={"delay_ms": 40, "rate_kbit": 1000, "queue_kb": 512}),
    ),
)  # fmt: skip
DIRECT = Scenario(
    title="Two cameras have links of their own, 80 ms; one sends the center more than it can store.", lasts_s=_FLOOD_S,
    alerts_per_s=ALERTS_PER_S,
    link=(
        LinkWanted(name="yard", both={"delay_ms": 40}),
        LinkWanted(name="hall", near="flooder", both={"delay_ms": 40}),
    ),
)  # fmt: skip
FLOODS = {"a shared uplink": (SHARED, 2_000.0), "a busy center": (DIRECT, 10_000.0)}
"""Scenario, and alerts a second that the flooder tries to put: several times what gets through."""


class Felt(msgspec.Struct, frozen=True, kw_only=True):
    """Put to heard of the other node's alerts."""

    calm_ms: tuple[float, ...]
    flooded_ms: tuple[float, ...]
    stored_per_s: float
    """Of the flood, by the center."""
    lost: int


async def feel(scenario: Scenario, alerts_per_s: float, seed: int, state_dir: Path) -> Felt:
    """One run.

    Raises:
        NoFigure: it proves nothing, and why.
    """
    async with bench(scenario, seed, state_dir) as made:
        made.order("node", Raise(alerts_per_s=ALERTS_PER_S))
        began_s = time.monotonic()
        await asyncio.sleep(_CALM_S)
        made.order("flooder", Flood(alerts_per_s=alerts_per_s))
        flooded_s = time.monotonic()
        await asyncio.sleep(_SETTLE_S + _FLOOD_S)
        made.order("flooder", Halt())
        made.order("node", Halt())
        ended_s, share = time.monotonic(), _processor_share(made)
        for what, holds, within_s in (
            ("the counters", lambda: {"node", "flooder"} <= made.journal.counters.keys(), _COUNTED_WITHIN_S),
            ("the other node's last receipt", lambda: not made.journal.waiting, _HEARD_WITHIN_S),
        ):
            try:
                await made.wait_for(holds, what, within_s)
            except AssertionError as error:
                raise NoFigure(
                    f"{error}; {share}; last words of the flooder: {made.last_words('flooder')!r}"
                ) from error
        told = made.journal.counters["flooder"]
        spooled, receipted = told["envelopes_spooled"], told.get("envelopes_receipted", 0)
        if spooled <= receipted + _LEAST_AHEAD:
            raise NoFigure(
                f"the flood was none: expected it at least {_LEAST_AHEAD} alerts ahead of what is stored, found {spooled} spooled and "
                f"{receipted} receipted; {share}: run it on a quieter machine"
            )
        await made.stop_stations()
        await made.read()
        heard = made.journal.heard_ms
        felt = Felt(
            calm_ms=tuple(heard("node", since_s=began_s + 0.5, until_s=flooded_s - 0.5)),
            flooded_ms=tuple(heard("node", since_s=flooded_s + _SETTLE_S, until_s=ended_s)),
            stored_per_s=receipted / (ended_s - flooded_s),
            lost=len(made.journal.raised.keys() - made.journal.shown.keys()),
        )  # fmt: skip
        if not felt.calm_ms or not felt.flooded_ms:
            raise NoFigure(
                f"the other node raised {len(felt.calm_ms)} alerts before the flood and {len(felt.flooded_ms)} in it; {share}"
            )
        return felt


def _processor_share(made: Bench) -> str:
    """What each station's process had of a processor until now: where a round proves nothing, that is mostly why."""
    shares: list[str] = []
    for place, process in made.processes.items():
        with contextlib.suppress(psutil.Error):
            known = psutil.Process(process.pid)
            used = known.cpu_times()
            shares.append(f"{place} {(used.user + used.system) / max(0.001, time.time() - known.create_time()):.0%}")
    return f"shares of a processor: {', '.join(shares)} (load {os.getloadavg()[0]:.1f})"


Feel = Callable[[Scenario, float, int, Path], Coroutine[Any, Any, Felt]]


def rounds(place: str, scenario: Scenario, alerts_per_s: float, feel_it: Feel = feel) -> list[Felt]:
    """As many as are wanted; one that proves nothing says so on stderr and is run again.

    Raises:
        NoFigure: too many did.
    """
    found: list[Felt] = []
    spoiled: list[str] = []
    for seed in itertools.count(1):
        with tempfile.TemporaryDirectory(prefix="heard-") as folder:
            try:
                found.append(asyncio.run(feel_it(scenario, alerts_per_s, seed, Path(folder))))
            except (NoFigure, AssertionError, EndedByItself, OSError, TimeoutError) as error:
                spoiled.append(f"round {seed}: {str(error) or type(error).__name__}")
                print(f"proves nothing: {place}, {spoiled[-1]}", file=sys.stderr)
        if len(found) == _ROUNDS:
            return found
        if len(spoiled) > _SPOILED_AT_MOST:
            raise NoFigure(f"{place}: {'; '.join(spoiled)}")
    raise AssertionError("it counts for ever")


def measure(feel_it: Feel = feel) -> list[Figure]:
    """Each place, median and p95, beside the same node's own before the flood.

    Raises:
        NoFigure: some place gave none; it carries the others'.
    """
    figures: list[Figure] = []
    lacking: list[str] = []
    for place, (scenario, alerts_per_s) in FLOODS.items():
        try:
            figures += _figures_of(place, alerts_per_s, rounds(place, scenario, alerts_per_s, feel_it))
        except NoFigure as failure:
            lacking.append(str(failure))
    if lacking:
        raise NoFigure("; ".join(lacking), figures)
    return figures


def _figures_of(place: str, alerts_per_s: float, felt: list[Felt]) -> list[Figure]:
    calm = [value for item in felt for value in item.calm_ms]
    flooded = [value for item in felt for value in item.flooded_ms]
    figures = [
        Figure(name=f"FLASH {name} beside a flood, {place}", value=of(flooded), unit="ms", peer="the same node before it",
               peer_value=of(calm), target_ratio=1.5, is_more_better=False)
        for name, of in (("median", statistics.median), ("p95", lambda values: percentile(values, 0.95)))
    ]  # fmt: skip
    return [
        *figures,
        Figure(name=f"FLASH worst beside a flood, {place}", value=max(flooded), unit="ms", peer="the same node before it",
               peer_value=max(calm), is_more_better=False),
        Figure(name=f"the flood's own, stored, {place}", value=statistics.mean(item.stored_per_s for item in felt), unit="/s",
               peer="tried", peer_value=alerts_per_s),
        Figure(name=f"the other node's lost, {place}", value=sum(item.lost for item in felt), unit="alerts"),
    ]  # fmt: skip


def main() -> int:
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    return run_benchmarks(["flood"])


if __name__ == "__main__":
    sys.exit(main())
