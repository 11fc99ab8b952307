"""``command-center export``: from the center's records to one ZIP that a stranger can check.

The steps, in this order so that an end at any point leaves either no bag or a whole one:

1. The journal says that an export began, who asked and for what. Nothing is read before that is durable.
2. One read transaction sees one moment; a running center goes on undisturbed.
3. The bag is written under a temporary name beside its target, hashed on the way, signed, and fsynced.
4. The journal names the digest on which the bag hangs. An export that could not be finished is journalled with its reason.
5. The target's name is taken, never over something, and the folder is fsynced.

Given the same records and the same first entry, the bytes are the same. A later export of the same incident differs in
what its own entry changes: the journal's slice, custody, timeline, reports, and the manifests over them.
"""

import contextlib
import getpass
import json
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from command_center import checkpoint
from command_center.blobs import BlobStore
from command_center.checkpoint import Checkpoint
from command_center.evidence import contents, record, selection, timestamping
from command_center.evidence.archive import put_in_place, require_free
from command_center.evidence.contents import DamagedObject, Keys, Manner, Occasion
from command_center.evidence.progress import Progress
from command_center.evidence.reading import Reading
from command_center.evidence.selection import Selection
from command_center.evidence.steps import FAILED, FINISHED, STARTED, EvidenceExport, Noted, Step
from command_center.state_dir import StateDir
from relay.clock import Clock
from relay.errors import HeardError, OperatorError, SpoolDamaged
from relay.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    file: Path
    size_bytes: int
    tag_manifest_sha256: bytes
    authority: str
    """The fingerprint that a verifier compares."""
    missing: tuple[str, ...]
    """What the nodes announced and the bag can't have, and why."""
    timestamp: str = ""
    """When an authority says that it existed, or why there is no such word; empty where none was wanted."""


NoteStep = Callable[[EvidenceExport], Noted]
"""Journals a step, durably; raises ``OperatorError`` where it can't."""


def new_identifier() -> str:
    """Names one export in the journal."""
    return secrets.token_hex(8)


def export(state: StateDir, chosen: Selection, target_file: Path, clock: Clock, *, identifier: str = "", by: str = "",
           note_step: NoteStep | None = None, progress: Progress | None = None,
           prepare: Callable[[], None] | None = None, against: bytes = b"") -> Exported:  # fmt: skip
    """Write the evidence of ``chosen`` to a new file.

    Args:
        state: the center's folder.
        chosen: which incidents.
        target_file: a name that is free.
        clock: for the entries.
        identifier: ``new_identifier`` where the caller has to know it.
        by: whose wish it is; this process's user if not given.
        note_step: how steps are journalled; through the running center's door, or into the database while nothing runs.
        progress: told how far it is.
        against: an earlier checkpoint that somebody holds: the bag proves that the journal begins with it.
        prepare: done after the journal knows of the export and before anything is read; may refuse it.

    Raises:
        NotInitialized, KeyFileError: there is no center here, or not with these keys.
        NotFound: no such incident.
        ExportStopped: by whoever holds ``progress``.
        OperatorError: the target is there already, the disk is full, or the running center did not journal it.
    """
    state.require_initialized()
    authority, own = Identity.load(state.authority_key_file), Identity.load(state.identity_key_file)
    keys = Keys(authority=authority, center=own, center_passport=state.load_issuer().center_passport)
    identifier = identifier or new_identifier()
    write_step = note_step or (lambda step: record.write(state, clock, step))

    def note(step: Step, **detail: object) -> Noted:
        text = json.dumps(detail, sort_keys=True, ensure_ascii=False)
        return write_step(EvidenceExport(step=step, export=identifier, detail=text))

    started = note(STARTED, by=by or _who(), selection=chosen.words, to=target_file.name)
    try:
        require_free(target_file)
        if prepare is not None:
            prepare()
        occasion = Occasion(export=identifier, entry=started.entry, at_ms=started.at_ms)
        with _partial(target_file) as partial_file:
            manner = _manner(state, own, progress, against)
            written, size = _write(state, chosen, keys, occasion, partial_file, manner)
            note(FINISHED, checkpoint_size=size, tagmanifest_sha256=written.tag_manifest_sha256.hex(),
                 to=target_file.name, **({"timestamp": written.timestamp} if written.timestamp else {}))  # fmt: skip
            size_bytes = partial_file.stat().st_size
            put_in_place(partial_file, target_file)
    except (HeardError, OSError, sqlite3.Error) as error:
        problem = error if isinstance(error, HeardError) else _explained(error, target_file, state)
        with contextlib.suppress(HeardError):  # the reason goes to the person in any case
            note(FAILED, reason=str(problem))
        raise problem from error
    return Exported(file=target_file, size_bytes=size_bytes, tag_manifest_sha256=written.tag_manifest_sha256,
                    authority=keys.authority_id, missing=written.missing, timestamp=written.timestamp)  # fmt: skip


