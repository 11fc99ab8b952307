"""The power goes while the spool writes: what was told durable is there, and the file needs no repair.

The model of a disk without power: everything before the last finished fsync is there; of every 512-byte sector written
after it, the new content, the old one, or noise. A put returns after its fsync, so the log's length at that moment
bounds what may be torn.
"""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from relay.spool_check import check
from tests.relay.spooling import ME, draft, opened, put

SECTOR_BYTES = 512


def torn(log: bytes, durable_bytes: int, chance: random.Random) -> bytes:
    """The log as the disk may have it after the cut."""
    kept = bytearray(log[:durable_bytes])
    for at in range(durable_bytes, len(log), SECTOR_BYTES):
        sector = log[at : min(at + SECTOR_BYTES, len(log))]
        kept += chance.choice([sector, sector, bytes(len(sector)), chance.randbytes(len(sector))])
    return bytes(kept[: chance.randint(durable_bytes, len(kept))])


def cut_the_power(state_dir: Path, seed: int) -> int:
    """One life of a spool and its end; returns how many bytes were torn."""
    chance = random.Random(seed)
    live_dir, dead_dir = state_dir / "live", state_dir / "dead"
    for folder_dir in (live_dir, dead_dir):
        shutil.rmtree(folder_dir, ignore_errors=True)
        folder_dir.mkdir()
    file, dead_file = live_dir / "spool.sqlite", dead_dir / "spool.sqlite"
    log_file = Path(f"{file}-wal")
    with opened(file) as (database, spool):
        told = [
            item.envelope.id
            for item in put(database, spool, chance.randint(1, 12), draft(size_bytes=chance.randint(40, 3000)))
        ]
        durable_bytes = log_file.stat().st_size
        before = file.read_bytes()
        put(database, spool, chance.randint(1, 6), draft(size_bytes=chance.randint(40, 3000)))
        log = log_file.read_bytes()
        assert file.read_bytes() == before, "no checkpoint came between, or the model would not hold"
        assert len(log) > durable_bytes, "something was under way"
        dead_file.write_bytes(before)
        Path(f"{dead_file}-wal").write_bytes(torn(log, durable_bytes, chance))
    report = check(dead_file, identity=ME)
    assert report.is_clean, (seed, report.findings)
    with opened(dead_file) as (database, spool):

        def read(connection: sqlite3.Connection) -> list[bytes]:
            return [row[0] for row in connection.execute("SELECT id FROM envelope ORDER BY number")]

        here = database.run_blocking(read)
        assert here[: len(told)] == told, f"seed {seed}: told durable, and not there after the power cut"
        assert put(database, spool)[0].envelope.header.sequence == len(here) + 1
    return len(log) - durable_bytes


def test_power_cut_in_the_middle_of_a_write_loses_nothing_that_was_told(tmp_path: Path) -> None:
    assert all(cut_the_power(tmp_path, seed) > 0 for seed in range(15)), "each cut tore something"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_power_cuts_lose_nothing_that_was_told(tmp_path: Path) -> None:
    assert all(cut_the_power(tmp_path, seed) > 0 for seed in range(1000, 2000))
