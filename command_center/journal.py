"""The journal: everything that happened, append-only, each entry a leaf of a Merkle tree.

It owns the tables of the schema part "journal". Every other table of the center is a view that follows from it, or a
measurement. Called inside ``Database.run``; nothing here commits.

A leaf is the SHA-256 (with RFC 9162's leaf prefix) of msgpack ``[1, id, at_ms, kind, actor, subject, SHA-256(payload)]``.
It holds the payload's hash, not the payload, so that a payload whose retention has ended can be erased by a later,
journalled act without breaking any proof.

Invariants, verified by ``journal_check``:

1. Ids are 1, 2, 3 … without a gap; entry *i* is leaf *i* - 1.
2. Each entry's stored leaf hash follows from its columns.
3. Each stored tree hash follows from the leaves.
4. Each checkpoint's signature is by this center's key, and its root is that of its size.
"""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import msgspec
from nacl.signing import SigningKey

from command_center import checkpoint as checkpoints
from command_center import merkle
from command_center.checkpoint import Checkpoint
from command_center.errors import JournalDamaged
from relay.row_insert import insert_rows
from relay.schema_steps import steps_in

_CHECKED_TOGETHER: Final = 4096
SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "journal"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened."""

    id: int
    at_ms: int
    kind: str
    actor: str
    subject: str
    payload: bytes
    leaf: bytes


def leaf_of(entry_id: int, at_ms: int, kind: str, actor: str, subject: str, payload: bytes) -> bytes:
    """The leaf hash that these columns must have."""
    statement = (1, entry_id, at_ms, kind, actor, subject, hashlib.sha256(payload).digest())
    return merkle.leaf_hash(msgspec.msgpack.encode(statement))


def size(connection: sqlite3.Connection) -> int:
    """How many entries there are."""
    row = connection.execute("SELECT COALESCE(MAX(id), 0) FROM entry").fetchone()
    return int(row[0])


def append(
    connection: sqlite3.Connection, *, at_ms: int, kind: str, actor: str, subject: str, payload: bytes = b""
) -> Entry:
    """Add an entry at the end."""
    entry_id = size(connection) + 1
    leaf = leaf_of(entry_id, at_ms, kind, actor, subject, payload)
    connection.execute(
        "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)", (entry_id, at_ms, kind, actor, subject, payload, leaf)
    )
    insert_rows(connection, "tree_hash", merkle.hashes_to_store(entry_id - 1, [leaf], row_reader(connection)))
    return Entry(id=entry_id, at_ms=at_ms, kind=kind, actor=actor, subject=subject, payload=payload, leaf=leaf)


class Batch:
    """Entries that are added together: each has its id at once, and ``write`` adds them all.

    Between ``add`` and ``write`` nothing else may append. The rows and hashes are those that ``append`` would have made, one
    by one; for a group of alerts that costs a fifth.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._size = -1  # read with the first entry
        self._rows: list[tuple[int, int, str, str, str, bytes, bytes]] = []

    def add(self, *, at_ms: int, kind: str, actor: str, subject: str, payload: bytes) -> int:
        """Take one more; returns its id."""
        if not self._rows:
            self._size = size(self._connection)
        entry_id = self._size + len(self._rows) + 1
        leaf = leaf_of(entry_id, at_ms, kind, actor, subject, payload)
        self._rows.append((entry_id, at_ms, kind, actor, subject, payload, leaf))
        return entry_id

    def write(self) -> None:
        """Add them. The batch is empty afterwards, and may be used on."""
        if not self._rows:
            return
        insert_rows(self._connection, "entry", self._rows)
        leaves = [row[6] for row in self._rows]
        hashes = merkle.hashes_to_store(self._size, leaves, row_reader(self._connection))
        insert_rows(self._connection, "tree_hash", hashes)
        self._rows = []


def entries(
    connection: sqlite3.Connection, *, first: int = 1, at_most: int | None = None, subject: str | None = None
) -> Iterator[Entry]:
    """Entries from ``first`` on, in order."""
    condition = "id >= ?" if subject is None else "id >= ? AND subject = ?"
    values: tuple[int | str, ...] = (first,) if subject is None else (first, subject)
    rows = connection.execute(
        f"SELECT id, at_ms, kind, actor, subject, payload, leaf FROM entry WHERE {condition} ORDER BY id LIMIT ?",  # noqa: S608  two constants
        (*values, -1 if at_most is None else at_most),
    )
    for row in rows:
        yield Entry(id=row[0], at_ms=row[1], kind=row[2], actor=row[3], subject=row[4], payload=row[5], leaf=row[6])


def latest_payload(connection: sqlite3.Connection, kind: str) -> bytes | None:
    """Of the latest entry of a kind other than ``alert``; None: there is none."""
    row = connection.execute(  # by the index of such kinds
        "SELECT payload FROM entry WHERE kind = ? AND kind <> 'alert' ORDER BY id DESC LIMIT 1", (kind,)
    ).fetchone()
    return None if row is None else bytes(row[0])


