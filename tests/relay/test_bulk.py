"""Clips on their way: what is held already is not sent again, an alert stops them, a dead path's share goes by another."""

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

from relay.config import PathConfig
from relay.header import Kind
from relay.kinds import body
from relay.kinds.chunk import Chunk
from relay.passport import Role
from relay.precedence import Precedence
from relay.station import Station
from tests.relay.house import House, Kept, until

CHUNKS = 60


def enrolled(tmp_path: Path) -> House:
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("relay", Role.RELAY), ("gate", Role.CAMERA)):
        house.enroll(name, role)
    house.settle()
    return house


async def put_clip(station: Station, count: int = CHUNKS) -> set[bytes]:
    drafts = [
        station.draft_up(Kind.CHUNK, Precedence.BULK, body.encode(Chunk(object_sha256=bytes(32), offset_bytes=n * 5_000, content=os.urandom(5_000))))
        for n in range(count)
    ]  # fmt: skip
    return {item.envelope.id for item in await station.put_all(drafts)}


async def test_a_restarted_node_sends_a_relay_nothing_that_it_holds(tmp_path: Path) -> None:
    house = enrolled(tmp_path)
    async with house.station("relay", listen="tcp://127.0.0.1:0") as relay:
        to_relay = [("relay", relay.listening_on[0])]
        async with house.station("gate", to=to_relay) as gate:
            await put_clip(gate)
            await until(lambda: relay.counters["envelopes_carried"] == CHUNKS, "the clip at the relay", 60)
        async with house.station("gate", to=to_relay) as gate:
            rest = await put_clip(gate, 5)
            await until(lambda: relay.counters["envelopes_carried"] == CHUNKS + 5, "the rest", 60)
            assert gate.counters["envelopes_sent"] == len(rest), "only what was missing took the way"


async def test_a_restarted_node_sends_the_center_nothing_that_it_has_stored(tmp_path: Path) -> None:
    """The node is killed before it learns of the receipts: they come first in the next session, and bulk waits for them."""
    house = enrolled(tmp_path)
    kept = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        to_center = [("center", center.listening_on[0])]
        async with house.station("gate", to=to_center) as gate:
            ids = await put_clip(gate)
            copied = await gate.database.run(lambda connection: list(connection.iterdump()))
            await until(lambda: len(kept.arrivals) == CHUNKS, "the clip at the center", 60)
        _restore(house.dir_of("gate") / "spool.sqlite", "\n".join(copied))
        async with house.station("gate", to=to_center) as gate:
            assert (await gate.status()).backlog[Precedence.BULK] == CHUNKS, "it does not know yet"
            await until(lambda: gate.counters["envelopes_receipted"] == CHUNKS, "the receipts", 60)
            assert gate.counters["envelopes_sent"] == 0
        assert {arrival.envelope.id for arrival in kept.arrivals} == ids
        assert center.counters["duplicates_arrived"] == 0


def _restore(file: Path, script: str) -> None:
    for leftover in file.parent.glob("spool.sqlite*"):
        leftover.unlink()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


async def test_what_a_dead_path_had_of_a_clip_goes_by_the_other_and_nothing_comes_twice_to_people(
    tmp_path: Path,
) -> None:
    house = enrolled(tmp_path)
    kept = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        endpoint = center.listening_on[0]
        paths = [PathConfig(name=name, endpoint=endpoint, peer="center") for name in ("lte", "wifi")]
        async with house.station("gate", to=paths) as gate:
            await until(lambda: all(report.is_up for report in gate.path_health()), "both paths")
            putting = asyncio.create_task(put_clip(gate, 200))
            await until(lambda: len(kept.arrivals) > 5, "the clip to be under way", 30)
            [lost, *_] = [link for link in gate._links if link.session.facts.name == "wifi"]
            lost.session.drop("pulled out")
            ids = await putting
            await until(lambda: gate.counters["envelopes_receipted"] == 200, "all of it", 60)
        arrived = [arrival.envelope.id for arrival in kept.arrivals]
        assert len(arrived) == 200
        assert set(arrived) == ids


async def test_both_paths_carry_a_clip_and_their_goodput_is_told(tmp_path: Path) -> None:
    house = enrolled(tmp_path)
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        endpoint = center.listening_on[0]
        paths = [PathConfig(name=name, endpoint=endpoint, peer="center") for name in ("lte", "wifi")]
        async with house.station("gate", to=paths) as gate:
            await until(lambda: all(report.is_up for report in gate.path_health()), "both paths")
            assert gate.bulk_travels_bytes == 0, "nobody knows"
            await put_clip(gate, 300)
            await until(lambda: gate.counters["envelopes_receipted"] == 300, "all of it", 60)
            reports = gate.path_health()
            assert all(report.bytes_up > 20_000 for report in reports), [report.bytes_up for report in reports]
            assert all(report.goodput_up_bytes_s > 0 for report in reports)
            assert gate.bulk_travels_bytes >= sum(0.1 * report.goodput_up_bytes_s for report in reports)
            assert gate.counters["envelopes_sent"] <= 310, "nothing twice but the tail"
            assert sum(report.bytes_up for report in reports) < 300 * 5_500 * 1.2
