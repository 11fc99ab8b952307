"""The power goes while the spool writes, at any point of its write stream: what was told durable is there, and the file needs no repair.

A spool lives: puts alone and together, carries for another node, lets go of what is receipted, checkpoints, is closed and opened again. What it
did to the disk is recorded (``write_stream``), and then the power is cut after a random step, again and again.
"""

import contextlib
import dataclasses
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import receipt
from relay.clock import SimulatedClock
from relay.database import Database
from relay.ids import AUTHORITY
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import Spool
from relay.spool_check import check
from tests.properties.drafting import signed
from tests.relay.spooling import CENTER, ME, PARTS, draft
from tests.relay.write_stream import Did, WriteStream, after_power_cut, recorded

STEPS_OF_A_LIFE = 40


@dataclasses.dataclass(slots=True)
class Told:
    """What the spool's owner was told, or began, and where in the write stream: (begun, told)."""

    puts: list[tuple[int, int, list[bytes]]] = dataclasses.field(default_factory=list)
    """Each with its ids, which came in one commit."""
    freed: list[tuple[int, int, set[bytes]]] = dataclasses.field(default_factory=list)
    sequence: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """(told, the highest number that was given by then)."""

    def must_hold(self, position: int) -> set[bytes]:
        """Told durable before the cut, and no receipt for it was even being settled."""
        held = {key for _, told, ids in self.puts if told <= position for key in ids}
        return held - {key for begun, _, ids in self.freed if begun < position for key in ids}

    def may_hold(self, position: int) -> set[bytes]:
        """Begun before the cut, and not told to be gone."""
        held = {key for begun, _, ids in self.puts if begun < position for key in ids}
        return held - {key for _, told, ids in self.freed if told <= position for key in ids}


class Life:
    """A spool and everything that happens to it until it ends."""

    def __init__(self, file: Path, stream: WriteStream, chance: random.Random) -> None:
        self._file = file
        self._stream = stream
        self._chance = chance
        self._held: dict[int, bytes] = {}
        """Own ones, by sequence."""
        self._carried = 0
        self.told = Told()

    def live(self) -> None:
        """Two or three runs of the program."""
        for _ in range(self._chance.randint(2, 3)):
            with self._opened() as (database, spool):
                for _ in range(STEPS_OF_A_LIFE // 2):
                    act = self._chance.choices((self._put, self._carry, self._settle), (6, 2, 2))[0]
                    act(database, spool)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Database, Spool]]:
        with contextlib.closing(Database.open(self._file, parts=PARTS)) as database:
            spool = Spool(identity=ME, clock=SimulatedClock())
            database.run_blocking(spool.start)
            pages = self._chance.choice((4, 15, 60))  # checkpoints come often; on a machine every 2,000 pages
            database.run_blocking(lambda connection: connection.execute(f"PRAGMA wal_autocheckpoint = {pages}").close())
            yield database, spool

    def _put(self, database: Database, spool: Spool) -> None:
        what = draft(
            self._chance.choice((Precedence.FLASH, Precedence.IMMEDIATE, Precedence.BULK)),
            self._chance.randint(40, 3000),
        )
        count, begun = self._chance.choice((1, 1, 1, 5)), self._stream.position
        spooled = database.run_blocking(lambda connection: [spool.put(connection, what) for _ in range(count)])
        self._held |= {item.envelope.header.sequence: item.envelope.id for item in spooled}
        self.told.puts.append((begun, self._stream.position, [item.envelope.id for item in spooled]))
        self.told.sequence.append((self._stream.position, spooled[-1].envelope.header.sequence))

    def _carry(self, database: Database, spool: Spool) -> None:
        self._carried += 1
        envelope, begun = signed(0, 9, self._carried, 1), self._stream.position
        database.run_blocking(lambda connection: spool.carry(connection, envelope))
        self.told.puts.append((begun, self._stream.position, [envelope.id]))

    def _settle(self, database: Database, spool: Spool) -> None:
        if not self._held:
            return
        upto, begun = self._chance.choice(sorted(self._held)), self._stream.position

        def settle(connection: sqlite3.Connection) -> None:
            series = connection.execute("SELECT series FROM stream").fetchone()[0]
            spool.settle(connection, receipt.issue(RangeSet([(1, upto)]), signer=CENTER.node_id, signing=CENTER.signing,
                                                   stored_at_s=1, origin=ME.node_id, series=series), AUTHORITY)  # fmt: skip

        database.run_blocking(settle)
        freed = {key for sequence, key in self._held.items() if sequence <= upto}
        self._held = {sequence: key for sequence, key in self._held.items() if sequence > upto}
        self.told.freed.append((begun, self._stream.position, freed))


