"""A receipt that was lost comes again behind whatever goes the same way, and costs nothing where it was not lost but its few bytes."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import receipt
from relay.attempts import SendPolicy
from relay.clock import SimulatedClock, SystemClock
from relay.counters import Counters
from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.links import Link
from relay.passport import Role
from relay.path import Lane
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.receipt import Receipt
from relay.rides import AT_ONCE, KEPT, LEAST_WAIT_MS, Rides
from relay.silence import Silence
from relay.spool import Draft
from relay.station import Station
from tests.properties.drafting import CENTER, OTHERS, receipt_for
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert

ANYWHERE = "tcp://127.0.0.1:0"


class Thief:
    """Takes the next receipts out of what a link says; ``refuses``: its carrier says that it has no room for them."""

    def __init__(self, link: Link, patch: pytest.MonkeyPatch, *, refuses: bool = False) -> None:
        self.left = 1
        self.stolen: list[Receipt] = []
        really_send = link.session.send

        def send(parcel: bytes, lane: Lane) -> bool:
            if receipt.is_receipt(parcel) and len(self.stolen) < self.left:
                self.stolen.append(receipt.parse(parcel))
                return not refuses
            return really_send(parcel, lane)

        patch.setattr(link.session, "send", send)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "yard-relay": Role.RELAY, "gate-camera": Role.CAMERA})


@contextlib.asynccontextmanager
async def chain(house: House, last: str, node_inbox: Kept) -> AsyncIterator[tuple[Station, Link, Station]]:
    """The station that the camera dials, its link to it, and the camera, which offers nothing a second time."""
    async with contextlib.AsyncExitStack() as stack:
        center = await stack.enter_async_context(house.station("center", listen=ANYWHERE))
        above = center
        if last != "center":
            to = [("center", center.listening_on[0])]
            above = await stack.enter_async_context(house.station(last, listen=ANYWHERE, to=to))
            await until(lambda: above.path_health()[0].is_up, "the relay's path")
        to = [(last, above.listening_on[0])]
        node = await stack.enter_async_context(house.station("gate-camera", to=to, inbox=node_inbox))
        node.sender._policy = SendPolicy(least_retry_ms=3_600_000)
        await until(lambda: any(link.has_told for link in node._links), "the introduction to be over")
        [link] = [known for known in above._links if known.peer is not None and known.peer.name == "gate-camera"]
        yield above, link, node


def acknowledgement_of(alert_id: bytes, node: Station) -> Draft:
    seen = Acknowledgement(alert_ids=(alert_id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1)
    return Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                 destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key)  # fmt: skip


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks whether anybody is there: nothing goes down but what the test says."""
    monkeypatch.setattr("relay.upkeep.PING_EVERY_MS", 3_600_000)
    monkeypatch.setattr(Silence, "wants_probe", lambda self, p95_ms, now_ms: False)
    monkeypatch.setattr(Silence, "becomes_suspect", lambda self, p95_ms, now_ms: False)


async def due(link: Link) -> None:
    assert link.rides is not None
    [rider] = link.rides._waiting.values()
    await until(lambda: SystemClock().monotonic_ms() >= rider.due_ms, "its time to ride")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("refuses", [False, True], ids=["lost on the way", "not taken by the carrier"])