def _manner(state: StateDir, own: Identity, progress: Progress | None, against: bytes) -> Manner:
    timestamping_at = state.load_config().timestamp
    held: tuple[Checkpoint, ...] = ()
    if against:
        held = (checkpoint.verify(checkpoint.without_witnesses(against.decode("utf-8", "replace")), own.signing_key),)
    return Manner(progress=progress or Progress(), stamp=timestamping.stamper(timestamping_at, own.signing),
                  timestamp_wanted=timestamping_at.url, against=held)  # fmt: skip


def incidents_of(state: StateDir, chosen: Selection) -> tuple[int, ...]:
    """The incidents that are meant, as things are now.

    Raises:
        NotFound: there are none.
    """
    with contextlib.closing(_reader(state)) as connection:
        return selection.find(connection, chosen)


def _write(state: StateDir, chosen: Selection, keys: Keys, occasion: Occasion, partial_file: Path,
           manner: Manner) -> tuple[contents.Written, int]:  # fmt: skip
    """Write the bag; start over without an object whose bytes turn out to be damaged."""
    damaged: frozenset[bytes] = frozenset()
    with contextlib.closing(_reader(state)) as connection, partial_file.open("r+b") as stream:
        connection.execute("BEGIN")
        while True:
            reading = Reading(connection, keys.authority, BlobStore(state.blobs_dir), damaged,
                              is_unredacted=chosen.is_unredacted)  # fmt: skip
            try:
                written = write_bag(stream, reading, chosen, keys, occasion, manner)
            except DamagedObject as found:
                damaged |= {found.sha256}
                continue
            return written, reading.size


def write_bag(stream: BinaryIO, reading: Reading, chosen: Selection, keys: Keys, occasion: Occasion,
              manner: Manner | None = None) -> contents.Written:  # fmt: skip
    """Write one bag to the beginning of a file, and make it durable."""
    stream.seek(0)
    stream.truncate()
    incidents = selection.find(reading.connection, chosen)
    with tempfile.TemporaryDirectory(prefix=".heard-export-", dir=Path(stream.name).parent) as scratch:
        written = contents.write(stream, reading, chosen, incidents, keys, occasion, Path(scratch), manner)
    stream.flush()
    os.fsync(stream.fileno())
    return written


@contextlib.contextmanager
def _partial(target_file: Path) -> Iterator[Path]:
    """A new file beside the target; gone at the end unless it was given its name. A kill leaves it, without an end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target_file.name}.", suffix=".partial", dir=target_file.parent)
    os.close(descriptor)
    partial_file = Path(name)
    try:
        yield partial_file
    finally:
        partial_file.unlink(missing_ok=True)


def _reader(state: StateDir) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{state.database_file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _explained(error: OSError | sqlite3.Error, target_file: Path, state: StateDir) -> OperatorError:
    if isinstance(error, OSError):
        return OperatorError(
            f"can't write {target_file}: {error.strerror or error}; nothing was exported, free space there or choose another place"
        )
    return SpoolDamaged(f"{state.database_file} can't be read: {error}; nothing was exported, run command-center check")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in the password database
        return f"uid {os.getuid()}"
