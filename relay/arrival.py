"""An envelope for this machine, and how it came: what ``receiver`` hands to an inbox."""

import msgspec

from relay.envelope import Envelope
from relay.ids import NodeId
from relay.passport import Passport


class Ahead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It was durable, and receipted, before the journal had it."""

    wall_ms: int
    """When it was durable, this machine's clocks."""
    monotonic_ms: int
    to_receipt_ms: float
    """From then until its receipt was handed over."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verified envelope, and how it came."""

    envelope: Envelope
    passport: Passport
    via: NodeId
    """The neighbor that handed it over."""
    path: str
    received_wall_ms: int
    received_monotonic_ms: int
    is_fork: bool = False
    """Its number was used before with another content."""
    ahead: Ahead | None = None
