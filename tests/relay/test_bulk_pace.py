"""The pace of bulk: soon at what the link carries, little in its queue meanwhile, back at once after a pause. Whole links, in virtual time."""

import heapq
import itertools
import math
import random
from collections.abc import Callable

import pytest

from relay.bulk_pace import PARCEL_BYTES, QUEUE_MS, BulkPace

CHUNK = PARCEL_BYTES
SATELLITE = (235_000.0, 601.0)
"""2 Mbit/s as parcels see it, bytes/s, and its least round trip, ms."""
LTE = (470_000.0, 51.0)
THIN_SATELLITE = (15_000.0, 601.0)
"""A chunk is a third of a second there."""


class Line:
    """A link that never loses; ``carrier`` is let stand still, as a TCP that repeats or measures does."""

    def __init__(self, link: tuple[float, float], hiccups: random.Random | None = None) -> None:
        self.rate_bytes_s, self.least_rtt_ms = link
        self.pace = BulkPace()
        self.now_ms = 0
        self._free_ms = 0.0
        self._answers: list[tuple[float, int]] = []
        self._handed_over: list[int] = []
        self._carried: list[tuple[float, int]] = []
        self.most_queued_ms = 0.0
        self._hiccups = hiccups
        self._busy_until_ms = 0

    def run(self, seconds: float, *, has_bulk: Callable[[int], bool] | None = None, stands_still: bool = False) -> None:
        """``has_bulk`` is asked each millisecond; without it there always is some."""
        ends_ms = self.now_ms + int(seconds * 1000)
        while self.now_ms < ends_ms:
            self.now_ms = min(ends_ms, self._next_ms(is_each=has_bulk is not None))
            if self._hiccups is not None and self._hiccups.random() < 1 / 200:
                self._busy_until_ms = self.now_ms + self._hiccups.randint(20, 120)
            if self.now_ms < self._busy_until_ms:
                continue
            while self._answers and self._answers[0][0] <= self.now_ms:
                self.pace.answered(heapq.heappop(self._answers)[1], self.least_rtt_ms, self.now_ms)
            while (has_bulk is None or has_bulk(self.now_ms)) and self.pace.room(
                self.least_rtt_ms, self.now_ms
            ).is_open:
                self._handed_over.append(self.pace.sent(CHUNK, CHUNK, self.least_rtt_ms, self.now_ms))
            if not stands_still:
                self._carry()
            self.most_queued_ms = max(self.most_queued_ms, self._free_ms - self.now_ms)

    def _next_ms(self, *, is_each: bool) -> int:
        """When something may happen: an answer, or the pace lets the next parcel go."""
        if is_each or self._hiccups is not None:
            return self.now_ms + 1
        answer_ms = self._answers[0][0] if self._answers else float("inf")
        opens_ms = self.now_ms + self.pace.room(self.least_rtt_ms, self.now_ms).opens_in_ms()
        soonest_ms = min(answer_ms, opens_ms)
        return max(self.now_ms + 1, math.ceil(soonest_ms)) if soonest_ms < float("inf") else self.now_ms + 1

    def _carry(self) -> None:
        for token in self._handed_over:
            self._free_ms = max(self._free_ms, self.now_ms) + CHUNK / self.rate_bytes_s * 1000
            self._carried.append((self._free_ms, CHUNK))
            heapq.heappush(self._answers, (self._free_ms + self.least_rtt_ms + self.now_ms % 3, token))
        self._handed_over.clear()

    @property
    def carried(self) -> int:
        """Parcels."""
        return len(self._carried)

    def share(self, last_s: float) -> float:
        """Of what the link could carry lately, how much it did."""
        since_ms = self.now_ms - last_s * 1000
        return sum(size for at_ms, size in self._carried if since_ms <= at_ms < self.now_ms) / (
            last_s * self.rate_bytes_s
        )


@pytest.mark.parametrize(("link", "within_s"), [(SATELLITE, 5.0), (LTE, 1.0)])
def test_a_link_is_full_soon_after_a_clip_begins(link: tuple[float, float], within_s: float) -> None:
    line = Line(link)
    line.run(within_s)
    line.run(1)
    assert line.share(1) > 0.95
    line.run(15)
    assert line.share(15) > 0.95


def test_what_doubles_once_too_often_on_a_satellite_holds_an_alert_up_by_no_more_than_a_third_of_a_second() -> None:
    """Two thirds without what a lone parcel's answer says: a round trip is six tenths, and tells what was sent one ago."""
    line = Line(SATELLITE)
    line.run(10)
    assert line.most_queued_ms < 300
    line.most_queued_ms = 0.0
    line.run(30)
    assert line.most_queued_ms < QUEUE_MS + 2 * CHUNK / line.rate_bytes_s * 1000


def test_a_carrier_that_stood_still_does_not_leave_the_satellite_half_empty() -> None:
    line = Line(SATELLITE)
    line.run(12)
    line.run(1.2, stands_still=True)
    line.run(4)
    line.run(6)
    assert line.share(6) > 0.9