def cut_the_power(life_dir: Path, dead_dir: Path, seed: int, cuts: int) -> int:
    """One life and ``cuts`` ends of it; returns how many of them lost or tore something."""
    chance = random.Random(seed)
    for folder_dir in (life_dir, dead_dir):
        shutil.rmtree(folder_dir, ignore_errors=True)
        folder_dir.mkdir()
    with recorded(life_dir) as stream:
        life = Life(life_dir / "spool.sqlite", stream, chance)
        life.live()
    assert any(step.did is Did.WRITE and step.name.endswith(".sqlite") for step in stream.steps), (
        "there were checkpoints"
    )
    born = next(told for _, told, _ in life.told.puts)
    return sum(
        _one_cut(life.told, stream, chance.randint(born, stream.position), dead_dir, chance, seed) for _ in range(cuts)
    )


def _one_cut(told: Told, stream: WriteStream, position: int, dead_dir: Path, chance: random.Random, seed: int) -> bool:
    for old in dead_dir.iterdir():
        old.unlink()
    damaged_bytes = after_power_cut(stream, position, dead_dir, chance)
    where = f"seed {seed}, cut after step {position} of {stream.position}"
    file = dead_dir / "spool.sqlite"
    report = check(file, identity=ME)
    assert report.is_clean, (where, report.findings)
    with contextlib.closing(Database.open(file, parts=PARTS)) as database:
        spool = Spool(identity=ME, clock=SimulatedClock())
        database.run_blocking(spool.start)
        here = {
            row[0]
            for row in database.run_blocking(
                lambda connection: connection.execute("SELECT id FROM envelope").fetchall()
            )
        }
        assert told.must_hold(position) <= here, f"{where}: told durable, and not there after the power cut"
        assert here <= told.may_hold(position), f"{where}: what was receipted is back"
        for begun, _, ids in told.puts:
            if begun < position and not any(set(ids) & freed for _, _, freed in told.freed):
                assert len(here & set(ids)) in {0, len(ids)}, f"{where}: half a commit"
        given = max((sequence for at, sequence in told.sequence if at <= position), default=0)
        fresh = database.run_blocking(lambda connection: spool.put(connection, draft()))
        assert fresh.envelope.header.sequence > given, f"{where}: a number was given twice"
    return damaged_bytes > 0


def test_power_cut_in_the_middle_of_a_write_loses_nothing_that_was_told(tmp_path: Path) -> None:
    assert sum(cut_the_power(tmp_path / "live", tmp_path / "dead", seed, 10) for seed in range(3)) > 10, (
        "cuts tear something"
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_power_cuts_at_random_points_of_the_write_stream_lose_nothing_that_was_told(tmp_path: Path) -> None:
    torn = sum(cut_the_power(tmp_path / "live", tmp_path / "dead", seed, 50) for seed in range(1000, 1021))
    print(f"{torn} of 1,050 cuts lost or tore something")
    assert torn > 500, "most of them tear something"


def test_a_disk_that_lies_about_its_fsync_is_found_out(tmp_path: Path) -> None:
    # The model must be able to fail: where fsyncs come to nothing, something that was told is lost.
    (tmp_path / "live").mkdir()
    with recorded(tmp_path / "live") as stream:
        life = Life(tmp_path / "live" / "spool.sqlite", stream, random.Random(7))
        life.live()
    synced_once: set[int] = set()
    lying = WriteStream()
    for step in stream.steps:
        if step.did is not Did.SYNC or step.file not in synced_once:
            lying.steps.append(step)
        if step.did is Did.SYNC:
            synced_once.add(step.file)
    lost = 0
    for seed in range(20):
        dead_dir = tmp_path / f"dead-{seed}"
        dead_dir.mkdir()
        after_power_cut(lying, len(lying.steps), dead_dir, random.Random(seed))
        lost += not _holds(dead_dir / "spool.sqlite", life.told.must_hold(stream.position))
    assert lost > 0


def _holds(file: Path, wanted: set[bytes]) -> bool:
    if not check(file, identity=ME).is_clean:
        return False
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return wanted <= {row[0] for row in connection.execute("SELECT id FROM envelope")}
