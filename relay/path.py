"""What every way to the command center must offer: one Protocol, one file per carrier in ``relay/paths/``.

A path makes *sessions* with neighbors and moves *parcels* (an envelope, a receipt or a hop note, as opaque bytes) over
them in both directions. It promises nothing about delivery: ``send`` returning True means "handed to the carrier", never
"arrived". What it must do is tell the truth about being up, keep its own queues short, and never block.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from relay.ids import NodeId
from relay.marking import STANDARD, Marking


class Lane(enum.IntEnum):
    """Urgent parcels never queue behind bulk ones: each lane has its own connection."""

    URGENT = 0
    BULK = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """What is known about a path before anything is sent on it."""

    name: str
    mtu_bytes: int
    """Largest parcel."""
    kind: str = ""
    """Its carrier: zeromq, https, …"""
    is_metered: bool = False
    cost_per_mb: float = 0.0
    provider: str = ""
    jurisdiction: str = ""
    marking: Marking = STANDARD
    interface: str = ""
    """The network interface that it is pinned to; empty: whatever the routing table says."""
    is_tiny: bool = False
    """A parcel costs seconds or cents: no hello and no pings, and only alerts, what answers them, and a rare pulse."""
    is_detour: bool = False
    """Leads through a machine that is no better placed than we are: for alerts that the straight ways leave unanswered, and for
    everything where there is no straight way."""
    expected_rtt_ms: float = 0.0
    """Until one is measured; 0: unknown."""
    heartbeat_every_s: int = 0
    """Of one node, on a tiny path: how often it takes a pulse."""


class Session(Protocol):
    """One connection to one neighbor."""

    @property
    def facts(self) -> PathFacts:
        """Of the path that carries it."""

    @property
    def is_outgoing(self) -> bool:
        """Whether we made it: we said hello first."""

    @property
    def transport_key(self) -> bytes:
        """32 bytes that the other end has proved to hold the secret of; empty if the carrier can't prove any."""

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Hand a parcel to the carrier, without waiting. False: it takes none now, try again shortly."""

    def drop(self, reason: str) -> None:
        """End the session; an outgoing path makes a new one after its back-off."""


@runtime_checkable
class KnownSession(Protocol):
    """A session, on a tiny path, whose other end is configured and proves itself with every parcel: it needs no hello."""

    @property
    def peer_id(self) -> NodeId:
        """The neighbor at the other end."""

    on_room: Callable[[], object]
    """To be called when what it did not take may find room: its queue is short."""

    def withdraw(self, parcel: bytes) -> None:
        """It has its answer by another way: don't send it any more, if it still waits."""


@runtime_checkable
class PacedSession(Protocol):
    """A session whose carrier can spread bulk evenly over time."""

    def pace(self, bytes_s: int) -> None:
        """From now on what goes on the bulk lane leaves at this rate at most; 0: at once."""


class PathEvents(Protocol):
    """Whom a path tells what happens; all calls come on the event loop."""

    def session_opened(self, session: Session) -> None:
        """A neighbor can be spoken to."""

    def session_received(self, session: Session, parcel: bytes) -> None:
        """A parcel came. It has at most ``limits.MAX_PARCEL_BYTES``; nothing else about it is known."""

    def session_closed(self, session: Session, reason: str) -> None:
        """The neighbor can't be spoken to any more."""


class Path(Protocol):
    """A carrier."""

    @property
    def facts(self) -> PathFacts:
        """What is known about it."""

    async def run(self, events: PathEvents) -> None:
        """Make sessions and keep making them until cancelled; never gives up.

        Raises:
            EndpointInUse, ConfigError: what only a person can mend, before anything was started.
        """
