"""The write stream of a SQLite file, as the disk gets it, and what a disk may hold when the power goes in the middle of it.

Another file can be in it: ``adopt`` takes it in, and whoever wraps its writer notes each write and fsync.

``recorded`` puts itself between SQLite and the disk, in this process: SQLite's own file layer does the work, and each write, truncation,
fsync, creation and deletion under one folder is written down in order. It is the VFS seam of https://sqlite.org/vfs.html; the stations' code
and Python's ``sqlite3`` don't know of it.

``after_power_cut`` is the disk model. At the moment of the cut everything before a file's last finished fsync is there; of every 512-byte sector
written after it the new content, the old one, or noise, in any combination, so whole writes are lost, torn, or overtake each other; a truncation
and a file's deletion have happened or not; of shared memory (``-shm``) nothing that can be relied on.
"""

import _sqlite3
import contextlib
import ctypes
import enum
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SECTOR_BYTES: Final = 512
_CREATE_FLAG: Final = 0x4


class Did(enum.Enum):
    """What reached the file layer."""

    CREATE = "create"
    DELETE = "delete"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of them, on one file: a name that was deleted and made again is another file."""

    did: Did
    file: int
    name: str
    at: int = 0
    """Offset of a write, or the length that a truncation leaves; bytes."""
    data: bytes = b""


@dataclass(slots=True)
class WriteStream:
    """What was recorded so far."""

    steps: list[Step] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    """Names that exist now."""
    opened: dict[int, tuple[int, str]] = field(default_factory=dict)
    """SQLite's open files by the address of their state."""
    made: int = 0

    @property
    def position(self) -> int:
        """How many steps there are: what was acknowledged by now must survive every cut from here on."""
        return len(self.steps)

    def note(self, did: Did, file: tuple[int, str], at: int = 0, data: bytes = b"") -> None:
        """Write a step down."""
        self.steps.append(Step(did=did, file=file[0], name=file[1], at=at, data=data))

    def opening(self, address: int, name: str, *, was_there: bool) -> None:
        """A file is open; it is a new one if it was not there before."""
        if not was_there:
            self.made += 1
            self.names[name] = self.made
            self.note(Did.CREATE, (self.made, name))
        self.opened[address] = (self.names[name], name)

    def adopt(self, file: Path) -> None:
        """A file that somebody else wrote, and that is on the disk as it is now."""
        self.made += 1
        self.names[str(file)] = self.made
        for did, data in ((Did.CREATE, b""), (Did.WRITE, file.read_bytes()), (Did.SYNC, b"")):
            self.note(did, (self.made, str(file)), 0, data)

    def deleting(self, name: str) -> None:
        """A file goes."""
        file = self.names.pop(name, None)
        if file is not None:
            self.note(Did.DELETE, (file, name))


# ------------------------------------------------------------------------------------------------ the disk


