"""Images of the pages that commits change: another file that gets them is the same database after each."""

import os
import sqlite3
from pathlib import Path
from random import Random

import pytest

from relay.committed_pages import PAGE_BYTES, CommittedPages, Pages
from relay.database import Database

PARTS = {"test": ("CREATE TABLE item (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT;",)}


class Copy:
    """A file that is written by images alone."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch()

    def take(self, pages_in_all: int, pages: Pages) -> None:
        with self.file.open("r+b") as stream:
            for number, page in pages.items():
                stream.seek((number - 1) * PAGE_BYTES)
                stream.write(page)
            stream.truncate(pages_in_all * PAGE_BYTES)

    def rows(self) -> list[tuple[int, bytes]]:
        connection = sqlite3.connect(f"{self.file.as_uri()}?immutable=1", uri=True)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return connection.execute("SELECT id, content FROM item ORDER BY id").fetchall()
        finally:
            connection.close()


def a_change(dice: Random) -> list[tuple[str, tuple[object, ...]]]:
    """Some statements of one transaction."""
    return [
        dice.choice((
            ("INSERT INTO item (content) VALUES (?)", (dice.randbytes(dice.choice((10, 3000, 20_000))),)),
            ("UPDATE item SET content = ? WHERE id = (SELECT id FROM item ORDER BY (id * 7919) % 101 LIMIT 1)", (dice.randbytes(100),)),
            ("DELETE FROM item WHERE id % 13 = ?", (dice.randrange(13),)),
        )) for _ in range(dice.choice((1, 1, 1, 2, 40)))
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_images_is_the_database_after_each_commit(tmp_path: Path, seed: int) -> None:
    """Through log after log, rolled-back work that was spilled into the log, and logs that are cut off."""
    dice, copy = Random(seed), Copy(tmp_path / "copy.sqlite")
    database = Database.open(tmp_path / "real.sqlite", parts=PARTS, log_pages=50)
    pages = CommittedPages(tmp_path / "real.sqlite")
    logs = set[bytes]()
    database.run_blocking(lambda c: c.execute("PRAGMA cache_size = 10").fetchall())
    copy.take(*whole(tmp_path / "real.sqlite", pages))
    database.after_commit = lambda: copy.take(*pages.since_last())
    try:
        for number in range(150):
            statements = a_change(dice)
            fails = dice.random() < 0.2

            def work(connection: sqlite3.Connection, statements: object = statements, fails: bool = fails) -> None:
                for statement, values in statements:  # type: ignore[attr-defined]
                    connection.execute(statement, values)
                if fails:
                    raise LookupError

            try:
                database.run_blocking(work)
            except LookupError:
                assert fails
            if number % 40 == 39:
                database._fold_log(50)  # as on a full disk
            logs.add((tmp_path / "real.sqlite-wal").read_bytes()[16:24])
            expected = database.run_blocking(lambda c: c.execute("SELECT id, content FROM item ORDER BY id").fetchall())
            assert copy.rows() == expected
        assert len(logs) > 3, "the log began anew several times"
        assert len(expected) > 5
    finally:
        pages.close()
        database.close()
    # The real file, folded, has the same bytes but for the counters in its head.
    assert copy.file.read_bytes()[PAGE_BYTES:] == (tmp_path / "real.sqlite").read_bytes()[PAGE_BYTES:]


def whole(file: Path, pages: CommittedPages) -> tuple[int, Pages]:
    """The file's pages, and above them those in the log."""
    pages_in_all, in_log = pages.all_in_log()
    content = file.read_bytes()
    in_file = {at // PAGE_BYTES + 1: content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES)}
    return pages_in_all, in_file | in_log


def test_a_log_that_was_cut_off_has_nothing_and_the_file_has_all(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "real.sqlite", parts=PARTS)
    pages = CommittedPages(tmp_path / "real.sqlite")
    try:
        database.run_blocking(lambda c: c.execute("INSERT INTO item (content) VALUES (?)", (bytes(50_000),)))
        database.run_blocking(lambda _: None)
        database._fold_log(50)
        assert (tmp_path / "real.sqlite-wal").stat().st_size == 0
        whole = (tmp_path / "real.sqlite").stat().st_size // PAGE_BYTES
        assert pages.all_in_log() == (whole, {})
        index = bytearray((tmp_path / "real.sqlite-shm").read_bytes())
        index[20:24] = bytes(4)  # as after a recovery that found no log
        for name, content in (("", (tmp_path / "real.sqlite").read_bytes()), ("-wal", b""), ("-shm", bytes(index))):
            (tmp_path / f"other{name}").write_bytes(content)
        other = CommittedPages(tmp_path / "other")
        assert other.all_in_log() == (whole, {})
        other.close()
    finally:
        pages.close()
        database.close()


def test_an_index_of_another_kind_is_refused(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "real.sqlite", parts=PARTS)
    try:
        pages = CommittedPages(tmp_path / "real.sqlite")
        (tmp_path / "other-wal").write_bytes((tmp_path / "real.sqlite-wal").read_bytes())
        index = bytearray((tmp_path / "real.sqlite-shm").read_bytes())
        index[0] ^= 1
        (tmp_path / "other-shm").write_bytes(index)
        other = CommittedPages(tmp_path / "other")
        with pytest.raises(OSError, match="expected a wal-index of version"):
            other.since_last()
        other.close()
        os.truncate(tmp_path / "other-wal", 40)
        (tmp_path / "other-shm").write_bytes((tmp_path / "real.sqlite-shm").read_bytes())
        other = CommittedPages(tmp_path / "other")
        with pytest.raises(OSError, match="shorter than its index"):
            other.since_last()
        other.close()
        pages.close()
    finally:
        database.close()
