"""The standby's copy: the leader's database as it was after one of its commits, at every moment and after every crash.

``standby.redo`` has what has come and is not durable in ``center.sqlite`` yet: page images, so to write them twice does no harm. Whatever
belongs together counts from its last record on, and an open begins with writing all that counts. While that file is there, the
folder is a standby's, and no center starts from it.
"""

import errno
import hashlib
import io
import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from command_center.standby.messages import DIGEST_BYTES
from relay.committed_pages import PAGE_BYTES
from relay.errors import DiskFull, SpoolDamaged
from relay.identity import sync_dir

REDO_BYTES: Final = 64 << 20
"""Of page images, before the database itself is made durable and they are forgotten."""
_HEAD: Final = struct.Struct(">16sI")
"""BLAKE2b-128 of the content, its length."""


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Pages, and what they are part of."""

    pages: list[tuple[int, bytes]]
    more: bool
    pages_in_all: int
    run: bytes
    sequence: int


class PageFile:
    """Used by one thread."""

    def __init__(self, database_file: Path, redo_file: Path) -> None:
        """Open both, and write what an earlier run did not get to.

        Raises:
            DiskFull: no room.
            SpoolDamaged: a write-ahead log stands beside the database: somebody else wrote to it.
        """
        self._redo_file = redo_file
        self._database_file = database_file
        for suffix in ("-wal", "-journal"):
            beside = Path(f"{database_file}{suffix}")
            if beside.exists() and beside.stat().st_size:
                raise SpoolDamaged(
                    f"{beside} is there: a program has written to the standby's database. Make the standby anew, from a backup"
                )
        self._database = os.open(database_file, os.O_RDWR | os.O_CREAT, 0o600)
        self.run, self.sequence = b"", 0
        """The leader and its commit that this is; an empty ``run``: of none."""
        try:
            self._redo = _opened(redo_file)
            try:
                self._staged_from = self._replay()
                self._begin_redo()
            except OSError:
                self._redo.close()
                raise
        except OSError as error:
            os.close(self._database)
            raise DiskFull(f"can't keep a copy in {database_file.parent}: {error.strerror or error}") from error

    def close(self) -> None:
        """Make the database durable, and keep the mark."""
        self._begin_redo()
        self._redo.close()
        os.close(self._database)

    @property
    def is_whole(self) -> bool:
        """Whether this is what a leader had after one of its commits."""
        return bool(self.run)

    def digests(self, first: int, count: int) -> bytes:
        """BLAKE2b-128 of pages from ``first`` on, as far as they are there."""
        content = os.pread(self._database, count * PAGE_BYTES, (first - 1) * PAGE_BYTES)
        whole = len(content) - len(content) % PAGE_BYTES
        return b"".join(digest_of(content[at : at + PAGE_BYTES]) for at in range(0, whole, PAGE_BYTES))

    def forget_staged(self) -> None:
        """What came without its end does not count."""
        if self._redo.seek(0, os.SEEK_END) != self._staged_from:
            self._redo.truncate(self._staged_from)

    def take(self, record: Record) -> None:
        """Durable when this returns, if nothing more belongs to it.

        Raises:
            OSError: it is not.
        """
        content = msgspec.msgpack.encode(record)
        begin = self._redo.seek(0, os.SEEK_END)
        try:
            record_bytes = _HEAD.pack(digest_of(content), len(content)) + content
            if self._redo.write(record_bytes) != len(record_bytes):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301  treated as the system's own
            if record.more:
                return
            os.fdatasync(self._redo.fileno())
        except OSError:
            os.truncate(self._redo_file, begin)  # what is torn would hide what comes behind it
            raise
        self._apply(itertools.chain(self._records(self._staged_from, begin), (record,)))
        self._staged_from = self._redo.seek(0, os.SEEK_END)
        if self._staged_from > REDO_BYTES:
            self._begin_redo()

    # ------------------------------------------------------------------ inside

    def _apply(self, records: Iterable[Record]) -> None:
        for record in records:
            for number, page in record.pages:
                os.pwrite(self._database, page, (number - 1) * PAGE_BYTES)
            if not record.more:
                os.ftruncate(self._database, record.pages_in_all * PAGE_BYTES)
                self.run, self.sequence = record.run, record.sequence

    def _replay(self) -> int:
        """Write all that counts; returns where that ends."""
        counts_until = 0
        for record, end in self._records_and_ends(0, self._redo.seek(0, os.SEEK_END)):
            if not record.more:
                counts_until = end
        self._apply(self._records(0, counts_until))
        return counts_until

    def _begin_redo(self) -> None:
        """Make the database durable; a new file says only which one it is."""
        os.fdatasync(self._database)
        size = os.fstat(self._database).st_size // PAGE_BYTES
        content = msgspec.msgpack.encode(
            Record(pages=[], more=False, pages_in_all=size, run=self.run, sequence=self.sequence)
        )
        partial_file = self._redo_file.with_suffix(".redo-new")
        with partial_file.open("wb") as stream:
            stream.write(_HEAD.pack(digest_of(content), len(content)) + content)
            stream.flush()
            os.fsync(stream.fileno())
        partial_file.rename(self._redo_file)
        sync_dir(self._redo_file.parent)
        self._redo.close()
        self._redo = _opened(self._redo_file)
        self._staged_from = self._redo.seek(0, os.SEEK_END)

    def _records(self, begin: int, end: int) -> Iterator[Record]:
        for record, _ in self._records_and_ends(begin, end):
            yield record

    def _records_and_ends(self, begin: int, end: int) -> Iterator[tuple[Record, int]]:
        """Up to the first that is torn."""
        at = begin
        while at + _HEAD.size <= end:
            self._redo.seek(at)
            digest, length = _HEAD.unpack(self._redo.read(_HEAD.size))
            content = self._redo.read(length)
            if len(content) < length or digest_of(content) != digest:
                return
            at += _HEAD.size + length
            yield msgspec.msgpack.decode(content, type=Record), at


def _opened(file: Path) -> io.FileIO:
    """What is written goes to the end, at once."""
    return file.open("a+b", buffering=0)


def digest_of(content: bytes) -> bytes:
    """What pages are compared by."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
