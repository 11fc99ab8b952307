"""Witnessing after C2SP tlog-witness v1.0.0 and tlog-cosignature v1: the request, the rule, and the signature. Pure.

A witness signs a log's checkpoint only if that log proved that it grew from the last one that the witness signed. Two histories of
one log can therefore not both be cosigned by it.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from command_center.errors import BadRequest
from command_center.evidence.verifier.journal import is_consistent

MAX_REQUEST_BYTES: Final = 32 * 1024
MAX_PROOF: Final = 63
_COSIGNATURE_V1: Final = b"\x04"
_ED25519: Final = b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a log submits."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLog:
    """A log whose checkpoints may be witnessed."""

    name: str
    key: bytes


def parse_key(text: str) -> KnownLog:
    """``name+id+base64(0x01 || key)``, as note tools write it.

    Raises:
        BadRequest: not one.
    """
    name, _, rest = text.strip().partition("+")
    identifier, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError as error:  # binascii.Error among them
        raise BadRequest(f"expected name+id+key in base64, found {text[:80]!r}") from error
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4].hex()
    if len(data) != 33 or data[:1] != _ED25519 or identifier != expected:
        raise BadRequest(f"expected an Ed25519 verifier key whose id fits, found {text[:80]!r}")
    return KnownLog(name=name, key=data[1:])


def request(submission: Submission) -> bytes:
    """The body of ``add-checkpoint``."""
    lines = [f"old {submission.old_size}", *(base64.b64encode(step).decode() for step in submission.proof), ""]
    return ("\n".join(lines) + "\n" + submission.note).encode()


def parse_request(body: bytes) -> Submission:
    """The submission in a body.

    Raises:
        BadRequest: not one.
    """
    try:
        head, _, note = body.decode().partition("\n\n")
        first, *steps = head.split("\n")
        old = first.removeprefix("old ")
        is_good = (
            first.startswith("old ") and old.isdecimal() and len(old) <= 18 and len(steps) <= MAX_PROOF and bool(note)
        )
        proof = tuple(base64.b64decode(step, validate=True) for step in steps)
    except (ValueError, binascii.Error) as error:
        raise BadRequest(f"not an add-checkpoint request: {error}") from error
    if not is_good:
        raise BadRequest(
            "not an add-checkpoint request: expected 'old SIZE', at most 63 hashes, an empty line and a checkpoint"
        )
    return Submission(old_size=int(old), proof=proof, note=note)


def grew(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of ``size`` begins with that of ``old_size`` (RFC 9162, 2.1.4.2)."""
    if old_size == 0:
        return not proof
    if old_size == size:
        return not proof and old_root == root
    return old_size < size and is_consistent(old_size, old_root, size, root, list(proof))


def cosign(note: str, name: str, signing: SigningKey, at_s: int) -> str:
    """The line that a witness adds below a checkpoint: it saw this at ``at_s`` (Unix time)."""
    signature = signing.sign(_statement(note, at_s)).signature
    stamp = _key_id(name, bytes(signing.verify_key)) + at_s.to_bytes(8, "big") + signature
    return f"— {name} {base64.b64encode(stamp).decode()}\n"


def cosigned_at(note: str, line: str, name: str, key: bytes) -> int | None:
    """When this witness signed the note; None if it did not."""
    prefix = f"— {name} "
    if not line.startswith(prefix):
        return None
    try:
        stamp = base64.b64decode(line.removeprefix(prefix).strip(), validate=True)
        at_s = int.from_bytes(stamp[4:12], "big")
        VerifyKey(key).verify(_statement(note, at_s), stamp[12:])
    except (binascii.Error, BadSignatureError, ValueError):
        return None
    return at_s if stamp[:4] == _key_id(name, key) else None


def _statement(note: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{note.partition(chr(10) * 2)[0]}\n".encode()


def _key_id(name: str, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _COSIGNATURE_V1 + key).digest()[:4]
