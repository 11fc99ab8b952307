"""The loop that sends: what the spool holds, over what links there are, as the scheduler plans.

Keeps a bounded window of envelopes in memory, most urgent first; the spool is the truth and the window a view of it.
What enough neighbors hold is *parked*: only its number stays in memory until its receipt comes or its recheck is due.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from relay import hop, spool_room
from relay import waiting as waiting_rows
from relay.aim import aim
from relay.at_hand import AtHand, at_hand
from relay.attempts import Attempt, Entry, LinkId, SendPolicy, Way, lane_of
from relay.clock import Clock
from relay.counters import Counters
from relay.database import Database
from relay.errors import OperatorError
from relay.flood_window import Speakers
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.links import Link, Links
from relay.newest_first import NEWCOMERS_MOST, NewestFirst, stream_of
from relay.precedence import Precedence
from relay.room_wanted import RoomWanted
from relay.scheduler import plan
from relay.sent_round import Patience, SentRound
from relay.set_aside import SetAside
from relay.spool import Spool, Spooled
from relay.timeline import Timeline
from relay.waiting import Waiting
from relay.window import Flow, HeldBy, InWindow, Parked, in_order, waiting_of

_log = structlog.get_logger("relay.sender")

WINDOW: Final = 1_000
"""Envelopes in memory. Alerts are a few hundred bytes, chunks 5 KiB: at most some megabytes."""
PARKED_MOST: Final = {Precedence.FLASH: 100_000, Precedence.IMMEDIATE: 75_000}
"""Parked numbers in memory beyond which nothing more of this precedence is taken on; what is over stays in the spool until
receipts make room. A million envelopes cost a machine with 4 GB no more than these."""
PARKED_MOST_OF_THE_REST: Final = 50_000
SHARE: Final = 250
"""Of one node in a full window, beyond which its own next ones wait in the spool; everybody else's still come in."""
FEW_WAITING: Final = 4 * SHARE
"""Whoever has no more than this in the spool does not wait there behind a flood."""
_LONG_PLAN_S: Final = 0.001
_FAR_MS: Final = 3_600_000


