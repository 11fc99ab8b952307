"""Bulk keeps within what a link delivers, stops for alerts, and is spread so that links end together."""

import heapq
import random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.bulk_pace import QUEUE_MS, BulkPace
from relay.precedence import Precedence
from relay.scheduler import plan

POLICY = SendPolicy()
CHUNK = 5_300
ALERT = 230


class Pipe:
    """A link with a serializer and a queue without bound; what is sent has come through when its answer is back."""

    def __init__(self, number: int, rate_bytes_s: float, rtt_ms: float, seed: int) -> None:
        self.id = LinkId(number)
        self.rate_bytes_s = rate_bytes_s
        self.rtt_ms = rtt_ms
        self.pace = BulkPace()
        self.free_ms = 0.0
        self.answers: list[tuple[float, int, int]] = []
        self.now_ms = 0
        self.carried_bytes = 0
        self.most_queued_ms = 0.0
        self._random = random.Random(seed)

    def view(self, now_ms: int) -> LinkView:
        return LinkView(id=self.id, peer=b"center", path=f"path {self.id}", rtt_ms=self.rtt_ms, rtt_variation_ms=self.rtt_ms / 20,
                        bulk=self.pace.room(self.rtt_ms, now_ms))  # fmt: skip

    def send(self, number: int, size_bytes: int, now_ms: int, *, is_bulk: bool = True) -> float:
        self.most_queued_ms = max(self.most_queued_ms, self.free_ms - now_ms)
        self.free_ms = max(self.free_ms, now_ms) + size_bytes / self.rate_bytes_s * 1000
        token = self.pace.sent(size_bytes, size_bytes, self.rtt_ms, now_ms) if is_bulk else -1
        heapq.heappush(self.answers, (self.free_ms + self.rtt_ms + self._random.uniform(0, 3), token, number))
        return self.free_ms

    def arrived(self, now_ms: int) -> list[int]:
        found: list[int] = []
        while self.answers and self.answers[0][0] <= now_ms:
            _, token, number = heapq.heappop(self.answers)
            if token >= 0:
                self.pace.answered(token, self.rtt_ms, now_ms)
            found.append(number)
        return found


def run(pipes: list[Pipe], seconds: float, in_spool: int = 24, alerts_every_ms: int = 0) -> list[int]:
    """Keep so many chunks waiting, send as planned, settle what was answered. Returns how long each alert stood in the queue, ms."""
    entries: dict[int, Entry] = {}
    next_number, stood, by_id = 1, list[int](), {pipe.id: pipe for pipe in pipes}
    now_ms = pipes[0].now_ms
    ends_ms = now_ms + int(seconds * 1000)
    next_alert_ms = now_ms + alerts_every_ms // 2 if alerts_every_ms else ends_ms + 1
    while now_ms < ends_ms:
        for pipe in pipes:
            for number in pipe.arrived(now_ms):
                done = entries.pop(number, None)
                if done is not None and done.precedence == Precedence.BULK:
                    pipe.carried_bytes += done.size_bytes
        while len(entries) < in_spool:
            entries[next_number] = Entry(number=next_number, precedence=Precedence.BULK, size_bytes=CHUNK)
            next_number += 1
        if now_ms >= next_alert_ms:
            entries[next_number] = Entry(number=next_number, precedence=Precedence.FLASH, size_bytes=ALERT)
            next_number, next_alert_ms = next_number + 1, next_alert_ms + alerts_every_ms
        views = {pipe.id: pipe.view(now_ms) for pipe in pipes}
        for entry in entries.values():
            entry.links = list(views.values())
        decided = plan(entries.values(), now_ms, POLICY)
        has_alert: set[LinkId] = set()
        for number, link_id in decided.sends:
            entry, pipe, room = entries[number], by_id[link_id], views[link_id].bulk
            if entry.precedence == Precedence.BULK:
                assert room.in_flight_bytes <= max(room.window_bytes, CHUNK), "in flight is bounded"
                assert link_id not in has_alert or room.idle_ms >= POLICY.bulk_at_least_every_ms, (
                    "it stops for an alert"
                )
            else:
                has_alert.add(link_id)
                stood.append(int(max(0.0, pipe.free_ms - now_ms)))
            pipe.send(number, entry.size_bytes, now_ms, is_bulk=entry.precedence == Precedence.BULK)
            entry.note_sent(views[link_id].way, now_ms)
        soonest = min([next_alert_ms, decided.next_look_ms, *(pipe.answers[0][0] for pipe in pipes if pipe.answers)])
        now_ms = max(now_ms + 1, int(soonest) + 1)
    for pipe in pipes:
        pipe.now_ms = now_ms
    return stood


SETTLED_S = 4
FEW = settings(max_examples=3, derandomize=True, phases=[Phase.generate])
"""A run is some seconds of a link; which links they are is settled once, and no smaller example says more."""