async def test_a_receipt_that_is_lost_on_the_only_path_comes_behind_the_next_acknowledgement(
    house: House, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    node_inbox = Kept()
    async with chain(house, "center", node_inbox) as (center, link, node):
        thief = Thief(link, monkeypatch, refuses=refuses)
        alert = await node.put(an_alert(node))
        await until(lambda: len(thief.stolen) == 1, "the receipt to be lost")
        assert thief.stolen[0].covers(alert.envelope.header.sequence)
        await due(link)
        assert node.counters["envelopes_receipted"] == 0, "it was not lost"
        await center.put(acknowledgement_of(alert.envelope.id, node))
        await until(lambda: node.counters["envelopes_receipted"] == 1, "the receipt")
        assert len(node_inbox.arrivals) == 1
        assert center.counters["receipts_rode"] == 1
        assert (node.counters["envelopes_sent"], center.counters["duplicates_arrived"]) == (1, 0), (
            "the alert went again"
        )


@pytest.mark.usefixtures("quiet")
async def test_a_relay_lets_the_receipts_that_it_passed_on_ride_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chain(house, "yard-relay", Kept()) as (relay, link, node):
        thief = Thief(link, monkeypatch)
        await node.put(an_alert(node))
        await until(lambda: len(thief.stolen) == 1, "the receipt to be lost")
        await due(link)
        assert node.counters["envelopes_receipted"] == 0, "it was not lost"
        link.ping(relay.clock.monotonic_ms())
        await until(lambda: node.counters["envelopes_receipted"] == 1, "the receipt")
        assert relay.counters["receipts_rode"] == 1
        assert (node.counters["envelopes_sent"], relay.counters["duplicates_arrived"]) == (1, 0), "the alert went again"


async def test_on_an_idle_path_a_lost_receipt_comes_behind_a_pong(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chain(house, "center", Kept()) as (center, link, node):
        thief = Thief(link, monkeypatch)
        await node.put(an_alert(node))
        await until(lambda: len(thief.stolen) == 1, "the receipt to be lost")
        await until(lambda: node.counters["envelopes_receipted"] == 1, "the receipt")
        assert center.counters["receipts_rode"] == 1
        assert (node.counters["envelopes_sent"], center.counters["duplicates_arrived"]) == (1, 0), (
            "the alert went again"
        )


# ------------------------------------------------------------------------------------------------ how often


class Hands:
    """A clock that stands until it is moved, and a carrier that takes what it is told to take."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.counters = Counters()
        self.rides = Rides(self.clock, self.counters)
        self.takes = True
        self.went: list[bytes] = []

    def send(self, parcel: bytes, lane: Lane) -> bool:
        if self.takes:
            self.went.append(parcel)
            if parcel == WORD:
                self.give()
        return self.takes

    def give(self) -> None:
        self.rides.give(self.send, 0)

    def say(self, said: Receipt) -> None:
        self.rides.say(said, self.send, 0)


WORD = b"anything"
SERIES = 6
RECEIPTS = [[receipt_for(OTHERS[number % 2], number + 1, RangeSet([(1, upto)])) for upto in range(1, 7)] for number in range(SERIES)]  # fmt: skip

steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, SERIES - 1)),
        st.tuples(st.just("again"), st.integers(0, SERIES - 1)),
        st.tuples(st.just("word"), st.just(0)),
        st.tuples(st.just("later"), st.integers(1, 2 * LEAST_WAIT_MS)),
        st.tuples(st.just("takes"), st.integers(0, 1)),
    ),
    max_size=60,
)


@given(steps)
def test_each_receipt_rides_once_behind_something_and_never_behind_a_newer_one(done: list[tuple[str, int]]) -> None:
    hands, newest, said = Hands(), [-1] * SERIES, dict[bytes, int]()
    for step, value in done:
        match step:
            case "say" if newest[value] < 5:
                newest[value] += 1
                hands.say(RECEIPTS[value][newest[value]])
            case "again" if newest[value] >= 0:
                wire = RECEIPTS[value][newest[value]].wire
                said[wire] = said.get(wire, 0) + 1
                hands.say(RECEIPTS[value][newest[value]])
            case "word":
                before = len(hands.went)
                hands.send(WORD, Lane.URGENT)
                assert len(hands.went) - before <= 1 + AT_ONCE
            case "later":
                hands.clock.advance(value)
            case "takes":
                hands.takes = bool(value)
    hands.takes = True
    for _ in range(3 * SERIES):
        hands.clock.advance(LEAST_WAIT_MS)
        hands.send(WORD, Lane.URGENT)
    assert not len(hands.rides), "something waits for ever"
    for series, versions in enumerate(RECEIPTS):
        order = [version for wire in hands.went for version, known in enumerate(versions) if known.wire == wire]
        assert order == sorted(order), "an older receipt came behind a newer one"
        for version, known in enumerate(versions):
            times = hands.went.count(known.wire)
            assert times <= 2 + said.get(known.wire, 0), "it rode more than once"
            assert times >= 2 or version != newest[series], "the newest one had no ride"


def test_so_many_receipts_wait_and_the_oldest_goes_without_and_is_counted() -> None:
    hands = Hands()
    for series in range(1, KEPT + 11):
        hands.say(receipt_for(CENTER, series, RangeSet([(1, 1)])))
    assert len(hands.rides) == KEPT
    assert hands.counters["receipts_without_ride"] == 10
    hands.clock.advance(LEAST_WAIT_MS)
    hands.went.clear()
    hands.send(WORD, Lane.URGENT)
    assert [receipt.parse(wire).series for wire in hands.went[1:]] == [11, 12, 13, 14]
