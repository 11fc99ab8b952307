"""How much each link still takes within one plan, and which link brings a piece of bulk there first.

A clip's chunks are spread over the unmetered links by earliest completion: each goes where it will have arrived first, with
what is ahead of it there. A link that would bring it sooner after a wait is waited for, so a slow link takes a chunk
only if that will be there before the fast one has worked its way to it. So the links end together, and carry together what
each carries alone. Nothing is sent twice but the tail: with nothing new to send, an idle link repeats what a slow or silent
one has in flight.

Also here: the turns that nodes take in a full window, and BULK's stop while an alert is under way. Pure; ``scheduler`` makes a
``Rooms`` for each plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.attempts import Attempt, Entry, LinkId, LinkView, SendPolicy, retry_ms
from relay.bulk_pace import PARCEL_BYTES
from relay.path_health import OVERHEAD_BYTES
from relay.precedence import Precedence
from relay.set_aside import SetAside

FEW: Final = 16
"""Who has no more than so many alerts without an answer may use the last quarter of a link's window, and all of what it carries; a
flood may not."""


SILENT_MS: Final = 1_000
"""Beyond the time that the way takes: a neighbor that commits to a poor disk may need so long for its answer."""


@dataclass(slots=True)
class _Room:
    """One link's, while a plan is made."""

    link: LinkView
    urgent: int
    unanswered_bulk: float
    allowance: float
    in_flight: float
    budget: float
    flood_left: float
    ahead: float
    """Bytes of bulk that are sent before whatever is placed next, those included that wait for this link."""
    stop_ms: int
    """How long an alert stops BULK."""
    held_until_ms: int = 0
    """An alert is under way: BULK waits until then."""
    alert_retry_ms: int = 0
    """How long an alert's first try may go unanswered."""
    alerts_of: dict[bytes, int] = field(default_factory=dict)
    """Without an answer, sent or not, by origin."""
    has_trickled: bool = False
    is_wanted: bool = False
    """Something waits for it to open."""

    @property
    def is_open(self) -> bool:
        return self.unanswered_bulk > 0 and self.allowance > 0 and self.in_flight <= self.link.bulk.window_bytes

    def takes_bulk(self, size_bytes: int) -> None:
        self.unanswered_bulk -= size_bytes
        self.allowance -= size_bytes
        self.in_flight += size_bytes

    @property
    def rate_bytes_ms(self) -> float:
        """Of a link that was not measured yet: one chunk a round trip."""
        return (self.link.bulk.rate_bytes_s or PARCEL_BYTES / max(1.0, self.link.rtt_ms) * 1000) / 1000

    def completion_ms(self, size_bytes: int) -> float:
        return (self.ahead + size_bytes) / self.rate_bytes_ms + self.link.rtt_ms / 2


