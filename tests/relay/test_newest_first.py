"""After an outage on a thin path: what happens now is heard within a few frames, the past beside it, and all of it in the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from relay import envelope
from relay.attempts import Entry, LinkId
from relay.config import ListenConfig, PathConfig
from relay.counters import Counters
from relay.crew import crew
from relay.header import Kind
from relay.ids import EnvelopeId, NodeId
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.paths.radio_frames import to_line
from relay.paths.tiny_seal import TinySeal
from relay.paths.tiny_session import ALERTS_DEEP, TinySession, no_room
from relay.precedence import Precedence
from relay.spool import Draft, Spooled
from relay.window import InWindow, first_of_each, waiting_of
from tests.properties.drafting import signed
from tests.relay.carriers import FAST_RADIO
from tests.relay.house import House, Kept, until
from tests.relay.radio_medium import Medium, RadioModem
from tests.relay.test_path_conformance import an_alert

BACKLOG = 60
FRAMES_MOST = ALERTS_DEEP + 3
"""One on the air, those that the radio was handed already, one of the oldest whose turn it may be, and itself."""


class Air:
    """A camera and a center at the two ends of one channel, and what the camera's frames held."""

    def __init__(self, house: House, camera_radio: RadioModem, center_radio: RadioModem) -> None:
        self.house = house
        self.camera_radio = camera_radio
        options = msgspec.structs.replace(FAST_RADIO, peers=("gate-camera",))
        self.listening = ListenConfig(
            kind="serial_radio", endpoint=f"serial://{center_radio.device}", serial_radio=options
        )
        self.path = PathConfig(name="radio", kind="serial_radio", endpoint=f"serial://{camera_radio.device}", peer="center",
                               serial_radio=FAST_RADIO)  # fmt: skip
        self._seal = TinySeal(house.identities["center"], house.passports["gate-camera"].passport)

    def alerts_said(self) -> list[EnvelopeId]:
        """Each alert that was on the air, in order, repetitions too."""
        said: list[EnvelopeId] = []
        for sender, frame in list(self.camera_radio.medium.frames):
            if sender is self.camera_radio:
                for parcel in self._seal.open(frame[2:]):
                    with contextlib.suppress(Exception):
                        if (parsed := envelope.parse(parcel)).header.kind == Kind.ALERT:
                            said.append(parsed.id)
        return said


@pytest.fixture
async def air(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Air]:
    monkeypatch.setattr(
        "relay.newest_first.EVERY_MS", 20
    )  # shorter than a frame of this radio, as it is for a real one
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})
    medium = Medium(seed=11)
    async with RadioModem(medium).plugged_in() as camera, RadioModem(medium).plugged_in() as center:
        yield Air(house, camera, center)


def place_of(put: Spooled, said: list[EnvelopeId], *, since: int) -> int:
    """As which frame it went, counted from 1 after so many."""
    return said[since:].index(put.envelope.id) + 1


@pytest.mark.slow
async def test_behind_a_backlog_a_new_alert_is_heard_within_a_few_frames_and_the_backlog_is_complete(air: Air) -> None:
    inbox = Kept()
    async with (
        air.house.station("center", listen=air.listening, inbox=inbox),
        air.house.station("gate-camera", to=[air.path]) as node,
    ):
        old = await node.put_all([an_alert(node) for _ in range(BACKLOG)])
        await until(lambda: len(air.alerts_said()) >= 4, "the backlog to be under way", 30)
        for number in range(3):
            since = len(air.alerts_said())
            new = await node.put(an_alert(node))
            assert node.counters["envelopes_receipted"] < BACKLOG - 20, "there is no backlog: the fault did not happen"
            await until(lambda new=new: new.envelope.id in air.alerts_said(), "the new one on the air", 30)  # type: ignore[misc]
            place = place_of(new, air.alerts_said(), since=since)
            assert place <= FRAMES_MOST, f"number {number} was frame {place}"
            old.append(new)
        await until(lambda: node.counters["envelopes_receipted"] == BACKLOG + 3, "all receipts", 120)
    assert sorted(item.envelope.id for item in inbox.arrivals) == sorted(put.envelope.id for put in old)


async def test_who_was_restarted_with_a_backlog_says_its_newest_first_then_the_oldest(
    air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.sender.WINDOW", 20)  # the newest ones are not among the first that are read
    async with air.house.station("gate-camera") as node:
        old = await node.put_all([an_alert(node) for _ in range(BACKLOG)])
    async with air.house.station("center", listen=air.listening), air.house.station("gate-camera", to=[air.path]):
        await until(lambda: len(air.alerts_said()) >= 6, "the first six", 30)
        said = air.alerts_said()[:6]
    numbers = [next(place for place, put in enumerate(old, 1) if put.envelope.id == identifier) for identifier in said]
    assert BACKLOG in numbers[:2]
    assert 1 in numbers[:2]
    assert sum(number <= 4 for number in numbers) >= 2
    assert sum(number > BACKLOG - 4 for number in numbers) >= 2


async def test_an_order_s_later_state_never_goes_before_its_earlier_one(air: Air) -> None:
    """What goes down to a node keeps its order: a dispatcher's second word about an alert must not arrive before the first."""
    inbox = Kept()
    async with (
        air.house.station("center", listen=air.listening) as center,
        air.house.station("gate-camera", to=[air.path], inbox=inbox) as node,
    ):
        await node.put(an_alert(node))
        await until(lambda: center.counters["envelopes_stored"] == 1, "the way down to be known")
        word = Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=bytes(60), destination=node.identity.node_id,
                     peer_sealing_key=node.identity.sealing_key)  # fmt: skip
        await center.put_all([word] * 12)
        await until(lambda: len(inbox.arrivals) == 12, "all words", 60)
    assert [item.envelope.header.sequence for item in inbox.arrivals] == list(range(1, 13))


