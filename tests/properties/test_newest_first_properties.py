"""Whatever happens between a node and its center: the newest is never far, nothing starves, and what arrived can be named in a receipt."""

import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import limits
from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.header import Kind
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.newest_first import NEWCOMERS_MOST, RUNS_MOST, NewestFirst, stream_of
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.scheduler import plan
from relay.waiting import Waiting
from relay.window import InWindow, first_of_each, in_order

POLICY = SendPolicy()
GATE, YARD = NodeId(b"gate...."), NodeId(b"yard....")
RADIO = LinkView(id=LinkId(1), peer=b"center", path="radio", rtt_ms=4_000, rtt_variation_ms=500)
FRAME_MS = 3_000


def waiting(number: int, sequence: int, *, origin: NodeId = GATE, kind: Kind = Kind.ALERT) -> Waiting:
    return Waiting(number=number, id=EnvelopeId(number.to_bytes(32, "big")), origin=origin, destination=AUTHORITY, series=7,
                   sequence=sequence, kind=kind, precedence=Precedence.FLASH, wire=b"")  # fmt: skip


class Station:
    """A spool, its window and one link that takes an alert at a time, in simulated time; ``deliver`` says what comes through."""

    def __init__(self, *, window: int = 40) -> None:
        self.window_most = window
        self.spool: dict[int, Waiting] = {}
        self.window: dict[int, InWindow] = {}
        self.newest_first = NewestFirst()
        self.behind: set[tuple[NodeId, Precedence]] = set()
        self.cursor = 0
        self.sent: list[int] = []
        """Numbers, as they went."""
        self._last = 0

    def put(self, item: Waiting) -> None:
        """As ``sender.offer`` does."""
        self.spool[item.number] = item
        self._last = item.number
        if not self.behind and len(self.window) < self.window_most:
            self._admit(item)
            return
        self.behind.add((item.origin, item.precedence))
        self.let_in(item)

    def let_in(self, item: Waiting) -> None:
        self._admit(item)
        if (back := self.newest_first.came(item.number, self.window)) is not None:
            del self.window[back]

    def restart(self) -> None:
        self.window, self.newest_first, self.cursor = {}, NewestFirst(), 0
        self.behind = {(GATE, Precedence.FLASH)} if len(self.spool) > self.window_most else set()
        for item in list(self.spool.values())[-NEWCOMERS_MOST:] if self.behind else ():
            self.let_in(item)

    def send(self, now_ms: int) -> Waiting | None:
        """One plan, of which the link takes the first."""
        self._fill()
        ahead = self.newest_first.choose(self.window, now_ms, self.behind)
        at_hand = in_order(first_of_each(self.window.values(), 17, ahead)[0])
        for item in at_hand:
            item.entry.links = [RADIO]
        for number, _ in plan([item.entry for item in at_hand], now_ms, POLICY).sends[:1]:
            item = self.window[number]
            if not item.entry.attempts:
                self.newest_first.sent(item, now_ms)
            item.entry.note_sent(RADIO.way, now_ms)
            self.sent.append(number)
            return item.waiting
        return None

    def freed(self, covered: RangeSet) -> None:
        for number in [number for number, item in self.spool.items() if item.sequence in covered]:
            del self.spool[number]
            self.window.pop(number, None)

    def freed_one(self, item: Waiting) -> None:
        del self.spool[item.number]
        self.window.pop(item.number, None)

    def _admit(self, item: Waiting) -> None:
        if item.number not in self.window:
            entry = Entry(number=item.number, precedence=item.precedence, size_bytes=230, origin=item.origin)
            self.window[item.number] = InWindow(
                waiting=item, entry=entry, flow=(item.origin, item.precedence), stream=stream_of(item)
            )

    def _fill(self) -> None:
        if len(self.window) > self.window_most * 3 // 4:
            return
        room = self.window_most - len(self.window)
        rows = [item for number, item in sorted(self.spool.items()) if number > self.cursor][:room]
        for item in rows:
            self.cursor = item.number
            self._admit(item)
        if len(rows) < room:
            self.behind.clear()


class Center:
    """What arrived, and how many runs there were at most."""

    def __init__(self) -> None:
        self.stored = RangeSet()
        self.first_arrivals: list[int] = []
        self.runs = 0

    def takes(self, item: Waiting) -> None:
        if item.sequence not in self.stored:
            self.first_arrivals.append(item.sequence)
        self.stored.add(item.sequence)
        self.runs = max(self.runs, len(self.stored.above_contiguous()))


Step = tuple[str, int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 80)),
        st.tuples(st.just("frames"), st.integers(1, 60)),
        st.tuples(st.just("flood"), st.integers(5, 80)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    min_size=2, max_size=12,
)  # fmt: skip


