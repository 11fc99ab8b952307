"""Something fills the disk under a station: alerts still get through, the rest stays with its owner, and the center is told."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay import envelope, upkeep
from relay.config import SpoolConfig
from relay.database import Database
from relay.errors import DiskFull
from relay.header import Kind
from relay.kinds import body
from relay.kinds.heartbeat import Heartbeat, Room
from relay.passport import Role
from relay.precedence import Precedence
from relay.service import compose_heartbeat, put_heartbeat
from relay.spool import Spooled
from relay.station import Station
from tests.relay.house import House, Kept, until
from tests.relay.small_disk import fill, small_disk
from tests.relay.spooling import PARTS
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_status_view import shown

DISK_BYTES = 4_000_000
WITH_BALLAST = SpoolConfig(ballast_bytes=1_000_000)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "yard-relay": Role.RELAY, "gate-camera": Role.CAMERA})


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "BALLAST_LOOK_EVERY_S", 0.05)


@contextlib.asynccontextmanager
async def on_a_small_disk(house: House, name: str) -> AsyncIterator[Path]:
    """A station's state on a disk of its own."""
    keys = {file.name: file.read_bytes() for file in house.dir_of(name).iterdir()}
    with small_disk(house.dir_of(name), DISK_BYTES) as disk_dir:
        for file, content in keys.items():
            (disk_dir / file).write_bytes(content)
            (disk_dir / file).chmod(0o600)
        yield disk_dir


async def a_picture(node: Station) -> Spooled:
    return await node.put(node.draft_up(Kind.CHUNK, Precedence.PRIORITY, os.urandom(15_000)))


async def pictures(node: Station) -> None:
    """Until the write-ahead log must grow, and longer."""
    for _ in range(400):
        await a_picture(node)


async def beat(node: Station) -> None:
    await put_heartbeat(node, await compose_heartbeat(node, interval_s=10, started_monotonic_ms=0))


def heartbeats(house: House, inbox: Kept, name: str) -> list[Heartbeat]:
    secret = house.authority.shared_secret(house.passports[name].passport.sealing_key)
    return [body.decode(envelope.open_body(arrival.envelope, secret), Heartbeat)
            for arrival in inbox.arrivals if arrival.envelope.header.kind is Kind.HEARTBEAT]  # fmt: skip


async def test_a_full_disk_still_takes_alerts_and_the_center_is_told(house: House) -> None:
    inbox = Kept()
    async with (
        on_a_small_disk(house, "gate-camera") as disk_dir,
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        house.station("gate-camera", to=[("center", center.listening_on[0])], spool=WITH_BALLAST) as node,
    ):
        assert (disk_dir / "spool.ballast").stat().st_blocks * 512 >= 1_000_000
        await a_picture(node)
        await beat(node)
        filler_file = fill(disk_dir)
        with pytest.raises(DiskFull, match="takes alerts only"):
            await pictures(node)
        assert not (disk_dir / "spool.ballast").exists(), "it was given up"
        alerts = [await node.put(an_alert(node)) for _ in range(400)]
        await beat(node)
        status = await node.status()
        assert status.room == "disk_full"
        assert "THE DISK IS FULL" in shown(status)
        assert "disk_full" in shown(status)
        wanted = {item.envelope.id for item in alerts}
        await until(lambda: wanted <= {a.envelope.id for a in inbox.arrivals}, "the alerts", timeout_s=40)
        await until(lambda: len(heartbeats(house, inbox, "gate-camera")) == 2, "the heartbeats", timeout_s=40)
        before, after = heartbeats(house, inbox, "gate-camera")
        assert (before.room, after.room) == (Room.FREE, Room.DISK_FULL)
        assert dict(after.refusals)["disk_full"] == 1

        filler_file.unlink()
        await until(lambda: not node.database.is_short, "the ballast to be there again")
        await a_picture(node)
        assert (await node.status()).room == "free"


async def test_a_center_whose_disk_is_full_still_hears_alerts_and_refuses_pictures_by_name(house: House) -> None:
    inbox = Kept()
    async with (
        on_a_small_disk(house, "center") as disk_dir,
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox, spool=WITH_BALLAST) as center,
        house.station("gate-camera", to=[("center", center.listening_on[0])]) as node,
    ):
        await node.put(an_alert(node))
        await until(lambda: len(inbox.arrivals) == 1, "an alert")
        fill(disk_dir)
        for _ in range(400):  # until the write-ahead log must grow
            await node.put(an_alert(node))
            if center.database.is_short:
                break
        assert center.database.is_short
        picture = await a_picture(node)
        await until(lambda: center.counters["refused_disk_full"] > 0, "the refusal")
        await until(lambda: node.counters["sent_but_refused_disk_full"] > 0, "the word of it")
        assert "disk_full" in shown(await center.status())
        alert = await node.put(an_alert(node))
        await until(lambda: alert.envelope.id in {a.envelope.id for a in inbox.arrivals}, "the alert")
        assert picture.envelope.id not in {a.envelope.id for a in inbox.arrivals}
        await until(lambda: node.counters["envelopes_receipted"] >= 2, "receipts")
        assert (await node.status()).backlog[Precedence.PRIORITY] == 1, "custody stays with its sender"
        (disk_dir / "somebody-elses.log").unlink()
        await until(lambda: picture.envelope.id in {a.envelope.id for a in inbox.arrivals}, "the picture", timeout_s=60)


async def test_a_station_starts_on_a_full_disk(house: House) -> None:
    async with on_a_small_disk(house, "yard-relay") as disk_dir:
        async with house.station("yard-relay", spool=WITH_BALLAST):
            pass
        fill(disk_dir)
        async with house.station("yard-relay", spool=WITH_BALLAST) as again:
            assert (await again.status()).room in {"free", "disk_full"}
            await again.put(an_alert(again))


def test_a_disk_without_room_for_the_ballast_counts_as_short_and_one_without_a_wish_does_not(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000_000) as disk_dir:
        for wanted, is_short in ((1_500_000, True), (0, False), (400_000, False)):
            database = Database.open(disk_dir / "spool.sqlite", parts=PARTS, ballast_bytes=wanted)
            assert database.is_short is is_short
            database.close()
        assert (disk_dir / "spool.ballast").exists(), "it stays where it is between two runs"


async def test_what_was_in_the_commit_that_found_no_room_is_stored_once(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000_000) as disk_dir:
        database = Database.open(disk_dir / "spool.sqlite", parts=PARTS, ballast_bytes=600_000)
        try:
            await database.run(lambda c: c.execute("CREATE TABLE word (n INTEGER PRIMARY KEY, said BLOB)"))
            fill(disk_dir)
            done: list[int] = []

            async def say(number: int) -> None:
                await database.run(lambda c: c.execute("INSERT INTO word VALUES (?, zeroblob(300))", (number,)))
                done.append(number)

            for first in range(0, 4_000, 40):
                await asyncio.gather(*(say(number) for number in range(first, first + 40)))
                if database.is_short:
                    break
            assert database.is_short, "the fault has happened"
            here = await database.run(lambda c: c.execute("SELECT n FROM word ORDER BY n").fetchall())
            assert [row[0] for row in here] == sorted(done)
        finally:
            database.close()