@dataclass(slots=True)
class _File:
    """A file on the disk, and what of it the disk may not have."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)
    is_on_disk: bool = False
    """Synced once since it was made."""

    def synced(self) -> None:
        self.is_on_disk = True
        for step in self.pending:
            _apply(self.durable, step, step.data)
        self.pending.clear()

    def torn(self, chance: random.Random) -> tuple[bytes, int]:
        """The content after the cut, and how many bytes of it are not as they were written."""
        content, damaged_bytes = bytearray(self.durable), 0
        for step in self.pending:
            if step.did is Did.TRUNCATE:
                if chance.random() < 0.5:
                    _apply(content, step, b"")
                continue
            for at, sector in _sectors(step):
                fate = chance.choice(("new", "new", "old", "noise"))
                damaged_bytes += len(sector) * (fate != "new")
                if fate != "old":
                    _put(content, at, sector if fate == "new" else chance.randbytes(len(sector)))
        return bytes(content), damaged_bytes


def _sectors(step: Step) -> Iterator[tuple[int, bytes]]:
    """The parts of a write that a sector each holds: what lies beside them in the sector is not touched (powersafe overwrite)."""
    at = step.at
    end = step.at + len(step.data)
    while at < end:
        until = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield at, step.data[at - step.at : until - step.at]
        at = until


def _put(content: bytearray, at: int, data: bytes) -> None:
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


def _apply(content: bytearray, step: Step, data: bytes) -> None:
    if step.did is Did.TRUNCATE:
        del content[step.at :]
        content.extend(bytes(step.at - len(content)))
    else:
        _put(content, step.at, data)


def after_power_cut(stream: WriteStream, position: int, target_dir: Path, chance: random.Random) -> int:
    """Write into ``target_dir`` what the disk may hold when the power goes after ``position`` steps; returns how many bytes were lost or torn."""
    files: dict[int, _File] = {}
    names: dict[str, int] = {}
    gone: dict[str, int] = {}
    """Deleted, and the folder not known to be on the disk: the name may come back with its old content."""
    for step in stream.steps[:position]:
        match step.did:
            case Did.CREATE:
                files[step.file] = _File()
                names[step.name] = step.file
                gone.pop(step.name, None)  # a folder's changes reach the disk in their order
            case Did.DELETE:
                gone[step.name] = names.pop(step.name)
            case Did.SYNC:
                if not files[step.file].is_on_disk and step.name.endswith(("-wal", "-journal")):
                    gone.clear()  # with the first fsync of a new log SQLite syncs its folder, and what was deleted before stays so
                files[step.file].synced()
            case Did.WRITE | Did.TRUNCATE:
                files[step.file].pending.append(step)
    names |= {name: file for name, file in gone.items() if chance.random() < 0.5}
    damaged_bytes = 0
    for name, file in names.items():
        content, damaged = files[file].torn(chance)
        damaged_bytes += damaged
        (target_dir / Path(name).name).write_bytes(content)
        if name.endswith("-wal") and chance.random() < 0.5:
            (target_dir / f"{Path(name).name[:-4]}-shm").write_bytes(chance.randbytes(32_768))
    return damaged_bytes


# ------------------------------------------------------------------------------------------------ SQLite's file layer

_FILE: Final = ctypes.c_void_p
_OPEN: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, _FILE, ctypes.c_int, ctypes.c_void_p)
_DELETE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_WRITE: Final = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE: Final = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_int64)
_SYNC: Final = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_int)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``: of an open file."""

    _fields_ = [("version", ctypes.c_int), ("xClose", ctypes.c_void_p), ("xRead", ctypes.c_void_p), ("xWrite", ctypes.c_void_p),
                ("xTruncate", ctypes.c_void_p), ("xSync", ctypes.c_void_p), ("rest", ctypes.c_void_p * 13)]  # fmt: skip


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``: how files are opened and deleted."""

    _fields_ = [("version", ctypes.c_int), ("szOsFile", ctypes.c_int), ("mxPathname", ctypes.c_int), ("pNext", ctypes.c_void_p),
                ("zName", ctypes.c_char_p), ("pAppData", ctypes.c_void_p), ("xOpen", ctypes.c_void_p), ("xDelete", ctypes.c_void_p),
                ("rest", ctypes.c_void_p * 13)]  # fmt: skip


_KEPT_FOR_EVER: Final[list[Any]] = []
"""A connection that is closed after the recording still calls through these."""


def _function(prototype: Any, address: int) -> Callable[..., int]:
    found: Callable[..., int] = prototype(address)
    return found


def _address(callback: Any) -> int:
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


def _patched(stream: WriteStream, methods: _Methods) -> _Methods:
    """The methods of an open file, with those that change it written down when they succeed."""
    patched = _Methods.from_buffer_copy(methods)
    write, truncate, sync = (_function(kind, address) for kind, address in
                             ((_WRITE, methods.xWrite), (_TRUNCATE, methods.xTruncate), (_SYNC, methods.xSync)))  # fmt: skip

    def on_write(file: int, data: int, size_bytes: int, at: int) -> int:
        result = write(file, data, size_bytes, at)
        if result == 0:
            stream.note(Did.WRITE, stream.opened[file], at, ctypes.string_at(data, size_bytes))
        return result

    def on_truncate(file: int, size_bytes: int) -> int:
        result = truncate(file, size_bytes)
        if result == 0:
            stream.note(Did.TRUNCATE, stream.opened[file], size_bytes)
        return result

    def on_sync(file: int, flags: int) -> int:
        result = sync(file, flags)
        if result == 0:
            stream.note(Did.SYNC, stream.opened[file])
        return result

    callbacks = (_WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync))
    patched.xWrite, patched.xTruncate, patched.xSync = map(_address, callbacks)
    _KEPT_FOR_EVER.extend((*callbacks, patched))
    return patched


@contextlib.contextmanager
def recorded(folder_dir: Path) -> Iterator[WriteStream]:
    """Record what SQLite does to the disk under a folder, for a block. Every connection of the block must be closed in it."""
    library = ctypes.CDLL(_sqlite3.__file__)  # the very SQLite that Python's module calls, whichever that is
    library.sqlite3_vfs_find.restype = ctypes.c_void_p
    original_at = library.sqlite3_vfs_find(None)
    original = _Vfs.from_address(original_at)
    stream = WriteStream()
    known: dict[int, _Methods] = {}
    open_file, delete_file = _function(_OPEN, original.xOpen), _function(_DELETE, original.xDelete)

    def text(name: int | None) -> str:
        return ctypes.string_at(name).decode() if name else ""

    def on_open(_vfs: int, name: int | None, file: int, flags: int, flags_out: int | None) -> int:
        path = text(name)
        was_there = Path(path).exists()
        result = open_file(original_at, name, file, flags, flags_out)
        if result == 0 and path.startswith(f"{folder_dir}/"):
            slot = ctypes.c_void_p.from_address(file)
            assert slot.value is not None
            if slot.value not in known:
                known[slot.value] = _patched(stream, _Methods.from_address(slot.value))
            slot.value = ctypes.addressof(known[slot.value])
            stream.opening(file, path, was_there=was_there)
        return result

    def on_delete(_vfs: int, name: int | None, is_folder_synced: int) -> int:
        result = delete_file(original_at, name, is_folder_synced)
        if result == 0:
            stream.deleting(text(name))
        return result

    callbacks = (_OPEN(on_open), _DELETE(on_delete))
    shim = _Vfs.from_buffer_copy(original)
    shim.zName, shim.pNext = b"heard-write-stream", None
    shim.xOpen, shim.xDelete = map(_address, callbacks)
    _KEPT_FOR_EVER.extend((*callbacks, shim))
    library.sqlite3_vfs_register(ctypes.byref(shim), 1)
    try:
        yield stream
    finally:
        library.sqlite3_vfs_register(ctypes.c_void_p(original_at), 1)
        library.sqlite3_vfs_unregister(ctypes.byref(shim))
