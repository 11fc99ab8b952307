"""One node floods a link that others share: theirs are there nearly as soon as without it, and the link stays busy all the same."""

import heapq
import random
import statistics

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.flood_window import FIRST_TOKEN, LEAST_BYTES, SPOKE_MS, FloodWindow, Speakers
from relay.precedence import Precedence
from relay.scheduler import plan
from relay.striping import FEW

POLICY = SendPolicy()
ALERT_BYTES = 330
"""With what carries it."""
PING_BYTES = 50
"""In a segment with alerts."""
FEW_EXAMPLES = settings(max_examples=2, derandomize=True, phases=[Phase.generate])


class SharedLink:
    """A serializer with a queue without bound, in simulated milliseconds. What is sent is answered when it has come through."""

    def __init__(self, rate_bytes_s: float, rtt_ms: float, seed: int, *, looks_every_ms: int = 1) -> None:
        self.looks_every_ms = looks_every_ms
        """How busy the machine is."""
        self.rate_bytes_s = rate_bytes_s
        self.rtt_ms = rtt_ms
        self.flood = FloodWindow()
        self.free_ms = 0.0
        self.now_ms = 10_000
        self.entries: dict[int, Entry] = {}
        self.put_ms: dict[int, int] = {}
        self.carried = 0
        """Of the flood."""
        self.took_ms: list[float] = []
        """Put to answered, of the other node's."""
        self.lost_pongs = 0
        self._answers: list[tuple[float, int, int]] = []
        self._dice = random.Random(seed)
        self._next = 1

    def put(self, origin: bytes) -> None:
        self.entries[self._next] = Entry(
            number=self._next, precedence=Precedence.FLASH, size_bytes=ALERT_BYTES, origin=origin
        )
        self.put_ms[self._next] = self.now_ms
        self._next += 1

    def run(self, for_ms: int, *, in_spool: int, alerts_every_ms: int, pong_loss: float = 0.0) -> None:
        """Keep so many of the flood waiting, and let the other node say something now and then."""
        ends_ms = self.now_ms + for_ms
        next_alert_ms = self.now_ms + alerts_every_ms
        while self.now_ms < ends_ms:
            while self._answers and self._answers[0][0] <= self.now_ms:
                _, token, number = heapq.heappop(self._answers)
                if token >= FIRST_TOKEN:
                    self.flood.answered(token, self.now_ms)
                elif (done := self.entries.pop(number, None)) is not None:
                    if done.origin == b"gate":
                        self.took_ms.append(self.now_ms - self.put_ms[number])
                    else:
                        self.carried += 1
            for _ in range(in_spool - sum(entry.origin == b"flood" for entry in self.entries.values())):
                self.put(b"flood")
            if self.now_ms >= next_alert_ms:
                self.put(b"gate")
                next_alert_ms += alerts_every_ms
            self._send(pong_loss)
            soonest = min([next_alert_ms, self.now_ms + 1_000, *(at for at, _, _ in self._answers[:1])])
            self.now_ms = max(self.now_ms + self.looks_every_ms, int(soonest) + 1)

    def _send(self, pong_loss: float) -> None:
        view = LinkView(id=LinkId(1), peer=b"center", path="wan", rtt_ms=self.rtt_ms, rtt_variation_ms=5,
                        flood_left_bytes=self.flood.left_bytes(self.now_ms))  # fmt: skip
        for entry in self.entries.values():
            entry.links = [view]
        decided = plan(self.entries.values(), self.now_ms, POLICY)
        for number, link_id in decided.sends:
            entry = self.entries[number]
            self._carry(entry.size_bytes, -1, number)
            entry.note_sent(view.way, self.now_ms)
            if link_id not in decided.flooded or (token := self.flood.sent(entry.size_bytes, self.now_ms)) is None:
                continue
            if self._dice.random() < pong_loss:
                self.lost_pongs += 1
            else:
                self._carry(PING_BYTES, token, 0)

    def _carry(self, size_bytes: int, token: int, number: int) -> None:
        self.free_ms = max(self.free_ms, self.now_ms) + size_bytes / self.rate_bytes_s * 1000
        heapq.heappush(self._answers, (self.free_ms + self.rtt_ms + self._dice.uniform(0, 3), token, number))


