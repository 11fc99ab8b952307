"""Who may speak: a passport binds keys to a name, a role and a site, under the authority's signature.

A passport proves itself, so a relay that has never heard of a node can check it before it spends a byte on what that
node sends. Withdrawal is the roster's part (``relay/kinds/roster.py``).
"""

import enum
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from nacl.signing import SigningKey

from relay import dsse, limits
from relay.errors import Malformed, Revoked, UnknownSender
from relay.ids import NodeId, node_id_of

_VERSION: Final = 1


class Role(enum.IntEnum):
    """What the holder of a passport is."""

    CAMERA = 1
    RELAY = 2
    CENTER = 3
    AGENCY = 4
    """Another agency's center: it may send checkpoints of its journal to be witnessed, and say that it lives."""


Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME_BYTES, pattern=r"^[\w .:-]+$")]


class Passport(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The signed statement itself."""

    version: int
    role: Role
    name: Name
    """Unique within the authority, e.g. ``gate-camera``."""
    site: Name
    agency: Name
    signing_key: Key
    sealing_key: Key
    transport_key: Key
    not_before_ms: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_CLOCK_MS)]
    not_after_ms: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_CLOCK_MS)]
    serial: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    """Rises with every passport that the authority signs."""

    @property
    def node_id(self) -> NodeId:
        """The holder's id, from the signing key."""
        return node_id_of(self.signing_key)


class _Signed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    statement: bytes
    signature: bytes


_encoder: Final = msgspec.msgpack.Encoder()
_signed_decoder: Final = msgspec.msgpack.Decoder(_Signed)
_decoder: Final = msgspec.msgpack.Decoder(Passport)


class SignedPassport(msgspec.Struct, frozen=True, kw_only=True):
    """A passport whose signature has been checked, with the exact bytes that say so."""

    passport: Passport
    wire: bytes


def issue(authority: SigningKey, *, role: Role, name: str, site: str, agency: str, keys: tuple[bytes, bytes, bytes],
          not_before_ms: int, not_after_ms: int, serial: int) -> SignedPassport:  # fmt: skip
    """Sign a passport for ``keys`` = (signing, sealing, transport).

    Raises:
        Malformed: a name or key is not within its bounds.
    """
    passport = Passport(
        version=_VERSION, role=role, name=name, site=site, agency=agency, signing_key=keys[0], sealing_key=keys[1],
        transport_key=keys[2], not_before_ms=not_before_ms, not_after_ms=not_after_ms, serial=serial,
    )  # fmt: skip
    statement = _encoder.encode(passport)
    try:
        _decoder.decode(statement)
    except msgspec.ValidationError as error:
        raise Malformed(f"can't issue a passport for {name!r}: {error}") from error
    signature = dsse.sign(dsse.PASSPORT_TYPE, statement, authority)
    wire = _encoder.encode(_Signed(statement=statement, signature=signature))
    return SignedPassport(passport=passport, wire=wire)


def verify(wire: bytes, authority_key: bytes) -> SignedPassport:
    """Check a passport's bounds, form and signature.

    Not checked: its dates (``require_valid_at``) and whether it was withdrawn (the roster).

    Raises:
        Malformed: not a passport, or over a bound.
        BadSignature: not signed by this authority.
    """
    if len(wire) > limits.MAX_PASSPORT_BYTES:
        raise Malformed(f"expected a passport of at most {limits.MAX_PASSPORT_BYTES} bytes, found {len(wire)}")
    try:
        signed = _signed_decoder.decode(wire)
    except msgspec.DecodeError as error:
        raise Malformed(f"expected a signed passport: {error}") from error
    dsse.verify(dsse.PASSPORT_TYPE, signed.statement, signed.signature, authority_key)
    try:
        passport = _decoder.decode(signed.statement)
    except msgspec.DecodeError as error:
        raise Malformed(f"the passport's statement is not one that we know: {error}") from error
    if passport.version != _VERSION:
        raise UnknownSender(f"expected passport version {_VERSION}, found {passport.version}: update this machine")
    return SignedPassport(passport=passport, wire=wire)


def require_valid_at(passport: Passport, now_ms: int | None) -> None:
    """Refuse a passport outside its dates; ``now_ms`` is None where the clock can't be trusted, and then nothing is judged.

    Raises:
        Revoked: not yet, or no longer, valid.
    """
    if now_ms is not None and not passport.not_before_ms <= now_ms <= passport.not_after_ms:
        is_over = now_ms > passport.not_after_ms
        bound = f"ended on {_day(passport.not_after_ms)}" if is_over else f"begins on {_day(passport.not_before_ms)}"
        raise Revoked(
            f"the passport of {passport.name} {bound}, and this machine's clock says {_day(now_ms)}: "
            f"correct the clock if it is wrong, else enroll {passport.name} anew"
        )


def _day(wall_ms: int) -> str:
    """The date in UTC; a number of milliseconds where the calendar has no such day."""
    try:
        return datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return f"{wall_ms} ms"
