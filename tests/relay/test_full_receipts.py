"""Where a node's numbers come with more gaps than a receipt can name: on a radio, where all that is no alert stays away, for days."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits, receipt
from relay.config import ListenConfig, PathConfig
from relay.header import Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.passport import Role
from relay.paths.tiny_seal import OVERHEAD_BYTES, TAG_BYTES
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.receipt import Receipt
from relay.spool import Spooled
from relay.spool_check import check
from tests.properties.drafting import CENTER, receipt_for
from tests.relay.carriers import FAST_RADIO
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import neighbor, said_by
from tests.relay.radio_medium import Medium, RadioModem
from tests.relay.spooling import ME, draft, opened
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_sender import Wire, connect, gate_and_center

NODE = Identity.from_seed(bytes(31) + b"n")
GAPS = 90


def every_other(upto: int) -> RangeSet:
    return RangeSet((number, number) for number in range(1, upto + 1, 2))


def issued(stored: RangeSet, *answers: int) -> Receipt:
    return receipt.issue(stored, signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=1, origin=NODE.node_id, series=7,
                         answers=answers)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 120), st.integers(1, 100)), min_size=1, max_size=200),
    st.lists(st.integers(0, 199), max_size=5),
)
def test_whatever_came_now_is_named_and_it_fits_one_frame(gaps: list[tuple[int, int]], came: list[int]) -> None:
    stored, at = RangeSet(), 1
    for skipped, count in gaps:
        stored.add(at + skipped, at + skipped + count - 1)
        at += skipped + count
    firsts = [first for first, _ in stored]
    answers = [firsts[place % len(firsts)] for place in came]
    said = issued(stored, *answers)
    assert all(said.covers(number) for number in answers)
    assert not said.ranges().minus(stored)
    assert said.is_full == (len(stored.above_contiguous()) >= limits.RECEIPT_RANGES_NAMED)
    if not said.is_full:
        assert said.ranges() == stored
    assert TAG_BYTES + len(said.wire) + OVERHEAD_BYTES <= limits.LORA_FRAME_BYTES


async def test_each_of_an_endless_row_of_gaps_is_answered_when_it_comes_and_when_it_comes_again(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    async with (
        house.station("center", listen="tcp://127.0.0.1:0") as center,
        neighbor(house, "gate", center.listening_on[0]) as gate,
    ):
        for sequence in [*range(1, 2 * GAPS, 2), 21, 2 * GAPS - 1]:
            count = len(gate.receipts)
            gate.say(said_by(house.identities["gate"], sequence).wire)
            await until(
                lambda count=count, sequence=sequence: any(said.covers(sequence) for said in gate.receipts[count:]),  # type: ignore[misc]
                f"the receipt for {sequence}",
            )
        assert gate.receipts[-1].is_full, "there were too few gaps: the fault did not happen"


def test_what_a_full_receipt_does_not_name_is_neither_reported_as_lost_nor_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path / "spool.sqlite") as (database, spool):
        put = database.run_blocking(lambda connection: spool.put_all(connection, [draft()] * (2 * GAPS)))
        series = put[0].envelope.header.series

        def settle(stored: RangeSet, *answers: int) -> Receipt:
            said = receipt.issue(stored, signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=1, origin=ME.node_id,
                                 series=series, answers=answers)  # fmt: skip
            database.run_blocking(lambda connection: spool.settle(connection, said, AUTHORITY))
            return said

        for upto in range(1, 2 * GAPS, 2):
            last = settle(every_other(upto), upto)
        assert last.is_full
        assert not last.covers(3), "everything is named: the fault did not happen"
        waiting = database.run_blocking(
            lambda connection: [row[0] for row in connection.execute("SELECT sequence FROM envelope ORDER BY sequence")]
        )
        assert waiting == list(range(2, 2 * GAPS + 1, 2)), "each was freed by the receipt that answered it"
        assert not database.run_blocking(spool.forgone), "nothing is reported as given up"
        heard = database.run_blocking(
            lambda connection: [n for n in range(1, 2 * GAPS + 1) if spool.was_receipted(connection, series, n)]
        )
        assert heard == list(range(1, 2 * GAPS, 2))
        lost = RangeSet(
            [(1, 20), (31, 2 * GAPS)]
        )  # the center was restored from a backup; this receipt names all there is
        settle(lost)
        assert list(database.run_blocking(spool.forgone)) == [(n, n) for n in range(21, 31, 2)]
        assert not database.run_blocking(lambda connection: spool.was_receipted(connection, series, 21))
    assert not check(tmp_path / "spool.sqlite", identity=ME).findings


async def test_of_two_full_receipts_that_come_together_each_counts(tmp_path: Path) -> None:
    """Neither says all that the other says."""
    house, center = gate_and_center(tmp_path)
    wire = Wire("lte")
    async with house.station("gate") as gate:
        connect(gate, house, wire)
        put = await gate.put_all([an_alert(gate)] * (2 * GAPS))
        first, second = (
            receipt.issue(every_other(2 * GAPS), signer=center.node_id, signing=center.signing, stored_at_s=1,
                          origin=gate.identity.node_id, series=put[0].envelope.header.series, answers=[number])
            for number in (3, 5)
        )  # fmt: skip
        assert not first.covers(5)
        assert not second.covers(3)
        for said in (first, second):
            gate._switchboard.session_received(wire, said.wire)
        await until(lambda: not {put[2].number, put[4].number} & set(gate.sender._window), "both to be freed")


@pytest.mark.slow
async def test_a_node_that_only_its_radio_reaches_learns_of_every_alert_though_its_heartbeats_never_go(
    tmp_path: Path,
) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})
    medium, inbox, count, raised = Medium(seed=3), Kept(), limits.MAX_RECEIPT_RANGES + 4, list[Spooled]()
    async with RadioModem(medium).plugged_in() as camera, RadioModem(medium).plugged_in() as center_radio:
        options = msgspec.structs.replace(FAST_RADIO, peers=("gate-camera",))
        listening = ListenConfig(kind="serial_radio", endpoint=f"serial://{center_radio.device}", serial_radio=options)
        path = PathConfig(name="radio", kind="serial_radio", endpoint=f"serial://{camera.device}", peer="center",
                          serial_radio=FAST_RADIO)  # fmt: skip
        async with (
            house.station("center", listen=listening, inbox=inbox),
            house.station("gate-camera", to=[path]) as node,
        ):
            for upto in (count - 2, count - 1, count):
                while len(raised) < upto:
                    raised += await node.put_all([an_alert(node)])
                    await node.put(node.draft_up(Kind.HEARTBEAT, Precedence.ROUTINE, bytes(20)))
                await until(lambda upto=upto: node.counters["envelopes_receipted"] == upto, "every alert's receipt", 90)  # type: ignore[misc]
            assert (await node.status()).backlog == (0, 0, 0, count, 0)
    assert len(inbox.arrivals) == count


def test_a_receipt_of_an_older_release_with_more_ranges_is_read() -> None:
    stored = RangeSet((4 * n + 1, 4 * n + 2) for n in range(1, limits.MAX_RECEIPT_RANGES + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "RECEIPT_RANGES_NAMED", limits.MAX_RECEIPT_RANGES)
        older = receipt_for(NODE, 7, stored)
    assert len(older.further) == limits.MAX_RECEIPT_RANGES
    parsed = receipt.parse(older.wire)
    assert parsed.ranges() == stored
    assert parsed.is_full
