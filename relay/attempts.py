"""What is known of an envelope that waits for its receipt, of the links that lead there, and of what was tried on them.

Values and small state without I/O: ``scheduler`` and ``striping`` decide by them, ``sender`` keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NewType

from relay.bulk_pace import QUEUE_MS, BulkRoom
from relay.path import Lane
from relay.precedence import Precedence

LinkId = NewType("LinkId", int)

LEAST_HEDGE_MS: Final = 20.0
STUBBORN_AFTER: Final = 6
"""Unanswered tries, over about two minutes on a link that is up: a lossy link answers one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPolicy:
    """Deadlines and windows."""

    least_retry_ms: int = 1_000
    least_bulk_retry_ms: int = 5_000
    """A chunk's answer waits for the neighbor's commit, and sending it again costs what ten alerts cost."""
    most_retry_ms: int = 30_000
    rtt_factor: float = 4.0
    first_recheck_ms: int = 60_000
    most_recheck_ms: int = 3_600_000
    bulk_window_bytes: int = 512 * 1024
    """Without an answer on one link's bulk lane, beyond what travels there as ``bulk_pace`` has measured it: what a neighbor with a slow disk
    has to hold."""
    most_bulk_window_bytes: int = 3 * 1024 * 1024
    """With what travels: 28 Mbit/s at 600 ms there and back, and no more than the sender has in memory anyway."""
    urgent_window: int = 512
    """Envelopes in flight on one link's urgent lane."""
    is_bulk_metered: bool = False
    """Whether BULK may go on a metered link where there is no other."""
    bulk_stops_ms: int = int(QUEUE_MS)
    """While an alert is under way BULK stops, but for no longer than this: what stood before the alert has left by then, and what goes after it
    stands behind it, however long its answer takes."""
    bulk_at_least_every_ms: int = 1_000
    """One chunk goes in this time all the same: alerts that follow one another sooner must not starve it for ever."""

    def stop_ms(self, link: "LinkView") -> int:
        """How long an alert that is sent on a link stops BULK there, if it is not answered before."""
        return min(self.bulk_stops_ms, int(link.p95_ms))

    def unanswered_bulk_bytes(self, room: BulkRoom) -> float:
        """How much may be without an answer on one link's bulk lane, stored there or not."""
        most = max(self.bulk_window_bytes, self.most_bulk_window_bytes)
        return min(float(most), self.bulk_window_bytes + room.travels_bytes)


Way = tuple[bytes, str]
"""A neighbor's node id and the path's name: tries are remembered by it, across reconnects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One usable link, as the scheduler sees it."""

    id: LinkId
    peer: bytes
    """Node id of the neighbor: what it holds, it holds whichever path it came by."""
    path: str = ""
    rtt_ms: float
    rtt_variation_ms: float = 0.0
    is_metered: bool = False
    is_suspect: bool = False
    """It was asked and says nothing (``silence``): where one way is chosen, another one is."""
    cost_per_mb: float = 0.0
    budget_left_bytes: float = float("inf")
    """What anything but an alert may still send there."""
    bulk: BulkRoom = field(default_factory=BulkRoom)
    flood_left_bytes: float = float("inf")
    """What more of alerts it takes now from nodes that have more than a few without an answer."""

    way: Way = field(init=False)
    """Under which tries on it are remembered."""
    p95_ms: float = field(init=False)
    """When nearly every answer has come (RFC 6298's bound: the mean and four times the variation)."""

    def __post_init__(self) -> None:
        """Once: each plan asks for them as often as there are envelopes."""
        object.__setattr__(self, "way", (self.peer, self.path))
        object.__setattr__(self, "p95_ms", max(LEAST_HEDGE_MS, self.rtt_ms + 4 * self.rtt_variation_ms))


@dataclass(slots=True)
class Attempt:
    """What happened with one envelope at one neighbor."""

    sent_ms: int
    count: int = 1
    is_held_there: bool = False
    link: LinkId | None = None
    """By which session it went last; the path may have another one by now."""

    def again_at_ms(self, rtt_ms: float, policy: SendPolicy, precedence: Precedence = Precedence.FLASH) -> int:
        """When it may be sent there again."""
        if self.is_held_there:
            return self.sent_ms + min(policy.most_recheck_ms, policy.first_recheck_ms << min(self.count - 1, 10))
        first_ms = retry_ms(rtt_ms, policy, precedence)
        return self.sent_ms + min(max(policy.most_retry_ms, first_ms), first_ms << min(self.count - 1, 10))


