"""What is sent now, over which link: a pure function of what waits, how the links are, and the time.

It keeps no state and does no I/O. The sender calls it whenever something changed and does what the plan says.

FLASH races on every link that leads there, at once; on a metered one after the time in which nearly every receipt would
have come, if an unmetered one is there. IMMEDIATE goes on the link with the earliest expected answer, and on the next one
after the first's p95. PRIORITY and ROUTINE take the best unmetered link and the next when that has not answered; BULK never
costs money. What a neighbour holds already is offered to it again only much later, in case its disk
burned; what is unanswered is sent again after a few round trips, ever more slowly, and never given up.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NewType

from relay.path import Lane
from relay.path_health import OVERHEAD_BYTES
from relay.precedence import Precedence

LinkId = NewType("LinkId", int)

LEAST_HEDGE_MS: Final = 20.0


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
    is_bulk_metered: bool = False
    """Whether BULK may go on a metered link where there is no other."""


Way = tuple[bytes, str]
"""A neighbour's node id and the path's name: tries are remembered by it, across reconnects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One usable link, as the scheduler sees it."""

    id: LinkId
    peer: bytes
    """Node id of the neighbour: what it holds, it holds whichever path it came by."""
    path: str = ""
    rtt_ms: float
    rtt_variation_ms: float = 0.0
    is_metered: bool = False
    cost_per_mb: float = 0.0
    budget_left_bytes: float = float("inf")
    """What anything but an alert may still send there."""

    @property
    def way(self) -> Way:
        """Under which tries on it are remembered."""
        return self.peer, self.path

    @property
    def p95_ms(self) -> float:
        """When nearly every answer has come (RFC 6298's bound: the mean and four times the variation)."""
        return max(LEAST_HEDGE_MS, self.rtt_ms + 4 * self.rtt_variation_ms)


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
        first_ms = _retry_ms(rtt_ms, policy)
        return self.sent_ms + min(max(policy.most_retry_ms, first_ms), first_ms << min(self.count - 1, 10))


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
    attempts: dict[Way, Attempt] = field(default_factory=dict)
    first_sent_ms: int | None = None

    def attempt_on(self, link: LinkView) -> Attempt | None:
        """What is known of this envelope at the other end of a link: held there, by whatever path; else tried on this one."""
        return self.held_at(link.peer) or self.attempts.get(link.way)

    def held_at(self, peer: bytes) -> Attempt | None:
        """The attempt after which a neighbour said that it holds the envelope."""
        return next((a for (at, _), a in self.attempts.items() if at == peer and a.is_held_there), None)


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
    held = [entry.held_at(link.peer) is not None for link in entry.links]
    return all(held) if entry.precedence == Precedence.FLASH else any(held)


def _choose(entry: Entry, now_ms: int, policy: SendPolicy) -> tuple[list[LinkView], int]:
    """The links to send on now; and if none, when one comes due."""
    if entry.precedence == Precedence.FLASH:
        return _race(entry, now_ms, policy)
    return _one_after_another(entry, now_ms, policy)


def due_ms(entry: Entry, link: LinkView, now_ms: int, policy: SendPolicy) -> int:
    """When an envelope may go on a link, by itself: at once if it was never tried there, after its time if it was.

    A metered link gives the unmetered ones their p95 first, if the envelope is FLASH and there are any.
    """
    known = entry.attempt_on(link)
    if known is not None:
        return known.again_at_ms(link.rtt_ms, policy)
    free = [other.p95_ms for other in entry.links if not other.is_metered]
    if entry.precedence == Precedence.FLASH and link.is_metered and free:
        return (now_ms if entry.first_sent_ms is None else entry.first_sent_ms) + int(min(free))
    return now_ms


def _race(entry: Entry, now_ms: int, policy: SendPolicy) -> tuple[list[LinkView], int]:
    times = [(due_ms(entry, link, now_ms, policy), link) for link in entry.links]
    later = [at_ms for at_ms, _ in times if at_ms > now_ms]
    return [link for at_ms, link in times if at_ms <= now_ms], min(later, default=now_ms + IDLE_LOOK_MS)


def _one_after_another(entry: Entry, now_ms: int, policy: SendPolicy) -> tuple[list[LinkView], int]:
    usable, preference = _usable(entry, policy), _preference(entry.precedence)
    tried = [(link, known) for link in usable if (known := entry.attempt_on(link)) is not None]
    untried = [link for link in usable if entry.attempt_on(link) is None]
    if not usable or not tried:
        return ([min(untried, key=preference)], now_ms) if untried else ([], now_ms + IDLE_LOOK_MS)
    later = [at_ms for link, known in tried if (at_ms := known.again_at_ms(link.rtt_ms, policy)) > now_ms]
    is_held = any(known.is_held_there for _, known in tried)
    if entry.precedence == Precedence.IMMEDIATE and untried and later and not is_held:
        hedge_ms = max(known.sent_ms + int(link.p95_ms) for link, known in tried)
        if hedge_ms <= now_ms:
            return [min(untried, key=preference)], now_ms
        later.append(hedge_ms)
    if later:
        return [], min(later)  # somebody has it and has time left to answer
    # All are overdue: the link tried least often, and of those the best.
    tries = {link.id: known.count for link, known in tried}
    return [min(usable, key=lambda link: (tries.get(link.id, 0), preference(link)))], now_ms


def _usable(entry: Entry, policy: SendPolicy) -> list[LinkView]:
    """Money is spent for alerts, whatever is left of the budget.

    For the rest only within the budget and where there is no other way, and for BULK not even then.
    """
    if entry.precedence.is_alert:
        return list(entry.links)
    free = [link for link in entry.links if not link.is_metered]
    if free or (entry.precedence == Precedence.BULK and not policy.is_bulk_metered):
        return free
    return [link for link in entry.links if link.budget_left_bytes >= entry.size_bytes + OVERHEAD_BYTES]


def _preference(precedence: Precedence) -> Callable[[LinkView], tuple[bool, float, float, int]]:
    """Of the ways that are left, the earliest; what nobody waits for takes the cheapest."""
    weight = 1.0 if precedence == Precedence.ROUTINE else 0.0
    return lambda link: (link.is_metered, weight * link.cost_per_mb, link.rtt_ms, link.id)


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


def _room(entries: Sequence[Entry], now_ms: int, policy: SendPolicy) -> tuple[dict[LinkId, int], dict[LinkId, int]]:
    """What is left of each link's windows after what is in flight.

    What is overdue is not in flight: it was lost or turned away, and a window full of it would stay shut for ever.
    """
    urgent: dict[LinkId, int] = {}
    bulk: dict[LinkId, int] = {}
    for entry in entries:
        for link in entry.links:
            attempt = entry.attempt_on(link)
            if attempt is None or attempt.is_held_there or attempt.again_at_ms(link.rtt_ms, policy) <= now_ms:
                continue
            if lane_of(entry.precedence) == Lane.URGENT:
                urgent[link.id] = urgent.get(link.id, policy.urgent_window) - 1
            else:
                bulk[link.id] = bulk.get(link.id, policy.bulk_window_bytes) - entry.size_bytes
    return urgent, bulk


def note_sent(entry: Entry, way: Way, now_ms: int) -> None:
    """Remember an attempt. A renewed offer to a neighbour that holds it pushes the next one further out."""
    if entry.first_sent_ms is None:
        entry.first_sent_ms = now_ms
    known = entry.held_at(way[0]) or entry.attempts.get(way)
    if known is None:
        entry.attempts[way] = Attempt(sent_ms=now_ms)
    else:
        known.sent_ms, known.count = now_ms, known.count + 1


def note_held(entry: Entry, peer: bytes, now_ms: int) -> None:
    """Remember that a neighbour holds it."""
    known = [attempt for (at, _), attempt in entry.attempts.items() if at == peer]
    for attempt in known:
        attempt.is_held_there = True
    if not known:
        entry.attempts[peer, ""] = Attempt(sent_ms=now_ms, is_held_there=True)


def forget_unanswered(entry: Entry, peer: bytes, path: str | None = None) -> None:
    """What was under way to a neighbour, on one path or on all, may be lost: it is due again."""
    for way, attempt in list(entry.attempts.items()):
        if way[0] == peer and path in {None, way[1]} and not attempt.is_held_there:
            del entry.attempts[way]
