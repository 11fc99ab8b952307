"""What is sent now, over which link: a pure function of what waits, how the links are, and the time.

It keeps no state and does no I/O. The sender calls it whenever something changed and does what the plan says.

FLASH races on every link that leads there, at once; on a metered one after the time in which nearly every receipt would
have come, if an unmetered one is there. IMMEDIATE goes on the link with the earliest expected answer, and on the next one
after the first's p95. PRIORITY takes the unmetered link that brings it there first, or a metered one within its budget where
there is no other; ROUTINE the cheapest. BULK is striped over the unmetered links (``striping``) and never costs money.
What a neighbor holds already is offered to it again only much later, in case its disk
burned; what is unanswered is sent again after a few round trips, ever more slowly, and never given up.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Final

from relay.attempts import STUBBORN_AFTER, Entry, LinkId, LinkView, SendPolicy, retry_ms
from relay.path_health import OVERHEAD_BYTES
from relay.precedence import Precedence
from relay.set_aside import Rank, SetAside
from relay.striping import Rooms

IDLE_LOOK_MS: Final = 5_000
NOBODY: Final[Mapping[Rank, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send now, in this order, and when to look again."""

    sends: tuple[tuple[int, LinkId], ...]
    next_look_ms: int
    flooded: frozenset[LinkId]
    """Links on which some node has more than a few alerts without an answer."""
    waits_for_room: bool
    """Something is not an alert, leads nowhere yet, or found no room. Else nothing changes by a receipt: until the next look nothing is to be
    decided about what is left, but for whom ``held_back`` names."""
    held_back: Mapping[bytes, int]
    """Nodes of which no further alert goes on any link: they flood, and are held to what travels (``flood_window``). What comes through makes
    room for them; receipts do only where so many leave the node with a few."""
    parked: tuple[tuple[int, int], ...]
    """(number, until): enough neighbors hold it, so nothing is to be done before that time (ms)."""
    resting: Mapping[int, float]
    """What is under way, and until when nothing is to be decided about it: it may be set aside (``set_aside``)."""


def plan(
    entries: Iterable[Entry], now_ms: int, policy: SendPolicy, set_aside: SetAside | None = None, *, has_more_bulk: bool = False
) -> Plan:  # fmt: skip
    """Decide. ``entries`` come oldest first; the most urgent are sent first, and of those the ones least often tried.

    ``set_aside``: what an earlier plan found resting and nothing has happened to since, which is not among the entries; ``has_more_bulk``:
    nor is all that was never sent of a clip.

    Among those that are alike in both, the nodes take turns: one that floods waits behind its own flood. What goes ahead of its node's
    own has that node's first turn, and no other's.
    """
    sends: list[tuple[int, LinkId]] = []
    parked: list[tuple[int, int]] = []
    set_aside = set_aside or SetAside()
    next_look_ms = min(float(now_ms + IDLE_LOOK_MS), set_aside.next_due_ms or math.inf)
    ordered = in_turn(entries, set_aside.ranks)
    rooms = Rooms(ordered, now_ms, policy, set_aside)
    held_back: dict[bytes, int] = {}
    resting = dict(rooms.resting)
    has_fresh_bulk, waits_for_room = has_more_bulk, False
    for entry in ordered:
        if (resting_until_ms := rooms.resting.get(entry.number)) is not None:
            next_look_ms = min(next_look_ms, resting_until_ms)
            continue
        if not entry.attempts and rooms.is_shut_to(entry):
            continue  # thousands of a flood wait behind those that found no room
        chosen, again_at_ms = _choose(entry, rooms, now_ms, policy)
        sent = [link for link in chosen if rooms.take(entry, link)]
        waits_for_room |= not entry.links or not entry.precedence.is_alert
        if len(sent) < len(chosen):
            if entry.attempts or sent or not rooms.is_shut_to(entry):
                waits_for_room = True
            else:
                held_back[entry.origin] = rooms.beyond_few(entry)
        for link in sent:
            sends.append((entry.number, link.id))
            next_look_ms = min(next_look_ms, now_ms + retry_ms(link.rtt_ms, policy, entry.precedence))
        has_fresh_bulk |= entry.precedence == Precedence.BULK and not sent and not entry.attempts
        if entry.links and not chosen and entry.is_held_enough:
            parked.append((entry.number, again_at_ms or now_ms + IDLE_LOOK_MS))
        elif entry.links and not chosen and again_at_ms is not None:
            next_look_ms = min(next_look_ms, again_at_ms)
            if entry.precedence != Precedence.BULK:
                resting[entry.number] = again_at_ms
    if not has_fresh_bulk:
        goes = {number for number, _ in sends}
        late = rooms.tail(entry for entry in ordered if entry.number not in goes)
        sends += [(entry.number, link.id) for entry, link in late if rooms.take(entry, link)]
    next_look_ms = min(next_look_ms, rooms.opens_at_ms())
    return Plan(
        sends=tuple(sends),
        next_look_ms=max(int(next_look_ms), now_ms + 1),
        flooded=rooms.flooded(),
        waits_for_room=waits_for_room or rooms.lacks_room,
        held_back=held_back,
        parked=tuple(parked),
        resting=resting,
    )


