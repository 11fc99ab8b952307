"""A center whose journal holds 1,000,000 entries: its memory while it got there, and how long its console waits for an answer.

Alerts of 50 nodes go through the ledger, ingest and the views as in production, without the network and the signature, which the
``center`` bench measures. ``HEARD_BENCH_ENTRIES`` sets another size.
"""

import asyncio
import gc
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx
import psutil

from command_center.accounts import UserRole
from relay.arrival import Arrival
from relay.ledger import Novelty
from relay.precedence import Precedence
from tests.benchmarks.figure import Figure, percentile
from tests.command_center.house import House, Node, running_center

ENTRIES: Final = int(os.environ.get("HEARD_BENCH_ENTRIES", "1000000"))
NODES: Final = 50
IN_ONE_INCIDENT: Final = 100
GROUP: Final = 500
ASKED: Final = 40
MOST_MS: Final = 50.0
MOST_GROWTH: Final = 1.25
MOST_INDEX_SHARE: Final = 0.25
FOLLOWED: Final = 500
FOLLOWED_S: Final = 30.0
LEAST_FOLLOWED: Final = 0.85
"""Up to three seconds' worth is in a batch that is not committed yet."""


def measure() -> list[Figure]:
    """Fill, ask."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> list[Figure]:
    async with running_center(folder / "center") as house:
        early_mb, late_mb = await _fill(house)
        figures = [
            *await _indexed(house),
            await _followed(house),
            Figure(name=f"resident memory at {ENTRIES:,} entries", value=late_mb, unit="MB", peer=f"at {ENTRIES // 10:,}",
                   peer_value=early_mb, target_ratio=MOST_GROWTH, is_more_better=False)
        ]  # fmt: skip
        await house.add_user("sue", UserRole.SUPERVISOR)
        async with house.browser() as client:
            answer = await client.post("/api/v1/session", json={"username": "sue", "password": "correct horse battery"})
            client.headers["X-Heard-CSRF"] = answer.json()["csrf"]
            rows = await house.query("SELECT MIN(at_ms), MAX(at_ms) FROM entry")
            first_ms, last_ms = int(str(rows[0][0])), int(str(rows[0][1]))
            (node,) = (await house.query("SELECT hex(id) FROM node LIMIT 1"))[0]
            for what, path in _questions().items():
                took_ms: list[float] = []
                for number in range(ASKED):
                    at = first_ms + (last_ms - first_ms) * number // ASKED
                    took_ms.append(
                        await _asked(client, path.format(
                            n=1 + number * 7919 % (ENTRIES // IN_ONE_INCIDENT), e=1 + number * 7919 % ENTRIES, s=ENTRIES,
                            node=str(node).lower(), at=at, after=at + 1000,
                        ))
                    )  # fmt: skip
                figures.append(
                    Figure(name=f"console asks for {what}, p95", value=percentile(took_ms, 0.95), unit="ms", peer="bound",
                           peer_value=MOST_MS, target_ratio=1.0, is_more_better=False)
                )  # fmt: skip
    return figures


async def _indexed(house: House) -> list[Figure]:
    """How fast the audit's index follows where nothing else is to do, and how large it is beside what it indexes."""
    already, started = house.services.audit_index.through, time.perf_counter()
    await asyncio.to_thread(house.services.audit_index.catch_up)
    took_s = time.perf_counter() - started
    sizes = [
        sum(file.stat().st_size for file in house.state.root_dir.glob(f"{name}*"))
        for name in ("audit.sqlite", "center.sqlite")
    ]
    return [
        Figure(name="entries indexed for the audit", value=(house.services.audit_index.through - already) / took_s, unit="/s"),
        Figure(name="the audit's index on the disk", value=sizes[0] / 1e6, unit="MB", peer="the center's database", peer_value=sizes[1] / 1e6,
               target_ratio=MOST_INDEX_SHARE, is_more_better=False),
    ]  # fmt: skip


