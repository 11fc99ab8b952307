"""A trace: where a station's time with alerts went. Each one tells of itself alone, signed like everything it sends.

One station's intervals are on one clock, its own monotonic one, so they need nobody's wall clock: how long it held an alert, and
how long after sending it over a path the other end said "stored", or the receipt came. Put together by the center they say who
owns the delay. Times are ms of the teller's monotonic clock in the boot that the envelope's header names.
"""

from typing import Annotated, Final

import msgspec

from relay.kinds.body import Name, Salt, new_salt

ALERT_BYTES: Final = 8
"""Of the alert's id: enough to find it by, and proof of nothing."""
MOST_PASSAGES: Final = 48
MOST_LEGS: Final = 16
UNKNOWN: Final = -1

AlertPrefix = Annotated[bytes, msgspec.Meta(min_length=ALERT_BYTES, max_length=ALERT_BYTES)]
NodeIdBytes = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
Moment = Annotated[int, msgspec.Meta(ge=UNKNOWN, lt=1 << 48)]


class Way(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A path, as its dialer calls it."""

    path: Name
    carrier: Name
    """Its kind: zeromq, https, …"""
    provider: Name = ""
    is_metered: bool = False


class Leg(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """An alert went over one path to one neighbor."""

    way: Annotated[int, msgspec.Meta(ge=0, lt=MOST_PASSAGES * MOST_LEGS)]
    """Index into the trace's ways."""
    to: NodeIdBytes
    sent_ms: Moment
    """First handed to the carrier."""
    answered_ms: Moment = UNKNOWN
    """The other end's "stored", or the receipt, was here."""
    tries: Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)] = 1
    is_receipt: bool = False
    """Answered by the command center's signed receipt, by whichever path that came."""


class Passage(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One alert's time at the teller."""

    alert: AlertPrefix
    came_from: Annotated[bytes, msgspec.Meta(max_length=8)] = b""
    """The neighbor that handed it over first; empty: raised here, or before this process started."""
    came_over: Name = ""
    had_ms: Moment = UNKNOWN
    """Durable here."""
    heard_ms: Moment = UNKNOWN
    """The receipt for it was settled here."""
    legs: Annotated[tuple[Leg, ...], msgspec.Meta(max_length=MOST_LEGS)] = ()


class Trace(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a trace."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    ways: Annotated[tuple[Way, ...], msgspec.Meta(max_length=MOST_PASSAGES * MOST_LEGS)]
    passages: Annotated[tuple[Passage, ...], msgspec.Meta(max_length=MOST_PASSAGES)]
