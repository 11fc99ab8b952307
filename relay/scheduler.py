"""What is sent now, over which link: a pure function of what waits, how the links are, and the time.

It keeps no state and does no I/O. The sender calls it whenever something changed and does what the plan says.

FLASH goes on every link that leads there, at once. Everything else goes on the best link, and on the next best when that
one has not answered in time. What a neighbour holds already is offered to it again only much later, in case its disk
burned; what is unanswered is sent again after a few round trips, ever more slowly, and never given up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NewType

from relay.path import Lane
from relay.precedence import Precedence

LinkId = NewType("LinkId", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPolicy:
    """Deadlines and windows."""

    least_retry_ms: int = 1_000
    most_retry_ms: int = 30_000
    rtt_factor: float = 4.0
    first_recheck_ms: int = 60_000
    most_recheck_ms: int = 3_600_000
    bulk_window_bytes: int = 64 * 1024
    """In flight on one link's bulk lane."""
    urgent_window: int = 512
    """Envelopes in flight on one link's urgent lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One usable link, as the scheduler sees it."""

    id: LinkId
    peer: bytes
    """Node id of the neighbour: what it holds is remembered under this, across reconnects."""
    rtt_ms: float
    is_metered: bool = False


@dataclass(slots=True)
class Attempt:
    """What happened with one envelope at one neighbour."""

    sent_ms: int
    count: int = 1
    is_held_there: bool = False

    def again_at_ms(self, rtt_ms: float, policy: SendPolicy) -> int:
        """When it may be sent there again."""
        if self.is_held_there:
            return self.sent_ms + min(policy.most_recheck_ms, policy.first_recheck_ms << min(self.count - 1, 10))
        return self.sent_ms + min(policy.most_retry_ms, _retry_ms(rtt_ms, policy) << min(self.count - 1, 10))


def _retry_ms(rtt_ms: float, policy: SendPolicy) -> int:
    """How long the first try may go unanswered."""
    return max(policy.least_retry_ms, int(rtt_ms * policy.rtt_factor))


