"""What the sender hands to the carriers: an answer that comes in time cancels what would have gone elsewhere."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from relay import hop, receipt, sender
from relay.at_hand import AT_HAND
from relay.clock import Clock
from relay.header import Kind
from relay.identity import Identity
from relay.ids import NodeId
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import Spooled
from relay.station import Station
from tests.relay.house import House, until

RTT_MS = 150.0


class Wire:
    """A dialed session that writes down what it is given."""

    def __init__(self, name: str, *, is_metered: bool = False) -> None:
        self.facts = PathFacts(name=name, mtu_bytes=65_536, is_metered=is_metered)
        self.is_outgoing = True
        self.transport_key = b""
        self.envelopes: list[bytes] = []

    def send(self, parcel: bytes, lane: Lane) -> bool:
        if not hop.is_note(parcel):
            self.envelopes.append(parcel)
        return True

    def drop(self, reason: str) -> None:
        raise AssertionError(f"nothing is dropped here: {reason}")


class TinyWire(Wire):
    """One whose other end is known, and that queues for minutes."""

    def __init__(self, name: str, peer_id: NodeId) -> None:
        super().__init__(name)
        self.facts = PathFacts(name=name, mtu_bytes=233, is_tiny=True, expected_rtt_ms=20_000)
        self.peer_id = peer_id
        self.withdrawn: list[bytes] = []
        self.on_room: Callable[[], object] = list  # nobody waits for it

    def withdraw(self, parcel: bytes) -> None:
        self.withdrawn.append(parcel)


class FullWire(TinyWire):
    """One whose queue has no room left: it says when it was asked, ms."""

    def __init__(self, name: str, peer_id: NodeId, clock: Clock) -> None:
        super().__init__(name, peer_id)
        self._clock = clock
        self.asked_ms: list[int] = []

    def send(self, parcel: bytes, lane: Lane) -> bool:
        if hop.is_note(parcel):
            return True
        self.asked_ms.append(self._clock.monotonic_ms())
        return False


def gate_and_center(tmp_path: Path) -> tuple[House, Identity]:
    house = House(tmp_path)
    center = house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    return house, center


def connect(gate: Station, house: House, *wires: Wire) -> None:
    """Sessions to the center that are introduced and measured; the second is twice as far as the first, and so on."""
    for number, wire in enumerate(wires, 1):
        gate._switchboard.session_opened(wire)
        link = gate._links.of(wire)
        assert link is not None
        gate._links.introduce(link, house.passports["center"].passport)
        for _ in range(60):
            link.meter.measured(RTT_MS * number, gate.clock.monotonic_ms())


def receipt_of(center: Identity, gate: Station, spooled: Spooled) -> bytes:
    header = spooled.envelope.header
    issued = receipt.issue(RangeSet([(1, header.sequence)]), signer=center.node_id, signing=center.signing, stored_at_s=1,
                           origin=gate.identity.node_id, series=header.series)  # fmt: skip
    return issued.wire


async def until_long_after(gate: Station, at_ms: float) -> None:
    await until(lambda: gate.clock.monotonic_ms() > at_ms + 500, "the time of the hedge to pass")


@pytest.mark.parametrize(
    ("precedence", "is_metered"), [(Precedence.IMMEDIATE, False), (Precedence.FLASH, True)], ids=["hedge", "money"]
)
@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "unanswered"])
async def test_a_receipt_cancels_what_would_have_gone_on_the_next_path(
    precedence: Precedence, is_metered: bool, is_answered: bool, tmp_path: Path
) -> None:
    house, center = gate_and_center(tmp_path)
    first, second = Wire("wifi"), Wire("sat", is_metered=is_metered)
    async with house.station("gate") as gate:
        connect(gate, house, first, second)
        spooled = await gate.put(gate.draft_up(Kind.ALERT, precedence, b"a handgun"))
        await until(lambda: first.envelopes == [spooled.envelope.wire], "the first path's copy")
        sent_ms = gate.clock.monotonic_ms()
        if is_answered:
            gate._switchboard.session_received(first, receipt_of(center, gate, spooled))
            await until(lambda: gate.counters["envelopes_receipted"] == 1, "the receipt")
            answered_ms = gate.clock.monotonic_ms()
            await until_long_after(gate, sent_ms + RTT_MS)
            if answered_ms < sent_ms + RTT_MS / 2:  # else this machine was too busy for the answer to be in time
                assert second.envelopes == []
            assert len(first.envelopes) == 1
        else:
            await until(lambda: second.envelopes == [spooled.envelope.wire], "the hedge")


async def test_a_receipt_takes_back_what_still_waits_on_a_tiny_path(tmp_path: Path) -> None:
    house, center = gate_and_center(tmp_path)
    fast, radio = Wire("wifi"), TinyWire("radio", center.node_id)
    async with house.station("gate") as gate:
        connect(gate, house, fast)
        gate._switchboard.session_opened(radio)
        spooled = await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
        await until(lambda: len(radio.envelopes) == 1, "the radio's copy")
        assert radio.withdrawn == []
        gate._switchboard.session_received(fast, receipt_of(center, gate, spooled))
        await until(lambda: radio.withdrawn == [spooled.envelope.wire], "its withdrawal", 10)


async def test_a_receipt_for_one_takes_back_only_what_it_covers(tmp_path: Path) -> None:
    house, center = gate_and_center(tmp_path)
    first, second = Wire("wifi"), Wire("lte")
    async with house.station("gate") as gate:
        connect(gate, house, first, second)
        covered = await gate.put(gate.draft_up(Kind.ALERT, Precedence.IMMEDIATE, b"a handgun"))
        await until(lambda: len(first.envelopes) == 1, "the first")
        gate._switchboard.session_received(first, receipt_of(center, gate, covered))
        await until(lambda: gate.counters["envelopes_receipted"] == 1, "its receipt")
        other = await gate.put(gate.draft_up(Kind.ALERT, Precedence.IMMEDIATE, b"a knife"))
        await until(lambda: other.envelope.wire in second.envelopes, "the hedge of the one that is not covered")
        await asyncio.sleep(0)
        assert first.envelopes.count(covered.envelope.wire) == 1


async def test_what_went_by_a_session_that_is_over_goes_by_the_path_s_other_one_at_once(tmp_path: Path) -> None:
    house, _ = gate_and_center(tmp_path)
    first, spare = Wire("lte"), Wire("lte")
    async with house.station("gate") as gate:
        connect(gate, house, first)
        held = gate._links.of(first)
        assert held is not None
        connect(gate, house, spare)
        spooled = await gate.put(gate.draft_up(Kind.ALERT, Precedence.IMMEDIATE, b"a handgun"))
        await until(lambda: len(first.envelopes + spare.envelopes) == 1, "one session's copy")
        sent_by, other = (first, spare) if first.envelopes else (spare, first)
        waiting = next(iter(gate.sender._window.values()))
        # a retry whose turn would come in half an hour: only the session's end brings it forward
        waiting.entry.attempts[house.passports["center"].passport.node_id, "lte"].sent_ms += 1_800_000
        gate._switchboard.session_closed(sent_by, "the other one answered")
        await until(lambda: other.envelopes == [spooled.envelope.wire], "the other session's copy")


@pytest.mark.parametrize("count", [1, 3 * AT_HAND])
async def test_a_full_queue_of_a_tiny_path_is_not_asked_a_hundred_times_a_second(count: int, tmp_path: Path) -> None:
    """A node that only its radio reaches, with many alerts: its processor belongs to its cameras."""
    house, center = gate_and_center(tmp_path)
    async with house.station("gate") as gate:
        radio = FullWire("radio", NodeId(center.node_id), gate.clock)
        gate._switchboard.session_opened(radio)
        await gate.put_all([gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun")] * count)
        await until(lambda: len(radio.asked_ms) >= 4, "the queue to be asked again and again")
    assert radio.asked_ms[3] - radio.asked_ms[1] >= 1_000  # the first times may be its wakings


async def test_what_is_receipted_while_it_is_read_from_the_spool_is_not_sent_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "WINDOW", 20)
    house, center = gate_and_center(tmp_path)
    wire = Wire("lte")
    async with house.station("gate") as gate:
        put = await gate.put_all([gate.draft_up(Kind.ALERT, Precedence.IMMEDIATE, b"a handgun")] * 300)
        read_of_the_few, has_raced = gate.sender._read_of_the_few, asyncio.Event()

        async def receipted_meanwhile() -> None:
            if not has_raced.is_set():
                gate._switchboard.session_received(wire, receipt_of(center, gate, put[250]))
                await until(lambda: gate.counters["envelopes_receipted"] == 251, "the second receipt")
                has_raced.set()
            await read_of_the_few()

        monkeypatch.setattr(gate.sender, "_read_of_the_few", receipted_meanwhile)
        connect(gate, house, wire)
        await until(lambda: bool(wire.envelopes), "the first of a full window")
        gate._switchboard.session_received(wire, receipt_of(center, gate, put[199]))
        await asyncio.wait_for(has_raced.wait(), 15)
        await until(lambda: put[255].number in gate.sender._window, "what was read")
        assert min(gate.sender._window) == put[251].number
