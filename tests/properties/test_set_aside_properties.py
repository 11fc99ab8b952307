"""A sender that sets aside what is under way sends what one does that looks through all of it: at every step, whatever happens between two."""

from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import hop
from relay.at_hand import AT_HAND, OTHERS_AT_HAND
from relay.attempts import Entry, SendPolicy
from relay.budget import Purse
from relay.counters import Counters
from relay.header import Kind
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.links import Links
from relay.path import PathFacts
from relay.precedence import Precedence
from relay.scheduler import Plan, plan
from relay.sender import Sender
from relay.set_aside import SetAside
from relay.waiting import Waiting
from tests.properties.test_mtu_properties import PEERS, Hands, Wire

GATE = NodeId(b"gate" * 2)
"""One node: among several it only says whose turn it is, where two are alike."""
KIND = {Precedence.FLASH: Kind.ALERT, Precedence.IMMEDIATE: Kind.ALERT, Precedence.BULK: Kind.CHUNK}
PATHS = (PathFacts(name="lte", mtu_bytes=65_536), PathFacts(name="sat", mtu_bytes=65_536, is_metered=True),
         PathFacts(name="radio", mtu_bytes=233, is_tiny=True, expected_rtt_ms=9_000), PathFacts(name="unpaced", mtu_bytes=2_000))  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(Precedence), st.integers(1, 90)),
        st.tuples(st.just("wait"), st.just(None), st.sampled_from([1, 30, 300, 1_000, 5_000, 61_000])),
        st.tuples(st.sampled_from(["receipt", "held"]), st.just(None), st.integers(1, 400)),
        st.tuples(st.sampled_from(["close", "open", "ask again"]), st.just(None), st.integers(0, 3)),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


