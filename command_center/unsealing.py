"""Opens an unmasked picture that a node sealed for the authority, and says so in the journal before anybody has it.

The node keeps such pictures only where its policy says so (``camera_node/sealed_originals``). Who opens one gives a reason; the entry
names the alert, the reason and the picture's SHA-256, and stands before the picture is handed out.
"""

import base64
import hashlib
import sqlite3
from typing import Annotated, Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from command_center import facts, journal
from command_center.errors import BadRequest
from command_center.facts import Remark
from relay.identity import Identity

MAX_SEALED_BYTES: Final = 700_000
"""One line through the local door."""


class Unseal(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Open a sealed original."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    """The file's name: the alert's id."""
    sealed: bytes
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class Unsealed(msgspec.Struct, frozen=True, kw_only=True):
    """What it holds."""

    sha256: str
    picture_base64: str


def open_original(command: Unseal, authority: Identity) -> bytes:
    """The picture.

    Raises:
        BadRequest: not sealed for this authority, or damaged.
    """
    try:
        return SealedBox(PrivateKey(authority.sealing_secret)).decrypt(command.sealed)
    except (CryptoError, ValueError, TypeError) as error:
        raise BadRequest(
            f"{command.name}: expected a picture that a node sealed for this authority, found something else: a file of another "
            "command center, or a damaged one"
        ) from error


def note(connection: sqlite3.Connection, command: Unseal, picture: bytes, *, actor: str, now_ms: int) -> Unsealed:
    """Journal it, and only then give it."""
    sha256 = hashlib.sha256(picture).hexdigest()
    remark = Remark(what="original unsealed", detail=f"{command.name}: {command.reason} (sha256 {sha256})"[:1000])
    journal.append(connection, at_ms=now_ms, kind="original-unsealed", actor=actor,
                   subject=f"alert:{command.name.removesuffix('.sealed')[:64]}", payload=facts.encode(remark))  # fmt: skip
    return Unsealed(sha256=sha256, picture_base64=base64.b64encode(picture).decode())
