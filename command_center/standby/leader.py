"""The leader's part: whatever is to be durable is so on the standby, too, before anybody hears of it.

Threads: the database's own calls ``committed`` after each commit, the intake log's calls ``logged`` with each write, and one of this
class keeps the line, brings a standby up to date and sends pictures. A standby that does not answer within ``wait_s`` is let go: the center goes on
alone, says so, and brings it up to date when it is back. What changes meanwhile is kept in memory, up to ``MOST_PAGES``; past that, and
after a start, pages are compared by their digests and those that differ are sent.

How a running database is copied without holding it up: pages that are in the write-ahead log are read from there, once; every other page's place in
the file stands still until it is in the log, and then a commit has told us.
"""

import asyncio
import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from command_center import facts, journal
from command_center.blobs import BlobStore
from command_center.facts import Remark
from command_center.metrics import Metrics
from command_center.standby import messages
from command_center.standby.line import Line, LineLost
from command_center.standby.messages import Beat, Blob, Changed, Digests, Found, Hello, Log, Standing, Wants
from command_center.standby.page_file import digest_of
from relay.clock import Clock
from relay.committed_pages import PAGE_BYTES, CommittedPages, Pages
from relay.database import Database
from relay.errors import OperatorError
from relay.identity import Identity
from relay.intake_log import IntakeLog

_log = structlog.get_logger("command_center.standby")
MOST_PAGES: Final = 16_384
"""64 MiB that a standby lacks: a quarter of an hour of a busy center, whose commits write the same pages again and again."""
_FEW_PAGES: Final = 256
_BEAT_EVERY_S: Final = 1.0
_AGAIN_S: Final = (1.0, 10.0)
_CATCHING_UP_WAIT_S: Final = 60.0
"""For an answer while nobody waits for it: the standby's disk may have much to do."""
IN_STEP: Final = "standby-in-step"
LOST: Final = "standby-lost"