class Twin:
    """A sender with its links, in simulated time."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.links = Links(purse=Purse({}), clock=cast("Any", self.clock))
        self.sender = Sender(database=cast("Any", None), spool=cast("Any", None), links=self.links, clock=cast("Any", self.clock),
                             counters=Counters(), show_passport=lambda link, origin: None)  # fmt: skip
        self.wires: dict[int, Wire] = {}
        self._count = 0
        for number in range(2):
            self.open(number)

    def open(self, number: int) -> None:
        if number in self.wires:
            return
        wire = self.wires[number] = Wire(facts=PATHS[number], peer=PEERS[number % 2])
        link = self.links.opened(cast("Any", wire), self.clock.now_ms)
        self.links.trust_local(link, wire.peer)
        link.has_told = True
        for _ in range(40):
            link.meter.measured(80.0 * (number + 1), self.clock.now_ms)
        self.sender.link_opened(wire.peer.node_id, wire.facts.name)

    def close(self, number: int) -> None:
        wire = self.wires.pop(number, None)
        link = self.links.closed(cast("Any", wire)) if wire is not None else None
        if link is not None:
            self.sender.link_closed(link.id)

    def put(self, precedence: Precedence, count: int) -> None:
        for _ in range(count):
            self._count += 1
            number = self._count
            wire = number.to_bytes(4, "big") + bytes(200 if precedence.is_alert else 1_000)
            self.sender._admit(Waiting(
                number=number, id=EnvelopeId(number.to_bytes(32, "big")), origin=GATE, destination=AUTHORITY, series=1,
                sequence=number, kind=KIND.get(precedence, Kind.HEARTBEAT), precedence=precedence, wire=wire,
            ))  # fmt: skip

    def step(self, what: str, precedence: Precedence | None, amount: int) -> Counter[tuple[int, int]]:
        """Do it, and say which numbers went on which path."""
        match what:
            case "put":
                assert precedence is not None
                self.put(precedence, amount)
            case "wait":
                self.clock.now_ms += amount
            case "receipt":
                self.sender.freed(list(self.sender._window)[:amount])
            case "held":
                some = list(self.sender._window.values())[: amount // 4]
                self.sender.held_by(PEERS[0].node_id, [item.waiting.id for item in some if item.entry.attempts])
            case "close":
                self.close(amount)
            case "open":
                self.open(amount)
            case _:
                self.sender.ask_again(PEERS[0].node_id, GATE)
        self.sender._send_what_is_due()
        went: Counter[tuple[int, int]] = Counter()
        for number, wire in self.wires.items():
            link = self.links.of(cast("Any", wire))
            assert link is not None
            for parcel in wire.sent:
                if not hop.is_note(parcel):
                    went[number, int.from_bytes(parcel[:4], "big")] += 1
                elif isinstance(ping := hop.decode(parcel), hop.Ping):
                    link.pong(ping.sent_ms, self.clock.now_ms)
            wire.sent.clear()
        return went


@settings(max_examples=400, deadline=None)
@given(steps)
def test_what_is_set_aside_changes_nothing_that_is_sent(wanted: list[tuple[str, Precedence | None, int]]) -> None:
    one, other = Twin(), Twin()
    other.sender._set_aside = _NeverAside()
    for what, precedence, amount in wanted:
        assert one.step(what, precedence, amount) == other.step(what, precedence, amount)
        assert one.sender._window.keys() == other.sender._window.keys()
        assert one.sender._parked.keys() == other.sender._parked.keys()
        assert all(number in one.sender._window for number in one.sender._set_aside._entries)


class _NeverAside(SetAside):
    """Looks through everything at each plan."""

    def add(self, entry: Entry, until_ms: float, now_ms: int, policy: SendPolicy) -> None:
        """Nothing."""


def test_what_is_under_way_is_looked_at_again_when_its_try_is_due_and_not_before() -> None:
    twin = Twin()
    twin.step("put", Precedence.FLASH, 12)
    twin.step("wait", None, 1)
    assert len(twin.sender._set_aside) == 12
    assert not twin.step("wait", None, 1)
    due_ms = twin.sender._set_aside.next_due_ms
    assert due_ms is not None
    went = twin.step("wait", None, int(due_ms) - twin.clock.now_ms)
    assert went, "a try was due"
    twin.step("receipt", None, 400)
    assert len(twin.sender._set_aside) == 0


def test_a_plan_looks_at_what_may_go_and_neither_at_all_that_waits_nor_at_what_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[int] = []

    def counted(entries: list[Entry], *others: Any, **named: Any) -> Plan:
        looked_at.append(len(entries))
        return plan(entries, *others, **named)

    monkeypatch.setattr("relay.sender.plan", counted)
    twin = Twin()
    waiting = dict.fromkeys(Precedence, 180)
    for precedence, count in waiting.items():
        twin.put(precedence, count)
    went: Counter[tuple[int, int]] = Counter()
    for _ in range(40):
        went += twin.step("wait", None, 5)
    in_flight = [item for item in twin.sender._window.values() if item.entry.attempts]
    assert len(in_flight) > 2 * AT_HAND, "a flow is under way"
    assert looked_at[0] <= 2 * AT_HAND + 3 * OTHERS_AT_HAND + 2
    of_alerts = [item for item in in_flight if item.entry.precedence.is_alert]
    assert len(of_alerts) == 2 * 180, "none starves behind the few that are looked at"
    bulk_and_waiting = len(twin.sender._window) - len(
        [item for item in in_flight if item.entry.precedence != Precedence.BULK]
    )
    twin.step("put", Precedence.FLASH, 1)
    assert looked_at[-1] <= bulk_and_waiting + 1


def test_where_all_that_was_looked_at_went_the_rest_follows_at_once() -> None:
    """More heartbeats wait than a plan looks at, and nothing else happens: no receipt, nothing new."""
    twin = Twin()
    for number, wanted in enumerate((False, False, False, True)):
        twin.open(number) if wanted else twin.close(number)
    twin.put(Precedence.ROUTINE, 3 * OTHERS_AT_HAND)
    rounds = 0
    while (delay_s := twin.sender._send_what_is_due()[0]) <= 0.001 and rounds < 10:
        rounds += 1
        twin.clock.now_ms += 1
    assert delay_s > 0.001
    assert all(item.entry.attempts for item in twin.sender._window.values())
