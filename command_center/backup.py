"""A copy of the whole center while it runs, and a center made from such a copy.

A backup is a folder:

=================  ================================================================================================
manifest.json      what is in it, with sizes and SHA-256; the journal's size, root and, signed, its newest checkpoint
center.sqlite      the database at one moment: SQLite's backup interface copies it in one read transaction, so whatever is
                   written meanwhile is in it whole or not at all
intake.log         alerts that were receipted just then and may not be in that database yet: a restored center takes them in at its start
blobs/             every picture and clip that this database names
files/             configuration, passport, certificates
keys.sealed        only with a passphrase: the private keys, encrypted (Argon2id, XSalsa20-Poly1305)
=================  ================================================================================================

Private keys are never in a backup in the clear. Without ``keys.sealed`` a restored center needs ``authority.key`` and
``identity.key`` from wherever they are kept apart. The rest is confidential, too: it holds what cameras saw, and callbacks' secrets.

What a restored center must not do is done by ``command_center.restoring``.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from nacl import pwhash, secret
from nacl.exceptions import CryptoError

from command_center import journal
from command_center.blobs import BlobStore
from command_center.errors import BadRequest
from command_center.state_dir import DATABASE_NAME, StateDir
from relay.clock import Clock
from relay.errors import OperatorError, SpoolDamaged
from relay.identity import Identity, sync_dir

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SEALED: Final = "keys.sealed"
_MIN_PASSPHRASE: Final = 12


class FileLine(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    made_at_ms: int
    center: str
    """The center's node id, in hexadecimal."""
    authority: str
    """The authority's node id."""
    journal_size: int
    journal_root: str
    checkpoint: str
    """The newest signed note that the journal holds; empty where none was signed yet."""
    missing_objects: tuple[str, ...]
    """Named by the database and not on the disk: erased between, or lost before."""
    files: tuple[FileLine, ...]


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    salt: bytes
    opslimit: int
    memlimit: int
    box: bytes


