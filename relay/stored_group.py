"""What one transaction of arrivals did, for the steps after its commit."""

from dataclasses import dataclass, field

from relay.arrival import Arrival
from relay.attempts import LinkId
from relay.envelope import Envelope
from relay.errors import DiskFull, OperatorError
from relay.header import Kind
from relay.ids import EnvelopeId, NodeId
from relay.ledger import StreamState
from relay.links import Link
from relay.spool import Spooled


@dataclass(slots=True)
class News:
    """What one transaction heard of one series."""

    came_by: set[LinkId] = field(default_factory=set)
    numbers: list[int] = field(default_factory=list)
    is_urgent: bool = False


@dataclass(slots=True)
class Outcome:
    """What one transaction did, for the steps after it."""

    arrivals: list[Arrival] = field(default_factory=list)
    streams: list[tuple[StreamState, News]] = field(default_factory=list)
    held: list[tuple[Link, EnvelopeId]] = field(default_factory=list)
    heard: list[tuple[Link, bytes]] = field(default_factory=list)
    carried: list[tuple[Spooled, NodeId]] = field(default_factory=list)
    forks: list[Envelope] = field(default_factory=list)
    full: list[tuple[Link, Envelope, OperatorError]] = field(default_factory=list)


def without_what_can_wait(
    ours: list[tuple[Arrival, Link | None]], outcome: Outcome
) -> list[tuple[Arrival, Link | None]]:
    """On a full disk what room is left is for alerts, and for the word on how nodes are; the rest stays with its sender."""
    kept: list[tuple[Arrival, Link | None]] = []
    for arrival, link in ours:
        header = arrival.envelope.header
        if link is None or header.precedence.is_alert or header.kind in {Kind.HEARTBEAT, Kind.PULSE}:
            kept.append((arrival, link))
        else:
            outcome.full.append((link, arrival.envelope, DiskFull("the disk is full: it takes alerts only")))
    return kept
