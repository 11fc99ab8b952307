"""A clip on a link that loses packets ends up under BBR, and one on the same link without losses stays under CUBIC: real kernel, real losses."""

import asyncio
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay import limits
from relay.congestion import LOOK_AFTER_SEGMENTS, THIN_BYTES_S
from tests.network import namespaces, scenario, topology
from tests.network.bench import Bench, bench
from tests.network.scenario import Carrier, Changes, LinkWanted, Scenario
from tests.network.station_process import Feed, Halt

BOTH: Changes = {"delay_ms": 25, "rate_kbit": 4000, "queue_kb": 256}
CLEAN = LinkWanted(name="clean", both=BOTH)
LOSSY = LinkWanted(name="lossy", both=BOTH | {"loss_pct": 1.0})
SCENARIO = Scenario(title="Two nodes, two links, two clips.", lasts_s=1, alerts_per_s=1, nodes=2, link=(CLEAN, LOSSY))
ONLY = {"node-1": CLEAN.name, "node-2": LOSSY.name}
LOOKED_AT_TWICE_BYTES = 2 * 128 * limits.DEFAULT_CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """As ``ss`` shows it."""

    runs_under: str
    sent_segments: int
    resent_segments: int


def bulk_connection(namespace: str, link: LinkWanted) -> Connection:
    """Of the two that a path has, the one that has sent the most."""
    address = next(plan.near.address for plan in topology.link_plans(SCENARIO, dict.fromkeys(SCENARIO.places(), "")) if plan.name == link.name)  # fmt: skip
    shown = subprocess.run(
        ["ip", "netns", "exec", namespace, "ss", "-tinOH", "src", address],
        capture_output=True, text=True, timeout=20, check=True,
    ).stdout.splitlines()  # fmt: skip
    busiest = max(shown, key=lambda line: count(line, r"\bdata_segs_out:(\d+)"), default="")
    named = re.search(r"\b(bbr|cubic|reno)\b", busiest)
    return Connection(runs_under=named[1] if named else "another", sent_segments=count(busiest, r"\bdata_segs_out:(\d+)"),
                      resent_segments=count(busiest, r"\bretrans:\d+/(\d+)"))  # fmt: skip


def known_to_the_kernel() -> set[str]:
    """What a connection may run under."""
    return set(Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").split())


def count(line: str, pattern: str) -> int:
    """What ``ss`` counts; it leaves out what is nought."""
    found = re.search(pattern, line)
    return int(found[1]) if found else 0


async def comes_to_run_under(made: Bench, link: LinkWanted, name: str) -> Connection:
    """Wait until its bulk connection does."""
    async with asyncio.timeout(60):
        while True:
            now = await asyncio.to_thread(bulk_connection, made.namespace_of("node"), link)
            if now.runs_under == name:
                return now
            await asyncio.sleep(0.1)


async def carried(made: Bench, node: str, more_bytes: int) -> float:
    """Wait until so much more of a clip was receipted. At what rate, bytes/s."""
    told = made.journal.carried.setdefault(node, [])
    first = len(told)
    before_bytes, began_s = (told[-1][1] if told else 0), time.monotonic()
    await made.wait_for(lambda: bool(told[first:]) and told[-1][1] >= before_bytes + more_bytes, f"{node}'s clip", 60)
    return more_bytes / (time.monotonic() - began_s)


@pytest.mark.slow
@pytest.mark.parametrize("carrier", scenario.CARRIERS)
async def test_a_clip_changes_to_bbr_where_one_packet_in_a_hundred_is_lost_and_stays_under_cubic_where_none_is(
    carrier: Carrier, tmp_path: Path
) -> None:
    known = known_to_the_kernel()
    if not {"bbr", "cubic"} <= known:
        pytest.skip(f"needs a kernel with bbr and cubic, this one has {', '.join(sorted(known))}")
    if not namespaces.can_make() or shutil.which("ss") is None:
        pytest.skip("needs root, `ip`, `ss` and /dev/net/tun")
    async with bench(scenario.over(carrier, SCENARIO), 1, tmp_path, only=ONLY) as made:
        made.order("node", Feed())
        await comes_to_run_under(made, LOSSY, "cubic")  # whatever the system gives to connections
        await comes_to_run_under(made, LOSSY, "bbr")
        lossy_bytes_s = await carried(made, "node-2", LOOKED_AT_TWICE_BYTES)
        await made.wait_for(lambda: made.journal.carried["node-1"][-1][1] > 2 * LOOKED_AT_TWICE_BYTES, "the clean link's clip", 60)  # fmt: skip
        clean, lossy = (bulk_connection(made.namespace_of("node"), link) for link in (CLEAN, LOSSY))
        up = made.standing().up
        made.order("node", Halt())
    assert up["lossy"].lost > 0.005 * up["lossy"].offered, "packets were lost"
    assert lossy.resent_segments > 0
    assert (up["clean"].lost, up["clean"].tail_dropped) == (0, 0)
    assert lossy.runs_under == "bbr"
    assert lossy_bytes_s > 1.5 * THIN_BYTES_S, "its losses are why, and not that it is thin"
    assert clean.sent_segments > 2 * LOOK_AFTER_SEGMENTS
    assert clean.runs_under == "cubic", f"with {clean.resent_segments} segments sent again, though none was lost"