async def test_a_relay_that_carries_for_a_node_says_the_node_s_newest_first(tmp_path: Path) -> None:
    """It reads no bodies: the number in the header says what is newest, whatever came first."""
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "site-relay": Role.RELAY, "gate-camera": Role.CAMERA})
    medium, inbox = Medium(seed=5), Kept()
    async with RadioModem(medium).plugged_in() as relay_radio, RadioModem(medium).plugged_in() as center_radio:
        options = msgspec.structs.replace(FAST_RADIO, peers=("site-relay",))
        at_center = ListenConfig(kind="serial_radio", endpoint=f"serial://{center_radio.device}", serial_radio=options)
        up = PathConfig(name="radio", kind="serial_radio", endpoint=f"serial://{relay_radio.device}", peer="center",
                        serial_radio=FAST_RADIO)  # fmt: skip
        async with contextlib.AsyncExitStack() as without_uplink:
            relay = await without_uplink.enter_async_context(house.station("site-relay", listen="tcp://127.0.0.1:0"))
            node = await without_uplink.enter_async_context(
                house.station("gate-camera", to=[("site-relay", relay.listening_on[0])])
            )
            put = await node.put_all([an_alert(node) for _ in range(30)])
            await until(lambda: relay.counters["envelopes_carried"] == 30, "the relay to hold them")
        async with (
            house.station("center", listen=at_center, inbox=inbox) as center,
            house.station("site-relay", listen="tcp://127.0.0.1:0", to=[up]),
        ):
            await until(lambda: center.counters["envelopes_stored"] >= 6, "the first six", 60)
            first = [item.envelope.header.sequence for item in inbox.arrivals[:6]]
    assert put[-1].envelope.header.sequence in first[:3]
    assert 1 in first[:3]


def a_session(tmp_path: Path, counters: Counters) -> TinySession:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})
    return TinySession(
        facts=PathFacts(name="tiny", mtu_bytes=331, is_tiny=True), is_outgoing=True, counters=counters,
        seal=TinySeal(house.identities["gate-camera"], house.passports["center"].passport),
    )  # fmt: skip


async def test_a_tiny_path_is_handed_two_alerts_and_says_when_it_has_room(tmp_path: Path) -> None:
    queue, told = a_session(tmp_path, Counters()), list[int]()
    queue.on_room = lambda: told.append(1)
    alerts = [signed(0, 1, number, 1).wire for number in range(1, ALERTS_DEEP + 2)]
    assert all(queue.send(wire, Lane.URGENT) for wire in alerts[:ALERTS_DEEP])
    assert queue.send(alerts[0], Lane.URGENT), "it waits there already"
    assert not queue.send(alerts[-1], Lane.URGENT)
    assert not told
    assert queue.next_batch(no_room) is not None
    assert told == [1]
    assert queue.send(alerts[-1], Lane.URGENT)
    queue.withdraw(alerts[-1])
    assert told == [1], "nobody asked since"


async def test_stations_hear_of_room_at_once_and_need_no_second_for_the_next_alert(air: Air) -> None:
    async with (
        air.house.station("center", listen=air.listening),
        air.house.station("gate-camera", to=[air.path]) as node,
    ):
        await node.put_all([an_alert(node) for _ in range(8)])
        session = next(iter(node._links)).known
        await until(lambda: node.counters["envelopes_receipted"] == 8, "all of them", 60)
        assert session is not None
        assert session.on_room == node.sender.wake


async def test_a_channel_on_which_others_never_fall_silent_holds_the_next_frame_back_for_a_while_only(air: Air) -> None:
    """The modem finds its gap sooner or later, and does not say so."""
    async with air.house.station("gate-camera", to=[air.path]) as node:
        medium = air.camera_radio.medium
        await until(lambda: air.camera_radio.slot_s > 0, "the modem")
        async with crew() as members:
            members.start(_talk(air.camera_radio), "others")
            await node.put_all([an_alert(node) for _ in range(4)])
            await until(lambda: len(air.alerts_said()) >= 3, "alerts among the others' talk", 60)
        assert sum(sender is air.camera_radio for sender, _ in medium.frames) >= 3


async def _talk(radio: RadioModem) -> None:
    """Frames of strangers, heard back to back."""
    while True:
        radio.write(to_line(b"zz\x10" + bytes(200)))
        await asyncio.sleep(radio.medium.modulation.airtime_s(203))


def test_one_that_was_chosen_and_is_tried_or_held_by_now_is_planned_with_once() -> None:
    """Twice, and it is parked twice: the second time it is gone, and the station with it."""
    items = [_in_window(number) for number in range(1, 6)]
    chosen = items[4]
    assert first_of_each(items, 2, [chosen])[0] == [items[0], items[1], chosen]
    chosen.entry.note_sent((NodeId(bytes(8)), "lan"), 1, LinkId(1))
    assert first_of_each(items, 2, [chosen])[0] == [items[0], items[1], chosen]


def _in_window(number: int) -> InWindow:
    spooled = Spooled(envelope=signed(0, 9, number, 1), number=number)
    waiting = waiting_of(spooled)
    entry = Entry(number=number, precedence=waiting.precedence, size_bytes=len(waiting.wire), origin=waiting.origin)
    return InWindow(waiting=waiting, entry=entry, flow=(waiting.origin, Precedence.FLASH))
