"""Between two plans: what is a reason for the next one, and what of a flood that is held back is none."""

from pathlib import Path

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.header import Header
from relay.ids import AUTHORITY, NodeId
from relay.passport import Role
from relay.precedence import Precedence
from relay.room_wanted import RoomWanted
from relay.scheduler import Plan, plan
from relay.striping import FEW
from tests.relay.house import House
from tests.relay.neighbor import said_by

POLICY = SendPolicy()
NOW = 1_000_000
FLOODER, GATE = NodeId(b"flooder0"), NodeId(b"gate0000")
SHUT = LinkView(id=LinkId(1), peer=b"center", path="lte", rtt_ms=80, flood_left_bytes=-1.0)
OPEN = LinkView(id=LinkId(2), peer=b"center", path="sat", rtt_ms=600)


def flood(count: int, *links: LinkView, precedence: Precedence = Precedence.FLASH) -> list[Entry]:
    return [
        Entry(number=n, precedence=precedence, size_bytes=230, origin=FLOODER, links=links) for n in range(1, count + 1)
    ]


def decided(entries: list[Entry], *, left_out: frozenset[NodeId] = frozenset()) -> tuple[Plan, RoomWanted]:
    made, wanted = plan(entries, NOW, POLICY), RoomWanted()
    wanted.decided(made, left_out, found_some_full=False)
    return made, wanted


def said(house: House, name: str, destination: NodeId = AUTHORITY) -> Header:
    return said_by(house.identities[name], 1, destination=destination).header


def test_a_flood_that_is_held_back_waits_for_pongs_and_for_no_receipt_but_the_one_that_leaves_a_few() -> None:
    entries = flood(FEW + 3, SHUT)
    made, wanted = decided(entries)
    assert made.sends == ()
    assert made.held_back == {FLOODER: 3}
    assert not made.waits_for_room
    assert wanted.is_met_by_pong()
    assert not wanted.is_met_by_receipt(GATE)
    for receipted in (1, 2):
        assert not wanted.is_met_by_receipt(FLOODER)
        assert plan(entries[receipted:], NOW, POLICY).sends == (), "and a plan would have decided nothing"
    assert wanted.is_met_by_receipt(FLOODER)
    assert len(plan(entries[3:], NOW, POLICY).sends) == FEW, "what is left of it is a few, and goes"


def test_where_another_link_takes_more_of_a_flood_it_is_not_held_back() -> None:
    """Its next alert must go there at once, whatever the shut one waits for."""
    for precedence in (Precedence.FLASH, Precedence.IMMEDIATE):
        made, wanted = decided(flood(FEW + 3, SHUT, OPEN, precedence=precedence))
        assert made.held_back == {}
        assert made.waits_for_room
        assert wanted.is_met_by_receipt(FLOODER)
        assert wanted.is_met_by_pong()


def test_a_full_window_waits_for_every_receipt() -> None:
    link = LinkView(id=LinkId(1), peer=b"center", path="lte", rtt_ms=80)
    made = plan(flood(FEW + 3, link), NOW, SendPolicy(urgent_window=8))
    assert made.waits_for_room, "no flood window is shut: what is in flight must be heard"


def test_more_of_a_flood_that_is_held_back_is_no_reason_for_a_plan_and_anything_else_is(tmp_path: Path) -> None:
    house = House(tmp_path)
    for name in ("flooder", "gate"):
        house.enroll(name, Role.CAMERA)
    flooder = house.identities["flooder"].node_id
    entries = [
        Entry(number=n, precedence=Precedence.FLASH, size_bytes=230, origin=flooder, links=[SHUT]) for n in range(40)
    ]
    _, wanted = decided(entries)
    assert not wanted.is_met_by(said(house, "flooder"))
    assert wanted.is_met_by(said(house, "gate"))
    assert wanted.is_met_by(said(house, "flooder", GATE)), "it may go by another link"
    _, wanted = decided(entries[:FEW])
    assert wanted.is_met_by(said(house, "flooder"))


def test_what_was_left_out_of_a_plan_is_looked_at_next_but_for_a_flood_that_is_held_back() -> None:
    entries = flood(FEW + 3, SHUT)
    assert not decided(entries, left_out=frozenset({FLOODER}))[1].has_rest
    assert decided(entries, left_out=frozenset({FLOODER, GATE}))[1].has_rest
    assert decided(flood(3, OPEN), left_out=frozenset({FLOODER}))[1].has_rest
