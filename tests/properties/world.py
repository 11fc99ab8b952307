"""A node, its links and the far end, in simulated time: what the scheduler decides is done, and lost or answered as the links are.

Keeps the truth that ``plan`` can't know (which links are black holes) and checks, at every plan, what must never happen. Histories
are made by ``test_scheduler_histories``.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import Final

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.bulk_pace import BulkRoom
from relay.path_health import OVERHEAD_BYTES
from relay.precedence import Precedence
from relay.scheduler import due_ms, plan

POLICY: Final = SendPolicy(urgent_window=24)
CHUNK_BYTES: Final = 5_300
_STEPS_MOST: Final = 400_000


@dataclass(kw_only=True)
class Way:
    """One link as it really is."""

    id: LinkId
    rtt_ms: int
    is_metered: bool
    is_up: bool = True
    is_hole: bool = False
    """It swallows everything, and nobody has noticed."""
    loss: float = 0.0
    budget_bytes: int = 0
    spent_bytes: int = 0
    """By what is no alert."""
    bulk_sent_ms: int = -(1 << 40)
    alert_sent_ms: int = -(1 << 40)
    """When an alert went out on it for the first time."""
    sends: list[tuple[int, int]] = field(default_factory=list)
    """(time, number)."""

    @property
    def way(self) -> tuple[bytes, str]:
        return b"center", f"path {self.id}"

    def view(self, now_ms: int) -> LinkView:
        return LinkView(
            id=self.id, peer=b"center", path=f"path {self.id}", rtt_ms=self.rtt_ms, rtt_variation_ms=self.rtt_ms / 20,
            is_metered=self.is_metered, budget_left_bytes=self.budget_bytes - self.spent_bytes if self.is_metered else float("inf"),
            bulk=BulkRoom(idle_ms=now_ms - self.bulk_sent_ms),
        )  # fmt: skip


class World:
    """One node's history."""

    def __init__(self, ways: list[Way], seed: int) -> None:
        self.ways = {way.id: way for way in ways}
        self.now_ms = 1_000_000
        self.spool: dict[int, Entry] = {}
        """What waits for its receipt: the truth, which outlives a restart."""
        self.put_ms: dict[int, int] = {}
        self.heard_ms: dict[int, int] = {}
        self.precedence: dict[int, Precedence] = {}
        self.first_sent: list[int] = []
        self._answers: list[tuple[int, int]] = []
        self._parked: dict[int, int] = {}
        self._look_ms = 0
        self._numbers = itertools.count(1)
        self._dice = random.Random(seed)
        self._steps = 0

    # ------------------------------------------------------------------ what happens

    def put(self, precedence: Precedence, count: int = 1) -> None:
        for number in itertools.islice(self._numbers, count):
            size_bytes = 230 if precedence.is_alert else CHUNK_BYTES
            self.spool[number] = Entry(number=number, precedence=precedence, size_bytes=size_bytes)
            self.put_ms[number], self.precedence[number] = self.now_ms, precedence
        self._look_ms = 0

    def swallow(self, link_id: LinkId) -> None:
        self.ways[link_id].is_hole = True

    def cut(self, link_id: LinkId) -> None:
        """Its session is known to have ended."""
        self.ways[link_id].is_up = False
        self._look_ms = 0

    def mend(self, link_id: LinkId) -> None:
        """It works, by a new session."""
        way = self.ways[link_id]
        way.is_up, way.is_hole = True, False
        for entry in self.spool.values():
            entry.forget_unanswered(*way.way)
        self._look_ms = 0

    def restart(self) -> None:
        """Killed: what was in memory is gone, what is in the spool is not."""
        for entry in self.spool.values():
            entry.attempts, entry.first_sent_ms = {}, None
        self._look_ms = 0

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        ends_ms = self.now_ms + for_ms
        while True:
            self._settle()
            if self._look_ms <= self.now_ms:
                self._decide()
            soonest = min([self._look_ms, ends_ms, *(at for at, _ in self._answers[:1])])
            if self.now_ms >= ends_ms:
                return
            self.now_ms = max(self.now_ms + 1, soonest)
            self._steps += 1
            assert self._steps < _STEPS_MOST, "it plans again and again and time hardly passes"

    # ------------------------------------------------------------------ inside

    def _settle(self) -> None:
        while self._answers and self._answers[0][0] <= self.now_ms:
            _, number = heapq.heappop(self._answers)
            if self.spool.pop(number, None) is not None:
                self.heard_ms[number] = self.now_ms
                self._look_ms = 0

    def _decide(self) -> None:
        views = [way.view(self.now_ms) for way in self.ways.values() if way.is_up]
        entries = list(self.spool.values())
        for entry in entries:
            entry.links = views
        decided = plan(entries, self.now_ms, POLICY)
        assert not decided.parked, "nobody said that it holds anything"
        self._check(entries, decided.sends)
        for number, link_id in decided.sends:
            self._send(self.spool[number], self.ways[link_id])
        self._look_ms = max(self.now_ms + 1, decided.next_look_ms)

    def _send(self, entry: Entry, way: Way) -> None:
        if entry.first_sent_ms is None:
            self.first_sent.append(entry.number)
        is_first_there = way.way not in entry.attempts
        entry.note_sent(way.way, self.now_ms)
        way.sends.append((self.now_ms, entry.number))
        if way.is_metered and not entry.precedence.is_alert:
            way.spent_bytes += entry.size_bytes + OVERHEAD_BYTES
            assert way.spent_bytes <= way.budget_bytes, "what is no alert went over the budget"
        if entry.precedence == Precedence.BULK:
            assert not way.is_metered, "a clip cost money"
            # The p95 of a link with a steady round trip; a chunk a second is let through all the same.
            stops_ms = min(way.rtt_ms, POLICY.bulk_stops_ms)
            is_alert_under_way = self.now_ms < way.alert_sent_ms + stops_ms and self._owes_an_alert(way)
            assert not is_alert_under_way or self.now_ms - way.bulk_sent_ms >= POLICY.bulk_at_least_every_ms, (
                "a clip went while an alert was under way"
            )
            way.bulk_sent_ms = self.now_ms
        if entry.precedence.is_alert and is_first_there:
            way.alert_sent_ms = self.now_ms
        if not way.is_hole and self._dice.random() >= way.loss:
            heapq.heappush(self._answers, (self.now_ms + way.rtt_ms, entry.number))

    def _owes_an_alert(self, way: Way) -> bool:
        return any(entry.precedence.is_alert and way.way in entry.attempts for entry in self.spool.values())

    def _check(self, entries: list[Entry], sends: tuple[tuple[int, LinkId], ...]) -> None:
        """Nothing less urgent takes a link's room while something more urgent that is due there stands back."""
        chosen = set(sends)
        assert len(chosen) == len(sends), "nothing goes twice on one link at once"
        for number, link_id in sends:
            sent = self.spool[number]
            if sent.is_stubborn:
                continue
            for other in entries:
                if other.precedence >= sent.precedence or other.precedence != Precedence.FLASH or other.is_stubborn:
                    continue
                link = next(link for link in other.links if link.id == link_id)
                is_due = due_ms(other, link, self.now_ms, POLICY) <= self.now_ms
                if is_due and (other.number, link_id) not in chosen:
                    # Only a window full of what is under way holds a FLASH back; then no other alert may pass it either.
                    assert not sent.precedence.is_alert, f"{sent.precedence.name} {number} passed FLASH {other.number}"
