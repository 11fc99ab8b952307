"""What a link takes of bulk, answer by answer: windows, allowances, tokens, and what is never answered."""

import os
import time
from pathlib import Path

import pytest

from relay import limits
from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.bulk_pace import FIRST_TOKEN, PARCEL_BYTES, BulkPace, BulkRoom
from relay.header import Kind
from relay.kinds import body
from relay.kinds.chunk import Chunk
from relay.passport import Role
from relay.precedence import Precedence
from relay.scheduler import plan
from tests.relay.house import House

CHUNK = 5_334


class Hand:
    """A pace that is fed by hand, parcel by parcel."""

    def __init__(self, rate_bytes_s: float = 0.0, least_rtt_ms: float = 50.0) -> None:
        self.pace = BulkPace(rate_bytes_s=rate_bytes_s, now_ms=0)
        self.least_rtt_ms = least_rtt_ms

    def sent(self, at_ms: int, size_bytes: int = CHUNK) -> int:
        return self.pace.sent(size_bytes, size_bytes, self.least_rtt_ms, at_ms)

    def answered(self, token: int, at_ms: int) -> bool:
        return self.pace.answered(token, self.least_rtt_ms, at_ms)

    def room(self, at_ms: int) -> BulkRoom:
        return self.pace.room(self.least_rtt_ms, at_ms)


def test_of_a_link_that_nobody_knows_one_parcel_is_tried_and_its_answer_lets_the_next_go() -> None:
    hand = Hand()
    assert hand.room(0).is_open
    assert hand.room(0).idle_ms >= 1 << 40, "nothing was ever sent"
    token = hand.sent(5)
    assert not hand.room(500).is_open
    assert hand.room(500).opens_in_ms() == float("inf"), "only an answer can"
    assert hand.room(500).idle_ms == 495
    assert hand.pace.spread_bytes_s() == 0, "nothing is known of the link: its packets are not held"
    assert hand.answered(token, 60)
    assert hand.pace.rate_bytes_s == pytest.approx(CHUNK / 0.055)
    opens_in_ms = hand.room(60).opens_in_ms()
    assert 0 < opens_in_ms < 60
    assert not hand.room(60 + int(opens_in_ms)).is_open
    assert hand.room(61 + int(opens_in_ms)).is_open


def test_an_answer_that_nobody_waits_for_says_nothing() -> None:
    hand = Hand()
    first, second, third = (hand.sent(at_ms) for at_ms in (0, 10, 20))
    assert (first, second, third) == (FIRST_TOKEN, FIRST_TOKEN + 1, FIRST_TOKEN + 2)
    assert time.time_ns() // 1_000 < FIRST_TOKEN < 1 << 63, "no clock's ping is taken for one, and it fits in a ping"
    assert not hand.answered(third + 1, 60)
    assert hand.answered(second, 70), "for both: the first one's was lost"
    assert hand.room(70).in_flight_bytes == CHUNK
    assert not hand.answered(first, 75)
    assert not hand.answered(second, 75)
    assert hand.answered(third, 80)
    assert not hand.answered(third, 80)
    assert hand.pace.rate_bytes_s == pytest.approx(3 * CHUNK / 0.080)


def test_what_may_be_unanswered_follows_what_travels_up_to_a_bound_and_stays_where_nothing_is_measured() -> None:
    policy = SendPolicy(bulk_window_bytes=500_000, most_bulk_window_bytes=2_000_000)
    satellite = Hand(1_600_000, least_rtt_ms=600.0).room(0)
    assert satellite.window_bytes > 1_300_000, "16 Mbit/s"
    assert policy.unanswered_bulk_bytes(satellite) == pytest.approx(500_000 + satellite.window_bytes)
    assert policy.unanswered_bulk_bytes(Hand(16_000_000, least_rtt_ms=600.0).room(0)) == 2_000_000
    assert policy.unanswered_bulk_bytes(Hand().room(0)) == 500_000, "nobody knows the link"
    assert policy.unanswered_bulk_bytes(BulkRoom()) == 500_000, "nobody asks after what it carries"
    assert (
        SendPolicy(bulk_window_bytes=5_000_000, most_bulk_window_bytes=1).unanswered_bulk_bytes(BulkRoom()) == 5_000_000
    )


def test_a_neighbor_that_stores_nothing_is_given_what_travels_and_its_disk_s_share_and_no_more() -> None:
    """3 MB wait, 16 Mbit/s with 600 ms: all 1.4 MB that travel have come through, and no receipt has come."""
    room = Hand(1_600_000, least_rtt_ms=600.0).room(0)
    policy = SendPolicy()
    come_through = BulkRoom(window_bytes=room.window_bytes, rate_bytes_s=room.rate_bytes_s)
    link = LinkView(id=LinkId(1), peer=b"center", path="sat", rtt_ms=600, bulk=come_through)
    entries = [Entry(number=n, precedence=Precedence.BULK, size_bytes=CHUNK, links=[link]) for n in range(600)]
    for entry in entries[:400]:
        entry.note_sent(link.way, 900)
    least = int((policy.bulk_window_bytes + room.window_bytes) / CHUNK)
    assert 330 < least < 400
    assert not plan(entries, 1_000, policy).sends
    assert plan([*entries[:least], entries[400]], 1_000, policy).sends == ((400, link.id),)
    assert not plan([*entries[: least + 1], entries[400]], 1_000, policy).sends