@FEW
@given(rate=st.floats(20_000, 300_000), rtt_ms=st.floats(5, 200), seed=st.integers(0, 1000))
def test_a_clip_fills_its_link_and_its_queue_stays_short(rate: float, rtt_ms: float, seed: int) -> None:
    pipe = Pipe(1, rate, rtt_ms, seed)
    run([pipe], SETTLED_S)
    clear(pipe)
    run([pipe], 12)
    assert pipe.carried_bytes >= 0.85 * rate * (12 - rtt_ms / 1000)
    assert pipe.most_queued_ms <= QUEUE_MS + 2 * CHUNK / rate * 1000


@FEW
@given(rate=st.floats(20_000, 300_000), rtt_ms=st.floats(5, 200), seed=st.integers(0, 1000))
def test_an_alert_finds_little_of_a_clip_before_it(rate: float, rtt_ms: float, seed: int) -> None:
    pipe = Pipe(1, rate, rtt_ms, seed)
    run([pipe], SETTLED_S)
    clear(pipe)
    stood = run([pipe], 10, alerts_every_ms=1_500)
    assert len(stood) >= 6
    assert max(stood) <= QUEUE_MS + 1.5 * CHUNK / rate * 1000, "100 ms of the link's time, or a chunk and its neighbor"
    assert pipe.carried_bytes > 0.3 * rate * 10, "and the clip does not starve"


@FEW
@given(rate=st.floats(30_000, 300_000), rtt_ms=st.floats(200, 900), seed=st.integers(0, 1000))
def test_alerts_on_a_long_way_leave_a_clip_most_of_it_from_its_beginning(rate: float, rtt_ms: float, seed: int) -> None:
    """Two a second: one is always under way."""
    pipe = Pipe(1, rate, rtt_ms, seed)
    run([pipe], SETTLED_S + 2, in_spool=100, alerts_every_ms=500)
    clear(pipe)
    stood = run([pipe], 12, in_spool=100, alerts_every_ms=500)
    assert len(stood) >= 23
    assert max(stood) <= QUEUE_MS + 2 * CHUNK / rate * 1000
    assert pipe.carried_bytes >= 0.7 * rate * 12


@FEW
@given(
    rates=st.lists(st.floats(30_000, 100_000), min_size=3, max_size=3),
    rtts=st.lists(st.floats(5, 200), min_size=3, max_size=3), seed=st.integers(0, 1000),
)  # fmt: skip
def test_three_unequal_links_together_carry_what_each_carries_alone(
    rates: list[float], rtts: list[float], seed: int
) -> None:
    alone = []
    for number, (rate, rtt_ms) in enumerate(zip(rates, rtts, strict=True), 1):
        pipe = Pipe(number, rate, rtt_ms, seed)
        run([pipe], 10)
        alone.append(pipe.carried_bytes)
    together = [
        Pipe(number, rate, rtt_ms, seed) for number, (rate, rtt_ms) in enumerate(zip(rates, rtts, strict=True), 1)
    ]
    run(together, 10)
    assert sum(pipe.carried_bytes for pipe in together) >= 0.9 * sum(alone)


@FEW
@given(rate=st.floats(20_000, 300_000), factor=st.sampled_from([0.125, 0.25, 4.0]), seed=st.integers(0, 100))
def test_a_link_that_changes_is_followed(rate: float, factor: float, seed: int) -> None:
    pipe = Pipe(1, rate, 80, seed)
    run([pipe], SETTLED_S)
    clear(pipe)
    pipe.rate_bytes_s = rate * factor
    run([pipe], 8)
    clear(pipe)
    run([pipe], 10)
    assert pipe.carried_bytes >= 0.75 * rate * factor * 10
    assert pipe.most_queued_ms <= QUEUE_MS + 3 * CHUNK / pipe.rate_bytes_s * 1000


def test_nothing_is_sent_twice_but_the_tail_that_a_silent_link_keeps() -> None:
    wifi = LinkView(id=LinkId(1), peer=b"center", path="wifi", rtt_ms=20)
    lte = LinkView(id=LinkId(2), peer=b"center", path="lte", rtt_ms=40)
    entries = [Entry(number=n, precedence=Precedence.BULK, size_bytes=CHUNK, links=[wifi, lte]) for n in (1, 2)]
    entries[0].note_sent(wifi.way, 0)
    assert [number for number, _ in plan(entries, 10, POLICY).sends] == [2], (
        "what is new goes, what is on its way does not"
    )
    entries[1].note_sent(lte.way, 10)
    assert plan(entries, 100, POLICY).sends == ()
    entries[1].note_held(b"center", 120)
    assert plan(entries, 900, POLICY).sends == (), "the first has its time"
    assert plan(entries, 2_500, POLICY).sends == ((1, lte.id),), "then the idle link repeats what the silent one keeps"


def clear(pipe: Pipe) -> None:
    """Begin to count."""
    pipe.carried_bytes, pipe.most_queued_ms = 0, 0.0
