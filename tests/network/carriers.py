"""TLS beside ZeroMQ on the same bad links, at the same time: how long until the receipt, what a quiet path costs, and what a clip gets and leaves.

``python -m tests.network.carriers``. Prints a table and fails naming each target that is missed. Needs root; about three minutes.
The two run side by side in namespaces of their own, with the same seeds, so that what else the machine does hits both.
"""

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks.__main__ import main as run_benchmarks
from tests.benchmarks.figure import Figure, NoFigure, percentile
from tests.network import bulk, namespaces, scenario
from tests.network.bench import bench
from tests.network.bulk import Fed
from tests.network.outcome import Outcome
from tests.network.runner import run
from tests.network.scenario import Carrier, LinkWanted, Scenario

_SCENARIOS: Final = ("geo_satellite", "city_lte")
_SEEDS: Final = (1, 2, 3)
_PAIR: Final[tuple[Carrier, Carrier]] = ("tls", "zeromq")
_SETTLED_S, _IDLE_S, _DAY_S = 6.0, 20.0, 86_400


async def _lived(name: str, seed: int, carrier: Carrier) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        return await run(name, scenario.load(name, carrier), seed, Path(folder))


async def _fed(link: LinkWanted, carrier: Carrier, *, has_alerts: bool) -> Fed:
    own = msgspec.structs.replace(link, carrier=carrier)
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        return await bulk.feed((own,), Path(folder), has_alerts=has_alerts)


async def _receipts(name: str) -> list[Figure]:
    """Raises ``NoFigure``: an alert was lost, unheard or shown twice, or a fault of the scenario did not happen."""
    heard: dict[Carrier, list[float]] = {carrier: [] for carrier in _PAIR}
    wire: dict[Carrier, list[float]] = {carrier: [] for carrier in _PAIR}
    for seed in _SEEDS:
        pair = await asyncio.gather(*(_lived(name, seed, carrier) for carrier in _PAIR))
        for carrier, outcome in zip(_PAIR, pair, strict=True):
            if not outcome.is_good:
                raise NoFigure(f"{carrier}: {outcome.line()}")
            heard[carrier] += outcome.heard_ms
            wire[carrier].append(sum(up + down for up, down in outcome.bytes_by_link.values()) / outcome.raised)
    ours, theirs = _PAIR
    return [
        *(Figure(name=f"put to receipt over {ours}, {name}, {what}", value=percentile(heard[ours], share), unit="ms", peer=theirs,
                 peer_value=percentile(heard[theirs], share), target_ratio=target, is_more_better=False)
          for what, share, target in (("median", 0.5, 1.1), ("p95", 0.95, None))),
        Figure(name=f"on the wire over {ours}, {name}, both ways", value=statistics.median(wire[ours]), unit="bytes an alert",
               peer=theirs, peer_value=statistics.median(wire[theirs]), is_more_better=False),
    ]  # fmt: skip


async def _idle_bytes_s(carrier: Carrier) -> float:
    quiet = Scenario(title="Nothing happens.", lasts_s=_IDLE_S, alerts_per_s=1,
                     link=(LinkWanted(name="lte", carrier=carrier, both={"delay_ms": 25}),))  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        async with bench(quiet, 1, Path(folder)) as made:
            await asyncio.sleep(_SETTLED_S)
            before = made.standing()
            await asyncio.sleep(_IDLE_S)
            after = made.standing()
    passed = (after.up["lte"].since(before.up["lte"]), after.down["lte"].since(before.down["lte"]))
    return sum(tally.passed_bytes for tally in passed) / _IDLE_S


async def _idle() -> list[Figure]:
    ours, theirs = await asyncio.gather(*(_idle_bytes_s(carrier) for carrier in _PAIR))
    return [Figure(name=f"a path over {_PAIR[0]} on which nothing happens, both ways", value=ours * _DAY_S / 1e6, unit="MB a day",
                   peer=_PAIR[1], peer_value=theirs * _DAY_S / 1e6, target_ratio=0.7, is_more_better=False)]  # fmt: skip


async def _clips() -> list[Figure]:
    pairs: dict[str, list[Fed]] = {}
    for link, has_alerts in ((bulk.THIN, True), (bulk.THIN, False), (bulk.SATELLITE, False)):
        what = f"{link.name}{' beside alerts' if has_alerts else ''}"
        pairs[what] = await asyncio.gather(*(_fed(link, carrier, has_alerts=has_alerts) for carrier in _PAIR))
    beside, calm, satellite = (pairs[what] for what in ("thin beside alerts", "thin", "sat"))
    ours, theirs = _PAIR
    return [
        *(Figure(name=f"an alert's round trip beside a clip over {ours}, {what}", value=of(list(beside[0].alert_ms)), unit="ms",
                 peer="256 kbit/s, 80 ms: target", peer_value=300, target_ratio=1.0, is_more_better=False) for what, of in _MEASURES),
        *(Figure(name=f"the same, {what}", value=of(list(beside[0].alert_ms)), unit="ms", peer=theirs,
                 peer_value=of(list(beside[1].alert_ms)), is_more_better=False) for what, of in _MEASURES),
        *(Figure(name=f"a clip's {whose} over {ours}, {place}", value=_of(fed[0], link, is_wire=is_wire), unit="bytes/s",
                 peer="the link", peer_value=link.both["rate_kbit"] * 125, target_ratio=0.85)
          for fed, link, place in ((calm, bulk.THIN, "256 kbit/s"), (satellite, bulk.SATELLITE, "a satellite's 2 Mbit/s"))
          for whose, is_wire in (("link, IP packets", True), ("own bytes", False))),
        *(Figure(name=f"a clip's own bytes over {ours}, {place}", value=fed[0].content_bytes_s, unit="bytes/s", peer=theirs,
                 peer_value=fed[1].content_bytes_s)
          for fed, place in ((calm, "256 kbit/s"), (satellite, "a satellite's 2 Mbit/s"))),
    ]  # fmt: skip


_MEASURES: Final = (("median", statistics.median), ("p95", lambda values: percentile(values, 0.95)))


def _of(fed: Fed, link: LinkWanted, *, is_wire: bool) -> float:
    return fed.wire_bytes_s[link.name] if is_wire else fed.content_bytes_s


def measure() -> list[Figure]:
    """Receipts on two scenarios, a quiet link, then clips on two links.

    Raises:
        NoFigure: a run proves nothing, or broke a promise.
    """

    async def all_of_it() -> list[Figure]:
        figures = [figure for name in _SCENARIOS for figure in await _receipts(name)]
        return figures + await _idle() + await _clips()

    return asyncio.run(all_of_it())


def main() -> int:
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    return run_benchmarks(["carriers"])


if __name__ == "__main__":
    sys.exit(main())
