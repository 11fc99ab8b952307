"""The audit's index: which entries can hold a text, and which a time. A file of its own, filled behind the journal.

It owns ``audit.sqlite`` and the schema part "audit". Nothing of it is in the way of an alert: the journal's transaction knows nothing of
it, another thread reads what was committed and writes another file, a slice at a time, and rests after each as ``pace`` says. Slices are
committed together: alone, each would cost as much again as what is in it. What has not been come to is scanned, and ``Lag`` says how much it is.

Guarantees:

1. Entries 1 to ``through`` are in the index, each with all its words: progress and words are one transaction.
2. It belongs to this journal: where the entry that it ends at has another leaf (a restored backup), it is emptied and filled again.
3. It holds the words that this release writes: other program text empties it as well.
4. Whatever becomes of the file, searches go on: ``pages`` scans what is not indexed, a bounded stretch at a time.

It need not be durable (``synchronous=NORMAL``: whole after a power cut, perhaps some seconds behind), so it is in no backup.
"""

import asyncio
import contextlib
import functools
import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeVar

import structlog

from command_center import journal
from command_center.audit import terms
from command_center.audit.pace import Pace
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
_SLICE_S: Final = 0.05
"""The longest slice: for when nothing else is to do."""
_TOGETHER: Final = 2000
_TOGETHER_S: Final = 3.0
"""Slices are committed when they have this many entries, or are this old, or nothing more is there."""
_LOOKS_EVERY_S: Final = 1.0
_WRITERS: Final = ("tables.py", "deeds.py")
"""Of ``command_center.evidence``: they put entries into words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far the index is behind the journal: what a search has to look through one by one."""

    entries: int
    until_ms: int | None
    """When the newest entry was written that is in the index; None: none is."""


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


class _Batch:
    """What one transaction of the index's file puts in, slice by slice; others see none of it before ``settle``."""

    def __init__(self, last: int) -> None:
        """``last``: the entry that the index ends at."""
        self.last = last
        self._first, self._leaf = last + 1, b""
        self._begun_s = time.monotonic()
        self._times: dict[int, tuple[int, int]] = {}

    def note(self, entry: int, at_ms: int, leaf: bytes) -> None:
        least, most = self._times.get(entry >> STRETCH_BITS, (at_ms, at_ms))
        self._times[entry >> STRETCH_BITS] = min(least, at_ms), max(most, at_ms)
        self.last, self._leaf = entry, leaf

    @property
    def is_due(self) -> bool:
        return self.last - self._first + 1 >= _TOGETHER or time.monotonic() - self._begun_s > _TOGETHER_S

    def settle(self, own: sqlite3.Connection) -> None:
        """Words, times and progress at once."""
        if self.last >= self._first:
            own.executemany(
                "INSERT INTO stretch VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE SET "
                "least_at_ms = MIN(least_at_ms, excluded.least_at_ms), most_at_ms = MAX(most_at_ms, excluded.most_at_ms)",
                [(number, *bounds) for number, bounds in self._times.items()],
            )
            own.execute("UPDATE progress SET entry = ?, leaf = ?", (self.last, self._leaf))
        own.execute("COMMIT")


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
        self._batch: _Batch | None = None
        self._generation = 0
        """Counts the files: whoever reads an older one opens the new one."""
        self.through = 0
        """As of the last slice."""

    async def run(self) -> None:
        """Follow the journal, for ever; where this SQLite has no such index, say so once and leave searches to scan."""
        loop = asyncio.get_running_loop()
        pace = Pace()
        while True:
            started_s = loop.time()
            if self._database.is_short:  # what room is left is for alerts
                await asyncio.sleep(_LOOKS_EVERY_S)
                continue
            try:
                slice_of = functools.partial(self._fill, pace.at_most, is_last=not pace.is_busy)
                taken, size, took_s = await loop.run_in_executor(self._executor, slice_of)
            except (sqlite3.Error, OperatorError) as error:
                self._metrics.count("audit_index_failures")
                if "no such" in str(error):
                    _log.warning("searches scan the journal: this SQLite can't index it", error=str(error))
                    return
                _log.error("not indexed, will try again", error=str(error))
                await asyncio.sleep(_LOOKS_EVERY_S * 10)
                continue
            pace.note(size=size, taken=taken, took_s=took_s, now_s=started_s)
            await asyncio.sleep(took_s * pace.rests if taken and self.through < size else _LOOKS_EVERY_S)

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

    def _fill(self, at_most: int, *, is_last: bool = True) -> tuple[int, int, float]:
        """Take one slice; returns how many entries, how many the journal has, and the seconds of processor time that it took.

        ``is_last``: and commit it now.
        """
        started_s = time.thread_time()
        taken, size = self._try_slice(at_most, is_last=is_last)
        return taken, size, time.thread_time() - started_s

    def _try_slice(self, at_most: int, *, is_last: bool) -> tuple[int, int]:
        try:
            return self._take_slice(at_most, is_last=is_last)
        except (sqlite3.DatabaseError, SpoolDamaged) as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full, no such module: not the file's fault
                raise
            self._start_anew(str(error))
            return self._take_slice(at_most, is_last=is_last)

    def _take_slice(self, at_most: int, *, is_last: bool) -> tuple[int, int]:
        own, read = self._opened()
        read.execute("BEGIN")
        try:
            size = journal.size(read)
            try:
                batch = self._batch = self._batch or self._begun(own, read)
                before = batch.last
                self._write(own, read, batch, at_most)
                if is_last or batch.is_due or batch.last == size:
                    batch.settle(own)
                    self._batch, self.through = None, batch.last
            except BaseException:  # interrupted as well: no half batch stays open
                self._batch = None
                if own.in_transaction:  # SQLite ends it by itself where the disk is full
                    own.execute("ROLLBACK")
                raise
        finally:
            read.execute("ROLLBACK")
        return batch.last - before, size

    def _begun(self, own: sqlite3.Connection, read: sqlite3.Connection) -> "_Batch":
        own.execute("BEGIN IMMEDIATE")
        return _Batch(self._where_it_ends(own, read))

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

    def _write(self, own: sqlite3.Connection, read: sqlite3.Connection, batch: "_Batch", at_most: int) -> None:
        """Put what follows in."""
        until_s, said = time.monotonic() + _SLICE_S, list[tuple[int, str]]()
        for entry in journal.entries(read, first=batch.last + 1, at_most=at_most):
            said.append((entry.id, terms.said(entry.kind, entry.actor, entry.subject, moment(entry).detail)))
            batch.note(entry.id, entry.at_ms, entry.leaf)
            if time.monotonic() > until_s:
                break
        own.executemany("INSERT INTO word (rowid, said) VALUES (?, ?)", said)

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
        self._batch, self.through = None, 0
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


def lag_of(connection: sqlite3.Connection, indexed: Indexed | None) -> Lag:
    """Of the index as one search sees it; ``connection``: the journal's."""
    through = 0 if indexed is None else indexed.through
    row = connection.execute("SELECT at_ms FROM entry WHERE id = ?", (through,)).fetchone()
    return Lag(entries=max(0, journal.size(connection) - through), until_ms=None if row is None else row[0])


def remove(file: Path) -> None:
    """Delete an index that nobody has open, if there is one."""
    for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
        file.with_name(name).unlink(missing_ok=True)


def _writing() -> bytes:
    folder = files("command_center.evidence")
    return hashlib.sha256(b"\0".join(folder.joinpath(name).read_bytes() for name in _WRITERS)).digest()
