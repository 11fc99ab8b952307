"""A center from a backup. It takes up where the copy was made, and must not say anything that the lost one may have said.

Steps, all in a folder of its own that gets its name last:

1. Verify the backup; lay out database, blobs, files and keys; the keys must be those that the passport names.
2. Begin a new series of its own numbering: the lost center may have used numbers after the copy, and a number used twice is a
   fork, for which nodes would distrust this center.
3. End every session, every sign-in that is half done, every unit's link and every share: what was ended after the copy must not come back to life,
   least of all the link of a phone that was lost. API tokens
   stay, and the caller says to look at them: those that were revoked after the copy are good again.
4. Journal the restoring: an auditor who holds a later checkpoint of the lost center finds here why it does not fit.

What nodes still keep, because no receipt freed it, comes again by itself. What was receipted after the copy is lost with the
center; the nodes' numbering shows it as gaps, which stay.
"""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

from command_center import backup, facts, journal
from command_center.backup import Manifest
from command_center.errors import AlreadyInitialized, BadRequest
from command_center.facts import Remark
from command_center.responses import mutual_aid
from command_center.state_dir import DATABASE_NAME, StateDir
from relay import intake_log
from relay.clock import Clock
from relay.errors import OperatorError
from relay.identity import Identity, sync_dir

BY: Final = "user:local-administrator"


def restore(backup_dir: Path, root_dir: Path, clock: Clock, *, passphrase: str = "", keys_dir: Path | None = None) -> Manifest:  # fmt: skip
    """Make a center in a new folder; absent if it fails.

    Raises:
        AlreadyInitialized: something is there already.
        BadRequest: the backup is damaged, or the keys are missing or another center's.
        OperatorError: the disk is full.
    """
    if root_dir.exists() and any(root_dir.iterdir()):
        raise AlreadyInitialized(
            f"{root_dir} is not empty and is never overwritten: choose another --state, or move it away"
        )
    manifest = backup.load(backup_dir)
    partial_dir = root_dir.with_name(root_dir.name + ".partial")
    try:
        shutil.rmtree(partial_dir, ignore_errors=True)
        partial_dir.mkdir(parents=True, mode=0o700)
        _lay_out(backup_dir, partial_dir)
        _lay_keys(backup_dir, partial_dir, passphrase, keys_dir)
        _require_fitting(partial_dir, manifest)
        _begin_anew(StateDir(partial_dir), manifest, clock)
        backup.sync_tree(partial_dir)
        if root_dir.exists():
            root_dir.rmdir()
        partial_dir.rename(root_dir)
        sync_dir(root_dir.parent)
    except OSError as error:
        shutil.rmtree(partial_dir, ignore_errors=True)
        raise OperatorError(
            f"can't restore into {root_dir}: {error.strerror or error}; nothing is left of it"
        ) from error
    except BaseException:  # whatever it was goes on; half a center must not be started
        shutil.rmtree(partial_dir, ignore_errors=True)
        raise
    return manifest


def _lay_out(backup_dir: Path, to_dir: Path) -> None:
    for name in (DATABASE_NAME, intake_log.FILE_NAME):
        if (backup_dir / name).exists():
            shutil.copyfile(backup_dir / name, to_dir / name)
            (to_dir / name).chmod(0o600)
    for name, target in (("blobs", to_dir / "blobs"), ("files", to_dir)):
        if (backup_dir / name).is_dir():
            shutil.copytree(backup_dir / name, target, dirs_exist_ok=True)
    (to_dir / "blobs").mkdir(exist_ok=True)


def _lay_keys(backup_dir: Path, to_dir: Path, passphrase: str, keys_dir: Path | None) -> None:
    if keys_dir is not None:
        named = [keys_dir / "authority.key", keys_dir / "identity.key", *sorted((keys_dir / "tls").glob("*.key"))]
        if missing := [str(file) for file in named[:2] if not file.is_file()]:
            raise BadRequest(f"expected the keys of the center in {keys_dir}, found no {' and no '.join(missing)}")
        keys = {str(file.relative_to(keys_dir)): file.read_bytes() for file in named}
    elif passphrase:
        keys = backup.open_keys(backup_dir, passphrase)
    else:
        raise BadRequest(
            "a center needs its keys: give the folder that holds authority.key and identity.key with --keys-from, or the "
            "passphrase of the backup's own with --passphrase-file"
        )
    for name, content in keys.items():
        file = to_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())


def _require_fitting(to_dir: Path, manifest: Manifest) -> None:
    state = StateDir(to_dir)
    found = (
        Identity.load(state.identity_key_file).node_id.hex(),
        Identity.load(state.authority_key_file).node_id.hex(),
    )
    if found != (manifest.center, manifest.authority):
        raise BadRequest(
            f"the keys are another center's: expected identity {manifest.center} and authority {manifest.authority}, "
            f"found {found[0]} and {found[1]}"
        )


def begin_anew(connection: sqlite3.Connection, clock: Clock, reason: str, *, keeps_links: bool = False) -> None:
    """Steps 2 and 3: nothing that is said from now on contradicts what was said after the copy. ``keeps_links``: those of units, and shares, of a copy that is fresh."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stream'").fetchone():
        connection.execute("DELETE FROM stream")
    connection.execute("DELETE FROM session")
    if not keeps_links:
        connection.execute("DELETE FROM capability")
        mutual_aid.end_all(connection, by=BY, reason=reason, now=clock.wall_ms())


def _begin_anew(state: StateDir, manifest: Manifest, clock: Clock) -> None:
    def work(connection: sqlite3.Connection) -> None:
        begin_anew(connection, clock, "the center was restored from a backup")
        fact = Remark(what=f"backup of entry {manifest.journal_size}", detail=f"root {manifest.journal_root}")
        journal.append(connection, at_ms=clock.wall_ms(), kind="restored", actor=BY,
                       subject="center", payload=facts.encode(fact))  # fmt: skip

    database = state.open_database()
    try:
        database.run_blocking(work)
    finally:
        database.close()