def test_what_a_fast_link_carried_before_a_pause_is_taken_up_again_at_once_though_no_parcel_can_come_early_there() -> (
    None
):
    """16 Mbit/s: a parcel takes 3 ms."""
    line = Line((2_000_000.0, 601.0))
    line.run(12)
    line.run(1.2, stands_still=True)
    line.run(3)
    assert line.share(1) > 0.85, "0.46 where only a probe finds it again"
    line = Line((2_000_000.0, 201.0))
    line.run(12)
    began = line.carried
    for _ in range(20):
        line.run(2.6)
        line.run(0.4, stands_still=True)
    assert (line.carried - began) * CHUNK / 60 > 0.76 * line.rate_bytes_s, "0.87 of the time it carries; 0.7 by probes"


def test_no_more_is_sought_after_a_pause_than_was_carried_before_it() -> None:
    line = Line((2_000_000.0, 201.0))
    line.run(12)
    line.run(0.5, stands_still=True)
    for _ in range(3_000):
        line.run(0.001)
        assert line.pace.room(line.least_rtt_ms, line.now_ms).rate_bytes_s < 1.1 * line.rate_bytes_s


def test_a_satellite_that_has_become_slower_is_not_overrun_again_and_again() -> None:
    line = Line(SATELLITE)
    line.run(12)
    line.rate_bytes_s /= 4
    line.run(4)
    line.most_queued_ms = 0.0
    line.run(20)
    assert line.most_queued_ms < 400, (
        "what it carried before is sought once more, as far as lone parcels say that it might"
    )
    line.most_queued_ms = 0.0
    line.run(20)
    assert line.most_queued_ms < QUEUE_MS + 2 * CHUNK / line.rate_bytes_s * 1000
    assert line.share(20) > 0.9


def test_a_satellite_that_carries_four_times_as_much_is_filled_within_ten_seconds() -> None:
    line = Line(SATELLITE)
    line.run(12)
    line.rate_bytes_s *= 4
    line.run(10)
    line.run(5)
    assert line.share(5) > 0.9


@pytest.mark.parametrize("link", [SATELLITE, LTE])
def test_a_machine_that_stumbles_five_times_a_second_fills_its_link_all_the_same(link: tuple[float, float]) -> None:
    """For 20 to 120 ms each time: frames are searched on the same processor."""
    line = Line(link, random.Random(1))
    line.run(10)
    line.run(30)
    assert line.share(30) > 0.6


def test_after_alerts_the_clip_is_back_at_its_pace_at_once() -> None:
    """Each stops it for a round trip, as every alert does, for half a minute."""
    line = Line(SATELLITE)
    line.run(10)
    line.run(30, has_bulk=lambda now_ms: now_ms % 2_000 > 660 or now_ms % 1_000 == 0)
    line.run(0.7)
    line.run(2)
    assert line.share(2) > 0.95


def test_a_clip_that_ends_and_the_next_one_find_the_same_pace() -> None:
    line = Line(SATELLITE)
    line.run(8)
    line.run(20, has_bulk=lambda now_ms: now_ms % 5_000 < 1)
    line.run(0.7)
    line.run(2)
    assert line.share(2) > 0.9


def test_a_link_on_which_less_than_two_parcels_travel_is_filled_too() -> None:
    line = Line(THIN_SATELLITE)
    line.run(30)
    assert line.share(20) > 0.9
    assert line.most_queued_ms < QUEUE_MS + 1.5 * CHUNK / line.rate_bytes_s * 1000


def test_a_link_that_is_starting_is_judged_by_what_is_tried_next_and_so_gets_a_share_beside_faster_ones() -> None:
    line = Line(SATELLITE)
    line.run(1)
    assert line.pace.room(line.least_rtt_ms, line.now_ms).rate_bytes_s > 2 * line.pace.rate_bytes_s > 0


def spreads(line: Line, seconds: float) -> list[tuple[int, float]]:
    """When what the carrier is told changed, and to how many times the rate."""
    found: list[tuple[int, float]] = []
    ends_ms = line.now_ms + int(seconds * 1000)
    while line.now_ms < ends_ms:
        line.run(0.001)
        times = round(line.pace.spread_bytes_s() / line.pace.rate_bytes_s, 2)
        if not found or found[-1][1] != times:
            found.append((line.now_ms, times))
    return found


@pytest.mark.parametrize("link", [SATELLITE, (235_000.0, 81.0)])
def test_each_eight_rounds_one_finds_out_whether_there_is_more_and_the_next_lets_drain_what_that_piled_up(
    link: tuple[float, float],
) -> None:
    """The carrier is told 1.15 times the pace: what encryption adds, and slack."""
    line = Line(link)
    line.run(13)
    seen = spreads(line, 25)[1:]
    probe, drain = round(1.25 * 1.15, 2), round(0.75 * 1.15, 2)
    assert {times for _, times in seen} == {probe, drain, 1.15, round(0.85 * 1.15, 2)}
    probes_ms = [at_ms for at_ms, times in seen if times == probe]
    round_ms = line.least_rtt_ms + 50
    assert all(7 < (after - at) / round_ms < 11 for at, after in itertools.pairwise(probes_ms))
    lasted = [
        (after_ms - at_ms) / round_ms for (at_ms, times), (after_ms, _) in itertools.pairwise(seen) if times == probe
    ]
    assert all(0.6 < rounds < 1.3 for rounds in lasted)
    assert sum(times == drain for _, times in seen) >= len(probes_ms) - 2