def test_what_an_earlier_session_measured_is_where_the_next_one_begins() -> None:
    """The window: what travels in a round trip and 100 ms, and half a parcel; one parcel at the least."""
    room = Hand(100_000).room(0)
    assert room.rate_bytes_s == 125_000, "and a quarter more is tried"
    assert room.window_bytes == pytest.approx(125_000 * 0.150 + PARCEL_BYTES / 2)
    assert Hand(1_000).room(0).window_bytes == PARCEL_BYTES
    hand = Hand(100_000)
    hand.sent(0, 16_000)
    hand.sent(0, 500)
    assert hand.room(0).window_bytes == pytest.approx(125_000 * 0.150 + 8_000), "of the largest that goes there"
    for at_ms in (150, 300):
        hand.sent(at_ms, 16_000)
    full = hand.room(600)
    assert full.allowance_bytes > 0, "the pace would let more go"
    assert full.in_flight_bytes > full.window_bytes
    assert full.opens_in_ms() == float("inf")


def test_what_was_not_sent_while_it_might_have_been_is_not_saved_up() -> None:
    """But for 20 ms, by which a machine may be late, or 2 KiB."""
    hand = Hand(400_000)
    assert hand.room(5_000).allowance_bytes == pytest.approx(500_000 * 0.020)
    assert hand.room(5_000).opens_in_ms() == 0
    slow = Hand(10_000)
    assert slow.room(5_000).allowance_bytes == 2_048
    slow.sent(5_000)
    assert slow.room(5_000).allowance_bytes == 2_048 - CHUNK
    assert slow.room(5_100).allowance_bytes == pytest.approx(2_048 - CHUNK + 1_250)
    assert slow.room(5_100).opens_in_ms() == pytest.approx((CHUNK - 2_048 - 1_250) / 12.5)


def test_the_time_before_an_answer_counts_at_the_pace_before_it() -> None:
    hand = Hand(10_000)
    token = hand.sent(0)
    hand.answered(token, 60)
    assert hand.pace.rate_bytes_s > 80_000
    assert hand.room(60).allowance_bytes == pytest.approx(1 - CHUNK + 0.060 * 12_500)


def test_what_a_carrier_never_answers_is_given_up_and_half_the_rate_believed() -> None:
    """After ten seconds, or eight round trips: later than any carrier that still tries."""
    hand = Hand(100_000)
    hand.sent(0)
    assert hand.room(10_000).in_flight_bytes == CHUNK
    assert hand.room(10_001).in_flight_bytes == 0
    assert hand.pace.rate_bytes_s == 50_000
    assert hand.room(10_001).is_open
    unknown = Hand()
    unknown.sent(0)
    assert not unknown.room(10_000).is_open
    assert unknown.room(10_001).is_open, "and another parcel is tried"
    far = Hand(100_000, least_rtt_ms=2_000)
    far.sent(0)
    assert far.room(16_000).in_flight_bytes == CHUNK
    assert far.room(16_001).in_flight_bytes == 0


def test_a_pause_between_clips_is_no_part_of_a_rate() -> None:
    """A link that carries twice as much since then is seen at once."""
    hand = Hand(100_000)
    hand.room(60_000)
    tokens = [hand.sent(60_000), hand.sent(60_010), hand.sent(60_020)]
    for token, at_ms in zip(tokens, (60_060, 60_080, 60_106), strict=True):
        hand.answered(token, at_ms)
    assert hand.pace.rate_bytes_s == pytest.approx(3 * CHUNK / 0.106)


def test_a_lone_parcel_that_is_late_says_nothing_of_the_rate_and_one_behind_another_does() -> None:
    """The first may have met a machine that was busy; behind the second the link was."""
    hand = Hand(100_000)
    assert hand.answered(hand.sent(0), 900)
    assert hand.pace.rate_bytes_s == 100_000
    assert hand.pace.spread_bytes_s() == 0, "and its start is not over"
    ahead, behind = hand.sent(1_000), hand.sent(1_010)
    hand.answered(ahead, 1_103)
    hand.answered(behind, 1_700)
    assert hand.pace.rate_bytes_s == pytest.approx(2 * CHUNK / 0.700)


def test_an_answer_within_a_millisecond_is_one_of_a_millisecond() -> None:
    hand = Hand(least_rtt_ms=0.2)
    assert hand.answered(hand.sent(7), 7)
    assert hand.pace.rate_bytes_s == CHUNK * 1_000


async def test_the_parcel_that_a_new_link_is_offered_is_a_chunk_of_a_clip(tmp_path: Path) -> None:
    house = House.of(tmp_path, {"center": Role.CENTER, "gate": Role.CAMERA})
    said = Chunk(object_sha256=bytes(32), offset_bytes=0, content=os.urandom(limits.DEFAULT_CHUNK_BYTES))
    async with house.station("gate") as gate:
        spooled = await gate.put(gate.draft_up(Kind.CHUNK, Precedence.BULK, body.encode(said)))
    assert abs(len(spooled.envelope.wire) - PARCEL_BYTES) < 64