@FEW_EXAMPLES
@given(rate=st.floats(30_000, 125_000), rtt_ms=st.floats(60, 160), seed=st.integers(0, 1000))
def test_beside_a_flood_others_need_at_most_half_as_long_again(rate: float, rtt_ms: float, seed: int) -> None:
    link = SharedLink(rate, rtt_ms, seed)
    link.run(5_000, in_spool=0, alerts_every_ms=100)
    calm_ms = list(link.took_ms)
    link.run(3_000, in_spool=150, alerts_every_ms=100)
    link.took_ms.clear()
    link.carried = 0
    link.run(4_000, in_spool=150, alerts_every_ms=100)
    assert len(link.took_ms) >= 30
    assert statistics.median(link.took_ms) <= 1.5 * statistics.median(calm_ms)
    assert sorted(link.took_ms)[int(len(link.took_ms) * 0.95)] <= 1.6 * statistics.median(calm_ms)
    assert link.carried * ALERT_BYTES >= 0.75 * rate * 4, "the link is not idle meanwhile"


@FEW_EXAMPLES
@given(rate=st.floats(60_000, 125_000), factor=st.sampled_from([0.5, 2.0]), seed=st.integers(0, 1000))
def test_a_link_that_changes_is_followed_both_ways(rate: float, factor: float, seed: int) -> None:
    link = SharedLink(rate, 80, seed)
    link.run(3_000, in_spool=150, alerts_every_ms=100)
    link.rate_bytes_s = rate * factor
    link.run(4_000, in_spool=150, alerts_every_ms=100)
    link.took_ms.clear()
    link.carried = 0
    link.run(4_000, in_spool=150, alerts_every_ms=100)
    assert statistics.median(link.took_ms) <= 1.5 * (80 + ALERT_BYTES / link.rate_bytes_s * 1000) + 5
    assert link.carried * ALERT_BYTES >= 0.7 * link.rate_bytes_s * 4


@pytest.mark.parametrize(("rate", "rtt_ms"), [(100_000, 20), (300_000, 50), (1_000_000, 50)])
def test_a_node_s_own_backlog_fills_its_link_though_its_machine_looks_only_now_and_then(
    rate: float, rtt_ms: float
) -> None:
    link = SharedLink(rate, rtt_ms, 5, looks_every_ms=30)
    link.flood.is_shared = False
    link.run(1_000, in_spool=300, alerts_every_ms=10_000)
    link.carried = 0
    link.run(1_500, in_spool=300, alerts_every_ms=10_000)
    assert link.carried * ALERT_BYTES >= 0.9 * rate * 1.5


@pytest.mark.parametrize("rate", [60_000, 125_000])
def test_what_goes_along_with_a_ping_is_not_taken_for_the_way(rate: float) -> None:
    """A group of alerts needs as long on a thin link as the queue that is allowed: counted as the way, it would be allowed twice."""
    link = SharedLink(rate, 80, 7)
    link.flood.measured(82, link.now_ms)
    link.run(3_000, in_spool=150, alerts_every_ms=100)
    link.took_ms.clear()
    link.carried = 0
    link.run(6_000, in_spool=150, alerts_every_ms=100)
    own_ms = ALERT_BYTES / rate * 1_000
    queued_ms = statistics.median(link.took_ms) - 80 - 1.5 - own_ms
    assert queued_ms <= 82 / 8 + own_ms / 2
    assert link.carried * ALERT_BYTES >= 0.85 * rate * 6


def test_a_rate_that_is_thought_too_low_does_not_shrink_the_window_for_good() -> None:
    """What a group needs by itself is reckoned with the rate, and a slow minute must not make the way look ever shorter."""
    link = SharedLink(8_000, 80, 5)
    link.run(10_000, in_spool=150, alerts_every_ms=100)
    assert link.carried > 100, "it was slow, and full"
    link.rate_bytes_s = 125_000
    link.run(10_000, in_spool=150, alerts_every_ms=100)
    link.carried = 0
    link.run(4_000, in_spool=150, alerts_every_ms=100)
    assert link.carried * ALERT_BYTES >= 0.85 * 125_000 * 4


