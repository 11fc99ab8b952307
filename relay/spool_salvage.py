"""Salvage: what can still be read of a SQLite file that SQLite calls malformed goes into a new file in its place.

Tables are copied row by row from both ends and around the holes; then the raw bytes are searched for envelopes that no
table led to any more (an alert is small enough to lie in one piece). The old file is kept beside the new one, under
``NAME.damaged-TIME``, with its write-ahead log. Called by ``spool_check`` under the spool's lock.

The new file takes the old one's name in one rename, after everything in it has been fsynced: a power cut leaves the
damaged file or the salvaged one, never none.
"""

import contextlib
import mmap
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from relay import budget, ledger, timeline, trust
from relay import envelope as envelopes
from relay.database import prepare
from relay.envelope import Envelope
from relay.errors import SenderError
from relay.identity import Identity, sync_dir
from relay.receipt import parse as parse_receipt
from relay.spool import SCHEMA

_PARTS: Final = {
    "spool": SCHEMA,
    "ledger": ledger.SCHEMA,
    "trust": trust.SCHEMA,
    "budget": budget.SCHEMA,
    "timeline": timeline.SCHEMA,
}
_MOST_PROBES: Final = 1_000_000
"""Row numbers tried one by one in the hole between what can be read from both ends."""

# An array of four, version 1, a header of 76 or 84 bytes, a signature of 64 bytes: see ``relay.envelope``.
_ENVELOPE_AT: Final = re.compile(rb"\x94\x01\xc4(?:\x4c.{76}|\x54.{84})\xc4\x40.{64}(?:\xc4(.)|\xc5(..))", re.DOTALL)


def salvage(file: Path, identity: Identity | None) -> Path:
    """Replace a malformed file by a new one that holds what is readable of it; returns where the old one is kept."""
    new_file = file.with_name(file.name + ".salvaging")
    _remove(new_file)
    kept_file = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}")
    for suffix in ("", "-wal"):  # copies, made before SQLite opens the old one and folds its log into it
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{file}{suffix}", f"{kept_file}{suffix}")
            _sync(Path(f"{kept_file}{suffix}"))
    old = sqlite3.connect(file, isolation_level=None)
    old.text_factory = _lenient
    new = sqlite3.connect(new_file, isolation_level=None)
    try:
        prepare(new, new_file, _PARTS)
        _copy_all(old, new)
        _carve(new, (Path(kept_file), Path(f"{kept_file}-wal")), identity)
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        new.execute("PRAGMA journal_mode = DELETE")
    finally:
        new.close()
        with contextlib.suppress(sqlite3.Error):
            old.close()
    _sync(new_file)
    for suffix in ("-wal", "-shm"):  # or SQLite would replay the old log onto the new file
        with contextlib.suppress(FileNotFoundError):
            Path(f"{file}{suffix}").unlink()
    new_file.replace(file)
    sync_dir(file.parent)
    return kept_file


def _lenient(data: bytes) -> str:
    return data.decode(errors="replace")


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------------------- tables