def retry_ms(rtt_ms: float, policy: SendPolicy, precedence: Precedence) -> int:
    """How long the first try may go unanswered."""
    least = policy.least_bulk_retry_ms if precedence == Precedence.BULK else policy.least_retry_ms
    return max(least, int(rtt_ms * policy.rtt_factor))


@dataclass(slots=True, kw_only=True)
class Entry:
    """An envelope that waits for its receipt, and its attempts by neighbor."""

    number: int
    precedence: Precedence
    size_bytes: int
    origin: bytes = b""
    """Whose it is: among equals the nodes take turns."""
    links: Sequence[LinkView] = ()
    """The links that lead to its destination now."""
    attempts: dict[Way, Attempt] = field(default_factory=dict)
    first_sent_ms: int | None = None
    ahead: int = 0
    """It goes before what waits of its node (``newest_first``): the higher, the earlier. 0: in its place."""

    def attempt_on(self, link: LinkView) -> Attempt | None:
        """What is known of this envelope at the other end of a link: held there, by whatever path; else tried on this one."""
        tried = self.attempts.get(link.way)
        if tried is not None and len(self.attempts) == 1:
            return tried  # nothing else is known of it
        return self.held_at(link.peer) or tried

    def held_at(self, peer: bytes) -> Attempt | None:
        """The attempt after which a neighbor said that it holds the envelope."""
        for (at, _), attempt in self.attempts.items():
            if attempt.is_held_there and at == peer:
                return attempt
        return None

    @property
    def unanswered_count(self) -> int:
        """How often it was offered in vain where it was offered most."""
        most = 0
        for attempt in (
            self.attempts.values()
        ):  # max() of a generator takes three times as long, and each plan asks for every envelope
            if attempt.count > most and not attempt.is_held_there:
                most = attempt.count
        return most

    @property
    def is_stubborn(self) -> bool:
        """Whether it was offered again and again without an answer."""
        return self.unanswered_count >= STUBBORN_AFTER

    @property
    def is_held_enough(self) -> bool:
        """FLASH wants every neighbor to hold it; for the rest one is enough until the recheck."""
        if not self.attempts:
            return False
        held = [self.held_at(link.peer) is not None for link in self.links]
        return all(held) if self.precedence == Precedence.FLASH else any(held)

    def note_sent(self, way: Way, now_ms: int, link: LinkId | None = None) -> None:
        """Remember an attempt. A renewed offer to a neighbor that holds it pushes the next one further out."""
        if self.first_sent_ms is None:
            self.first_sent_ms = now_ms
        known = self.held_at(way[0]) or self.attempts.get(way)
        if known is None:
            self.attempts[way] = Attempt(sent_ms=now_ms, link=link)
        else:
            known.sent_ms, known.count, known.link = now_ms, known.count + 1, link

    def note_held(self, peer: bytes, now_ms: int) -> None:
        """Remember that a neighbor holds it."""
        known = [attempt for (at, _), attempt in self.attempts.items() if at == peer]
        for attempt in known:
            attempt.is_held_there = True
        if not known:
            self.attempts[peer, ""] = Attempt(sent_ms=now_ms, is_held_there=True)

    def forget_sent_by(self, link: LinkId) -> None:
        """A session is over: what went by it without an answer may be lost, and is due again."""
        for way, attempt in list(self.attempts.items()):
            if attempt.link == link and not attempt.is_held_there:
                del self.attempts[way]

    def forget_unanswered(self, peer: bytes, path: str | None = None) -> None:
        """What was under way to a neighbor, on one path or on all, may be lost: it is due again."""
        for way, attempt in list(self.attempts.items()):
            if way[0] == peer and path in {None, way[1]} and not attempt.is_held_there:
                del self.attempts[way]


def lane_of(precedence: Precedence) -> Lane:
    """FLASH and IMMEDIATE never stand behind anything larger."""
    return Lane.URGENT if precedence.is_alert else Lane.BULK
