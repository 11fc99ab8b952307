"""What waits goes along with what goes anyway on a tiny path; and nothing goes so to a neighbor that has not shown that it reads it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import hop, receipt
from relay.attempts import SendPolicy
from relay.counters import Counters
from relay.errors import Malformed
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Passport, Role, issue
from relay.path import Lane, PathFacts
from relay.paths import radio_frames, sms_pdu
from relay.paths.tiny_batch import QUESTION, YES, pack, unpack
from relay.paths.tiny_seal import OVERHEAD_BYTES, TinySeal
from relay.paths.tiny_session import Batch, Room, TinySession, no_room
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import Draft
from relay.station import Station
from tests.properties.drafting import CENTER, OTHERS, receipt_for, signed
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until
from tests.relay.radio_medium import Medium, RadioModem
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_short_burst import sky
from tests.relay.test_tiny import Heard

SEVERAL = 0x13
ALERT = signed(0, 1, 1, 1).wire
OTHER_ALERT = signed(0, 1, 2, 1).wire
NOTE = hop.encode(hop.Stored(ids=(bytes(32),)))
RECEIPT, OTHER_RECEIPT = (receipt_for(OTHERS[number], 7, RangeSet([(1, 3)])).wire for number in (0, 1))
ROUTINE = signed(1, 1, 9, 1, precedence=Precedence.ROUTINE, size_bytes=20).wire


def _passport(keys: Identity, name: str) -> Passport:
    of = (keys.signing_key, keys.sealing_key, keys.transport_key)
    return issue(Identity.from_seed(bytes(32)).signing, role=Role.CAMERA, name=name, site="yard", agency="city", keys=of,
                 not_before_ms=0, not_after_ms=1, serial=1).passport  # fmt: skip


class Pair:
    """Two ends of a tiny path, without a carrier."""

    def __init__(self, *, is_metered: bool = True) -> None:
        self.counters = Counters()
        keys = (OTHERS[0], CENTER)
        facts = PathFacts(name="tiny", mtu_bytes=500, is_tiny=True, is_metered=is_metered)
        self.seals = [TinySeal(own, _passport(peer, "peer")) for own, peer in (keys, keys[::-1])]
        self.here, self.there = (TinySession(facts=facts, seal=seal, is_outgoing=True, counters=self.counters) for seal in self.seals)  # fmt: skip
        self.heard = Heard()

    def carried(self, batch: Batch | None) -> list[bytes]:
        """Bring it to the other end; what the upper floor there got."""
        assert batch is not None
        before = len(self.heard.parcels)
        assert self.there.arrived(self.heard, self.here.sealed(batch))
        return self.heard.parcels[before:]


def roomy(size_bytes: int) -> int:
    return 500


async def test_what_waits_at_the_same_time_goes_under_one_proof() -> None:
    pair = Pair()
    pair.seals[0].reads.said_several()
    for parcel in (NOTE, RECEIPT, OTHER_RECEIPT):
        assert pair.here.send(parcel, Lane.URGENT)
    batch = pair.here.next_batch(roomy)
    assert batch == Batch(parcels=(RECEIPT, OTHER_RECEIPT, NOTE))
    sealed = pair.here.sealed(batch)
    assert sealed[0] == SEVERAL
    assert len(sealed) < sum(len(pair.seals[0].seal(parcel)) for parcel in batch.parcels)
    assert pair.carried(batch) == [RECEIPT, OTHER_RECEIPT, NOTE]
    assert not pair.here.filled.is_set()
    assert pair.counters["parcels_went_along"] == 2


async def test_nothing_goes_along_that_would_take_another_frame_and_rest_only_where_it_may() -> None:
    pair = Pair()
    pair.seals[0].reads.said_several()
    for parcel in (RECEIPT, ALERT, ROUTINE, NOTE):
        pair.here.send(parcel, Lane.URGENT)
    assert pair.here.next_batch(radio_frames.room, with_rest=False) == Batch(parcels=(RECEIPT,))
    assert pair.here.next_batch(radio_frames.room) == Batch(parcels=(ALERT,)), "it nearly fills its frame"
    assert pair.here.next_batch(radio_frames.room) == Batch(parcels=(NOTE,))
    assert pair.here.next_batch(radio_frames.room) == Batch(parcels=(ROUTINE,))
    assert pair.here.next_batch(radio_frames.room) is None


async def test_a_neighbor_is_asked_before_anything_goes_along_and_its_answer_is_followed() -> None:
    pair = Pair()
    for _ in range(2):
        pair.here.send(RECEIPT, Lane.URGENT)
        pair.here.send(OTHER_RECEIPT, Lane.URGENT)
        assert pair.carried(pair.here.next_batch(roomy)) == [RECEIPT]
        assert pair.carried(pair.here.next_batch(roomy)) == [OTHER_RECEIPT]
    assert pair.here.next_batch(roomy) == Batch(parcels=(QUESTION,))
    assert pair.here.next_batch(roomy) is None, "it is asked once"
    assert pair.carried(Batch(parcels=(QUESTION,))) == [], "this is between the two sessions"
    answer = pair.there.next_batch(roomy)
    assert answer == Batch(parcels=(YES,))
    assert pair.here.arrived(pair.heard, pair.there.sealed(answer))
    pair.here.send(RECEIPT, Lane.URGENT)
    pair.here.send(OTHER_RECEIPT, Lane.URGENT)
    assert pair.carried(pair.here.next_batch(roomy)) == [RECEIPT, OTHER_RECEIPT]


async def test_to_an_older_release_everything_goes_alone_and_it_is_asked_ever_more_rarely() -> None:
    pair, asked = Pair(), 0
    for number in range(1, 101):
        pair.here.send(receipt_for(OTHERS[0], 7, RangeSet([(1, number)])).wire, Lane.URGENT)
        pair.here.send(receipt_for(OTHERS[1], 7, RangeSet([(1, number)])).wire, Lane.URGENT)
        while (batch := pair.here.next_batch(roomy)) is not None:
            [parcel] = batch.parcels
            assert pair.here.sealed(batch)[0] != SEVERAL
            if parcel == QUESTION:  # any release before this one says the same number again
                asked += 1
                assert pair.here.arrived(pair.heard, pair.seals[1].seal(hop.encode(hop.Pong(2))))
    assert asked == 3, "after 2, and as each was answered: 16, 32"
    assert not pair.heard.parcels


async def test_a_question_whose_answer_was_lost_is_asked_again_soon_and_then_ever_more_rarely() -> None:
    pair, asked = Pair(), 0
    for number in range(1, 101):
        pair.here.send(receipt_for(OTHERS[0], 7, RangeSet([(1, number)])).wire, Lane.URGENT)
        pair.here.send(receipt_for(OTHERS[1], 7, RangeSet([(1, number)])).wire, Lane.URGENT)
        while (batch := pair.here.next_batch(roomy)) is not None:
            asked += batch.parcels == (QUESTION,)
    assert asked == 7, "after 2, 2, 2, 4, 8, 16, 32"


async def test_what_went_along_unheard_goes_alone_the_next_time_and_in_the_end_everything_does() -> None:
    """The neighbor was set back to an older release: what goes together is refused there, without a word."""
    pair = Pair()
    pair.seals[0].reads.said_several()
    for number in range(1, 4):
        alert, other = (signed(0, 1, sequence, 1).wire for sequence in (2 * number, 2 * number + 1))
        pair.here.send(alert, Lane.URGENT)
        pair.here.send(other, Lane.URGENT)
        assert pair.here.next_batch(roomy) == Batch(parcels=(alert, other)), "it is lost"
        pair.here.send(alert, Lane.URGENT)
        assert pair.here.next_batch(roomy) == Batch(parcels=(alert,))
    pair.here.send(RECEIPT, Lane.URGENT)
    pair.here.send(NOTE, Lane.URGENT)
    assert pair.here.next_batch(roomy) == Batch(parcels=(RECEIPT,)), "it is not believed any more"
    assert pair.here.next_batch(roomy) == Batch(parcels=(NOTE,))


async def test_a_receipt_that_is_signed_anew_for_the_same_numbers_counts_as_said_again() -> None:
    pair = Pair()
    pair.seals[0].reads.said_several()
    first, again = (receipt.issue(RangeSet([(1, 3)]), signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=at,
                                  origin=OTHERS[0].node_id, series=7).wire for at in (1, 2))  # fmt: skip
    pair.here.send(first, Lane.URGENT)
    pair.here.send(NOTE, Lane.URGENT)
    assert pair.here.next_batch(roomy) == Batch(parcels=(first, NOTE))
    pair.here.send(again, Lane.URGENT)
    pair.here.send(OTHER_RECEIPT, Lane.URGENT)
    assert pair.here.next_batch(roomy) == Batch(parcels=(again,))


async def test_a_bundle_that_could_not_be_sent_waits_again_in_its_order() -> None:
    pair = Pair()
    pair.seals[0].reads.said_several()
    for parcel in (RECEIPT, ALERT, NOTE):
        pair.here.send(parcel, Lane.URGENT)
    batch = pair.here.next_batch(roomy)
    assert batch is not None
    assert len(batch.parcels) == 3
    pair.here.give_back(batch)
    assert pair.here.next_batch(roomy) == batch, "and it may go together: it never went"


async def test_what_came_back_is_taken_apart_parcel_by_parcel() -> None:
    pair = Pair()
    pair.seals[0].reads.said_several()
    small, large = (signed(0, 1, number, 1, size_bytes=size).wire for number, size in ((1, 10), (2, 75)))
    note = hop.encode(hop.Stored(ids=(bytes(32),) * 3))
    for parcel in (small, large, note):
        pair.here.send(parcel, Lane.URGENT)
    batch = pair.here.next_batch(lambda size_bytes: 1000)
    assert batch == Batch(parcels=(small, large, note))
    pair.here.give_back(batch)
    assert pair.here.next_batch(lambda size_bytes: 380) == Batch(parcels=(small, note)), "the large one does not fit"
    assert pair.here.next_batch(roomy) == Batch(parcels=(large,))
    assert pair.here.next_batch(roomy) is None


async def test_a_receipt_rides_once_with_an_envelope_where_bytes_cost_no_money() -> None:
    for is_metered in (False, True):
        pair = Pair(is_metered=is_metered)
        pair.seals[0].reads.said_several()
        pair.here.send(RECEIPT, Lane.URGENT)
        assert pair.here.next_batch(roomy) == Batch(parcels=(RECEIPT,))
        pair.here.send(OTHER_RECEIPT, Lane.URGENT)
        assert pair.here.next_batch(roomy) == Batch(parcels=(OTHER_RECEIPT,)), "receipts give no rides"
        pair.here.send(ALERT, Lane.URGENT)
        riders = () if is_metered else (RECEIPT, OTHER_RECEIPT)
        batch = pair.here.next_batch(lambda size_bytes: 1000)
        assert batch == Batch(parcels=(ALERT,), riders=riders)
        assert pair.carried(batch) == [ALERT, *riders]
        pair.here.send(OTHER_ALERT, Lane.URGENT)
        assert pair.here.next_batch(roomy) == Batch(parcels=(OTHER_ALERT,)), "once is enough"


async def test_of_several_parcels_a_bad_one_is_refused_and_the_others_are_taken() -> None:
    pair = Pair()
    assert pair.there.arrived(pair.heard, pair.seals[0].seal(RECEIPT, hop.encode(hop.Who()), ALERT))
    assert pair.heard.parcels == [RECEIPT, ALERT]
    assert pair.counters["refused_malformed"] == 1


# ------------------------------------------------------------------------------------------------ bytes


parts = st.lists(st.tuples(st.integers(0, 255), st.binary(min_size=1, max_size=300)), min_size=2, max_size=16)


@given(parts)
def test_parts_come_apart_as_they_were_put_together(known: list[tuple[int, bytes]]) -> None:
    assert unpack(pack(known)) == known


@given(st.binary(max_size=60))
def test_what_is_taken_for_several_is_packed_like_this_and_not_otherwise(content: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert pack(unpack(content)) == content


@pytest.mark.parametrize(
    "content",
    [b"", b"\x10\x01a", b"\x10\x01a\x10", b"\x10\x01a\x10\x00", b"\x10\x01a\x10\x02b", b"\x10\x81\x00a\x10\x01b", b"\x10\x01a" * 17,
     b"\x10\x01a\x10\xff\xff\xff\xff\xff\x01"],
    ids=["nothing", "one", "cut off", "an empty one", "too short", "a long form", "too many", "an endless number"],
)  # fmt: skip
def test_what_is_not_several_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(content)


def test_several_within_several_are_refused() -> None:
    pair = TinySeal(OTHERS[0], _passport(CENTER, "center")), TinySeal(CENTER, _passport(OTHERS[0], "camera"))
    inner = pair[0].seal(RECEIPT, ALERT)
    content = pack([(0x10, RECEIPT), (SEVERAL, inner[OVERHEAD_BYTES:])])
    proof = pair[0]._proof(OTHERS[0].node_id, SEVERAL, content)
    with pytest.raises(Malformed):
        pair[1].open(bytes((SEVERAL,)) + proof + content)


PARCELS = [
    *(signed(0, 2, number, 1, size_bytes=size).wire for number, size in enumerate((10, 70), start=1)),
    *(signed(1, 2, number, 1, precedence=Precedence.ROUTINE, size_bytes=15 * number).wire for number in range(1, 5)),
    *(hop.encode(hop.Stored(ids=(bytes([number]) * 32,) * number)) for number in range(1, 4)),
    *(receipt_for(OTHERS[number % 2], number + 1, RangeSet([(1, number + 1)])).wire for number in range(4)),
]


@given(
    st.lists(st.sampled_from(PARCELS), unique=True, max_size=12),
    st.sampled_from([no_room, radio_frames.room, sms_pdu.room, lambda size_bytes: 340, lambda size_bytes: 270]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
async def test_every_parcel_goes_once_in_its_turn_and_for_no_more_than_the_first_of_its_bundle_costs(
    parcels: list[bytes], room: Room, with_rest: bool, is_known: bool, is_metered: bool
) -> None:
    pair, alone = Pair(is_metered=is_metered), Pair(is_metered=is_metered)
    if is_known:
        pair.seals[0].reads.said_several()
    for parcel in parcels:
        assert pair.here.send(parcel, Lane.URGENT)
        assert alone.here.send(parcel, Lane.URGENT)
    turns: list[bytes] = []
    while (single := alone.here.next_batch(no_room)) is not None:
        turns += single.parcels
    went: list[bytes] = []
    while (batch := pair.here.next_batch(room, with_rest=with_rest)) is not None:
        sealed, first = pair.here.sealed(batch), pair.seals[0].seal(batch.parcels[0])
        assert len(sealed) <= max(len(first), room(len(first)))
        assert pair.seals[1].open(sealed) == (*batch.parcels, *batch.riders)
        if batch.parcels == (QUESTION,):
            continue
        assert is_known or not batch.parcels[1:]
        left = [parcel for parcel in turns if parcel not in went]
        assert batch.parcels[0] == left[0], "something went before its turn, and not along"
        went += batch.parcels
        assert not batch.riders or not is_metered
    assert sorted(went) == sorted(parcels)


# ------------------------------------------------------------------------------------------------ modems


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


async def test_one_burst_carries_the_alert_and_the_receipt_that_waited_with_it(house: House) -> None:
    async with sky(house) as up:
        up.down(YES)  # as the answer to a question: the center reads several
        await until(lambda: up.end.session._seal.reads.several, "the answer")
        up.modem.statuses = [32]
        up.end.gate.clear()
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: bool(up.end.waited_s), "a failed burst, whose pause lasts")
        assert up.end.session.send(RECEIPT, Lane.URGENT)
        up.end.gate.set()
        await until(lambda: bool(up.modem.bursts), "the burst")
        assert up.at_center.open(up.modem.bursts[0]) == (RECEIPT, ALERT)
        assert len(up.modem.bursts) == 1
        assert len(up.modem.bursts[0]) <= 340
        assert up.counters["parcels_went_along"] == 1
        assert not up.end.parcels, "the answer went up to where it means nothing"


@contextlib.asynccontextmanager
async def radio_house(house: House, medium: Medium, folder_dir: Path, node_inbox: Kept) -> AsyncIterator[tuple[Station, Station, RadioModem]]:  # fmt: skip
    """A center and a camera with a radio each; the camera offers nothing a second time."""
    async with (
        carrier("serial_radio", folder_dir) as way,
        house.station("center", listen=way.listening) as center,
        house.station("gate-camera", to=[way.path_to("center", center.listening_on[0])], inbox=node_inbox) as node,
    ):
        node.sender._policy = SendPolicy(least_retry_ms=3_600_000)
        await until(lambda: node.path_health()[0].is_up, "the radio")
        yield center, node, way.modem  # type: ignore[attr-defined]


async def test_a_receipt_that_the_air_swallowed_comes_in_the_last_frame_of_the_acknowledgement(
    house: House, tmp_path: Path
) -> None:
    node_inbox = Kept()
    async with radio_house(house, Medium(), tmp_path, node_inbox) as (center, node, radio):
        center.sender._policy = node.sender._policy
        for number in range(1, 5):  # until the two know each other
            is_last = number == 4
            if is_last:
                radio.medium.lose_next_to = radio
            alert = await node.put(an_alert(node))
            if is_last:
                await until(lambda: radio.medium.lost == 1, "the receipt to be lost")
                assert node.counters["envelopes_receipted"] == 3
            else:
                await until(lambda number=number: node.counters["envelopes_receipted"] == number, "the receipt")  # type: ignore[misc]
            seen = Acknowledgement(
                alert_ids=(alert.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
            )
            await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                                   destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
            await until(lambda number=number: len(node_inbox.arrivals) == number, "the acknowledgement")  # type: ignore[misc]
            await until(lambda number=number: center.counters["envelopes_receipted"] == number, "its receipt")  # type: ignore[misc]
        await until(lambda: node.counters["envelopes_receipted"] == 4, "the receipt that was lost")
        assert center.counters["receipts_rode"] >= 1
        assert (node.counters["envelopes_sent"], center.counters["duplicates_arrived"]) == (4, 0), "an alert went again"