def test_whether_several_nodes_speak_is_remembered_for_ten_minutes() -> None:
    speakers = Speakers()
    assert not speakers.are_several(0)
    for now_ms in (0, 1_000, 2_000):
        speakers.spoke(b"gate", now_ms)
        assert not speakers.are_several(now_ms)
    speakers.spoke(b"yard", 3_000)
    assert speakers.are_several(3_000)
    speakers.spoke(b"yard", 60_000)
    assert speakers.are_several(3_000 + SPOKE_MS - 1)
    assert not speakers.are_several(3_000 + SPOKE_MS)
    speakers.spoke(b"gate", 9_000_000)
    assert speakers.are_several(9_000_000)


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 80), st.sampled_from([1, 2, 5, 600, 3_000]), st.integers(0, 12)),
        min_size=5,
        max_size=60,
    ),
    is_shared=st.booleans(),
)
def test_with_no_ping_out_something_may_always_be_sent(steps: list[tuple[int, int, int]], is_shared: bool) -> None:
    """However much was sent, however late and in whatever groups it was answered: a shut window waits for a pong that will come."""
    flood, now_ms, tokens = FloodWindow(), 10_000, list[int]()
    flood.is_shared = is_shared
    for count, later_ms, answered in steps:
        for _ in range(count):
            if flood.left_bytes(now_ms) > 0 and (token := flood.sent(ALERT_BYTES, now_ms)) is not None:
                tokens.append(token)
        now_ms += later_ms
        for _ in range(min(answered, len(tokens))):
            flood.answered(tokens.pop(0), now_ms)  # or it was given up before
        if not tokens:
            assert flood.left_bytes(now_ms) > 0, "nothing would ever open it again"


def test_a_window_that_shrank_below_what_follows_the_last_ping_opens_again() -> None:
    """A busy machine: a fast start makes a wide window with few pings, then answers come late and it is narrow."""
    flood, now_ms = FloodWindow(), 10_000
    flood.is_shared = False
    for _ in range(12):  # a wide window: pings are far apart
        sent = [flood.sent(ALERT_BYTES, now_ms) for _ in range(60)]
        now_ms += 2
        flood.answered([token for token in sent if token is not None][-1], now_ms)
    asked = [token for token in (flood.sent(ALERT_BYTES, now_ms) for _ in range(60)) if token is not None]
    unasked = 0
    while flood.sent(ALERT_BYTES, now_ms) is None:
        unasked += 1
    asked.append(asked[-1] + 1)
    for _ in range(unasked):
        assert flood.sent(ALERT_BYTES, now_ms) is None
    assert unasked * ALERT_BYTES > LEAST_BYTES, (
        "what follows the last ping is less than any window: the fault did not happen"
    )
    assert flood.answered(asked[-1], now_ms + 3_000)
    assert flood.left_bytes(now_ms + 3_000) > 0


def test_lost_pongs_never_shut_the_window_for_good() -> None:
    link = SharedLink(125_000, 80, 3)
    link.run(15_000, in_spool=60, alerts_every_ms=100, pong_loss=0.2)
    assert link.lost_pongs > 10
    assert link.carried * ALERT_BYTES >= 0.2 * 125_000 * 15


def test_a_few_alerts_of_many_nodes_are_no_flood_and_go_at_once() -> None:
    shut = LinkView(id=LinkId(1), peer=b"center", path="wan", rtt_ms=80, flood_left_bytes=-1.0)
    entries = [
        Entry(number=node * 100 + n, precedence=Precedence.FLASH, size_bytes=230, origin=b"node %d" % node, links=[shut])
        for node in range(20) for n in range(FEW + 5 * (node == 7))
    ]  # fmt: skip
    sent = [number for number, _ in plan(entries, 1_000, POLICY).sends]
    for node in range(20):
        assert sum(number // 100 == node for number in sent) == (0 if node == 7 else FEW)