class Sender:
    """Owns the window. All methods run on the event loop."""

    def __init__(
        self, *, database: Database, spool: Spool, links: Links, clock: Clock, counters: Counters,
        show_passport: Callable[[Link, NodeId], None], timeline: Timeline | None = None, policy: SendPolicy | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._spool = spool
        self._links = links
        self._clock = clock
        self._counters = counters
        self._show_passport = show_passport
        self._timeline = timeline or Timeline(clock=clock, counters=counters)
        self._policy = policy or SendPolicy()
        self._window: dict[int, InWindow] = {}
        self._numbers: dict[EnvelopeId, int] = {}
        self._held_by = HeldBy()
        self._count_of: Counter[NodeId] = Counter()  # in the window, by origin
        self._parked: dict[int, Parked] = {}
        self._came_by: dict[int, NodeId] = {}
        """Who handed over what waits in the window or parked: it is never handed back."""
        self._recheck_ms = 0
        """Nothing parked is due before."""
        self._cursors = dict.fromkeys(Precedence, 0)
        self._may_have_more = True
        self._newest_wanted = NEWCOMERS_MOST
        """At the start, of each precedence; those that come later are offered."""
        self._behind: set[Flow] = set()
        """Whose next ones wait in the spool behind what had no room. Of those the newest few are in the window all the same."""
        self._newest_first = NewestFirst()
        self._set_aside = SetAside()
        self._freed_meanwhile: set[int] = set()
        """What left the spool while the rows that are to be admitted were read."""
        self._speakers = Speakers()
        self._patience = Patience()
        self._room_wanted = RoomWanted()
        self._wake = asyncio.Event()

    # ------------------------------------------------------------------ what others tell it

    def offer(self, spooled: Iterable[Spooled]) -> None:
        """Something was just committed to the spool: send it without reading it back."""
        for item in spooled:
            header = item.envelope.header
            if self._room_wanted.is_met_by(header):
                self._wake.set()
            is_full = len(self._window) >= (10 if header.precedence.is_alert else 1) * WINDOW or (
                len(self._window) >= WINDOW and self._count_of[header.origin] >= SHARE
            )
            flow = (header.origin, header.precedence)
            waiting = waiting_of(item)
            if flow not in self._behind and not is_full and self._takes_on(header.precedence):
                self._admit(waiting)
                continue
            self._behind.add(flow)
            self._may_have_more = True
            self._cursors[header.precedence] = min(self._cursors[header.precedence], item.number - 1)
            self._let_in(waiting)

    def offer_carried(self, carried: Iterable[tuple[Spooled, NodeId]]) -> None:
        """The same for what neighbors handed over, each with its neighbor."""
        carried = list(carried)
        self.offer(spooled for spooled, _ in carried)
        for spooled, via in carried:
            if spooled.number in self._window and via != spooled.envelope.header.origin:
                self._came_by[spooled.number] = via

    def wake(self) -> None:
        """Something changed: look again."""
        self._wake.set()

    def became_known(self) -> None:
        """What was presumed is welcome: what did not go there before may go."""
        self._set_aside.clear()
        self._wake.set()

    def came_through(self) -> None:
        """A pong says that more may be sent: look again, if anything waits for that."""
        if self._room_wanted.is_met_by_pong() or self._may_read_on:
            self._wake.set()

    def link_opened(self, peer: NodeId, path: str) -> None:
        """A neighbor is there: what waits parked is due, unless this one holds it too.

        Also what was under way to it when its path died: who holds a copy meanwhile may be cut off from the center.
        """
        self._recheck_ms = 0
        for parked in self._parked.values():
            if not any(at == peer and attempt.is_held_there for (at, _), attempt in parked.attempts.items()):
                parked.attempts.pop((peer, path), None)
                parked.until_ms = 0
        for item in self._window.values():
            item.entry.forget_unanswered(peer, path)
        self._set_aside.clear()
        self._wake.set()

    def link_closed(self, link: LinkId) -> None:
        """A session is over. Its path may have another one already: what went by this one need not wait for its retry."""
        for item in self._window.values():
            item.entry.forget_sent_by(link)
        self._set_aside.clear()
        self._wake.set()

    def held_by(self, peer: NodeId, ids: Iterable[EnvelopeId]) -> list[Waiting]:
        """A neighbor says that it holds these. Returns those that wait in the window, for whoever tells the owner."""
        found: list[Waiting] = []
        for identifier in ids:
            item = self._window.get(self._numbers.get(identifier, 0))
            if item is not None:
                self._set_aside.remove(item.waiting.number)
                item.entry.note_held(peer, self._clock.monotonic_ms())
                found.append(item.waiting)
        self._wake.set()
        return found

    def neighbor_holds(self, peer: NodeId, note: hop.Holds) -> list[Waiting]:
        """A neighbor says what it holds of whole numberings; it counts for what is read from the spool later, too."""
        self._held_by.told(peer, note)
        self._wake.set()
        return [item.waiting for item in self._window.values() if self._note_if_held(item, peer)]

    def _note_if_held(self, item: InWindow, peer: NodeId) -> bool:
        if not self._held_by.covers(peer, item.waiting) or item.entry.held_at(peer) is not None:
            return False
        self._set_aside.remove(item.waiting.number)
        item.entry.note_held(peer, self._clock.monotonic_ms())
        return True

    def ask_again(self, peer: NodeId, origin: NodeId) -> None:
        """A neighbor lacked a passport and has it now: what it could not take is due again."""
        for item in self._window.values():
            if item.waiting.origin == origin:
                self._set_aside.remove(item.waiting.number)
                item.entry.forget_unanswered(peer)
        self._wake.set()

    def freed(self, numbers: Iterable[int]) -> None:
        """These left the spool."""
        known = [link.known for link in self._links if link.known is not None]
        for number in numbers:
            self._freed_meanwhile.add(number)
            item = self._drop(number)
            if item is not None:
                for session in known:
                    session.withdraw(item.waiting.wire)
                if self._room_wanted.is_met_by_receipt(item.waiting.origin):
                    self._wake.set()
            self._came_by.pop(number, None)
            self._parked.pop(number, None)
        if self._may_read_on:
            self._wake.set()

    # ------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Plan, send, wait; for as long as the station runs."""
        while True:
            self._wake.clear()
            self._forget_evicted()
            self._freed_meanwhile.clear()
            try:
                await self._fill()
            except OperatorError as error:  # a failing disk: what is in the window still goes out
                self._counters.refused("spool_not_read")
                _log.error("spool not read", error=str(error))
            delay_s, planning_s = self._send_what_is_due()
            # A large window takes milliseconds to plan, more on a small board: others need the loop, too. What was sent had to be.
            if planning_s > _LONG_PLAN_S:
                await asyncio.sleep(planning_s)
            try:
                async with asyncio.timeout(delay_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _send_what_is_due(self) -> tuple[float, float]:
        """Until the next look at the latest, and what planning took of the processor, s."""
        now_ms, began_s = self._clock.monotonic_ms(), time.thread_time()
        found = self._at_hand(now_ms)
        by_id = aim(found.items, self._links, self._came_by, now_ms, is_shared=self._speakers.are_several(now_ms))
        entries = [item.entry for item in found.items]
        decided = plan(entries, now_ms, self._policy, self._set_aside, has_more_bulk=found.has_more_bulk)
        planning_s = time.thread_time() - began_s
        going = SentRound(self._links, decided.flooded, now_ms)
        for number, link_id in decided.sends:
            item = self._window[number]
            waiting, (link, view), lane = item.waiting, by_id[link_id], lane_of(item.entry.precedence)
            if going.is_full(link, lane) or not (
                link.is_paced or link.takes(waiting.kind, item.entry.size_bytes, now_ms, waiting.origin)
            ):
                continue  # a rare pulse went on it in this very round
            if link.known is None:  # on a tiny path only when it is asked for
                self._show_passport(link, waiting.origin)
            if not link.send(waiting.wire, lane):
                going.found_full(link, lane)
                continue
            if not item.entry.attempts:
                found.sent_first(item)
                self._newest_first.sent(item, now_ms)
            item.entry.note_sent(view.way, now_ms, link_id)
            self._timeline.sent(waiting, link.session.facts, NodeId(view.peer))
            link.note_sent(waiting.kind, now_ms, waiting.origin)
            going.sent(link, lane, item.entry.size_bytes)
        going.close(self._counters)
        for (
            number,
            until_ms,
        ) in decided.resting.items():  # of what goes up: which links lead down, any envelope that comes may change
            if (item := self._window[number]).waiting.destination == AUTHORITY:
                self._set_aside.add(item.entry, until_ms, now_ms, self._policy)
        self._room_wanted.decided(decided, found.alerts_left_out, found_some_full=going.found_some_full,
                                  has_others_next=found.has_others_next)  # fmt: skip
        for number, until_ms in decided.parked:
            attempts = self._window[number].entry.attempts
            self._drop(number)
            self._parked[number] = Parked(until_ms=until_ms, attempts=attempts)
            self._recheck_ms = min(self._recheck_ms, until_ms)
        delay_s = self._patience.after_s(going, max(1, decided.next_look_ms - now_ms) / 1000)
        return (0.001 if going.count and self._room_wanted.has_rest else delay_s), planning_s

    def _at_hand(self, now_ms: int) -> AtHand:
        self._set_aside.wake(now_ms)
        ahead = self._newest_first.choose(self._window, now_ms, self._behind)
        ahead = [item for item in ahead if item.waiting.number not in self._set_aside]
        found = at_hand(
            [item for number, item in self._window.items() if number not in self._set_aside], ahead, self._links, now_ms
        )
        if self._behind:
            found.items = in_order(found.items)
        return found

    def _forget_evicted(self) -> None:
        """Nothing is sent from memory: what gave way in the spool leaves the window. Where that was undone, it is read again."""
        evicted = self._spool.evicted
        while evicted:
            number, precedence = evicted.popleft()
            self.freed([number])
            self._cursors[precedence] = min(self._cursors[precedence], number - 1)
            self._may_have_more = True

    @property
    def _may_read_on(self) -> bool:
        """Whether the window has room enough for what may wait in the spool."""
        return self._may_have_more and WINDOW - len(self._window) > WINDOW // 4

    async def _fill(self) -> None:
        """Bring the window up to size from the spool: parked ones whose time has come, then what was never read."""
        now_ms = self._clock.monotonic_ms()
        due = self._parked_due(now_ms)
        room = WINDOW - len(self._window)
        if due and room > 0:
            due = due[:room]
            rows = await self._database.run(lambda connection: waiting_rows.read(connection, due))
            for waiting in rows:
                parked = self._parked.pop(waiting.number, None)
                self._admit(waiting, parked.attempts if parked else None)
            for number in due:
                self._parked.pop(number, None)  # settled or expired meanwhile
            self._recheck_ms = min((parked.until_ms for parked in self._parked.values()), default=now_ms + _FAR_MS)
        if self._may_read_on:
            self._may_have_more = False
            wanted = [precedence for precedence in Precedence if self._takes_on(precedence)]
            fresh = await self._database.run(
                lambda connection: waiting_rows.after_each(
                    connection, {precedence: self._cursors[precedence] for precedence in wanted}, room
                )
            )
            is_all = len(fresh) < room and len(wanted) == len(Precedence)
            if is_all and not self._may_have_more:  # nobody was turned away meanwhile
                self._behind.clear()
            if not is_all:
                self._may_have_more = True
                await self._read_of_the_few()
            for waiting in fresh:
                self._cursors[waiting.precedence] = max(self._cursors[waiting.precedence], waiting.number)
                self._admit(waiting)

    def _parked_due(self, now_ms: int) -> list[int]:
        """Parked numbers whose time has come. Looks through all of them only when one may be."""
        if now_ms < self._recheck_ms:
            return []
        if not (due := [number for number, parked in self._parked.items() if parked.until_ms <= now_ms]):
            self._recheck_ms = min((parked.until_ms for parked in self._parked.values()), default=now_ms + _FAR_MS)
        return due

    def _takes_on(self, precedence: Precedence) -> bool:
        """Whether more of this precedence fits into memory. The most urgent has room that the rest can't take."""
        return len(self._parked) < PARKED_MOST.get(precedence, PARKED_MOST_OF_THE_REST)

    async def _read_of_the_few(self) -> None:
        """Where more waits than fits: alerts of nodes that have little waiting need not queue behind a flood; nor, at a start, the newest ones."""
        alerts = (Precedence.FLASH, Precedence.IMMEDIATE)
        rows, newest = await self._database.run(lambda connection: (
            [row for precedence in alerts
             for row in spool_room.few_of_many(connection, precedence, at_most_each=FEW_WAITING, at_most=WINDOW // 2)],
            waiting_rows.newest(connection, alerts, self._newest_wanted),
        ))  # fmt: skip
        self._newest_wanted = 0
        for waiting in newest:
            self._behind.add((waiting.origin, waiting.precedence))
            self._let_in(waiting)
        numbers = [row[0] for row in rows if row[0] not in self._window and row[0] not in self._parked]
        if numbers:
            for waiting in await self._database.run(lambda connection: waiting_rows.read(connection, numbers)):
                self._admit(waiting)

    def _admit(self, waiting: Waiting, attempts: dict[Way, Attempt] | None = None) -> None:
        if waiting.number in self._window or (waiting.number in self._parked and attempts is None):
            return
        if waiting.number in self._freed_meanwhile:  # else it would stay, and be sent, for ever
            return
        entry = Entry(number=waiting.number, precedence=waiting.precedence, size_bytes=len(waiting.wire),
                      origin=waiting.origin, attempts=attempts or {})  # fmt: skip
        flow = (waiting.origin, waiting.precedence) if waiting.precedence.is_alert else None
        if flow is not None:
            self._speakers.spoke(waiting.origin, self._clock.monotonic_ms())
        item = InWindow(waiting=waiting, entry=entry, flow=flow, stream=stream_of(waiting))
        self._window[waiting.number] = item
        for peer in self._held_by.peers if attempts is None else ():
            self._note_if_held(item, peer)
        self._numbers[waiting.id] = waiting.number
        self._count_of[waiting.origin] += 1

    def _let_in(self, waiting: Waiting) -> None:
        """One of the newest where older ones wait in the spool. It is read there again, in its turn, if a newer one takes its place."""
        is_new = waiting.number not in self._window and waiting.number not in self._parked
        if is_new and stream_of(waiting) is not None and self._takes_on(waiting.precedence):
            self._admit(waiting)
            if (number := self._newest_first.came(waiting.number, self._window)) is not None:
                self._drop(number)

    def _drop(self, number: int) -> InWindow | None:
        item = self._window.pop(number, None)
        if item is not None:
            self._numbers.pop(item.waiting.id, None)
            self._set_aside.remove(number)
            self._count_of[item.waiting.origin] -= 1
            if not self._count_of[item.waiting.origin]:
                del self._count_of[item.waiting.origin]
        return item
