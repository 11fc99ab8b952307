"""Checkpoints: the journal's size and root, as a signed note that any transparency-log tool can check.

Source: C2SP signed-note v1.0.0 and tlog-checkpoint v1.0.0. Three lines (origin, size, root), an empty line, and one
signature line ``— name base64(key id || Ed25519 signature)``. The signed text is everything up to and including the
newline before the empty line.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from command_center.errors import JournalDamaged

_ED25519: Final = b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The parsed view of a note."""

    origin: str
    size: int
    root: bytes
    note: str


def key_id(name: str, signing_key: bytes) -> bytes:
    """The 4 bytes that find the key (signed-note, "Signature types"); not a security statement."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + signing_key).digest()[:4]


def verifier_key(name: str, signing_key: bytes) -> str:
    """The public key as note tools take it: ``name+keyid+base64(0x01 || key)``."""
    return f"{name}+{key_id(name, signing_key).hex()}+{base64.b64encode(_ED25519 + signing_key).decode()}"


def sign(*, origin: str, size: int, root: bytes, signing: SigningKey) -> Checkpoint:
    """Sign a checkpoint under the name ``origin`` (no spaces, no plus sign)."""
    if not origin or "+" in origin or any(character.isspace() for character in origin):
        raise ValueError(f"expected an origin without spaces and plus signs, found {origin!r}")
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = signing.sign(text.encode()).signature
    stamp = base64.b64encode(key_id(origin, bytes(signing.verify_key)) + signature).decode()
    return Checkpoint(origin=origin, size=size, root=root, note=f"{text}\n— {origin} {stamp}\n")


def without_witnesses(note: str) -> str:
    """A note with its own origin's signature only: what others signed below is theirs to check."""
    text, separator, signatures = note.partition("\n\n")
    origin = text.partition("\n")[0]
    own = [line for line in signatures.splitlines() if line.startswith(f"— {origin} ")]
    return f"{text}{separator}" + "".join(f"{line}\n" for line in own[:1])


def verify(note: str, signing_key: bytes) -> Checkpoint:
    """Check a note's form and its signature by this key.

    Raises:
        JournalDamaged: not a checkpoint, or not signed by this key.
    """
    text, separator, signatures = note.partition("\n\n")
    text += "\n"
    lines = text.splitlines()
    if not separator or len(lines) < 3 or not lines[1].isdecimal():
        raise JournalDamaged("expected a signed note of origin, size and root: the checkpoint is not one")
    origin = lines[0]
    try:
        root = base64.b64decode(lines[2], validate=True)
        stamps = [base64.b64decode(line.split(" ")[2], validate=True) for line in signatures.splitlines()
                  if line.startswith(f"— {origin} ")]  # fmt: skip
    except (ValueError, IndexError) as error:  # binascii's error is one, and base64 has another
        raise JournalDamaged(f"the checkpoint of size {lines[1]} holds damaged base64: {error}") from error
    for stamp in stamps:
        if stamp[:4] == key_id(origin, signing_key) and _is_by(text.encode(), stamp[4:], signing_key):
            return Checkpoint(origin=origin, size=int(lines[1]), root=root, note=note)
    raise JournalDamaged(f"the checkpoint of size {lines[1]} is not signed by this center's key")


def _is_by(text: bytes, signature: bytes, signing_key: bytes) -> bool:
    try:
        crypto_sign_open(signature + text, signing_key)
    except (BadSignatureError, ValueError):
        return False
    return True
