"""The intake log: what has arrived and is durable before the journal has it. A file of fixed size, written round and round.

A commit of the journal is a dozen pages and as many steps of Python; who comes during another's waits for two. A record here is one write
to blocks that the disk has given already, and one flush: nothing of the file system's own has to be durable with it. A record
begins on a page of its own, so that a write that is torn tears nothing else. What the journal has is written over, and never deleted: each
record says which number all older ones are journalled up to. What is left at the next start is what a crash kept from the
journal, or was journalled a moment before: the ledger knows which.

A page that does not hold a record that this file's key proves is free: the rest of an old record, which a sender chose the bytes of, can't
pass for one.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import queue
import secrets
import select
import struct
import threading
import time
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Final

import msgspec
import structlog

from relay.arrival import Arrival
from relay.errors import DiskFull, SpoolDamaged
from relay.identity import sync_dir
from relay.peekable_loop import PeekableLoop

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
MOST_WAIT_S: Final = 0.002
"""Flash needs a fifth of it."""
MOST_BEGIN_S: Final = 0.0005
"""So long ``append`` waits for its write to be handed to the disk: a thread is woken in a tenth of it."""
SLOW_FOR_S: Final = 1.0
"""So a disk that stands still holds the event loop for a five-hundredth of the time at most."""
OnDurable = Callable[[Sequence[int], OSError | None], None]
"""Told the numbers, and what went wrong if something did."""


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
    on_durable: OnDurable
    is_first: bool
    """Nothing is before it: it begins at once."""
    error: OSError | None = None


class IntakeLog:
    """Used on the event loop only; a thread of its own waits for the disk."""

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
        self._slow_until_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_written = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable where the thread has written something that the event loop does not know of."""
        self._came = select.poll()
        """What the event loop stands still for; and what ends that, where the loop can be asked."""
        self._came.register(self._has_written, select.POLLIN)
        self._begun: queue.SimpleQueue[_Write] = queue.SimpleQueue()
        """First ones that the thread is about to write, or has written since."""
        self._asked: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._written: queue.SimpleQueue[list[_Write]] = queue.SimpleQueue()
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
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._has_written)
        os.close(self._has_written)
        os.close(self._descriptor)

    def __len__(self) -> int:
        """How many the journal does not have yet, those of an earlier run among them."""
        return len(self._pages)

    def append(self, arrivals: Sequence[Arrival], on_durable: OnDurable) -> range | None:
        """Have arrivals made durable; their numbers here, or None where the file has no room for them.

        ``on_durable`` is called on the event loop, within ``wait`` or later; with an error nothing of this is stored. Where no other write
        is under way this one has begun when it returns, so what its caller does before ``wait`` is done beside it.
        """
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
        self._under_way += 1
        write = _Write(at_bytes=first * PAGE_BYTES, data=bytes(data), numbers=numbers, on_durable=on_durable,
                       is_first=self._under_way == 1)  # fmt: skip
        self._require_loop()
        self._asked.put(write)
        if write.is_first:
            with contextlib.suppress(queue.Empty):
                while self._begun.get(timeout=MOST_BEGIN_S) is not write:
                    pass
        return numbers

    def wait(self) -> None:
        """Stand still for what is under way, if the disk is a quick one: that is sooner than to be called back.

        Never for longer than ``MOST_WAIT_S``, and not where the loop has something else to do; a disk that took longer is not waited for in the
        next ``SLOW_FOR_S``.
        """
        now_s = time.monotonic()
        if now_s < self._slow_until_s:
            return
        ends_s = now_s + MOST_WAIT_S
        while self._under_way:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                self._slow_until_s = time.monotonic() + SLOW_FOR_S
                return
            came = [descriptor for descriptor, _ in self._came.poll(ceil(left_s * 1000))]
            if self._has_written in came:
                self._deliver()
            elif came:
                return

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

    def _require_loop(self) -> None:
        """Have the running event loop look out for what is written."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        loop.add_reader(self._has_written, self._deliver)
        if isinstance(loop, PeekableLoop):
            self._came.register(loop.came_descriptor, select.POLLIN)

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            writes = [asked]
            with contextlib.suppress(queue.Empty):
                while (asked := self._asked.get_nowait()) is not None:
                    writes.append(asked)
            if writes[0].is_first:
                self._begun.put(writes[0])
            try:
                _write_durably(self._descriptor, [(one.at_bytes, one.data) for one in writes])
            except OSError as error:
                for one in writes:
                    one.error = error
            self._written.put(writes)
            os.eventfd_write(self._has_written, 1)
            if asked is None:
                return

    def _deliver(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._has_written)
        with contextlib.suppress(queue.Empty):
            while True:
                self._tell(self._written.get_nowait())

    def _tell(self, writes: list[_Write]) -> None:
        for write in writes:
            self._under_way -= 1
            if write.error is not None:
                self.journalled(write.numbers)
            write.on_durable(write.numbers, write.error)


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