class Rooms:
    """What is left of each link's windows after what is in flight.

    What is overdue is not in flight: it was lost or turned away, and a window full of it would stay shut for ever.
    """

    def __init__(
        self, entries: Sequence[Entry], now_ms: int, policy: SendPolicy, set_aside: SetAside | None = None
    ) -> None:
        self._now_ms = now_ms
        self._policy = policy
        self._set_aside = set_aside or SetAside()
        self._rooms: dict[LinkId, _Room] = {}
        self.resting: dict[int, float] = {}
        """Alerts that are in flight on every link, by number, and when the first of these tries is due again: until then nothing
        is to be decided about them. In a flow they are most of what a plan looks at."""
        self._shut: set[tuple[LinkId, bytes]] = set()
        """Links that took no further alert of an origin: within one plan they take none later."""
        self.lacks_room = False
        """Something found no room that a receipt may make: for a shut flood window it does not."""
        for entry in (
            entries
        ):  # each plan looks through what is in flight, hundreds in a flow: what is common is done in few steps
            is_alert = entry.precedence.is_alert
            resting_until_ms: float | None = float("inf") if is_alert and entry.attempts and entry.links else None
            for link in entry.links:
                room = self._rooms.get(link.id) or self._opened(link)
                attempt = entry.attempt_on(link) if entry.attempts else None
                again_ms = None
                if attempt is None or not attempt.is_held_there:
                    if is_alert:
                        room.alerts_of[entry.origin] = room.alerts_of.get(entry.origin, 0) + 1
                    if attempt is not None:
                        again_ms = self._note_in_flight(entry, room, attempt, is_alert=is_alert)
                if again_ms is None:
                    resting_until_ms = None
                elif resting_until_ms is not None and again_ms < resting_until_ms:
                    resting_until_ms = again_ms
            if resting_until_ms is not None:
                self.resting[entry.number] = resting_until_ms

    def _opened(self, link: LinkView) -> _Room:
        room = self._rooms[link.id] = _Room(
            link=link, urgent=self._policy.urgent_window, unanswered_bulk=self._policy.unanswered_bulk_bytes(link.bulk),
            allowance=link.bulk.allowance_bytes, in_flight=link.bulk.in_flight_bytes, budget=link.budget_left_bytes,
            flood_left=link.flood_left_bytes, ahead=link.bulk.in_flight_bytes,
            stop_ms=self._policy.stop_ms(link), alert_retry_ms=retry_ms(link.rtt_ms, self._policy, Precedence.FLASH),
        )  # fmt: skip
        if (under_way := self._set_aside.on_link.get(link.id)) is not None:
            room.urgent -= under_way.alerts
            room.unanswered_bulk -= under_way.other_bytes
            room.alerts_of.update(under_way.alerts_of)
            if (last_ms := under_way.last_first_try_ms) is not None:
                room.held_until_ms = last_ms + room.stop_ms
        return room

    def _note_in_flight(self, entry: Entry, room: _Room, attempt: Attempt, *, is_alert: bool) -> int | None:
        """Count it. When it is due again on this link; None if it is overdue, so not in flight."""
        if is_alert and attempt.count == 1:
            again_ms = attempt.sent_ms + room.alert_retry_ms
        else:
            again_ms = attempt.again_at_ms(room.link.rtt_ms, self._policy, entry.precedence)
        if again_ms <= self._now_ms:
            return None
        if not is_alert:
            room.unanswered_bulk -= entry.size_bytes
            return again_ms
        room.urgent -= 1
        if attempt.count == 1 and (held_until_ms := attempt.sent_ms + room.stop_ms) > room.held_until_ms:
            room.held_until_ms = held_until_ms
        return again_ms

    # ------------------------------------------------------------------ taking

    def take(self, entry: Entry, link: LinkView) -> bool:
        """Reserve what sending an envelope on a link needs; False if there is no room for it now."""
        room = self._rooms[link.id]
        if entry.precedence.is_alert:
            return self._take_urgent(entry, room)
        if not room.is_open or (entry.precedence == Precedence.BULK and self._is_stopped(room)):
            room.is_wanted = self.lacks_room = True
            return False
        if link.is_metered:
            if room.budget < entry.size_bytes + OVERHEAD_BYTES:
                self.lacks_room = True
                return False
            room.budget -= entry.size_bytes + OVERHEAD_BYTES
        room.takes_bulk(entry.size_bytes)
        room.has_trickled = True
        return True

    def _take_urgent(self, entry: Entry, room: _Room) -> bool:
        room.held_until_ms = max(room.held_until_ms, self._now_ms + room.stop_ms)
        beyond_few = room.alerts_of.get(entry.origin, 0) - FEW
        if room.urgent <= (self._policy.urgent_window // 4 if beyond_few > 0 else 0):
            self._shut.add((room.link.id, entry.origin))
            self.lacks_room = True
            return False
        if beyond_few > 0 and room.flood_left <= 0:
            self._shut.add((room.link.id, entry.origin))
            return False
        room.urgent -= 1
        room.flood_left -= entry.size_bytes
        return True

    def is_shut_to(self, entry: Entry) -> bool:
        """Whether an alert that was never tried would be refused by every link, as another one of its node was."""
        if not self._shut or not entry.precedence.is_alert or not entry.links:
            return False
        for link in entry.links:  # noqa: SIM110  all() of a generator takes twice as long, and a flood is asked about at each plan
            if (link.id, entry.origin) not in self._shut:
                return False
        return True

    def beyond_few(self, entry: Entry) -> int:
        """After how many receipts its node has no more than a few alerts without an answer, on some link."""
        return min(self._rooms[link.id].alerts_of.get(entry.origin, 0) for link in entry.links) - FEW

    def flooded(self) -> frozenset[LinkId]:
        """Where some node has more than a few alerts without an answer: what goes there is to be counted (``flood_window``)."""
        return frozenset(
            room.link.id for room in self._rooms.values() if any(count > FEW for count in room.alerts_of.values())
        )

    def _is_stopped(self, room: _Room) -> bool:
        if room.held_until_ms <= self._now_ms:
            return False
        return room.has_trickled or room.link.bulk.idle_ms < self._policy.bulk_at_least_every_ms

    # ------------------------------------------------------------------ placing

    def earliest(self, entry: Entry, links: Iterable[LinkView]) -> LinkView | None:
        """Where a piece of bulk will have arrived first; None if that link does not take it yet. It is counted there."""
        size_bytes = entry.size_bytes
        rooms = [(link, self._rooms[link.id]) for link in links]
        if not any(room.is_open for _, room in rooms):
            for _, room in rooms:
                room.is_wanted = True
            return None  # nothing can be sent, wherever it were placed
        link, best = min(
            rooms,
            key=lambda item: (item[0].is_metered, item[0].is_suspect, item[1].completion_ms(size_bytes), item[0].id),
        )
        best.ahead += size_bytes
        if not best.is_open:
            best.is_wanted = True
            return None
        return link

    def tail(self, entries: Iterable[Entry]) -> list[tuple[Entry, LinkView]]:
        """What idle links may repeat: chunks that are under way on a link that will take far longer, or does not answer."""
        idle = [room for room in self._rooms.values()
                if room.is_open and room.ahead == 0 and not room.link.is_metered and not self._is_stopped(room)]  # fmt: skip
        if not idle:
            return []
        candidates = [(at_ms, entry) for entry in entries if (at_ms := self._expected_ms(entry)) is not None]
        chosen: list[tuple[Entry, LinkView]] = []
        for room in sorted(idle, key=lambda room: room.completion_ms(PARCEL_BYTES)):
            own = [(at_ms, entry) for at_ms, entry in candidates
                   if any(link.id == room.link.id for link in entry.links) and entry.attempt_on(room.link) is None
                   and at_ms - self._now_ms > 2 * (room.completion_ms(entry.size_bytes) + room.link.rtt_ms / 2)]  # fmt: skip
            if own:
                latest = max(own, key=lambda item: item[0])
                candidates.remove(latest)
                chosen.append((latest[1], next(link for link in latest[1].links if link.id == room.link.id)))
        return chosen

    def _expected_ms(self, entry: Entry) -> float | None:
        """When the only try so far will have been answered; infinite if that is overdue. None: no case for a repetition."""
        if entry.precedence != Precedence.BULK or len(entry.attempts) != 1:
            return None
        (way, attempt), *_ = entry.attempts.items()
        link = next((link for link in entry.links if link.way == way), None)
        if attempt.is_held_there or attempt.count > 1 or link is None:
            return None
        room = self._rooms[link.id]
        at_ms = attempt.sent_ms + link.p95_ms + link.bulk.in_flight_bytes / room.rate_bytes_ms
        return at_ms if self._now_ms < at_ms + max(SILENT_MS, 2 * link.rtt_ms) else float("inf")

    # ------------------------------------------------------------------ when to look again

    def opens_at_ms(self) -> float:
        """When the pace of some link lets more bulk go, or its stop is over; infinite if no time of ours brings that."""
        soonest = float("inf")
        for room in self._rooms.values():
            if not room.is_wanted:
                continue
            if room.held_until_ms > self._now_ms:
                trickle_ms = self._now_ms + max(
                    0, self._policy.bulk_at_least_every_ms - (0 if room.has_trickled else room.link.bulk.idle_ms)
                )
                soonest = min(soonest, max(self._now_ms + 1, min(room.held_until_ms, trickle_ms)))
            rate = room.link.bulk.rate_bytes_s
            if rate > 0 and room.allowance <= 0 and room.in_flight <= room.link.bulk.window_bytes:
                soonest = min(soonest, self._now_ms + max(1.0, -room.allowance / rate * 1000))
        return soonest
