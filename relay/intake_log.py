"""The intake log: what has arrived and is durable before the journal has it. A file of fixed size, written round and round.

A commit of the journal is a dozen pages and as many steps of Python; who comes during another's waits for two. A record here is one write
to blocks that the disk has given already, and one flush: nothing of the file system's own has to be durable with it. A record
begins on a page of its own, so that a write that is torn tears nothing else. What the journal has is written over, and never deleted: each
record says which number all older ones are journalled up to. What is left at the next start is what a crash kept from the
journal, or was journalled a moment before: the ledger knows which.

A page that does not hold a record that this file's key proves is free: the rest of an old record, which a sender chose the bytes of, can't
pass for one.

The event loop writes by itself while the disk is quick: to wake a thread, and to be woken by it, takes nearly as long as the disk does. Of a slow one a
thread waits in its place.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import queue
import secrets
import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from relay.arrival import Arrival
from relay.errors import DiskFull, SpoolDamaged
from relay.identity import sync_dir

_log = structlog.get_logger("relay.intake_log")
FILE_NAME: Final = "intake.log"
PAGE_BYTES: Final = 4096
PAGES: Final = 256
"""1 MiB, the first of them the head."""
_HEAD: Final = struct.Struct("<16s16s")
"""Magic and version, key."""
_MAGIC: Final = b"heard intake 1\n\0"
_RECORD: Final = struct.Struct("<16sQQI")
"""Digest of all that follows, number, up to where all older ones are journalled, bytes of the payload."""
_DIGEST_BYTES: Final = 16
HELD_FOR: Final = 10
"""The event loop waits for the disk a tenth of its time at most,"""
HELD_AT_ONCE_S: Final = 0.05
"""and so long at once; the rest is the thread's. A quick disk takes a third of a millisecond an alert."""
OnDurable = Callable[[Sequence[int], OSError | None], None]
"""Told the numbers, and what went wrong if something did."""
Copy = Callable[[Sequence[tuple[int, bytes]]], Callable[[], None]]
"""Sends bytes, and where in the file each are, on the log's thread; what it returns waits until they are safe elsewhere, too, or can't be. Neither raises."""