def back_up(state: StateDir, to_dir: Path, clock: Clock, *, passphrase: str = "") -> Manifest:
    """Copy a center, running or not, into a new folder; durable and whole when this returns, absent if it fails.

    Raises:
        NotInitialized: there is no center.
        BadRequest: the folder is there already, or the passphrase is too short.
        OperatorError: the disk is full, or a file can't be read.
    """
    state.require_initialized()
    if to_dir.exists():
        raise BadRequest(f"{to_dir} is there already and is never overwritten: choose a new folder for each backup")
    if passphrase and len(passphrase) < _MIN_PASSPHRASE:
        raise BadRequest(f"expected a passphrase of at least {_MIN_PASSPHRASE} characters, found {len(passphrase)}")
    issuer = state.load_issuer()
    partial_dir = to_dir.with_name(to_dir.name + ".partial")
    try:
        shutil.rmtree(partial_dir, ignore_errors=True)
        partial_dir.mkdir(parents=True, mode=0o700)
        if state.intake_log_file.exists():  # before the database, which gets what is written over there
            _write(partial_dir / state.intake_log_file.name, state.intake_log_file.read_bytes())
        _copy_database(state.database_file, partial_dir / DATABASE_NAME)
        missing = _copy_blobs(state, partial_dir)
        _copy_files(state, partial_dir)
        if passphrase:
            _write(partial_dir / SEALED, _seal(_secrets(state), passphrase))
        manifest = _describe(partial_dir, clock, missing, _node_id(state), issuer.authority.node_id.hex())
        _write(partial_dir / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        sync_tree(partial_dir)
        partial_dir.rename(to_dir)
        sync_dir(to_dir.parent)
    except OSError as error:
        shutil.rmtree(partial_dir, ignore_errors=True)
        raise OperatorError(
            f"can't write the backup {to_dir}: {error.strerror or error}; nothing is left of it"
        ) from error
    except BaseException:  # whatever it was goes on; half a backup must not be taken for one
        shutil.rmtree(partial_dir, ignore_errors=True)
        raise
    return manifest


def load(backup_dir: Path) -> Manifest:
    """Read and verify a backup: every file is there and has its hash.

    Raises:
        BadRequest: not a backup, of another format, or damaged; names the first file that is wrong.
    """
    try:
        manifest = msgspec.json.decode((backup_dir / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BadRequest(f"expected a backup in {backup_dir}, found no manifest that can be read: {error}") from error
    if manifest.format != FORMAT:
        raise BadRequest(f"expected a backup of format {FORMAT}, found {manifest.format}: use the release that made it")
    for line in manifest.files:
        file = backup_dir / line.path
        if ".." in Path(line.path).parts or Path(line.path).is_absolute():
            raise BadRequest(f"{backup_dir / MANIFEST} names {line.path!r}, which is outside the backup")
        try:
            found = _digest(file)
        except OSError as error:
            raise BadRequest(f"the backup is damaged: {line.path} can't be read: {error.strerror}") from error
        if found != line.sha256:
            raise BadRequest(
                f"the backup is damaged: {line.path} was changed (SHA-256 {found[:16]}…, expected {line.sha256[:16]}…)"
            )
    return manifest


def open_keys(backup_dir: Path, passphrase: str) -> dict[str, bytes]:
    """The private keys in a backup: path in the state folder to content.

    Raises:
        BadRequest: there are none, or the passphrase is another.
    """
    try:
        sealed = msgspec.msgpack.decode((backup_dir / SEALED).read_bytes(), type=_Sealed)
    except FileNotFoundError:
        raise BadRequest(f"{backup_dir} holds no keys: give the folder that holds them with --keys-from") from None
    except (OSError, msgspec.DecodeError) as error:
        raise BadRequest(f"{backup_dir / SEALED} can't be read: {error}") from error
    key = pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE, passphrase.encode(), sealed.salt, sealed.opslimit, sealed.memlimit
    )
    try:
        return msgspec.msgpack.decode(secret.SecretBox(key).decrypt(sealed.box), type=dict[str, bytes])
    except CryptoError:
        raise BadRequest("the passphrase is not the one that this backup's keys were sealed with") from None


def secret_paths(state: StateDir) -> Iterator[Path]:
    """The files that hold private keys and secrets, as far as they are there."""
    named = state.load_config().oidc.client_secret_file
    candidates = [state.authority_key_file, state.identity_key_file, *sorted((state.root_dir / "tls").glob("*.key"))]
    if named and not Path(named).is_absolute():
        candidates.append(state.root_dir / named)
    yield from (file for file in candidates if file.is_file())


def _copy_database(source_file: Path, target_file: Path) -> None:
    """One read transaction on a connection that can't write: the owner goes on writing meanwhile."""
    try:
        source = sqlite3.connect(f"{source_file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        target = sqlite3.connect(target_file, isolation_level=None)
        try:
            source.backup(target, pages=-1)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, whole without a WAL beside it
        finally:
            target.close()
            source.close()
    except sqlite3.Error as error:
        if "full" in str(error):
            raise OperatorError(
                f"no room for a copy of {source_file} at {target_file.parent}: free some, or choose another disk"
            ) from error
        raise SpoolDamaged(f"{source_file} can't be copied: {error}; run command-center check") from error
    target_file.chmod(0o600)


def _copy_blobs(state: StateDir, to_dir: Path) -> tuple[str, ...]:
    """What the copied database names. Blobs never change, so a later moment than the database's is as good."""
    here, there, missing = BlobStore(state.blobs_dir), BlobStore(to_dir / "blobs"), []
    with contextlib.closing(_reader(to_dir)) as connection:
        names = [row[0] for row in connection.execute("SELECT sha256 FROM stored_object ORDER BY sha256")]
    for sha256 in names:
        target_file = there.file_of(sha256)
        target_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(here.file_of(sha256), target_file)
        except FileNotFoundError:
            missing.append(sha256.hex())
    return tuple(missing)


def _reader(backup_dir: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{(backup_dir / DATABASE_NAME).absolute().as_uri()}?mode=ro", uri=True)


def _copy_files(state: StateDir, to_dir: Path) -> None:
    secrets = set(secret_paths(state))
    plain = [file for pattern in ("*.toml", "*.msgpack", "tls/*") for file in sorted(state.root_dir.glob(pattern))]
    for file in plain:
        if file.is_file() and file not in secrets:
            target_file = to_dir / "files" / file.relative_to(state.root_dir)
            target_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target_file)


def _secrets(state: StateDir) -> dict[str, bytes]:
    return {str(file.relative_to(state.root_dir)): file.read_bytes() for file in secret_paths(state)}


def _seal(secrets: Mapping[str, bytes], passphrase: str) -> bytes:
    opslimit, memlimit = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
    salt = os.urandom(pwhash.argon2id.SALTBYTES)
    key = pwhash.argon2id.kdf(secret.SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit, memlimit)
    box = bytes(secret.SecretBox(key).encrypt(msgspec.msgpack.encode(dict(secrets))))
    return msgspec.msgpack.encode(_Sealed(salt=salt, opslimit=opslimit, memlimit=memlimit, box=box))


def _describe(backup_dir: Path, clock: Clock, missing: tuple[str, ...], center: str, authority: str) -> Manifest:
    with contextlib.closing(_reader(backup_dir)) as connection:
        size = journal.size(connection)
        root = journal.root(connection, size)
        row = connection.execute("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    found = sorted(file for file in backup_dir.rglob("*") if file.is_file())
    lines = tuple(FileLine(path=str(file.relative_to(backup_dir)), size_bytes=file.stat().st_size, sha256=_digest(file))
                  for file in found)  # fmt: skip
    return Manifest(format=FORMAT, made_at_ms=clock.wall_ms(), center=center, authority=authority, journal_size=size,
                    journal_root=root.hex(), checkpoint=row[0] if row else "", missing_objects=missing, files=lines)  # fmt: skip


def _node_id(state: StateDir) -> str:
    return Identity.load(state.identity_key_file).node_id.hex()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def sync_tree(folder_dir: Path) -> None:
    """Bring everything in a folder to the disk: files first, then the folders that name them."""
    for file in folder_dir.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    for inner_dir in sorted((item for item in folder_dir.rglob("*") if item.is_dir()), reverse=True):
        sync_dir(inner_dir)
    sync_dir(folder_dir)