class Leader:
    """Of one standby."""

    def __init__(self, *, address: tuple[str, int], wait_s: float, term: int, identity: Identity, database: Database,
                 intake_log: IntakeLog | None, blobs: BlobStore, clock: Clock, metrics: Metrics) -> None:  # fmt: skip
        """On the event loop; call ``start`` once everything else is ready.

        Raises:
            OSError: the database's log can't be read.
        """
        self._address = address
        self._wait_s = wait_s
        self._term = term
        self._identity = identity
        self._database = database
        self._intake_log = intake_log
        self._blobs = blobs
        self._clock = clock
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._run = os.urandom(16)
        self._changes = CommittedPages(database.file)
        self._lock = threading.Lock()
        self._sequence = 0
        self._pages_in_all = 0
        self._lacks: Pages | None = None
        """What the standby lacks since ``_acknowledged``; None: more than is kept."""
        self._acknowledged = 0
        self._is_live = False
        """Each commit waits for the standby."""
        self._line: Line | None = None
        self._is_log_there = threading.Event()
        self._was_in_step: bool | None = None
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="standby", daemon=True)
        self.outranked: asyncio.Future[int] = self._loop.create_future()
        """The other machine leads, and was promoted later: its term. This one must stop."""
        self.why_not = "it was not reached yet"
        self.since_ms: int | None = None
        """Wall time since when it is in step, or is not."""

    def start(self) -> None:
        """Look for the standby, for as long as this runs."""
        self._database.after_commit = self.committed
        self._thread.start()

    def close(self) -> None:
        """Let go of it. Blocking, for a second at most."""
        self._is_closing = True
        self._database.after_commit = None
        self._drop(self._line)
        self._wake.set()
        self._is_log_there.set()
        self._thread.join(2 * self._wait_s + 1)
        with contextlib.suppress(OperatorError):
            self._database.run_blocking(lambda _: None)  # a commit that is under way still reads the log
        self._changes.close()

    @property
    def is_in_step(self) -> bool:
        """Whether the standby has everything that anybody was told is durable."""
        return self._is_live

    @property
    def pages_behind(self) -> int:
        """Pages that it lacks, as far as that is counted."""
        return len(self._lacks or ())

    # ------------------------------------------------------------------ the database's thread

    def committed(self) -> None:
        """After a commit: while the standby is in step, return when it has it, too."""
        try:
            pages_in_all, changed = self._changes.since_last()
        except OSError as error:
            _log.error("not known what a commit changed: the standby is compared anew", why=str(error))
            self._lose_count()
            return
        if not changed:
            return
        with self._lock:
            self._sequence += 1
            self._pages_in_all = pages_in_all
            if self._lacks is not None:
                self._lacks.update(changed)
                if len(self._lacks) > MOST_PAGES:
                    self._lacks = None
        line = self._line
        if self._is_live and line is not None:
            began_s = time.perf_counter()
            try:
                self._send_what_it_lacks(line)
            except LineLost as error:
                self._lost(line, error)
            else:
                self._metrics.observe_ms("standby", (time.perf_counter() - began_s) * 1000)

    def _lose_count(self) -> None:
        with self._lock:
            self._lacks = None
        self._drop(self._line)

    def _send_what_it_lacks(self, line: Line) -> None:
        """On the database's thread, so that nothing is committed meanwhile; it counts from here on."""
        with self._lock:
            pages, self._lacks = self._lacks, {}
        if pages is None:
            with self._lock:
                self._lacks = None
            raise LineLost("more has changed than is kept in memory: it is compared anew")
        try:
            self._send(line, pages, more=False, wait_s=self._wait_s)
        except LineLost:
            self._still_lacks(pages)
            raise
        self._acknowledged = self._sequence

    def _still_lacks(self, pages: Pages) -> None:
        with self._lock:
            if self._lacks is not None:
                self._lacks = pages | self._lacks

    def _send(self, line: Line, pages: Pages, *, more: bool, wait_s: float) -> None:
        chunks = list(_chunks(pages)) or [[]]
        asked = [
            line.ask(Changed, pages=chunk, more=more or chunk is not chunks[-1], pages_in_all=self._pages_in_all, run=self._run,
                     sequence=self._sequence)
            for chunk in chunks
        ]  # fmt: skip
        for future in asked:
            line.answered(future, wait_s)

    # ------------------------------------------------------------------ the intake log's thread

    def logged(self, written: Sequence[tuple[int, bytes]]) -> Callable[[], None]:
        """Send records of the intake log; what is returned waits until the standby has them, or is lost."""
        line, began_s = self._line, time.perf_counter()
        if line is None:
            return _nothing
        try:
            asked = [line.ask(Log, at=at, data=data) for at, data in written]
        except LineLost as error:
            self._lost(line, error)
            return _nothing

        def wait() -> None:
            try:
                for future in asked:
                    line.answered(future, self._wait_s)
            except LineLost as error:
                self._lost(line, error)
                return
            if written[0][0] == 0:  # the head, which is only written with the whole
                self._is_log_there.set()
            self._metrics.observe_ms("standby_log", (time.perf_counter() - began_s) * 1000)

        return wait

    # ------------------------------------------------------------------ this class's thread

    def _serve(self) -> None:
        again_s = _AGAIN_S[0]
        while not self._is_closing:
            began_s = time.monotonic()
            try:
                self._keep_in_step()
            except (LineLost, OperatorError, OSError) as error:
                self._lost(self._line, error)
            except RuntimeError:  # the event loop is closed: the center stops
                return
            self._say()
            again_s = _AGAIN_S[0] if time.monotonic() - began_s > _AGAIN_S[1] else min(_AGAIN_S[1], again_s * 2)
            self._wake.wait(random.uniform(0.5, 1.0) * again_s)  # noqa: S311  jitter
            self._wake.clear()

    def _keep_in_step(self) -> None:
        line = Line.dial(*self._address, self._identity, wait_s=self._wait_s)
        try:
            standing = line.answered_as(Standing, line.ask(Hello, format=messages.FORMAT, term=self._term), self._wait_s)  # fmt: skip
            if standing.leads:
                self._meet_another(standing.term)
                return
            line.wait_at_most(_CATCHING_UP_WAIT_S)
            self._line = line
            self._have_log_copied()
            self._catch_up(line, standing)
            self._say()
            while not self._is_closing:
                wants = line.answered_as(Wants, line.ask(Beat), _CATCHING_UP_WAIT_S)
                if not sum([self._send_blob(line, sha256) for sha256 in wants.blobs]):
                    self._wake.wait(_BEAT_EVERY_S)
                    self._wake.clear()
        finally:
            self._drop(line)

    def _meet_another(self, term: int) -> None:
        if term > self._term:
            self._loop.call_soon_threadsafe(self._say_outranked, term)
            self._is_closing = True
            return
        self.why_not = "another center leads there, which was not promoted later than this one: stop it"
        _log.error(self.why_not, address=self._address)

    def _say_outranked(self, term: int) -> None:
        if not self.outranked.done():
            self.outranked.set_result(term)

    def _have_log_copied(self) -> None:
        """First the log, then the database: an alert is in one of them at every moment."""
        log = self._intake_log
        if log is None:
            return
        self._is_log_there.clear()
        self._loop.call_soon_threadsafe(log.copy_to, self.logged)
        if not self._is_log_there.wait(_CATCHING_UP_WAIT_S):
            raise LineLost("the standby does not take the intake log")

    def _catch_up(self, line: Line, standing: Standing) -> None:
        with self._lock:
            goes_on = (standing.run == self._run and self._lacks is not None
                       and self._acknowledged <= standing.sequence <= self._sequence)  # fmt: skip
        sent: Pages = {}
        try:
            if not goes_on:
                self._database.run_blocking(self._begin_to_count)
                self._send_differing(line)
            while (pages := self._lacking_much()) is not None:
                sent.update(pages)
                self._send(line, pages, more=True, wait_s=_CATCHING_UP_WAIT_S)
            self._database.run_blocking(lambda _: self._go_live(line))
        except BaseException:  # whatever it was goes on; what was sent without its end does not count
            self._still_lacks(sent)
            if not goes_on:
                with self._lock:
                    self._lacks = None
            raise

    def _begin_to_count(self, _: sqlite3.Connection) -> None:
        """On the database's thread: from this moment on each change is known."""
        pages_in_all, changed = self._changes.all_in_log()
        with self._lock:
            self._pages_in_all = pages_in_all
            self._lacks = changed

    def _lacking_much(self) -> Pages | None:
        """Most of what it lacks, while commits go on; the rest is sent while none does."""
        with self._lock:
            if self._lacks is None or len(self._lacks) <= _FEW_PAGES:
                return None
            pages, self._lacks = self._lacks, {}
            return pages

    def _go_live(self, line: Line) -> None:
        line.wait_at_most(self._wait_s)
        self._send_what_it_lacks(line)
        self._is_live = not line.is_lost

    def _send_differing(self, line: Line) -> None:
        """What is in the file and not the same there; what is in the log is sent anyway, later, and stands above it."""
        descriptor = os.open(self._database.file, os.O_RDONLY)
        try:
            first = 1
            while content := os.pread(descriptor, messages.DIGESTS_AT_ONCE * PAGE_BYTES, (first - 1) * PAGE_BYTES):
                count = len(content) // PAGE_BYTES
                if not count:
                    break
                found = line.answered_as(Found, line.ask(Digests, first=first, count=count),
                            _CATCHING_UP_WAIT_S).digests  # fmt: skip
                differing = {
                    first + at: page for at in range(count)
                    if digest_of(page := content[at * PAGE_BYTES : (at + 1) * PAGE_BYTES])
                    != found[at * messages.DIGEST_BYTES : (at + 1) * messages.DIGEST_BYTES]
                }  # fmt: skip
                if differing:
                    self._send(line, differing, more=True, wait_s=_CATCHING_UP_WAIT_S)
                first += count
        finally:
            os.close(descriptor)

    def _send_blob(self, line: Line, sha256: bytes) -> bool:
        """Whether it is here. One that was erased between is asked for no more, once the standby's database says so, too."""
        try:
            stream = self._blobs.file_of(sha256).open("rb")
        except FileNotFoundError:
            return False
        with stream:
            piece, is_first = stream.read(messages.PIECE_BYTES), True
            while True:
                following = stream.read(messages.PIECE_BYTES)
                blob = {"sha256": sha256, "is_first": is_first, "is_last": not following, "data": piece}
                line.answered(line.ask(Blob, **blob), _CATCHING_UP_WAIT_S)
                if not following:
                    return True
                piece, is_first = following, False

    # ------------------------------------------------------------------ any thread

    def _lost(self, line: Line | None, error: Exception) -> None:
        self.why_not = str(error)
        self._drop(line)

    def _drop(self, line: Line | None) -> None:
        """End a line; if it is the one in use, the center goes on alone from here on."""
        if line is not None:
            line.close()
        with self._lock:
            if self._line is not line:
                return
            self._is_live, self._line = False, None
        if self._intake_log is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._intake_log.copy_to, None)
        self._wake.set()

    def _say(self) -> None:
        """Journal and log a change; on this class's thread."""
        is_in_step = self._is_live
        if is_in_step == self._was_in_step or self._is_closing:
            return
        host, port = self._address
        fact = Remark(what=f"{host}:{port}", detail="" if is_in_step else self.why_not)
        kind = IN_STEP if is_in_step else LOST
        (_log.info if is_in_step else _log.error)(kind.replace("-", " "), address=f"{host}:{port}", why=fact.detail)
        try:
            self._database.run_blocking(
                lambda connection: journal.append(connection, at_ms=self._clock.wall_ms(), kind=kind, actor="center",
                                                  subject="center", payload=facts.encode(fact))
            )  # fmt: skip
        except OperatorError as error:  # a full disk: it is said with the next change, or the next turn
            _log.error("not journalled", what=kind, why=str(error))
            return
        self._metrics.count(kind.replace("-", "_"))
        self._was_in_step, self.since_ms = is_in_step, self._clock.wall_ms()


def _nothing() -> None:
    """There is no standby to wait for."""


def _chunks(pages: Pages) -> Iterator[list[tuple[int, bytes]]]:
    items = sorted(pages.items())
    for at in range(0, len(items), messages.CHUNK_PAGES):
        yield items[at : at + messages.CHUNK_PAGES]