class Logged(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """The exact bytes of an arrival, and how they came."""

    number: int
    wire: bytes
    via: bytes
    path: str
    received_wall_ms: int
    received_monotonic_ms: int


class _Write(msgspec.Struct, kw_only=True, gc=False):
    """Some records side by side, on their way to the disk."""

    at_bytes: int
    data: bytes
    numbers: range
    error: OSError | None = None


class _Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A write for the thread, and who is told."""

    write: _Write
    loop: asyncio.AbstractEventLoop
    on_durable: OnDurable


class IntakeLog:
    """Used on the event loop only; a thread of its own waits for a slow disk, and for another machine that keeps a copy."""

    def __init__(self, descriptor: int, key: bytes, left: Sequence[tuple[int, Logged]]) -> None:
        """``left``: what an earlier run left, and the page where each begins."""
        self._descriptor = descriptor
        self._key = key
        self._left = [logged for _, logged in left]
        self._next = max((logged.number for logged in self._left), default=0) + 1
        self._pages: dict[int, range] = {}
        """Where those are that the journal does not have, as far as this run knows."""
        self._taken = {0}
        for page, logged in left:
            self._take(logged.number, range(page, page + _pages_of(msgspec.msgpack.encode(logged))))
        self._cursor = max(self._taken) + 1
        self._under_way = 0
        """Writes that the thread has."""
        self._held_until_s = 0.0
        """When the event loop has done all that it does beside what it has waited."""
        self._copy: Copy | None = None
        self._asked: queue.SimpleQueue[_Asked | Copy | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="intake log", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, file: Path) -> "IntakeLog":
        """Open or make the file; the caller sees to it that no other process has it.

        Raises:
            DiskFull: no room to make it.
            SpoolDamaged: it is not an intake log of this release.
        """
        if not file.exists():
            _make(file)
        descriptor = os.open(file, os.O_RDWR)
        try:
            content = os.pread(descriptor, PAGES * PAGE_BYTES + 1, 0)
            key = _key_in(file, content)
            return cls(descriptor, key, _records_in(content, key))
        except BaseException:  # whatever it was goes on; the file does not stay open
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Finish what was begun and close the file."""
        self._asked.put(None)
        self._thread.join()
        os.close(self._descriptor)

    def __len__(self) -> int:
        """How many the journal does not have yet, those of an earlier run among them."""
        return len(self._pages)

    @property
    def is_quick(self) -> bool:
        """Whether ``write`` may be called: the event loop has not waited long lately, nothing is under way that would be overtaken, and nobody else keeps a copy."""
        return self._copy is None and not self._under_way and time.monotonic() >= self._held_until_s

    def copy_to(self, copy: Copy | None) -> None:
        """The whole file goes there, and from now on what is written, before it counts as durable. None: no longer."""
        self._copy = copy
        if copy is not None:
            self._asked.put(copy)

    def write(self, arrivals: Sequence[Arrival]) -> range | None:
        """Make arrivals durable before this returns; their numbers here, or None where the file has no room for them.

        Raises:
            OSError: nothing of this is stored.
        """
        write = self._laid_out(arrivals)
        if write is None:
            return None
        began_s = time.monotonic()
        self._do([write])
        waited_s = time.monotonic() - began_s
        self._held_until_s = max(self._held_until_s, began_s - HELD_FOR * HELD_AT_ONCE_S) + HELD_FOR * waited_s
        if write.error is not None:
            self.journalled(write.numbers)
            raise write.error
        return write.numbers

    def append(self, arrivals: Sequence[Arrival], on_durable: OnDurable) -> range | None:
        """Have arrivals made durable; their numbers here, or None where the file has no room for them.

        ``on_durable`` is called on the event loop later; with an error nothing of this is stored.
        """
        write = self._laid_out(arrivals)
        if write is None:
            return None
        self._under_way += 1
        self._asked.put(_Asked(write=write, loop=asyncio.get_running_loop(), on_durable=on_durable))
        return write.numbers

    def journalled(self, numbers: Sequence[int]) -> None:
        """The journal has these, durably."""
        for number in numbers:
            self._taken.difference_update(self._pages.pop(number))

    def left(self) -> list[Logged]:
        """What an earlier run left in the file and is not known to be journalled, in order of arrival."""
        return [logged for logged in self._left if logged.number in self._pages]

    # ------------------------------------------------------------------ inside

    def _take(self, number: int, pages: range) -> None:
        self._pages[number] = pages
        self._taken.update(pages)

    def _room_for(self, count: int) -> int | None:
        """The first of so many free pages side by side, from where the last ones were written on."""
        for start in (self._cursor, 1):
            page = start
            while page + count <= PAGES:
                taken = max((other for other in range(page, page + count) if other in self._taken), default=None)
                if taken is None:
                    return page
                page = taken + 1
        return None

    def _laid_out(self, arrivals: Sequence[Arrival]) -> _Write | None:
        """Their records side by side, in a place of their own."""
        numbers = range(self._next, self._next + len(arrivals))
        payloads = [
            msgspec.msgpack.encode(
                Logged(number=number, wire=arrival.envelope.wire, via=arrival.via, path=arrival.path,
                       received_wall_ms=arrival.received_wall_ms, received_monotonic_ms=arrival.received_monotonic_ms)
            ) for number, arrival in zip(numbers, arrivals, strict=True)
        ]  # fmt: skip
        first = page = self._room_for(sum(map(_pages_of, payloads)))
        if first is None or page is None:
            return None
        self._next = numbers.stop
        journalled_below = min(self._pages, default=numbers.start)
        data = bytearray()
        for number, payload in zip(numbers, payloads, strict=True):
            data += bytes(-len(data) % PAGE_BYTES)
            data += _record(self._key, number, journalled_below, payload)
            self._take(number, range(page, page + _pages_of(payload)))
            page += _pages_of(payload)
        self._cursor = page
        return _Write(at_bytes=first * PAGE_BYTES, data=bytes(data), numbers=numbers)

    def _do(self, writes: Sequence[_Write]) -> None:
        """On the event loop or the thread, and never on both: what is under way is the thread's."""
        try:
            _write_durably(self._descriptor, [(one.at_bytes, one.data) for one in writes])
        except OSError as error:
            for one in writes:
                one.error = error

    def _serve(self) -> None:
        is_open = True
        while is_open:
            group = [self._asked.get()]
            with contextlib.suppress(queue.Empty):
                while group[-1] is not None:
                    group.append(self._asked.get_nowait())
            is_open = group[-1] is not None
            asked = [one for one in group if isinstance(one, _Asked)]
            wait = self._begin_copying([one.write for one in asked])
            if asked:
                self._do([one.write for one in asked])
            wait()
            for newcomer in group:
                if newcomer is not None and not isinstance(newcomer, _Asked):
                    newcomer([(0, os.pread(self._descriptor, PAGES * PAGE_BYTES, 0))])()
            for one in asked:
                with contextlib.suppress(RuntimeError):  # the loop was closed: the next start finds it in the file
                    one.loop.call_soon_threadsafe(self._tell, one)

    def _begin_copying(self, writes: Sequence[_Write]) -> Callable[[], None]:
        """While the disk here writes. What fails here alone is there all the same, of nobody's promise, until its room is used again."""
        copy = self._copy
        return copy([(write.at_bytes, write.data) for write in writes]) if copy is not None and writes else _nothing

    def _tell(self, asked: _Asked) -> None:
        self._under_way -= 1
        if asked.write.error is not None:
            self.journalled(asked.write.numbers)
        asked.on_durable(asked.write.numbers, asked.write.error)


def open_if_room(file: Path) -> IntakeLog | None:
    """``IntakeLog.open``, or None on a disk without room for one: then receipts wait for the journal.

    Raises:
        SpoolDamaged: as there.
    """
    try:
        return IntakeLog.open(file)
    except DiskFull as error:
        _log.error("no intake log in this run: receipts wait for the journal", error=str(error))
        return None


def read(file: Path) -> list[Logged]:
    """What is in a file that a center may be writing to, in order of arrival; some of it the journal may have.

    Raises:
        SpoolDamaged: as ``IntakeLog.open``.
        OSError: it can't be read.
    """
    content = file.read_bytes()
    return [logged for _, logged in _records_in(content, _key_in(file, content))]


def _nothing() -> None:
    """Nobody keeps a copy."""


def _write_durably(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Returns when the disk has them all: (offset, bytes)."""
    if len(pieces) == 1:
        at_bytes, data = pieces[0]
        _require_whole(os.pwritev(descriptor, [data], at_bytes, os.RWF_DSYNC), data)
        return
    for at_bytes, data in pieces:
        _require_whole(os.pwrite(descriptor, data, at_bytes), data)
    os.fdatasync(descriptor)


def _require_whole(written: int, data: bytes) -> None:
    if written != len(data):
        raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes written")


def _make(file: Path) -> None:
    partial_file = file.with_name(file.name + ".new")
    head = _HEAD.pack(_MAGIC, secrets.token_bytes(16))
    try:
        with partial_file.open("wb") as stream:
            stream.write(head.ljust(PAGES * PAGE_BYTES, b"\0"))
            stream.flush()
            os.fsync(stream.fileno())
        partial_file.chmod(0o600)
        partial_file.rename(file)
        sync_dir(file.parent)
    except OSError as error:
        partial_file.unlink(missing_ok=True)
        raise DiskFull(f"can't make {file}: {error.strerror or error}; make room on the disk") from error


def _key_in(file: Path, content: bytes) -> bytes:
    if len(content) == PAGES * PAGE_BYTES:
        magic, key = _HEAD.unpack_from(content)
        if magic == _MAGIC:
            return bytes(key)
    raise SpoolDamaged(
        f"{file} is not an intake log of this release, or is damaged: move it away; the alerts of the last moments before a crash may be in it"
    )


def _records_in(content: bytes, key: bytes) -> list[tuple[int, Logged]]:
    """What stands there and was not journalled for sure, and the page where each begins; in order of arrival."""
    found: list[tuple[int, Logged]] = []
    journalled_below = 0
    for page in range(1, PAGES):
        at = page * PAGE_BYTES
        digest, _, below, length = _RECORD.unpack_from(content, at)
        end = at + _RECORD.size + length
        if length and end <= len(content) and _digest(key, content[at + _DIGEST_BYTES : end]) == digest:
            found.append((page, msgspec.msgpack.decode(content[at + _RECORD.size : end], type=Logged)))
            journalled_below = max(journalled_below, below)
    return sorted((pair for pair in found if pair[1].number >= journalled_below), key=lambda pair: pair[1].number)


def _record(key: bytes, number: int, journalled_below: int, payload: bytes) -> bytes:
    rest = _RECORD.pack(b"", number, journalled_below, len(payload))[_DIGEST_BYTES:] + payload
    return _digest(key, rest) + rest


def _digest(key: bytes, rest: bytes) -> bytes:
    return hashlib.blake2b(rest, key=key, digest_size=_DIGEST_BYTES).digest()


def _pages_of(payload: bytes) -> int:
    return -(-(_RECORD.size + len(payload)) // PAGE_BYTES)
