"""A clip over emulated links: what it leaves to alerts, what it gets of a link, of one that loses packets too, and what several links carry together.

``python -m tests.network.bulk``. Prints a table and fails naming each target that is missed. Needs root; under four minutes.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from relay import limits
from tests.benchmarks.__main__ import show
from tests.benchmarks.figure import Figure, percentile
from tests.network import namespaces
from tests.network.bench import Bench, bench
from tests.network.scenario import LinkWanted, Scenario
from tests.network.station_process import Feed, Halt, Raise

_SETTLE_S = 5.0
"""A link's pace is found within this."""
_COUNT_S = 12.0
_ALERTS_PER_S = 2.0
THIN = LinkWanted(name="thin", both={"delay_ms": 40, "rate_kbit": 256, "queue_kb": 256})
"""256 kbit/s, 80 ms there and back, behind a modem that would hold eight seconds of it."""
LOSSY = LinkWanted(name="lossy", both={"delay_ms": 25, "rate_kbit": 4000, "queue_kb": 256, "loss_pct": 1.0})
"""Under CUBIC a clip has half of it (``relay/congestion.py``)."""
SATELLITE_MS = 600
SATELLITE = LinkWanted(name="sat", both={"delay_ms": SATELLITE_MS / 2, "rate_kbit": 2000, "queue_kb": 512})
ALERT_MS = 300
"""What an alert may take beside a clip, beyond a way that is longer than this by itself."""
UNEQUAL = (
    LinkWanted(name="lte", both={"delay_ms": 25, "rate_kbit": 4000, "queue_kb": 256}),
    LinkWanted(name="dsl", both={"delay_ms": 15, "rate_kbit": 1000, "queue_kb": 256}),
    SATELLITE,
)


class Fed(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    content_bytes_s: float
    """Of the clip, receipted by the center."""
    wire_bytes_s: dict[str, float]
    """What came out of each link at the center's end."""
    alert_ms: tuple[float, ...]
    envelopes_sent: int
    chunks_heard: int


def scenario_of(*links: LinkWanted) -> Scenario:
    """One node that has these links."""
    return Scenario(title="A clip is on its way.", lasts_s=_COUNT_S, alerts_per_s=_ALERTS_PER_S, link=links)


async def _settled(made: Bench, seconds: float) -> float:
    await asyncio.sleep(seconds)
    return time.monotonic()


async def feed(links: tuple[LinkWanted, ...], state_dir: Path, *, has_alerts: bool, seed: int = 1) -> Fed:
    """Saturate the links with a clip; raise alerts beside it if wanted."""
    async with bench(scenario_of(*links), seed, state_dir) as made:
        made.order("node", Feed())
        await made.wait_for(lambda: bool(made.journal.carried), "the first chunk", 20)
        began_s = await _settled(made, _SETTLE_S)
        before = made.standing()
        if has_alerts:
            made.order("node", Raise(alerts_per_s=_ALERTS_PER_S))
        ended_s = await _settled(made, _COUNT_S)
        after = made.standing()
        made.order("node", Halt())
        await made.wait_for(
            lambda: "node" in made.journal.counters and not made.journal.waiting, "the last receipt", 30
        )
        carried = made.journal.carried["node"]
        counters = made.journal.counters["node"]
        passed = {link.name: (after.up[link.name].passed_bytes - before.up[link.name].passed_bytes) / (ended_s - began_s)
                  for link in links}  # fmt: skip
        return Fed(
            content_bytes_s=_rate(carried, began_s, ended_s), wire_bytes_s=passed,
            alert_ms=tuple(made.journal.heard_ms("node", since_s=began_s)),
            envelopes_sent=counters.get("envelopes_sent", 0), chunks_heard=carried[-1][1] // limits.DEFAULT_CHUNK_BYTES,
        )  # fmt: skip


def _rate(carried: list[tuple[float, int]], began_s: float, ended_s: float) -> float:
    inside = [(at_s, total) for at_s, total in carried if began_s <= at_s <= ended_s]
    (first_s, first), (last_s, last) = inside[0], inside[-1]
    return (last - first) / (last_s - first_s)


def _run(links: tuple[LinkWanted, ...], *, has_alerts: bool) -> Fed:
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        return asyncio.run(feed(links, Path(folder), has_alerts=has_alerts))


def measure() -> list[Figure]:
    """A thin link with and without alerts; three unequal ones together and each alone."""
    calm, busy = _run((THIN,), has_alerts=False), _run((THIN,), has_alerts=True)
    lossy = _run((LOSSY,), has_alerts=False)
    far = _run((SATELLITE,), has_alerts=True)
    thin_bytes_s = 256_000 / 8
    together = _run(UNEQUAL, has_alerts=False)
    alone = [_run((link,), has_alerts=False) for link in UNEQUAL]
    return [
        Figure(name="alert round trip beside a clip, median", value=statistics.median(busy.alert_ms), unit="ms",
               peer="256 kbit/s, 80 ms: target", peer_value=ALERT_MS, target_ratio=1.0, is_more_better=False),
        Figure(name="alert round trip beside a clip, p95", value=percentile(list(busy.alert_ms), 0.95), unit="ms",
               peer="256 kbit/s, 80 ms: target", peer_value=ALERT_MS, target_ratio=1.0, is_more_better=False),
        Figure(name="alert round trip beside a clip, worst", value=max(busy.alert_ms), unit="ms",
               peer="256 kbit/s, 80 ms: target", peer_value=ALERT_MS, is_more_better=False),
        Figure(name="alert round trip beside a clip over a satellite, p95", value=percentile(list(far.alert_ms), 0.95), unit="ms",
               peer="the same beyond its way", peer_value=ALERT_MS + SATELLITE_MS, target_ratio=1.0, is_more_better=False),
        Figure(name="a clip beside two alerts a second over a satellite", value=far.content_bytes_s, unit="bytes/s", peer="the link",
               peer_value=SATELLITE.both["rate_kbit"] * 125, target_ratio=0.5),
        Figure(name="a clip's link, IP packets", value=calm.wire_bytes_s["thin"], unit="bytes/s", peer="256 kbit/s",
               peer_value=thin_bytes_s, target_ratio=0.85),
        Figure(name="a clip's own bytes", value=calm.content_bytes_s, unit="bytes/s", peer="256 kbit/s",
               peer_value=thin_bytes_s, target_ratio=0.85),
        Figure(name="a clip's link that loses 1 in 100, IP packets", value=lossy.wire_bytes_s["lossy"], unit="bytes/s",
               peer="4 Mbit/s", peer_value=500_000),
        *(Figure(name=f"a clip over {link.name} alone", value=fed.content_bytes_s, unit="bytes/s", peer="the link",
                 peer_value=link.both["rate_kbit"] * 125) for link, fed in zip(UNEQUAL, alone, strict=True)),
        Figure(name="a clip over three unequal links", value=together.content_bytes_s, unit="bytes/s",
               peer="the sum of each alone", peer_value=sum(fed.content_bytes_s for fed in alone), target_ratio=0.9),
        Figure(name="chunks sent for each one heard, three links", value=together.envelopes_sent / together.chunks_heard,
               unit="times", peer="once", peer_value=1.0, is_more_better=False),
    ]  # fmt: skip


def main() -> int:
    if not namespaces.can_make():
        print("error: needs root, `ip` and /dev/net/tun", file=sys.stderr)
        return 2
    figures = measure()
    show("bulk", figures)
    missed = [figure.name for figure in figures if figure.is_met is False]
    for name in missed:
        print(f"target missed: bulk: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
