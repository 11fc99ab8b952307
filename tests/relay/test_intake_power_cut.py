"""What was receipted from the intake log is in the log or in the journal, wherever in their write streams the power goes."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from relay import intake_log, ledger, receipt
from relay.arrival import Arrival
from relay.clock import SimulatedClock
from relay.counters import Counters
from relay.database import Database
from relay.ids import NodeId
from relay.intake_log import FILE_NAME, IntakeLog
from relay.ledger import Ledger
from relay.passport import Role
from relay.ranges import RangeSet
from relay.receipt import Receipt
from relay.receipts_ahead import Group, ReceiptsAhead
from tests.relay.arrivals import arrivals_of
from tests.relay.house import House, until
from tests.relay.spooling import CENTER
from tests.relay.write_stream import Did, WriteStream, after_power_cut, recorded


class Intake:
    """A ledger and an intake log, and what the sender was told, with its place in the write stream."""

    def __init__(self, folder_dir: Path, stream: WriteStream | None) -> None:
        self._stream = stream
        self.database = Database.open(folder_dir / "center.sqlite", parts={"ledger": ledger.SCHEMA})
        self.log = IntakeLog.open(folder_dir / FILE_NAME)
        if stream is not None:
            stream.adopt(folder_dir / FILE_NAME)
        self.told: list[tuple[int, int]] = []
        """(place, the highest number that a receipt covered then)."""
        self.ahead: ReceiptsAhead[None] = ReceiptsAhead(
            log=self.log, database=self.database, clock=SimulatedClock(), counters=Counters(), receipts=self, again=_never,
            store=self.store, stored=lambda _: None,
        )  # fmt: skip

    def issue(self, stream: tuple[NodeId, int], settled: RangeSet, *, answers: Sequence[int]) -> Receipt:
        return receipt.issue(
            settled, signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=1, origin=stream[0], series=stream[1]
        )

    def send(self, issued: Receipt, *, is_urgent: bool, came_by: Collection[int]) -> None:
        assert self._stream is not None
        self.told.append((self._stream.position, issued.ranges().contiguous))

    @staticmethod
    def store(connection: sqlite3.Connection, group: Group) -> None:
        found = [arrival.envelope for arrival, _ in group]
        new = [
            item
            for item, novelty in zip(found, Ledger().note_all(connection, found), strict=True)
            if novelty is ledger.Novelty.NEW
        ]
        Ledger().extend(connection, new)

    async def logged(self) -> None:
        await self.ahead.submitted()

    async def journalled(self) -> None:
        await until(lambda: not len(self.ahead), "the journal", 60)

    def close(self) -> None:
        self.database.close()
        self.log.close()


def _never(group: Group) -> None:
    raise AssertionError(f"the disk has room for {group}")


async def live(folder_dir: Path, stream: WriteStream, arrivals: Sequence[Arrival], chance: random.Random) -> Intake:
    """Alerts come alone and by twos and threes; now and then the journal is slow."""
    intake = Intake(folder_dir, stream)
    pragma = f"PRAGMA wal_autocheckpoint = {chance.choice((4, 15, 60))}"  # checkpoints come often
    await intake.database.run(lambda connection: connection.execute(pragma).close())
    first, rest = arrivals[0], list(arrivals[1:])
    header = first.envelope.header
    await intake.database.run(lambda connection: intake.store(connection, [(first, None)]))
    intake.ahead.learn(await intake.database.run(lambda c: Ledger().state(c, header.origin, header.series)))
    while rest:
        group = [(rest.pop(0), None) for _ in range(min(len(rest), chance.choice((1, 1, 2, 3))))]
        if not intake.ahead.take(group):
            await intake.journalled()
            assert intake.ahead.take(group), "few are under way now"
        if chance.random() < 0.7:
            await intake.logged()
    await intake.journalled()
    return intake


@contextlib.contextmanager
def small_log(stream: WriteStream | None = None) -> Iterator[None]:
    """A log that is written round and round within a life, and what is written to it noted in the stream."""
    write_durably = intake_log._write_durably

    def noted(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        assert stream is not None
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        for at_bytes, data in pieces:
            stream.note(Did.WRITE, (stream.names[name], name), at_bytes, data)
        write_durably(descriptor, pieces)
        stream.note(Did.SYNC, (stream.names[name], name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake_log, "PAGES", 24)
        if stream is not None:
            patch.setattr(intake_log, "_write_durably", noted)
        yield


def cut_the_power(house: House, work_dir: Path, seed: int, cuts: int) -> tuple[int, int]:
    """One life, ``cuts`` ends of it. Returns how many of those tore something, and how many left something to the log."""
    chance, torn, left = random.Random(seed), 0, 0
    arrivals = arrivals_of(house, 60)
    live_dir = work_dir / f"live-{seed}"
    live_dir.mkdir(parents=True)
    with recorded(live_dir) as stream, small_log(stream):
        with pytest.MonkeyPatch.context() as patch:  # some on the spot, some by the thread
            patch.setattr(IntakeLog, "is_quick", property(lambda log: not log._under_way and chance.random() < 0.5))
            intake = asyncio.run(live(live_dir, stream, arrivals, chance))
        intake.close()
    for cut in range(cuts):
        position = chance.randint(intake.told[0][0], stream.position)
        dead_dir = work_dir / f"dead-{seed}-{cut}"
        dead_dir.mkdir()
        torn += after_power_cut(stream, position, dead_dir, chance) > 0
        promised = max((upto for place, upto in intake.told if place <= position), default=0)
        with small_log():
            journalled, recovered = asyncio.run(recover(house, dead_dir))
        assert set(range(1, promised + 1)) <= recovered, f"seed {seed}, cut after step {position} of {stream.position}"
        left += not set(range(1, promised + 1)) <= journalled
        shutil.rmtree(dead_dir)
    return torn, left


async def recover(house: House, folder_dir: Path) -> tuple[set[int], set[int]]:
    """What the ledger has before and after the next start."""
    intake = Intake(folder_dir, None)

    def sequences() -> set[int]:
        return {
            row[0]
            for row in intake.database.run_blocking(lambda c: c.execute("SELECT sequence FROM inbound").fetchall())
        }

    try:
        before = sequences()
        await intake.ahead.recover(lambda _: house.passports["gate"].passport)
        await intake.journalled()
        return before, sequences()
    finally:
        intake.close()


def test_power_cuts_lose_nothing_that_was_receipted(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    torn, left = map(sum, zip(*(cut_the_power(house, tmp_path, seed, 15) for seed in range(3)), strict=True))
    assert torn > 10, "cuts tear something"
    assert left > 0, "and something was in the log alone"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_power_cuts_lose_nothing_that_was_receipted(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    torn, left = map(sum, zip(*(cut_the_power(house, tmp_path, seed, 50) for seed in range(100, 120)), strict=True))
    print(f"{torn} of 1,000 cuts tore something, {left} left something to the log alone")
    assert torn > 500
    assert left > 20
