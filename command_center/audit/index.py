"""The audit's index: which entries can hold a text, and which a time. A file of its own, filled behind the journal.

It owns ``audit.sqlite`` and the schema part "audit". Nothing of it is in the way of an alert: the journal's transaction knows nothing of
it, another thread reads what was committed and writes another file, a slice at a time, and rests after each in proportion to what the
slice took: as long again where little arrives; where much does, slices of half a millisecond with 299 times as long between them, so that one
alert in three hundred meets one. That is some 150 entries a second; what is over is made up for when less arrives.

Guarantees:

1. Entries 1 to ``through`` are in the index, each with all its words: progress and words are one transaction.
2. It belongs to this journal: where the entry that it ends at has another leaf (a restored backup), it is emptied and filled again.
3. It holds the words that this release writes: other program text empties it as well.
4. Whatever becomes of the file, searches go on: ``pages`` scans what is not indexed, a bounded stretch at a time.

It need not be durable (``synchronous=NORMAL``: whole after a power cut, perhaps some seconds behind), so it is in no backup.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeVar

import structlog

from command_center import journal
from command_center.audit import terms
from command_center.evidence.tables import moment
from command_center.metrics import Metrics
from relay.database import Database, prepare
from relay.errors import OperatorError, SpoolDamaged
from relay.schema_steps import steps_in

T = TypeVar("T")

_log = structlog.get_logger("command_center.audit")
PARTS: Final = {"audit": steps_in(files("command_center").joinpath("schema", "audit"))}
STRETCH_BITS: Final = 12
_SLICE: Final = 500
_SLICE_QUIET: Final = 100
_SLICE_BUSY: Final = 25
"""Entries: 25 µs each, 15 µs in the longest slice, which is for when nothing else is to do."""
_SLICE_S: Final = 0.05
_RESTS_QUIET: Final = 1.0
_RESTS_BUSY: Final = 299.0
_BUSY_A_SECOND: Final = 20.0
_LOOKS_EVERY_S: Final = 1.0
_WRITERS: Final = ("tables.py", "deeds.py")
"""Of ``command_center.evidence``: they put entries into words."""


class Indexed:
    """What one search may ask of the index. For one thread, within one read transaction of the index."""

    def __init__(self, connection: sqlite3.Connection, through: int) -> None:
        self._connection = connection
        self.through = through
        """Entries 1 to this one are in."""

    def candidates(self, question: str, low: int, high: int) -> Iterator[int]:
        """Entries from ``low`` to ``high`` that can be meant, the newest first. ``question``: of ``terms``."""
        rows = self._connection.execute(
            "SELECT rowid FROM word WHERE word MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC",
            (question, low, high),
        )
        for row in rows:
            yield row[0]

    def span(self, from_ms: int | None, until_ms: int | None) -> tuple[int, int]:
        """The first and the last of the indexed entries that can be from these times; the last is below the first: none."""
        row = self._connection.execute(
            "SELECT MIN(number), MAX(number) FROM stretch WHERE most_at_ms >= ? AND least_at_ms < ?",
            (0 if from_ms is None else from_ms, (1 << 62) if until_ms is None else until_ms),
        ).fetchone()
        if row[0] is None:
            return 1, 0
        return max(1, row[0] << STRETCH_BITS), min(self.through, (row[1] + 1 << STRETCH_BITS) - 1)


class AuditIndex:
    """Fills the index and answers from it."""

    def __init__(self, file: Path, *, database: Database, metrics: Metrics) -> None:
        """``file``: made where there is none. ``database``: the journal's; it is only read."""
        self._file = file
        self._database = database
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="audit index")
        self._writing = _writing()
        self._own: sqlite3.Connection | None = None
        self._journal: sqlite3.Connection | None = None
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._generation = 0
        """Counts the files: whoever reads an older one opens the new one."""
        self.through = 0
        """As of the last slice."""

    async def run(self) -> None:
        """Follow the journal, for ever; where this SQLite has no such index, say so once and leave searches to scan."""
        loop = asyncio.get_running_loop()
        size_before, looked_s, is_busy = 0, loop.time(), True
        while True:
            started_s = loop.time()
            if self._database.is_short:  # what room is left is for alerts
                await asyncio.sleep(_LOOKS_EVERY_S)
                continue
            try:
                taken, size = await loop.run_in_executor(
                    self._executor, self._fill, _SLICE_BUSY if is_busy else _SLICE_QUIET
                )
            except (sqlite3.Error, OperatorError) as error:
                self._metrics.count("audit_index_failures")
                if "no such" in str(error):
                    _log.warning("searches scan the journal: this SQLite can't index it", error=str(error))
                    return
                _log.error("not indexed, will try again", error=str(error))
                await asyncio.sleep(_LOOKS_EVERY_S * 10)
                continue
            took_s = loop.time() - started_s
            arrived_a_second = (size - size_before) / max(started_s - looked_s, 0.001)
            is_busy = size_before > 0 and arrived_a_second > _BUSY_A_SECOND
            rests = _RESTS_BUSY if is_busy else _RESTS_QUIET
            size_before, looked_s = size, started_s
            await asyncio.sleep(took_s * rests if taken and self.through < size else _LOOKS_EVERY_S)

    def catch_up(self) -> int:
        """Take everything that is in the journal now, without a rest; blocking. Returns how many entries were new."""
        total = 0
        while taken := self._executor.submit(self._fill, _SLICE).result()[0]:
            total += taken
        return total

    def search(self, read: Callable[[Indexed | None], T]) -> T:
        """``read`` with the index at one moment, on the thread that asks; with None while there is none, or none that can be read."""
        try:
            with self._searched() as indexed:
                return read(indexed)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._executor.submit(self._start_anew, str(error))
            return read(None)

    @contextlib.contextmanager
    def _searched(self) -> Iterator[Indexed | None]:
        connection = self._reader()
        if connection is None:
            yield None
            return
        connection.execute("BEGIN")
        try:
            row = connection.execute("SELECT entry, writing FROM progress").fetchone()
            yield Indexed(connection, row[0]) if row[1] == self._writing else None
        finally:
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """End what runs, at the end of its slice, and close the file."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        for connection in (self._own, self._journal, *self._readers):
            if connection is not None:
                connection.close()

    # ------------------------------------------------------------------ on the index's own thread

    def _fill(self, at_most: int) -> tuple[int, int]:
        """Take one slice; returns how many entries, and how many the journal has."""
        try:
            return self._take_slice(at_most)
        except (sqlite3.DatabaseError, SpoolDamaged) as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full, no such module: not the file's fault
                raise
            self._start_anew(str(error))
            return self._take_slice(at_most)

    def _take_slice(self, at_most: int) -> tuple[int, int]:
        own, read = self._opened()
        read.execute("BEGIN")
        try:
            size = journal.size(read)
            own.execute("BEGIN IMMEDIATE")
            try:
                before = self._where_it_ends(own, read)
                last = self._write(own, read, before, at_most)
                own.execute("COMMIT")
            except BaseException:  # interrupted as well: no half slice stays open
                if own.in_transaction:  # SQLite ends it by itself where the disk is full
                    own.execute("ROLLBACK")
                raise
        finally:
            read.execute("ROLLBACK")
        self.through = last
        return last - before, size

    def _where_it_ends(self, own: sqlite3.Connection, read: sqlite3.Connection) -> int:
        entry, leaf, writing = own.execute("SELECT entry, leaf, writing FROM progress").fetchone()
        row = read.execute("SELECT leaf FROM entry WHERE id = ?", (entry,)).fetchone()
        if writing == self._writing and (row[0] if row else b"") == leaf:
            return int(entry)
        own.execute("INSERT INTO word (word) VALUES ('delete-all')")
        own.execute("DELETE FROM stretch")
        own.execute("UPDATE progress SET entry = 0, leaf = x'', writing = ?", (self._writing,))
        if entry:
            self._metrics.count("audit_index_made_anew")
        return 0

    def _write(self, own: sqlite3.Connection, read: sqlite3.Connection, before: int, at_most: int) -> int:
        """Put what follows ``before`` in; returns the last entry that is in then."""
        last, leaf, until_s = before, b"", time.monotonic() + _SLICE_S
        times: dict[int, tuple[int, int]] = {}
        for entry in journal.entries(read, first=before + 1, at_most=at_most):
            text = terms.said(entry.kind, entry.actor, entry.subject, moment(entry).detail)
            own.execute("INSERT INTO word (rowid, said) VALUES (?, ?)", (entry.id, text))
            least, most = times.get(entry.id >> STRETCH_BITS, (entry.at_ms, entry.at_ms))
            times[entry.id >> STRETCH_BITS] = min(least, entry.at_ms), max(most, entry.at_ms)
            last, leaf = entry.id, entry.leaf
            if time.monotonic() > until_s:
                break
        if last == before:
            return last
        own.executemany(
            "INSERT INTO stretch VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE SET "
            "least_at_ms = MIN(least_at_ms, excluded.least_at_ms), most_at_ms = MAX(most_at_ms, excluded.most_at_ms)",
            [(number, *bounds) for number, bounds in times.items()],
        )
        own.execute("UPDATE progress SET entry = ?, leaf = ?", (last, leaf))
        return last

    def _opened(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        if self._journal is None:
            self._journal = self._database.reader()
        if self._own is None:
            own = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False, timeout=5.0)
            try:
                prepare(own, self._file, PARTS)
                own.execute("PRAGMA synchronous = NORMAL")
            except BaseException:  # whatever it was goes on; the file does not stay open
                own.close()
                raise
            self._own = own
        return self._own, self._journal

    def _start_anew(self, why: str) -> None:
        """Delete a file that can't be read: nothing is lost with it."""
        _log.warning("the audit's index is made anew", file=str(self._file), why=why)
        self._metrics.count("audit_index_made_anew")
        if self._own is not None:
            self._own.close()
            self._own = None
        remove(self._file)
        self.through = 0
        self._generation += 1

    # ------------------------------------------------------------------ on whichever thread searches

    def _reader(self) -> sqlite3.Connection | None:
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == self._generation:
            return held[1]
        generation = self._generation
        if not self.through:  # not opened yet, or empty
            return None
        connection = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False,
                                     isolation_level=None)  # fmt: skip
        connection.execute("PRAGMA query_only = ON")
        self._readers.append(connection)
        self._local.held = (generation, connection)
        return connection


def remove(file: Path) -> None:
    """Delete an index that nobody has open, if there is one."""
    for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
        file.with_name(name).unlink(missing_ok=True)


def _writing() -> bytes:
    folder = files("command_center.evidence")
    return hashlib.sha256(b"\0".join(folder.joinpath(name).read_bytes() for name in _WRITERS)).digest()
