"""A node's own keys: made on the device, kept in one file, never sent anywhere.

One 32-byte seed gives three keys, each for one purpose: *signing* (Ed25519, says who), *sealing* (X25519, for bodies)
and *transport* (Curve25519, for ZeroMQ's CURVE). They are derived with BLAKE2b and a label each, so that a weakness of
one use can't reach the others and a backup is one file.
"""

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.signing import SigningKey

from relay.errors import KeyFileError
from relay.ids import NodeId, node_id_of

SEED_BYTES: Final = 32


def _derive(seed: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(key=seed, digest_size=32, person=purpose).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The secret and public keys of one node, relay, command center or authority. Prints as its id only."""

    seed: bytes = field(repr=False)
    signing: SigningKey = field(repr=False)
    signing_key: bytes = field(repr=False)
    """32 bytes, public (Ed25519)."""
    sealing_secret: bytes = field(repr=False)
    sealing_key: bytes = field(repr=False)
    """32 bytes, public (X25519)."""
    transport_secret: bytes = field(repr=False)
    transport_key: bytes = field(repr=False)
    """32 bytes, public (Curve25519, as ZeroMQ's CURVE uses it)."""
    node_id: NodeId

    def __repr__(self) -> str:
        return f"Identity({self.node_id.hex()}, secrets ••••)"

    @classmethod
    def from_seed(cls, seed: bytes) -> "Identity":
        """The keys that follow from a 32-byte seed."""
        if len(seed) != SEED_BYTES:
            raise KeyFileError(f"expected a seed of {SEED_BYTES} bytes, found {len(seed)}")
        signing = SigningKey(_derive(seed, b"heard/signing"))
        signing_key = bytes(signing.verify_key)
        sealing_secret = _derive(seed, b"heard/sealing")
        transport_secret = _derive(seed, b"heard/transport")
        return cls(
            seed=seed, signing=signing, signing_key=signing_key, sealing_secret=sealing_secret,
            sealing_key=crypto_scalarmult_base(sealing_secret), transport_secret=transport_secret,
            transport_key=crypto_scalarmult_base(transport_secret), node_id=node_id_of(signing_key),
        )  # fmt: skip

    @classmethod
    def generate(cls) -> "Identity":
        """New keys from the operating system's randomness."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def load(cls, key_file: Path) -> "Identity":
        """Read the keys from their file.

        Raises:
            KeyFileError: missing, not 32 bytes, or readable by other users.
        """
        try:
            mode = key_file.stat().st_mode
            seed = key_file.read_bytes()
        except FileNotFoundError:
            raise KeyFileError(
                f"expected this machine's keys in {key_file}, found no such file: enroll first, or restore it from its backup"
            ) from None
        except OSError as error:
            raise KeyFileError(f"can't read the keys in {key_file}: {error.strerror}") from error
        if mode & 0o077:
            raise KeyFileError(
                f"{key_file} can be read by other users (mode {mode & 0o777:o}, expected 600): run chmod 600 {key_file}, "
                "and enroll anew if somebody may have copied it"
            )
        if len(seed) != SEED_BYTES:
            raise KeyFileError(
                f"expected {SEED_BYTES} bytes of key in {key_file}, found {len(seed)}: restore it from its backup, or enroll anew"
            )
        return cls.from_seed(seed)

    def save(self, key_file: Path) -> None:
        """Write the keys to a new file, mode 600, durable when this returns, whole or not at all; never overwrites.

        Raises:
            KeyFileError: the file is there already, or can't be written.
        """
        new_file = key_file.with_name(f"{key_file.name}.{secrets.token_hex(4)}.new")
        try:
            key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(self.seed)
                stream.flush()
                os.fsync(stream.fileno())
            key_file.hardlink_to(new_file)  # unlike a rename, it never takes another file's place
            sync_dir(key_file.parent)
        except FileExistsError:
            raise KeyFileError(
                f"{key_file} holds keys already and is never overwritten: move it away to make new ones"
            ) from None
        except OSError as error:
            raise KeyFileError(f"can't write {key_file}: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                new_file.unlink()

    def shared_secret(self, peer_sealing_key: bytes) -> bytes:
        """32 bytes that only this identity and the holder of the peer's sealing key can compute (X25519, then BLAKE2b)."""
        raw = crypto_scalarmult(self.sealing_secret, peer_sealing_key)
        return hashlib.blake2b(raw, digest_size=32, person=b"heard/body").digest()


def sync_dir(folder_dir: Path) -> None:
    """Make a file's name durable, not only its content (fsync of the folder)."""
    descriptor = os.open(folder_dir, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityKeys:
    """The public keys of the authority that a node is enrolled with: pinned at enrollment, trusted from then on."""

    signing_key: bytes
    """32 bytes: signs passports and rosters."""
    sealing_key: bytes
    """32 bytes: bodies are sealed for it."""

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that name both keys; enrollment codes carry it."""
        return hashlib.sha256(self.signing_key + self.sealing_key).digest()[:16]

    @property
    def published_fingerprint(self) -> str:
        """What an agency publishes, and evidence is checked against (``verify --authority``): of the key that signs, in hexadecimal."""
        return hashlib.sha256(self.signing_key).hexdigest()
