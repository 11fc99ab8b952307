"""A roster: whose passports the authority has withdrawn. Relays and nodes refuse them from then on.

The statement inside is signed by the authority itself, so it proves itself wherever it is kept; its number only rises.
"""

from typing import Annotated, Final

import msgspec
from nacl.signing import SigningKey

from relay import dsse
from relay.errors import Malformed
from relay.kinds.body import Count

NodeIdBytes = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]


class RosterStatement(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What the authority says."""

    number: Count
    issued_at_ms: Count
    revoked: Annotated[tuple[NodeIdBytes, ...], msgspec.Meta(max_length=1500)]


class Roster(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A statement with its signature; neighbors pass it on as a hop note."""

    statement: bytes
    signature: bytes


_decoder: Final = msgspec.msgpack.Decoder(RosterStatement)


def issue(authority: SigningKey, statement: RosterStatement) -> Roster:
    """Sign a roster."""
    data = msgspec.msgpack.encode(statement)
    return Roster(statement=data, signature=dsse.sign(dsse.ROSTER_TYPE, data, authority))


def verify(roster: Roster, authority_key: bytes) -> RosterStatement:
    """Check a roster's signature and read it.

    Raises:
        BadSignature: not signed by this authority.
        Malformed: not a roster.
    """
    dsse.verify(dsse.ROSTER_TYPE, roster.statement, roster.signature, authority_key)
    try:
        return _decoder.decode(roster.statement)
    except msgspec.DecodeError as error:
        raise Malformed(f"expected a roster statement: {error}") from error
