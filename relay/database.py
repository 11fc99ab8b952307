"""One SQLite file, one owning connection on one thread, and group commit.

Whatever arrives while the last commit is running goes into the next one, so a burst costs a few fsyncs and a lone put
costs one. ``run`` returns only after the commit has been fsynced (WAL, ``synchronous=FULL``): that is what "spooled"
and "stored" mean everywhere else in this system.

Why one owner: SQLite before 3.51.3 can corrupt a WAL when two connections write or checkpoint at once
(https://sqlite.org/wal.html#walresetbug), and the SQLite of Debian 12 is older. Readers are query-only connections, which
neither write nor checkpoint. A lock file keeps a second process out.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from relay.ballast import Ballast
from relay.errors import DiskFull, OperatorError, SpoolBusy, SpoolDamaged
from relay.right_of_way import RightOfWay, connected
from relay.schema_steps import statements_in
from relay.sqlite_errors import explain

T = TypeVar("T")

_LOCK_WAIT_S: Final = 3.0
_MAX_GROUP: Final = 512
"""Jobs in one commit: past 100 the cost per row hardly falls, and a later job waits longer."""
LOG_PAGES: Final = 2_000
"""Of 4 KiB, before they are folded into the file: 8 MiB, as much as a small node may spare."""
_LOG_PAGES_ON_A_FULL_DISK: Final = 50
_IDLE_S: Final = 0.02
"""Without a job for so long the write-ahead log is folded: some 10 ms, in a flow every tenth of a second if it were not for this."""
"""One alert is some ten pages of log and less than one of the file: a short log makes the ballast last fifty times as long."""


@dataclass(slots=True)
class _Job(Generic[T]):
    """One piece of work and where its outcome goes."""

    work: Callable[[sqlite3.Connection], T]
    future: "asyncio.Future[T] | Future[T]"
    loop: asyncio.AbstractEventLoop | None
    due_s: float = 0.0
    """When it must not wait for company any longer, on the monotonic clock; 0: at once."""
    result: T | None = None
    error: BaseException | None = None


class Database:
    """The owner of one SQLite file. Made by ``open``; every other method may be called from any thread."""

    def __init__(self, file: Path, connection: sqlite3.Connection, lock_descriptor: int, ballast: Ballast,
                 log_pages: int, right_of_way: RightOfWay, *, gives_way: bool) -> None:  # fmt: skip
        self.file = file
        self._ballast = ballast
        self._connection = connection
        self._lock_descriptor = lock_descriptor
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"database {file.name}", daemon=True)
        self._closed = False
        self._log_pages = log_pages
        self.right_of_way = right_of_way
        self._gives_way = gives_way
        self.after_commit: Callable[[], None] | None = None
        """Called on the owning thread before anybody hears of a commit; must not raise."""
        self._checkpointed_at = 0
        self.checkpoints_postponed = 0
        self.commits = 0
        """Commits since opening: what group commit saves is jobs / commits."""

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        parts: Mapping[str, Sequence[str]],
        ballast_bytes: int = 0,
        log_pages: int = LOG_PAGES,
        gives_way: bool = False,
    ) -> "Database":
        """Open or create the file, bring each part's schema up to date, and start the owning thread.

        ``parts`` maps a part's name to its SQL steps; step *i* leads from version *i* to *i* + 1. ``ballast_bytes`` of the disk are
        kept for alerts (``ballast``). With ``log_pages`` in the write-ahead log a commit is held up to fold it into the file; an
        idle moment is used for that from half of them on. With ``gives_way`` the thread does not push another off its processor when there is
        work for it, and waits at its next statement while ``right_of_way`` is taken: where receipts do not wait for it.

        Raises:
            SpoolBusy: another process has it open.
            SpoolDamaged: the file is not intact, or newer than this release.
            SpoolFull: no room on the disk.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        lock_descriptor = lock(file, wait_s=_LOCK_WAIT_S)
        right_of_way = RightOfWay()
        ballast = Ballast(file.with_suffix(".ballast"), ballast_bytes)
        ballast.take()
        try:
            try:
                connection = _prepared(file, parts, right_of_way if gives_way else None)
            except sqlite3.Error as error:
                if not isinstance(explain(error, file), DiskFull) or not ballast.give_up():
                    raise
                connection = _prepared(file, parts, right_of_way if gives_way else None)
        except sqlite3.Error as error:
            os.close(lock_descriptor)
            raise explain(error, file) from error
        except BaseException:  # the same, and others get the lock
            os.close(lock_descriptor)
            raise
        database = cls(file, connection, lock_descriptor, ballast, log_pages, right_of_way, gives_way=gives_way)
        # What a savepoint might put back stays in memory; past 64 KiB SQLite would write it to a file, a page for each that a group changes.
        connection.execute("PRAGMA temp_store = MEMORY").fetchall()
        connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages:d}").fetchall()
        if ballast.is_short:
            database._fold_log(_LOG_PAGES_ON_A_FULL_DISK)
        database._thread.start()
        return database

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on the owning thread; returns after its commit was fsynced.

        If ``work`` raises, its own changes alone are rolled back and the error comes out here.

        Raises:
            SpoolFull: the disk has no room; nothing of this work is stored.
        """
        return await self.submit(work)

    def submit(self, work: Callable[[sqlite3.Connection], T], *, within_s: float = 0.0) -> "asyncio.Future[T]":
        """``run``, or with ``within_s`` ``run_along``, whether anybody awaits the future or not; what is in a hurry in the order of submitting."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        due_s = time.monotonic() + within_s if within_s else 0.0
        self._submit(_Job(work=work, future=future, loop=loop, due_s=due_s))
        return future

    async def run_along(self, work: Callable[[sqlite3.Connection], T], *, within_s: float) -> T:
        """``run`` for what is in no hurry: it goes into the next commit that is made anyway, or into one of its own after ``within_s``.

        A commit of its own is an fsync that an alert might wait for.

        Raises:
            SpoolFull: as ``run``.
        """
        return await self.submit(work, within_s=within_s)

    def run_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``run`` for callers without an event loop."""
        future: Future[T] = Future()
        self._submit(_Job(work=work, future=future, loop=None))
        return future.result()

    @property
    def is_short(self) -> bool:
        """Whether the disk was found full and its ballast is given up: what room is left is for alerts."""
        return self._ballast.is_short

    async def take_ballast(self) -> bool:
        """Have the ballast again, if there is room; whether it is there."""

        def work(connection: sqlite3.Connection) -> bool:
            if self._ballast.take():
                connection.execute(f"PRAGMA wal_autocheckpoint = {self._log_pages:d}").fetchall()
            return self._ballast.is_held

        return await self.run(work)

    def reader(self) -> sqlite3.Connection:
        """A new connection that can only read. The caller closes it and keeps it on one thread at a time."""
        connection = sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False,
                                     isolation_level=None)  # fmt: skip
        connection.execute("PRAGMA query_only = ON")
        return connection

    def close(self) -> None:
        """Finish what was submitted, close the file and let other processes in."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()
        os.close(self._lock_descriptor)

    def _submit(self, job: _Job[Any]) -> None:
        if self._closed:
            raise OperatorError(f"{self.file} is closed")
        self._jobs.put(job)

    def _next_group(self, patient: list[_Job[Any]], idle_s: float | None) -> tuple[list[_Job[Any]], bool]:
        """What goes into the next commit, and whether there may be more; those in ``patient`` wait for company, and go along last.

        An empty group: nothing came for ``idle_s``, or nothing comes any more.
        """
        group: list[_Job[Any]] = []
        is_open = True
        while is_open and len(group) < _MAX_GROUP:
            wait_s = 0.0 if group else idle_s
            if patient and not group:
                due_s = min(job.due_s for job in patient) - time.monotonic()
                if due_s <= 0:
                    break
                wait_s = due_s if idle_s is None else min(due_s, idle_s)
            try:
                job = self._jobs.get(timeout=wait_s) if wait_s != 0.0 else self._jobs.get_nowait()
            except queue.Empty:
                if not group and wait_s == idle_s:
                    return [], is_open
                break
            if job is None:
                is_open = False
            elif job.due_s:
                patient.append(job)
            else:
                group.append(job)
        group += patient
        patient.clear()
        return group, is_open

    def _serve(self) -> None:
        if self._gives_way:
            with contextlib.suppress(OSError):  # a sandbox that lets nobody choose
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        is_open = True
        patient: list[_Job[Any]] = []
        while is_open:
            group, is_open = self._next_group(patient, _IDLE_S if self._has_much_in_the_log() else None)
            if group:
                self._commit(group)
                if any(isinstance(job.error, DiskFull) for job in group) and self._ballast.give_up():
                    self._fold_log(_LOG_PAGES_ON_A_FULL_DISK)
                    for job in group:
                        job.error = job.result = None
                    self._commit(group)
                _deliver(group)
            elif is_open:
                self._checkpoint()

    def _fold_log(self, pages: int) -> None:
        """Give the room of the write-ahead log back, and from now on let it grow to so many pages only."""
        with contextlib.suppress(sqlite3.Error):  # a disk that fails: the next commit says so
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _commit(self, group: list[_Job[Any]]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in group:
                self._run_one(job, is_alone=len(group) == 1)
            if connection.in_transaction:
                connection.execute("COMMIT")
                self.commits += 1
                if self.after_commit is not None:
                    self.after_commit()
        except sqlite3.Error as error:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            explained = explain(error, self.file)
            for job in group:  # nothing of this group is stored, so nobody may hear that it was
                job.error = job.error or explained
                job.result = None

    def _has_much_in_the_log(self) -> bool:
        return self._connection.total_changes - self._checkpointed_at >= self._log_pages // 2

    def _checkpoint(self) -> None:
        """Move what is in the WAL to its place while nobody waits: SQLite by itself does that within somebody's commit."""
        self._checkpointed_at = self._connection.total_changes
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:  # a full disk: the WAL keeps what it has, and the next one tries again
            self.checkpoints_postponed += 1

    def _run_one(self, job: _Job[Any], *, is_alone: bool) -> None:
        """In the transaction; one that is alone in it needs no savepoint to take it back."""
        connection = self._connection
        if not is_alone:
            connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(connection)
        except sqlite3.Error as error:
            job.error = explain(error, self.file)
            if not connection.in_transaction:  # SQLite rolled everything back by itself (a full disk does that)
                raise
            if isinstance(job.error, DiskFull) and self._ballast.is_held:  # the whole group is tried once more
                raise
        except Exception as error:  # noqa: BLE001  the caller's error goes back to the caller, whatever it is
            job.error = error
        if job.error is not None:
            connection.execute("ROLLBACK" if is_alone else "ROLLBACK TO job")
        if not is_alone:
            connection.execute("RELEASE job")


def _deliver(group: list[_Job[Any]]) -> None:
    """Tell every caller; one wake-up per event loop and commit."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in group:
        if job.loop is None:
            _resolve(job)
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more, the work is stored
            loop.call_soon_threadsafe(_resolve_all, jobs)


def _resolve_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        _resolve(job)


def _resolve(job: _Job[Any]) -> None:
    if job.future.done():  # the caller was cancelled; the work is stored all the same
        return
    if job.error is not None:
        job.future.set_exception(job.error)
    else:
        job.future.set_result(job.result)


def lock(file: Path, *, wait_s: float = 0.0) -> int:
    """Take the lock that keeps a second process out; closing the descriptor gives it back.

    Raises:
        SpoolBusy: another process has it, and still had it after ``wait_s``.
        OperatorError: the folder can't be written: a read-only disk, or another user's.
    """
    try:
        descriptor = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperatorError(
            f"{file.parent} can't be written ({error.strerror}): look at its owner, and at whether its disk was mounted read-only"
        ) from error
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline_s:
                time.sleep(0.005)
                continue
            os.close(descriptor)
            raise SpoolBusy(
                f"another process has {file} open: stop it first, or ask it through its local door"
            ) from None
        return descriptor


def _prepared(file: Path, parts: Mapping[str, Sequence[str]], right_of_way: RightOfWay | None) -> sqlite3.Connection:
    connection = connected(file, right_of_way)
    try:
        prepare(connection, file, parts)
    except BaseException:  # whatever it was goes on; the file does not stay open
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, file: Path, parts: Mapping[str, Sequence[str]]) -> None:
    """Set the connection's modes and bring each part's schema up to date."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise SpoolDamaged(
            f"{file} can't be put into WAL mode (found {mode}): its file system lacks shared memory or locks"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_part (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"
    )
    for name, steps in parts.items():
        row = connection.execute("SELECT version FROM schema_part WHERE name = ?", (name,)).fetchone()
        version = row[0] if row else 0
        if version > len(steps):
            raise SpoolDamaged(
                f"{file} has version {version} of its part {name!r}, this release knows {len(steps)}: install the newer release again"
            )
        for step in steps[version:]:
            for statement in statements_in(step):
                connection.execute(statement)
        connection.execute("INSERT OR REPLACE INTO schema_part VALUES (?, ?)", (name, len(steps)))
    connection.execute("COMMIT")