async def _followed(house: House) -> Figure:
    """Whether the index follows ``FOLLOWED`` entries a second while they come, in the share of the time that it may take."""
    node, index = house.node("follow"), house.services.audit_index
    already, started, done = index.through, time.perf_counter(), 0
    while (passed_s := time.perf_counter() - started) < FOLLOWED_S:
        if done < passed_s * FOLLOWED:
            await _take(house, node, ENTRIES + done, FOLLOWED // 20)
            done += FOLLOWED // 20
        await asyncio.sleep(0.005)
    return Figure(name=f"entries indexed while {FOLLOWED} a second arrive", value=(index.through - already) / FOLLOWED_S, unit="/s",
                  peer="arrived", peer_value=done / FOLLOWED_S, target_ratio=LEAST_FOLLOWED)  # fmt: skip


def _questions() -> dict[str, str]:
    return {
        "a page of the queue": "/api/v1/incidents?limit=50", "one incident": "/api/v1/incidents/{n}", "the fleet": "/api/v1/nodes",
        "100 entries": "/api/v1/journal/entries?from={e}&limit=100", "a proof": "/api/v1/journal/proof?entry={e}",
        "metrics": "/metrics", "a page of all incidents": "/api/v1/incidents?state=all&limit=50",
        "the newest of the audit": "/api/v1/audit/entries?limit=100", "the audit of one incident": "/api/v1/audit/entries?incident={n}",
        "a word that no entry holds": "/api/v1/audit/entries?text=nowhere", "a number in its words": "/api/v1/audit/entries?text=number%20{e}%20",
        "a node of fifty, searched": "/api/v1/audit/entries?text={node}", "two words that never meet": "/api/v1/audit/entries?text=node:bench%20alert",
        "what nobody of that name did": "/api/v1/audit/entries?actor=user:nobody", "a time": "/api/v1/audit/entries?from_ms={at}&until_ms={after}",
        "who looked at what": "/api/v1/audit/looks",
        "the units": "/api/v1/units", "whom to send": "/api/v1/incidents/{n}/recommendations", "precision by source": "/api/v1/quality",
        "a consistency proof": "/api/v1/journal/consistency?old={e}&size={s}",
    }  # fmt: skip


async def _asked(client: httpx.AsyncClient, path: str) -> float:
    started = time.perf_counter()
    answer = await client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.text[:300]}"
    return (time.perf_counter() - started) * 1000


async def _fill(house: House) -> tuple[float, float]:
    """Returns the resident memory, MB, at a tenth and at the end."""
    nodes = [house.node(f"node-{number}") for number in range(NODES)]
    early_mb, done = 0.0, 0
    while done < ENTRIES:
        node = nodes[done // GROUP % NODES]
        await _take(house, node, done)
        done += GROUP
        house.clock.advance(50)
        if not early_mb and done >= ENTRIES // 10:
            early_mb = _resident_mb()
    return early_mb, _resident_mb()


async def _take(house: House, node: Node, done: int, count: int = GROUP) -> None:
    arrivals: list[Arrival] = []
    for number in range(done, done + count):
        camera = f"c{number // IN_ONE_INCIDENT % 1_000_000}"
        arrived = node.alert(camera=camera, precedence=Precedence.FLASH)
        arrivals.append(Arrival(envelope=arrived, passport=node.signed.passport, via=node.id, path="bench",
                                received_wall_ms=house.clock.wall_ms(), received_monotonic_ms=house.clock.monotonic_ms()))  # fmt: skip

    def store(connection: sqlite3.Connection) -> None:
        ledger, envelopes = house.center.station.ledger, [arrival.envelope for arrival in arrivals]
        assert set(ledger.note_all(connection, envelopes)) == {Novelty.NEW}
        house.center.ingest.accept(connection, arrivals)
        ledger.extend(connection, envelopes)

    await house.database.run(store)
    house.center.ingest.committed(arrivals)


def _resident_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 1e6
