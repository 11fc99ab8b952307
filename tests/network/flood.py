"""One node floods and another one raises alerts beside it: how much longer do those take?

``python -m tests.network.flood``. Two places where a flood can hurt: a thin uplink that both nodes' alerts share, where what is in flight
stands before everything else, and a center that is sent more than it can verify and store. The other node is counted before the
flood and in it, in the same run. The flooder's process has the processor only when nobody else wants it (``nice``): in the field
it is another machine. Prints a table and fails naming each target that is missed. Needs root; about a minute.
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
from tests.network.scenario import LinkWanted, Scenario
from tests.network.station_process import Flood, Halt, Raise

ALERTS_PER_S = 10.0
_CALM_S = 6.0
_SETTLE_S = 2.0
_FLOOD_S = 8.0
_ROUNDS = 2
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
    """One run."""
    async with bench(scenario, seed, state_dir) as made:
        made.order("node", Raise(alerts_per_s=ALERTS_PER_S))
        began_s = time.monotonic()
        await asyncio.sleep(_CALM_S)
        made.order("flooder", Flood(alerts_per_s=alerts_per_s))
        flooded_s = time.monotonic()
        await asyncio.sleep(_SETTLE_S + _FLOOD_S)
        made.order("flooder", Halt())
        made.order("node", Halt())
        ended_s = time.monotonic()
        await made.wait_for(lambda: {"node", "flooder"} <= made.journal.counters.keys(), "the counters", 20)
        await made.wait_for(lambda: not made.journal.waiting, "the last receipt", 60)
        told = made.journal.counters["flooder"]
        assert told["envelopes_spooled"] > told.get("envelopes_receipted", 0) + 200, (
            "the flood got ahead of what is stored"
        )
        await made.stop_stations()
        await made.read()
        heard = made.journal.heard_ms
        return Felt(
            calm_ms=tuple(heard("node", since_s=began_s + 0.5, until_s=flooded_s - 0.5)),
            flooded_ms=tuple(heard("node", since_s=flooded_s + _SETTLE_S, until_s=ended_s)),
            stored_per_s=told.get("envelopes_receipted", 0) / (ended_s - flooded_s),
            lost=len(made.journal.raised.keys() - made.journal.shown.keys()),
        )  # fmt: skip


def _run(scenario: Scenario, alerts_per_s: float) -> list[Felt]:
    found: list[Felt] = []
    for seed in range(1, _ROUNDS + 1):
        with tempfile.TemporaryDirectory(prefix="heard-") as folder:
            found.append(asyncio.run(feel(scenario, alerts_per_s, seed, Path(folder))))
    return found


def measure() -> list[Figure]:
    """Each place, median and p95, beside the same node's own before the flood."""
    figures: list[Figure] = []
    for place, (scenario, alerts_per_s) in FLOODS.items():
        felt = _run(scenario, alerts_per_s)
        calm = [value for item in felt for value in item.calm_ms]
        flooded = [value for item in felt for value in item.flooded_ms]
        for name, of in (("median", statistics.median), ("p95", lambda values: percentile(values, 0.95))):
            figures.append(
                Figure(name=f"FLASH {name} beside a flood, {place}", value=of(flooded), unit="ms", peer="the same node before it",
                       peer_value=of(calm), target_ratio=1.5, is_more_better=False)
            )  # fmt: skip
        figures += [
            Figure(name=f"FLASH worst beside a flood, {place}", value=max(flooded), unit="ms", peer="the same node before it",
                   peer_value=max(calm), is_more_better=False),
            Figure(name=f"the flood's own, stored, {place}", value=statistics.mean(item.stored_per_s for item in felt), unit="/s",
                   peer="tried", peer_value=alerts_per_s),
            Figure(name=f"the other node's lost, {place}", value=sum(item.lost for item in felt), unit="alerts"),
        ]  # fmt: skip
    return figures


def main() -> int:
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    figures = measure()
    show("flood", figures)
    missed = [figure.name for figure in figures if figure.is_met is False]
    for name in missed:
        print(f"target missed: flood: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