def in_turn(entries: Iterable[Entry], under_way: Mapping[Rank, int] = NOBODY) -> list[Entry]:
    """The order in which envelopes get what room there is; ``under_way``: how many of each node had their turn and are set aside.

    Stubborn ones come last and take turns, whatever their precedence: a window's worth that a neighbor never takes (a
    revoked node's, say) must not starve the others.
    """
    ranks: dict[tuple[Precedence, bytes], int] = {}
    keyed: list[tuple[tuple[bool, int, int, int, int], Entry]] = []
    for entry in sorted(entries, key=attrgetter("ahead"), reverse=True):
        key = (entry.precedence, entry.origin)
        rank = ranks[key] = ranks.get(key, 0) + 1
        if not entry.ahead:
            rank += under_way.get(key, 0)
        tries = entry.unanswered_count if entry.attempts else 0
        if tries >= STUBBORN_AFTER:
            keyed.append(((True, tries, entry.precedence, rank, entry.number), entry))
        else:
            keyed.append(((False, entry.precedence, 0 if entry.ahead else tries, rank, entry.number), entry))
    return [entry for _, entry in sorted(keyed, key=itemgetter(0))]


def due_ms(entry: Entry, link: LinkView, now_ms: int, policy: SendPolicy) -> int:
    """When an envelope may go on a link, by itself: at once if it was never tried there, after its time if it was.

    A metered link gives the unmetered ones their p95 first, if the envelope is FLASH and there are any.
    """
    known = entry.attempt_on(link)
    if known is not None:
        return known.again_at_ms(link.rtt_ms, policy, entry.precedence)
    if entry.precedence == Precedence.FLASH and link.is_metered:
        free = [other.p95_ms for other in entry.links if not other.is_metered]
        if free:
            return (now_ms if entry.first_sent_ms is None else entry.first_sent_ms) + int(min(free))
    return now_ms


def _choose(entry: Entry, rooms: Rooms, now_ms: int, policy: SendPolicy) -> tuple[list[LinkView], int | None]:
    """The links to send on now; and if none, when one comes due. None: it waits for no time, but for room or for a link."""
    if entry.precedence == Precedence.FLASH:
        return _race(entry, now_ms, policy)
    return _one_after_another(entry, rooms, now_ms, policy)


def _race(entry: Entry, now_ms: int, policy: SendPolicy) -> tuple[list[LinkView], int | None]:
    times = [(due_ms(entry, link, now_ms, policy), link) for link in entry.links]
    later = [at_ms for at_ms, _ in times if at_ms > now_ms]
    return [link for at_ms, link in times if at_ms <= now_ms], min(later, default=None)


def _one_after_another(
    entry: Entry, rooms: Rooms, now_ms: int, policy: SendPolicy
) -> tuple[list[LinkView], int | None]:
    usable = _usable(entry, policy)
    tried = (
        [(link, known) for link in usable if (known := entry.attempt_on(link)) is not None] if entry.attempts else []
    )
    if not tried:
        return _first_way(entry, usable, rooms), None
    preference = _preference(entry.precedence)
    untried = [link for link in usable if entry.attempt_on(link) is None]
    later = [at_ms for link, known in tried
             if (at_ms := known.again_at_ms(link.rtt_ms, policy, entry.precedence)) > now_ms]  # fmt: skip
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


def _first_way(entry: Entry, usable: list[LinkView], rooms: Rooms) -> list[LinkView]:
    """Where what was never tried goes: bulk and pictures where they arrive first, the rest on the preferred link."""
    if not usable:
        return []
    if entry.precedence in {Precedence.PRIORITY, Precedence.BULK}:
        link = rooms.earliest(entry, usable)
        return [] if link is None else [link]
    return [min(usable, key=_preference(entry.precedence))]


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


def _preference(precedence: Precedence) -> Callable[[LinkView], tuple[bool, bool, float, float, int]]:
    """Of the ways that are left, the earliest that answers; what nobody waits for takes the cheapest."""
    weight = 1.0 if precedence == Precedence.ROUTINE else 0.0
    return lambda link: (link.is_metered, link.is_suspect, weight * link.cost_per_mb, link.rtt_ms, link.id)
