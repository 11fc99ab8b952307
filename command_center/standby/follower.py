"""The standby at work: keeps what the leader sends, answers when it is durable, and asks for the pictures that it lacks."""

import contextlib
import os
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final

import structlog

from command_center.blobs import BlobStore, WrongHash
from command_center.standby import messages
from command_center.standby.line import Called
from command_center.standby.messages import (
    Answer,
    Asked,
    Beat,
    Blob,
    Changed,
    Digests,
    Done,
    Failed,
    Found,
    Hello,
    Log,
    Standing,
    Wants,
)
from command_center.standby.page_file import PageFile, Record
from command_center.state_dir import StateDir
from relay import intake_log
from relay.database import lock
from relay.errors import HeardError, SpoolFull, UnsupportedVersion
from relay.identity import sync_dir

_log = structlog.get_logger("command_center.standby")
_LOG_BYTES: Final = intake_log.PAGES * intake_log.PAGE_BYTES
_WANTS_AT_ONCE: Final = 64
_LOOKS_FOR: Final = 50
"""A fiftieth of the time, at most, goes into looking what is missing."""
_PARTIAL_NAME: Final = "standby.blob"


class Follower:
    """One leader at a time: who calls last. ``serve`` runs on one thread, which alone touches the copy."""

    def __init__(self, state: StateDir) -> None:
        """Open the copy.

        Raises:
            SpoolBusy: a center, or another standby, has this folder.
            DiskFull, SpoolDamaged: as ``PageFile``.
        """
        self._state = state
        self._lock = lock(state.database_file, wait_s=1.0)
        try:
            self.pages = PageFile(state.database_file, state.redo_file)
        except BaseException:  # whatever it was goes on, and others get the folder
            os.close(self._lock)
            raise
        self._blobs = BlobStore(state.blobs_dir)
        self._partial_file: Path = state.root_dir / _PARTIAL_NAME
        self._here = {bytes.fromhex(file.name) for file in state.blobs_dir.glob("*/*") if len(file.name) == 64}
        self._looked_at: tuple[bytes, int] | None = None
        self._looks_again_s = 0.0
        self._lacks: set[bytes] = set()
        self._log_file = self._open_log()
        self._calls = threading.Condition()
        self._next: Called | None = None
        self._current: Called | None = None
        self._is_closing = False

    def close(self) -> None:
        """After ``serve`` has ended."""
        if self._next is not None:
            self._next.close()
        self.pages.close()
        os.close(self._log_file)
        os.close(self._lock)

    def called(self, line: Called) -> None:
        """The leader calls, on whatever thread; an earlier line is its own of before."""
        with self._calls:
            if self._next is not None:
                self._next.close()  # nobody has read from it yet
            self._next = line
            if self._current is not None:
                self._current.cut()
            self._calls.notify()

    def stop(self) -> None:
        """Have ``serve`` end."""
        with self._calls:
            self._is_closing = True
            if self._current is not None:
                self._current.cut()
            self._calls.notify()

    def serve(self) -> None:
        """Until ``stop``."""
        while True:
            with self._calls:
                while self._next is None and not self._is_closing:
                    self._calls.wait()
                if self._is_closing or self._next is None:
                    return
                line, self._next = self._next, None
                self._current = line
            _log.info("the leader is here", sequence=self.pages.sequence)
            try:
                while True:
                    asked = line.next()
                    line.say(self._answered(asked))
            except (OSError, HeardError) as error:
                _log.warning("the leader is gone", why=str(error), sequence=self.pages.sequence)
            finally:
                with self._calls:
                    self._current = None
                line.close()

    # ------------------------------------------------------------------ each message

    def _answered(self, asked: Asked) -> Answer:
        try:
            return self._do(asked)
        except (OSError, sqlite3.Error, HeardError) as error:
            _log.error("not kept", what=type(asked).__name__, why=str(error))
            return Failed(number=asked.number, why=str(error))

    def _do(self, asked: Asked) -> Answer:
        match asked:
            case Hello():
                if asked.format != messages.FORMAT:
                    raise UnsupportedVersion(
                        f"expected format {messages.FORMAT} of a leader, found {asked.format}: install the same release on both machines"
                    )
                self.pages.forget_staged()
                return Standing(
                    number=asked.number, leads=False, term=0, run=self.pages.run, sequence=self.pages.sequence
                )
            case Digests():
                found = self.pages.digests(asked.first, min(asked.count, messages.DIGESTS_AT_ONCE))
                return Found(number=asked.number, digests=found)
            case Changed():
                self.pages.take(
                    Record(
                        pages=asked.pages,
                        more=asked.more,
                        pages_in_all=asked.pages_in_all,
                        run=asked.run,
                        sequence=asked.sequence,
                    )
                )
            case Log():
                self._take_log(asked)
            case Beat():
                return Wants(number=asked.number, blobs=self._wanted())
            case Blob():
                self._take_blob(asked)
        return Done(number=asked.number)

    def _open_log(self) -> int:
        descriptor = os.open(self._state.intake_log_file, os.O_RDWR | os.O_CREAT, 0o600)
        sync_dir(self._state.root_dir)
        return descriptor

    def _take_log(self, asked: Log) -> None:
        if asked.at + len(asked.data) > _LOG_BYTES:
            raise OSError("past the intake log's end")
        if os.pwritev(self._log_file, [asked.data], asked.at, os.RWF_DSYNC) != len(asked.data):
            raise OSError("the disk is full")

    # ------------------------------------------------------------------ pictures and clips

    def _wanted(self) -> list[bytes]:
        """Some of what the database names and is not here; what it does not name any more goes."""
        state = (self.pages.run, self.pages.sequence)
        began_s = time.monotonic()
        if self.pages.is_whole and state != self._looked_at and began_s >= self._looks_again_s:
            named = self._named()
            for sha256 in self._here - named:
                self._blobs.delete(sha256)
            self._here &= named
            self._lacks = named - self._here
            self._looked_at = state
            self._looks_again_s = time.monotonic() + _LOOKS_FOR * (time.monotonic() - began_s)
        return random.sample(sorted(self._lacks), min(len(self._lacks), _WANTS_AT_ONCE))

    def _named(self) -> set[bytes]:
        """Nobody else writes: SQLite needs no lock and makes no file beside this one."""
        connection = sqlite3.connect(f"{self._state.database_file.absolute().as_uri()}?immutable=1", uri=True)
        with contextlib.closing(connection):
            return {row[0] for row in connection.execute("SELECT sha256 FROM stored_object")}

    def _take_blob(self, asked: Blob) -> None:
        """One that can't be kept, or is not what its name says, is asked for again after the next commit: no alert waits for a picture."""
        try:
            self._write_blob(asked)
        except (OSError, SpoolFull, WrongHash) as error:
            _log.error("not kept", what=asked.sha256.hex(), why=str(error))
            self._lacks.discard(asked.sha256)

    def _write_blob(self, asked: Blob) -> None:
        with self._partial_file.open("wb" if asked.is_first else "ab") as stream:
            stream.write(asked.data)
        if asked.is_last:
            with self._partial_file.open("rb") as stream:
                self._blobs.write(asked.sha256, iter(lambda: stream.read(messages.PIECE_BYTES), b""))
            self._partial_file.unlink()
            self._here.add(asked.sha256)
            self._lacks.discard(asked.sha256)
