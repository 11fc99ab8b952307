"""What two neighbors say to each other beside envelopes: who they are, and what they hold.

A note is a msgpack array whose first element is a short word; an envelope's first element is a number, so the two can't
be confused. Notes are not signed: they ride on a channel whose other end has proved its transport key, and none of them
ever frees a copy. Only a signed receipt does.
"""

from typing import Annotated, Final

import msgspec

from relay import limits
from relay.errors import Malformed

NodeIdBytes = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
IdBytes = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
ChallengeBytes = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
ProofBytes = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
ShortText = Annotated[str, msgspec.Meta(max_length=limits.MAX_NAME_BYTES)]
PassportBytes = Annotated[bytes, msgspec.Meta(max_length=limits.MAX_PASSPORT_BYTES)]


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="hello"):
    """The caller's passport; the first note on a session, and again whenever the other end asks ``Who``."""

    passport: PassportBytes
    roster_number: int
    challenge: ChallengeBytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="welcome"):
    """The answerer's passport, its own challenge, and its signature over the caller's."""

    passport: PassportBytes
    roster_number: int
    challenge: ChallengeBytes
    proof: ProofBytes


class Proved(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="proved"):
    """The caller's signature over the answerer's challenge; said where the carrier has not proved its transport key."""

    proof: ProofBytes


class Who(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="who"):
    """I don't know you (I was restarted): say hello again."""


class Ping(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="ping"):
    """Are you there? ``sent_ms`` is the asker's monotonic time and comes back unchanged."""

    sent_ms: int


class Pong(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="pong"):
    """The answer to a ping."""

    sent_ms: int


class Stored(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="stored"):
    """These envelopes are durable here. It is not a receipt: the sender keeps its copy."""

    ids: Annotated[tuple[IdBytes, ...], msgspec.Meta(max_length=512)]


Span = tuple[Annotated[int, msgspec.Meta(ge=1, le=0xFFFFFFFF)], Annotated[int, msgspec.Meta(ge=1, le=0xFFFFFFFF)]]


class HeldSeries(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Numbers of one numbering, as ranges with both ends included."""

    origin: NodeIdBytes
    destination: NodeIdBytes
    series: int
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=64)]


class Holds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="holds"):
    """What of yours is durable here without a receipt; said once a session, after the receipts.

    Bulk waits for it: what is held need not take the way again. Like ``Stored`` it frees nothing.
    """

    series: Annotated[tuple[HeldSeries, ...], msgspec.Meta(max_length=64)]


class Refused(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="refused"):
    """This envelope is not taken, and why."""

    id: IdBytes
    reason: Annotated[str, msgspec.Meta(max_length=40)]
    detail: Annotated[str, msgspec.Meta(max_length=300)]


class Unknown(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="unknown"):
    """I hold no passport for this origin: show me one, then send again."""

    origin: NodeIdBytes


class Passports(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="passports"):
    """Passports of nodes whose envelopes follow."""

    passports: Annotated[tuple[PassportBytes, ...], msgspec.Meta(max_length=limits.MAX_PASSPORTS_IN_NOTE)]


class RosterNote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="roster"):
    """Whose passports are withdrawn. The authority signed it, so it proves itself whoever passes it on."""

    statement: Annotated[bytes, msgspec.Meta(max_length=20_000)]
    signature: bytes


class Over(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="over"):
    """What the caller calls the path that it came over; said once, after the introduction."""

    path: ShortText
    carrier: ShortText
    provider: ShortText


class Probe(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="probe"):
    """A survey's question: answer with so many bytes, on the same lane. Its own padding makes it as large as is wished."""

    number: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    wanted_bytes: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_PROBE_BYTES)]
    is_bulk: bool
    padding: Annotated[bytes, msgspec.Meta(max_length=limits.MAX_PROBE_BYTES)]


class Echo(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="echo"):
    """The answer to a probe."""

    number: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    padding: Annotated[bytes, msgspec.Meta(max_length=limits.MAX_PROBE_BYTES)]


Note = (
    Hello
    | Welcome
    | Proved
    | Who
    | Ping
    | Pong
    | Stored
    | Holds
    | Refused
    | Unknown
    | Passports
    | RosterNote
    | Over
    | Probe
    | Echo
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Note]] = msgspec.msgpack.Decoder(Note)


REASONS: Final = frozenset({
    "malformed", "oversized", "unsupported_version", "bad_signature", "unknown_sender", "revoked", "not_for_us", "cannot_open",
    "flooding", "over_quota", "spool_full", "disk_full", "not_stored",
})  # fmt: skip
"""Why an envelope is not taken. What a neighbor says beside these is counted as ``other``: it must not name our counters."""


def is_note(parcel: bytes) -> bool:
    """Whether a parcel is a note: an array whose first element is a string."""
    return len(parcel) > 1 and 0x90 <= parcel[0] <= 0x9F and 0xA0 <= parcel[1] <= 0xBF


def encode(note: Note) -> bytes:
    """The bytes of a note."""
    return _encoder.encode(note)


def decode(parcel: bytes) -> Note:
    """Parse a note.

    Raises:
        Malformed: not a note, or over a bound.
    """
    if len(parcel) > limits.MAX_PARCEL_BYTES:
        raise Malformed(f"expected a note of at most {limits.MAX_PARCEL_BYTES} bytes, found {len(parcel)}")
    try:
        return _decoder.decode(parcel)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"expected a hop note: {error}") from error