def hash_reader(connection: sqlite3.Connection) -> merkle.HashAt:
    """Finds the tree's hashes: a leaf in its entry, others in their table or from what is there."""
    row_at = row_reader(connection)
    return lambda level, position: merkle.between(level, position, row_at)


def row_reader(connection: sqlite3.Connection) -> merkle.RowAt:
    """Looks leaves and stored hashes up in the database."""

    def row_at(level: int, first: int, count: int) -> list[bytes]:
        if level == 0:
            query, values = "SELECT leaf FROM entry WHERE id BETWEEN ? AND ? ORDER BY id", (first + 1, first + count)
        else:
            query = "SELECT hash FROM tree_hash WHERE level = ? AND position BETWEEN ? AND ? ORDER BY position"
            values = (level, first, first + count - 1)  # type: ignore[assignment]
        found = [bytes(row[0]) for row in connection.execute(query, values)]
        if len(found) != count:
            raise JournalDamaged(
                f"expected {count} tree hashes at level {level} from position {first} on, found {len(found)}"
            )
        return found

    return row_at


def root(connection: sqlite3.Connection, at_size: int) -> bytes:
    """The root over the first ``at_size`` entries."""
    return merkle.root(at_size, hash_reader(connection))


def sign_checkpoint(connection: sqlite3.Connection, *, origin: str, signing: SigningKey, at_ms: int) -> Checkpoint:
    """Sign and keep a checkpoint of what is here now; the kept one if nothing was added since."""
    here = size(connection)
    row = connection.execute("SELECT note FROM checkpoint WHERE size = ?", (here,)).fetchone()
    if row is not None:
        return checkpoints.verify(row[0], bytes(signing.verify_key))
    made = checkpoints.sign(origin=origin, size=here, root=root(connection, here), signing=signing)
    connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", (here, at_ms, made.note))
    return made


def check(connection: sqlite3.Connection, signing_key: bytes) -> Iterator[str]:
    """Verify the invariants; yields one line for each thing that is wrong, the first wrong entry first.

    Its memory does not grow with the journal: what was compared with the stored tree is read from there again where it is needed.
    """
    stored = row_reader(connection)
    count, hashes = 0, 0
    leaves: list[bytes] = []
    for entry in entries(connection):
        if entry.id != count + len(leaves) + 1:
            yield f"entry {count + len(leaves) + 1} is missing: the next one there is {entry.id}"
            return
        expected = leaf_of(entry.id, entry.at_ms, entry.kind, entry.actor, entry.subject, entry.payload)
        if expected != entry.leaf:
            yield (
                f"entry {entry.id} ({entry.kind}, {entry.subject}) was changed: expected leaf {expected.hex()[:16]}…, "
                f"found {entry.leaf.hex()[:16]}…"
            )
            return
        leaves.append(expected)
        if len(leaves) == _CHECKED_TOGETHER:
            follows = merkle.hashes_to_store(count, leaves, stored)
            if wrong := _first_other(connection, follows):
                yield wrong
                return
            count, hashes, leaves = count + len(leaves), hashes + len(follows), []
    follows = merkle.hashes_to_store(count, leaves, stored)
    if wrong := _first_other(connection, follows):
        yield wrong
        return
    count, hashes = count + len(leaves), hashes + len(follows)
    in_table = connection.execute("SELECT COUNT(*) FROM tree_hash").fetchone()[0]
    if in_table != hashes:
        yield f"expected {hashes} tree hashes for {count} entries, found {in_table}: entries or hashes were taken away"
        return
    yield from _check_checkpoints(connection, signing_key, count, hash_reader(connection))


def _first_other(connection: sqlite3.Connection, follows: list[tuple[int, int, bytes]]) -> str:
    """The first of these hashes that is not stored as it follows from the entries, in words; empty where all are."""
    for level, group in itertools.groupby(follows, key=lambda one: one[0]):
        expected = [(position, value) for _, position, value in group]
        found = connection.execute(
            "SELECT position, hash FROM tree_hash WHERE level = ? AND position BETWEEN ? AND ? ORDER BY position",
            (level, expected[0][0], expected[-1][0]),
        ).fetchall()
        if found != expected:
            first = next(one[0] for one, other in itertools.zip_longest(expected, found) if one != other)
            return f"the tree hash at level {level}, position {first} is not the one that follows from the entries"
    return ""


def _check_checkpoints(
    connection: sqlite3.Connection, signing_key: bytes, count: int, hash_at: merkle.HashAt
) -> Iterator[str]:
    for at_size, note in connection.execute("SELECT size, note FROM checkpoint ORDER BY size"):
        try:
            found = checkpoints.verify(note, signing_key)
        except JournalDamaged as error:
            yield str(error)
            continue
        if found.size != at_size:
            yield f"the checkpoint kept for size {at_size} says {found.size}"
        elif found.size > count:
            yield f"a checkpoint was signed for {found.size} entries, and only {count} are here: entries were cut off"
        elif merkle.root(found.size, hash_at) != found.root:
            yield f"the root of the checkpoint of size {found.size} is not the one that follows from the entries"