def lived(history: Sequence[Step], *, loss: float, seed: int, receipts: float = 1.0) -> tuple[Station, Center, int]:
    """Until everything is heard. Returns the most runs that lost frames alone explain, too."""
    node, center, dice, now_ms, sequence = Station(), Center(), random.Random(seed), 0, 0

    def put() -> None:
        nonlocal sequence
        sequence += 1
        node.put(waiting(sequence, sequence))

    def frame() -> None:
        nonlocal now_ms
        now_ms += FRAME_MS
        item = node.send(now_ms)
        if item is None or dice.random() < loss:
            return
        center.takes(item)
        if dice.random() < receipts:
            node.freed(center.stored)

    restarts = 0
    for what, count in history:
        if what == "restart":
            node.restart()
            restarts += 1
        for _ in range(count):
            if what in {"put", "flood"}:
                put()
            if what == "flood":
                put()
                put()
            if what in {"frames", "flood"}:
                frame()
    for _ in range(60 * sequence + 1_000):
        if not node.spool:
            break
        frame()
    return node, center, restarts


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.integers(0, 1 << 30))
def test_everything_arrives_once_and_the_runs_are_few(history: list[Step], seed: int) -> None:
    node, center, restarts = lived(history, loss=0.0, seed=seed)
    assert not node.spool, "something was never sent"
    assert sorted(center.first_arrivals) == list(range(1, len(center.first_arrivals) + 1))
    assert len(node.sent) == len(center.first_arrivals), "and nothing twice where nothing is lost"
    assert center.runs <= min(limits.MAX_RECEIPT_RANGES, (RUNS_MOST + 2) * (restarts + 1))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.floats(0.05, 0.4), st.floats(0.3, 1.0), st.integers(0, 1 << 30))
def test_on_a_channel_that_loses_frames_and_receipts_everything_arrives_all_the_same(
    history: list[Step], loss: float, receipts: float, seed: int
) -> None:
    node, center, _ = lived(history, loss=loss, seed=seed, receipts=receipts)
    assert not node.spool, "something was never heard"
    assert sorted(center.first_arrivals) == list(range(1, len(center.first_arrivals) + 1))


@given(st.integers(2, 200), st.integers(1, 12), st.integers(1, 5))
def test_a_new_alert_is_the_next_or_the_one_after_however_long_the_backlog(
    backlog: int, sent_before: int, news: int
) -> None:
    node, now_ms = Station(), 0

    def frame() -> int:
        nonlocal now_ms
        now_ms += FRAME_MS
        item = node.send(now_ms)
        assert item is not None
        node.freed_one(item)  # its receipt came
        return item.sequence

    for sequence in range(1, backlog + 1):
        node.put(waiting(sequence, sequence))
    for _ in range(min(sent_before, backlog - 1)):
        frame()
    for sequence in range(backlog + 1, backlog + news + 1):
        node.put(waiting(sequence, sequence))
        assert sequence == frame() or sequence == frame()


@given(st.integers(20, 300), st.integers(1, 4))
def test_however_fast_new_ones_come_every_second_frame_is_the_oldest(frames: int, a_frame: int) -> None:
    node, now_ms, sequence = Station(), 0, 0
    for _ in range(50):
        sequence += 1
        node.put(waiting(sequence, sequence))
    heard: set[int] = set()
    oldest_sent = 0
    for _ in range(frames):
        for _ in range(a_frame):
            sequence += 1
            node.put(waiting(sequence, sequence))
        now_ms += FRAME_MS
        oldest = min(number for number in node.spool if number not in heard)
        item = node.send(now_ms)
        assert item is not None
        oldest_sent += item.sequence == oldest
        heard.add(item.sequence)
        node.freed_one(item)
    assert oldest_sent >= frames // 2 - 1


@given(st.integers(4, 60), st.integers(4, 60))
def test_who_floods_overtakes_itself_and_nobody_else(flood: int, others: int) -> None:
    """Between two nodes the turns are as without it: one of each."""
    node, now_ms = Station(window=200), 0
    for number in range(1, flood + 1):
        node.put(waiting(number, number))
    for number in range(flood + 1, flood + others + 1):
        node.put(waiting(number, number - flood, origin=YARD))
    went: list[Waiting] = []
    while len(went) < 2 * min(flood, others):
        now_ms += FRAME_MS
        if (item := node.send(now_ms)) is not None:
            went.append(item)
        if len(went) > 2:  # answered two frames later
            node.freed_one(went[-3])
    for upto in range(4, len(went)):
        origins = [item.origin for item in went[:upto]]
        assert abs(origins.count(GATE) - origins.count(YARD)) <= 2


def test_a_relay_that_sees_numbers_jump_does_the_same_by_the_number_in_the_header() -> None:
    """The node's newest came first, then its oldest: what comes last is not what is newest."""
    relay = Station()
    for number, sequence in enumerate([60, 1, 2, 59, 3], start=1):
        relay.put(waiting(number, sequence))
    went = [item.sequence for at in range(5) if (item := relay.send(FRAME_MS * (at + 1))) is not None]
    assert went[:4] == [60, 1, 59, 2]


def test_what_is_no_alert_keeps_its_place() -> None:
    for kind in (Kind.RETRACTION, Kind.ACKNOWLEDGEMENT, Kind.INSTRUCTION):
        assert stream_of(waiting(1, 1, kind=kind)) is None
    assert stream_of(waiting(1, 1)) == (GATE, 7, Precedence.FLASH)


def test_what_went_ahead_and_was_lost_is_offered_again_before_the_others() -> None:
    node, now_ms = Station(), 0
    for sequence in range(1, 61):
        node.put(waiting(sequence, sequence))
    sent: list[int] = []
    for _ in range(12):
        now_ms += FRAME_MS
        if (item := node.send(now_ms)) is not None:
            sent.append(item.sequence)
    assert sent[0] == 60
    again = sent.index(60, 1)
    assert again <= 9, "its second time came after its retry time, not after the whole backlog"