def _copy_all(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    new.execute("BEGIN IMMEDIATE")
    triggers = new.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:  # `usage` and `usage_by_origin` are recomputed by the repair
        new.execute(f"DROP TRIGGER {name}")
    later = [sql for _, sql in triggers]
    tables = {row[0] for row in new.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for kind, name, sql in _schema_of(old):
        if name in tables or sql is None or name.startswith("sqlite_"):
            continue
        if kind == "table":
            with contextlib.suppress(sqlite3.Error):
                new.execute(sql)
                tables.add(name)
        elif sql not in later:
            later.append(sql)
    for table in sorted(tables - {"usage", "usage_by_origin", "schema_part", "sqlite_sequence"}):
        _copy_table(old, new, table)
    for name, version in _rows(old, "SELECT name, version FROM schema_part"):
        new.execute("INSERT OR REPLACE INTO schema_part VALUES (?, ?)", (name, version))
    for sql in later:
        with contextlib.suppress(sqlite3.Error):  # an index that is there already
            new.execute(sql)
    new.execute("COMMIT")


def _schema_of(old: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    found = _rows(old, "SELECT type, name, sql FROM sqlite_master")
    return [(str(row[0]), str(row[1]), None if row[2] is None else str(row[2])) for row in found]


def _rows(old: sqlite3.Connection, query: str, values: tuple[int, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The rows of a query up to the first one that can't be read."""
    with contextlib.suppress(sqlite3.Error):
        yield from old.execute(query, values)


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    info = new.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [row[1] for row in info]
    keys = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
    listed, marks = ", ".join(columns), ", ".join("?" * len(columns))

    def keep(row: Sequence[object]) -> None:
        try:
            new.execute(f"INSERT OR IGNORE INTO {table} ({listed}) VALUES ({marks})", tuple(row))  # noqa: S608
        except sqlite3.Error as error:
            _keep_damaged(new, table, columns, row, str(error))

    has_rowid = _has_rowid(new, table)
    order = "rowid" if has_rowid else ", ".join(keys)
    backwards = ", ".join(f"{key} DESC" for key in (["rowid"] if has_rowid else keys))
    number = "rowid" if has_rowid else "0"
    first = last = 0
    for row in _rows(old, f"SELECT {number}, {listed} FROM {table} ORDER BY {order}"):  # noqa: S608
        first = int(str(row[0]))
        keep(row[1:])
    for row in _rows(old, f"SELECT {number}, {listed} FROM {table} ORDER BY {backwards}"):  # noqa: S608
        last = int(str(row[0]))
        if has_rowid and last <= first:
            break
        keep(row[1:])
    if has_rowid and last > first + 1:
        for at in range(first + 1, min(last, first + _MOST_PROBES)):
            for row in _rows(old, f"SELECT {listed} FROM {table} WHERE rowid = ?", (at,)):  # noqa: S608
                keep(row)


def _has_rowid(new: sqlite3.Connection, table: str) -> bool:
    try:
        new.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608
    except sqlite3.OperationalError:  # WITHOUT ROWID
        return False
    return True


def _keep_damaged(new: sqlite3.Connection, table: str, columns: Sequence[str], row: Sequence[object], why: str) -> None:
    """A row that no longer satisfies its own table is kept for a person to look at."""
    wire = next((value for name, value in zip(columns, row, strict=True) if name == "wire"), None)
    if isinstance(wire, bytes):
        new.execute("INSERT INTO damaged VALUES (?, ?, NULL, ?)", (int(time.time() * 1000), f"{table}: {why}", wire))


# ---------------------------------------------------------------------------- raw bytes


def _carve(new: sqlite3.Connection, files: Iterable[Path], identity: Identity | None) -> None:
    """Find envelopes by their first bytes, and keep those that no row holds and no receipt covers.

    Freed ones may come back where the receipts are lost too; whoever they go to has their ids and takes them once. Rows
    that were evicted or expired stay out: they are in ``forgone``, or somebody else's.
    """
    found: dict[bytes, Envelope] = {}
    for file in files:
        for envelope in _carved(file):
            if envelope.id not in found and _is_wanted(new, envelope, identity):
                found[envelope.id] = envelope
    new.execute("BEGIN IMMEDIATE")
    opening = new.execute(
        "INSERT INTO opening (boot_id, at_wall_ms, at_monotonic_ms) VALUES ('salvaged', 0, 0)"
    ).lastrowid
    for envelope in sorted(
        found.values(), key=lambda item: (item.header.origin, item.header.series, item.header.sequence)
    ):
        header = envelope.header
        new.execute(
            "INSERT OR IGNORE INTO envelope (id, origin, destination, series, sequence, kind, precedence, ttl_s, opening, "
            "put_monotonic_ms, put_wall_ms, size_bytes, wire) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)",
            (envelope.id, header.origin, header.destination, header.series, header.sequence, header.kind,
             header.precedence, header.ttl_s, opening, len(envelope.wire), envelope.wire),
        )  # fmt: skip
    new.execute("COMMIT")


def _carved(file: Path) -> Iterator[Envelope]:
    if not file.exists() or not file.stat().st_size:
        return
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _ENVELOPE_AT.finditer(data):
            size = int.from_bytes(match[1] or match[2], "big")
            try:
                yield envelopes.parse(data[match.start() : match.end() + size])
            except SenderError:  # torn apart by a page's end, or no envelope at all
                continue


def _is_wanted(new: sqlite3.Connection, envelope: Envelope, identity: Identity | None) -> bool:
    header = envelope.header
    here = new.execute(
        "SELECT 1 FROM envelope WHERE origin = ? AND destination = ? AND series = ? AND sequence = ? AND id = ?",
        (header.origin, header.destination, header.series, header.sequence, envelope.id),
    ).fetchone()
    if here is not None:
        return False
    if identity is not None and header.origin == identity.node_id:
        try:
            envelopes.verify(envelope, identity.signing_key)
        except SenderError:
            return False
    receipt = new.execute("SELECT wire FROM receipt WHERE origin = ? AND destination = ? AND series = ?",
                          (header.origin, header.destination, header.series)).fetchone()  # fmt: skip
    with contextlib.suppress(SenderError):
        if receipt is not None and parse_receipt(receipt[0]).covers(header.sequence):
            return False
    forgone = new.execute("SELECT 1 FROM forgone WHERE destination = ? AND series = ? AND ? BETWEEN first AND last",
                          (header.destination, header.series, header.sequence)).fetchone()  # fmt: skip
    return forgone is None