@dataclass(slots=True, kw_only=True)
class Entry:
    """An envelope that waits for its receipt, and its attempts by neighbour."""

    number: int
    precedence: Precedence
    size_bytes: int
    links: Sequence[LinkView] = ()
    """The links that lead to its destination now."""
    attempts: dict[bytes, Attempt] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send now, in this order, and when to look again."""

    sends: tuple[tuple[int, LinkId], ...]
    next_look_ms: int
    parked: tuple[tuple[int, int], ...]
    """(number, until): enough neighbours hold it, so nothing is to be done before that time (ms)."""


IDLE_LOOK_MS: Final = 5_000

STUBBORN_AFTER: Final = 6
"""Unanswered tries, over about two minutes on a link that is up: a lossy link answers one of them."""


def lane_of(precedence: Precedence) -> Lane:
    """FLASH and IMMEDIATE never stand behind anything larger."""
    return Lane.URGENT if precedence.is_alert else Lane.BULK


def plan(entries: Iterable[Entry], now_ms: int, policy: SendPolicy) -> Plan:
    """Decide. ``entries`` come oldest first; the most urgent are sent first, and of those the ones least often tried."""
    sends: list[tuple[int, LinkId]] = []
    parked: list[tuple[int, int]] = []
    next_look_ms = now_ms + IDLE_LOOK_MS
    urgent_room, bulk_room = _room(entries := sorted(entries, key=_turn), now_ms, policy)
    for entry in entries:
        chosen, again_at_ms = _choose(entry, now_ms, policy)
        for link in chosen:
            if lane_of(entry.precedence) == Lane.URGENT:
                if urgent_room.get(link.id, policy.urgent_window) <= 0:
                    continue
                urgent_room[link.id] = urgent_room.get(link.id, policy.urgent_window) - 1
            else:
                room = bulk_room.get(link.id, policy.bulk_window_bytes)
                if room <= 0:
                    continue
                bulk_room[link.id] = room - entry.size_bytes
            sends.append((entry.number, link.id))
            next_look_ms = min(next_look_ms, now_ms + _retry_ms(link.rtt_ms, policy))
        if entry.links and not chosen and _is_held_enough(entry):
            parked.append((entry.number, again_at_ms))
        elif entry.links and not chosen:
            next_look_ms = min(next_look_ms, again_at_ms)
    return Plan(sends=tuple(sends), next_look_ms=max(next_look_ms, now_ms + 1), parked=tuple(parked))


def _is_held_enough(entry: Entry) -> bool:
    """FLASH wants every neighbour to hold it; for the rest one is enough until the recheck."""
    held = [(attempt := entry.attempts.get(link.peer)) is not None and attempt.is_held_there for link in entry.links]
    return all(held) if entry.precedence == Precedence.FLASH else any(held)


def _choose(entry: Entry, now_ms: int, policy: SendPolicy) -> tuple[list[LinkView], int]:
    """The links to send on now; and if none, when one comes due."""
    due: list[LinkView] = []
    soonest_ms = now_ms + IDLE_LOOK_MS
    for link in entry.links:
        attempt = entry.attempts.get(link.peer)
        again_at_ms = now_ms if attempt is None else attempt.again_at_ms(link.rtt_ms, policy)
        if again_at_ms <= now_ms:
            due.append(link)
        else:
            soonest_ms = min(soonest_ms, again_at_ms)
            if entry.precedence != Precedence.FLASH:
                return [], soonest_ms  # somebody has it and has time left to answer
    if entry.precedence == Precedence.FLASH or not due:
        return due, soonest_ms
    # The link tried least often, and of those the best: an overdue one gives way to the next.
    best = min(due, key=lambda link: (_tries(entry, link), link.is_metered, link.rtt_ms, link.id))
    return [best], now_ms


def is_stubborn(entry: Entry) -> bool:
    """Whether it was offered again and again without an answer."""
    return _unanswered(entry) >= STUBBORN_AFTER


def _turn(entry: Entry) -> tuple[bool, int, int]:
    """In which order envelopes get what room there is.

    Stubborn ones come last and take turns, whatever their precedence: a window's worth that a neighbour never takes (a
    revoked node's, say) must not starve the others.
    """
    tries = _unanswered(entry)
    return (True, tries, entry.precedence) if is_stubborn(entry) else (False, entry.precedence, tries)


def _unanswered(entry: Entry) -> int:
    return max((attempt.count for attempt in entry.attempts.values() if not attempt.is_held_there), default=0)


def _tries(entry: Entry, link: LinkView) -> int:
    attempt = entry.attempts.get(link.peer)
    return attempt.count if attempt else 0


def _room(entries: Sequence[Entry], now_ms: int, policy: SendPolicy) -> tuple[dict[LinkId, int], dict[LinkId, int]]:
    """What is left of each link's windows after what is in flight.

    What is overdue is not in flight: it was lost or turned away, and a window full of it would stay shut for ever.
    """
    urgent: dict[LinkId, int] = {}
    bulk: dict[LinkId, int] = {}
    for entry in entries:
        for link in entry.links:
            attempt = entry.attempts.get(link.peer)
            if attempt is None or attempt.is_held_there or attempt.again_at_ms(link.rtt_ms, policy) <= now_ms:
                continue
            if lane_of(entry.precedence) == Lane.URGENT:
                urgent[link.id] = urgent.get(link.id, policy.urgent_window) - 1
            else:
                bulk[link.id] = bulk.get(link.id, policy.bulk_window_bytes) - entry.size_bytes
    return urgent, bulk


def note_sent(entry: Entry, peer: bytes, now_ms: int) -> None:
    """Remember an attempt. A renewed offer to a neighbour that held it counts as unanswered until it says so again."""
    known = entry.attempts.get(peer)
    if known is None:
        entry.attempts[peer] = Attempt(sent_ms=now_ms)
    else:
        known.sent_ms, known.count = now_ms, known.count + 1