def test_at_the_start_each_round_carries_twice_as_much_as_the_one_before() -> None:
    line = Line((2_000_000.0, 601.0))
    rounds = []
    for _ in range(8):
        before = line.carried
        line.run(0.61)
        rounds.append(line.carried - before)
    assert rounds[0] == 1
    assert all(1.7 <= after / before <= 2.3 for before, after in itertools.pairwise(rounds[2:])), rounds


def test_a_start_is_over_with_the_first_queue_and_the_first_probe_comes_two_rounds_later() -> None:
    line = Line((235_000.0, 81.0))
    while not line.pace.spread_bytes_s():
        line.run(0.001)
    assert line.share(0.1) > 0.9
    assert line.most_queued_ms < QUEUE_MS
    began_ms = line.now_ms
    probe_ms = next(at_ms for at_ms, times in spreads(line, 2) if times == round(1.25 * 1.15, 2))
    assert 1.2 < (probe_ms - began_ms) / (line.least_rtt_ms + 30) < 2.6


@pytest.mark.parametrize(
    ("link", "memory_s", "then"), [((235_000.0, 81.0), 3.0, 1.035), ((235_000.0, 451.0), 4.5, 1.01)]
)
def test_a_link_that_carries_a_little_less_is_believed_when_its_best_round_is_forgotten(
    link: tuple[float, float], memory_s: float, then: float
) -> None:
    """After ten rounds, or three seconds: an answer may be late for a while, on a machine that is busy."""
    line = Line(link)
    line.run(12)
    line.rate_bytes_s *= 0.97
    line.run(memory_s * 0.9)
    assert line.pace.rate_bytes_s > 1.025 * line.rate_bytes_s
    line.run(memory_s * 0.5)
    assert line.pace.rate_bytes_s < then * line.rate_bytes_s


@pytest.mark.parametrize(("link", "within_s"), [((235_000.0, 81.0), 0.5), (LTE, 0.5), (SATELLITE, 3.0)])
def test_a_parcel_that_comes_sooner_than_it_could_shows_at_once_that_there_is_more(
    link: tuple[float, float], within_s: float
) -> None:
    """No probe is waited for, which comes once in eight rounds."""
    line = Line(link)
    line.run(12)
    line.rate_bytes_s *= 4
    line.run(within_s)
    assert line.pace.rate_bytes_s > 0.7 * line.rate_bytes_s


@pytest.mark.parametrize(("link", "within_s"), [((235_000.0, 81.0), 1.5), (SATELLITE, 8.0)])
def test_a_link_that_carries_an_eighth_more_is_found_out_by_a_probe(link: tuple[float, float], within_s: float) -> None:
    line = Line(link)
    line.run(12)
    line.rate_bytes_s *= 1.125
    line.run(within_s)
    assert line.pace.rate_bytes_s > 0.98 * line.rate_bytes_s


def test_after_a_probe_that_paid_the_rate_doubles_again() -> None:
    """Where a parcel takes 3 ms none can come early; by quarters it were half a minute."""
    line = Line((2_000_000.0, 201.0))
    line.run(12)
    line.rate_bytes_s *= 4
    line.run(3)
    assert line.pace.rate_bytes_s > 0.9 * line.rate_bytes_s


@pytest.mark.parametrize(
    ("link", "times", "is_sought"),
    [(THIN_SATELLITE, 1.17, False), (THIN_SATELLITE, 1.4, True), (LTE, 2.0, False), (LTE, 8.0, True)],
)
def test_a_parcel_is_early_by_a_fifth_of_what_it_takes_and_no_less_than_a_machine_may_err(
    link: tuple[float, float], times: float, is_sought: bool
) -> None:
    """A chunk takes 356 ms on the thin one; 11 ms on the other, which must shrink by 8. Nothing is probed meanwhile."""
    line = Line(link)
    line.run(12)
    probe = round(1.25 * 1.15, 2)
    while round(line.pace.spread_bytes_s() / line.pace.rate_bytes_s, 2) != probe:
        line.run(0.001)
    line.run(4 * line.least_rtt_ms / 1000)
    line.rate_bytes_s *= times
    seeks = 0
    for _ in range(int(3.5 * line.least_rtt_ms)):
        line.run(0.001)
        sought_bytes_s = line.pace.room(line.least_rtt_ms, line.now_ms).rate_bytes_s
        seeks += sought_bytes_s > 1.1 * line.pace.rate_bytes_s
        if seeks:
            assert line.pace.spread_bytes_s() == int(2 * sought_bytes_s), "so that the next early one can be seen"
            break
    assert bool(seeks) is is_sought
