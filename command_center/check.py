"""``command-center check``: does everything still say what it said? ``run`` reads only; a running center is not disturbed."""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from command_center import checkpoint, facts, journal
from command_center.audit import index as audit_index
from command_center.blobs import BlobStore
from command_center.errors import JournalDamaged
from command_center.facts import Remark
from command_center.state_dir import StateDir
from command_center.views import BodyOpener, Replay
from relay import envelope as envelopes
from relay import intake_log
from relay.errors import SpoolDamaged
from relay.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was checked and what is wrong."""

    entries: int
    checkpoints: int
    objects: int
    receipted_ahead: int
    """Alerts that were receipted and are not journalled: in the intake log, for the next start where no center runs."""
    problems: tuple[str, ...]


def run(state: StateDir, against: str = "") -> Report:
    """Verify the journal, its tree and checkpoints, the views against the journal, and the pictures' hashes.

    ``against``: a checkpoint that somebody kept outside; the journal must begin with it.

    Raises:
        NotInitialized, KeyFileError: there is nothing to check, or not with these keys.
        SpoolDamaged: the database itself can't be read.
    """
    state.require_initialized()
    own_key = Identity.load(state.identity_key_file).signing_key
    opener = BodyOpener(Identity.load(state.authority_key_file))
    try:
        with contextlib.closing(_reader(state.database_file)) as connection:
            connection.execute("BEGIN")  # one moment, whatever a running center writes meanwhile
            problems = [
                *_intact(connection),
                *journal.check(connection, own_key),
                *_against(connection, against, own_key),
            ]
            if not problems:
                problems += _views(connection, opener)
            problems += _objects(connection, BlobStore(state.blobs_dir))
            ahead = _receipted_ahead(state, connection)
            counts = [connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608  constants
                      for table in ("entry", "checkpoint", "stored_object")]  # fmt: skip
    except sqlite3.Error as error:
        raise SpoolDamaged(f"{state.database_file} can't be read: {error}; restore it from its backup") from error
    return Report(
        entries=counts[0], checkpoints=counts[1], objects=counts[2], receipted_ahead=ahead, problems=tuple(problems)
    )


def rebuild(state: StateDir, at_ms: int) -> tuple[str, ...]:
    """Make the views anew from the journal, while no center runs; returns what did not follow from it before.

    Raises:
        NotInitialized, KeyFileError: there is nothing to rebuild, or not with these keys.
        SpoolBusy: the center is running.
        JournalDamaged: the journal itself is not as it was written: nothing was changed.
    """
    state.require_initialized()
    own_key = Identity.load(state.identity_key_file).signing_key
    opener = BodyOpener(Identity.load(state.authority_key_file))

    def work(connection: sqlite3.Connection) -> tuple[str, ...]:
        with contextlib.closing(Replay(opener)) as replay:
            wrong = [*journal.check(connection, own_key), *replay.play(connection)]
            if wrong:
                raise JournalDamaged(
                    f"the views can't be made from this journal, and were left as they are: {wrong[0]}"
                )
            differences = tuple(replay.differences(connection))
            if differences:
                replay.write_to(connection)
                connection.execute("DELETE FROM event")  # consoles read everything anew
                fact = Remark(what="views made anew from the journal", detail="; ".join(differences)[:1000])
                journal.append(connection, at_ms=at_ms, kind="views-rebuilt", actor="user:local-administrator",
                               subject="center", payload=facts.encode(fact))  # fmt: skip
            return differences

    database = state.open_database()
    try:
        audit_index.remove(state.audit_index_file)
        return database.run_blocking(work)
    finally:
        database.close()


def _receipted_ahead(state: StateDir, connection: sqlite3.Connection) -> int:
    if not state.intake_log_file.exists():
        return 0
    logged = [envelopes.parse(record.wire) for record in intake_log.read(state.intake_log_file)]
    query = "SELECT 1 FROM inbound WHERE origin = ? AND series = ? AND sequence = ? AND id = ?"
    return sum(
        connection.execute(query, (item.header.origin, item.header.series, item.header.sequence, item.id)).fetchone()
        is None
        for item in logged
    )


def _reader(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return _frozen_reader(file)
    return connection


def _frozen_reader(file: Path) -> sqlite3.Connection:
    """Of a copy on a disk that can't be written, as whoever investigates holds it: SQLite wants to write beside it otherwise.

    Raises:
        SpoolDamaged: the write-ahead log beside it would be passed over.
    """
    log_file = file.with_name(file.name + "-wal")
    if os.access(file.parent, os.W_OK) or (log_file.exists() and log_file.stat().st_size):
        raise SpoolDamaged(
            f"{file} can't be read where it is, with what {log_file.name} holds: copy the folder to a disk that can be written, and check it there"
        )
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _intact(connection: sqlite3.Connection) -> Iterator[str]:
    for (line,) in connection.execute("PRAGMA integrity_check(5)"):
        if line != "ok":
            yield f"database: {line}"


def _against(connection: sqlite3.Connection, note: str, own_key: bytes) -> Iterator[str]:
    if not note:
        return
    try:
        held = checkpoint.verify(checkpoint.without_witnesses(note), own_key)
    except JournalDamaged as error:
        yield f"the checkpoint that you hold: {error}"
        return
    here = journal.size(connection)
    if held.size > here:
        yield f"the checkpoint that you hold has {held.size} entries, and {here} are here: entries were cut off"
    elif journal.root(connection, held.size) != held.root:
        yield f"the first {held.size} entries are not those of the checkpoint that you hold: history was rewritten"


def _views(connection: sqlite3.Connection, opener: BodyOpener) -> list[str]:
    with contextlib.closing(Replay(opener)) as replay:
        return list(replay.run(connection))


def _objects(connection: sqlite3.Connection, blobs: BlobStore) -> Iterator[str]:
    for sha256, size_bytes in connection.execute("SELECT sha256, size_bytes FROM stored_object ORDER BY sha256"):
        file = blobs.file_of(sha256)
        try:
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            yield f"picture {sha256.hex()[:16]}… ({size_bytes} bytes) can't be read: {error.strerror}"
            continue
        if found != sha256:
            yield f"picture {file} was changed: its SHA-256 is {found.hex()[:16]}…"
