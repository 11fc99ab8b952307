"""An answer: what a node makes of an instruction. One struct for each kind of answer, told apart by a number."""

import enum
from typing import Annotated, Final

import msgspec

from relay.kinds.body import Count, Salt, Sha256, Text, new_salt
from relay.kinds.instruction import Sdp, SessionId

MAX_STILL_BYTES: Final = 18_000
"""A still through the relay is one envelope."""


class Outcome(enum.IntEnum):
    """How far an instruction got."""

    DONE = 1
    UNDER_WAY = 2
    """Accepted; what was asked for comes by itself."""
    REFUSED = 3
    """It will not be followed, and ``detail`` says why."""


class Followed(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """What became of an instruction that needs no more of an answer."""

    instruction_id: Sha256
    """The envelope id of the instruction."""
    outcome: Outcome
    detail: Text = ""


class StreamOpened(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """The camera is shown: the WebRTC answer, empty where stills come through the relay."""

    session: SessionId
    answer: Sdp


class StreamRefused(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The camera is not shown."""

    session: SessionId
    reason: Text
    """In words, for the person who asked."""
    is_busy: bool = False
    """As many watch as may: trying again later may help."""


class StreamEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """It was shown, and is not any more."""

    session: SessionId
    reason: Text
    shown_ms: Count
    """From its opening to its end."""
    sent_bytes: Count


class StreamRung(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """The viewer gets another quality now: stills through the relay, where no connection came about or it broke."""

    session: SessionId
    rung: Annotated[str, msgspec.Meta(max_length=20)]
    reason: Text = ""


class Still(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """One still through the relay: masked, and worth nothing when it is old."""

    session: SessionId
    number: Count
    captured_wall_ms: Count
    age_ms: Count
    """From the picture's arrival at the node to this envelope."""
    width_px: Count
    height_px: Count
    jpeg: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_STILL_BYTES)]


Word = Followed | StreamOpened | StreamRefused | StreamEnded | StreamRung | Still


class Answer(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of an answer."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    word: Word
