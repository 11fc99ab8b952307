"""No path is ever handed a parcel above its MTU, nor a tiny one what it is too small for; and what fits somewhere is sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from relay.budget import Purse
from relay.counters import Counters
from relay.header import Kind
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.links import TINY_KINDS, Link, Links
from relay.passport import Passport, Role
from relay.path import Lane, PathFacts, Session
from relay.precedence import Precedence
from relay.sender import Sender
from relay.waiting import Waiting

PEERS = [
    Passport(version=1, role=Role.CENTER, name=f"center {n}", site="yard", agency="city", signing_key=bytes([n]) * 32,
             sealing_key=bytes(32), transport_key=bytes([n]) * 32, not_before_ms=0, not_after_ms=1, serial=1)
    for n in range(5)
]  # fmt: skip


@dataclass(eq=False)
class Wire:
    """A session that takes everything, and keeps it."""

    facts: PathFacts
    peer: Passport
    is_outgoing: bool = True
    transport_key: bytes = b""
    sent: list[bytes] = field(default_factory=list)
    withdrawn: list[bytes] = field(default_factory=list)

    def send(self, parcel: bytes, lane: Lane) -> bool:
        self.sent.append(parcel)
        return True

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)


@dataclass(eq=False)
class TinyWire(Wire):
    on_room: Callable[[], object] = list

    @property
    def peer_id(self) -> NodeId:
        return self.peer.node_id

    def withdraw(self, parcel: bytes) -> None:
        self.withdrawn.append(parcel)


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return self.now_ms


path_facts = st.builds(
    PathFacts, name=st.sampled_from(["a", "b", "c"]), mtu_bytes=st.sampled_from([100, 230, 331, 1000, 65536]),
    is_metered=st.booleans(), is_tiny=st.booleans(), is_detour=st.booleans(),
    expected_rtt_ms=st.sampled_from([0.0, 500.0, 60_000.0]), heartbeat_every_s=st.sampled_from([60, 3600]),
)  # fmt: skip
parcels = st.tuples(st.sampled_from(Kind), st.sampled_from(Precedence), st.sampled_from([95, 230, 308, 900, 16_500]))


def built(found: list[PathFacts], clock: Hands | None = None) -> tuple[Links, list[Wire]]:
    links, wires = Links(purse=Purse({}), clock=cast("Any", clock or Hands())), list[Wire]()
    for number, item in enumerate(found):
        wire = (TinyWire if item.is_tiny else Wire)(facts=item, peer=PEERS[number])
        links.trust_local(links.opened(cast("Session", wire), 0), wire.peer)
        wires.append(wire)
    return links, wires


@given(found=st.lists(path_facts, min_size=1, max_size=5), waiting=st.lists(parcels, min_size=1, max_size=20))
def test_nothing_goes_where_it_does_not_fit_and_what_fits_goes(
    found: list[PathFacts], waiting: list[tuple[Kind, Precedence, int]]
) -> None:
    clock, nothing = Hands(), cast("Any", None)
    links, wires = built(found, clock)
    sender = Sender(database=nothing, spool=nothing, links=links, clock=cast("Any", clock), counters=Counters(),
                    show_passport=lambda link, origin: None)  # fmt: skip
    for number, (kind, precedence, size) in enumerate(waiting, start=1):
        wire = number.to_bytes(2, "big") + bytes([kind]) * (size - 2)
        sender._admit(Waiting(number=number, id=EnvelopeId(number.to_bytes(32, "big")), origin=NodeId(bytes(8)), series=1,
                              destination=AUTHORITY, sequence=number, kind=kind, precedence=precedence, wire=wire))  # fmt: skip
    for _ in range(60):
        sender._send_what_is_due()
        clock.now_ms += 10_000
    carried = {parcel for session in wires for parcel in session.sent}
    for session in wires:
        assert all(len(parcel) <= session.facts.mtu_bytes for parcel in session.sent)
        if session.facts.is_tiny:
            assert all(parcel[2] in {*TINY_KINDS, Kind.PULSE} for parcel in session.sent)
            beats = [parcel for parcel in session.sent if parcel[2] == Kind.PULSE]
            assert len(beats) <= 600 // session.facts.heartbeat_every_s + 1
    straight = any(not session.facts.is_detour for session in wires)
    for item in sender._window.values():
        what, size = item.waiting.kind, len(item.waiting.wire)
        fitting = [facts for session in wires if size <= (facts := session.facts).mtu_bytes
                   and (not facts.is_tiny or what in TINY_KINDS)]  # fmt: skip
        free = [facts for facts in fitting if not (facts.is_metered or (facts.is_detour and straight))]
        if (free or (fitting and item.waiting.precedence.is_alert)) and item.waiting.precedence != Precedence.BULK:
            assert item.waiting.wire in carried, f"{item.waiting.precedence.name} of {size} bytes was never sent"


def test_a_parcel_above_the_mtu_is_counted_and_not_sent() -> None:
    links, [wire] = built([PathFacts(name="a", mtu_bytes=100)])
    [link] = list(links)
    assert not link.send(bytes(101), Lane.URGENT)
    assert link.counters["over_mtu"] == 1
    assert not wire.sent
    assert link.send(bytes(100), Lane.URGENT)


def test_notes_of_stored_envelopes_are_cut_to_the_mtu() -> None:
    links, [wire] = built([PathFacts(name="a", mtu_bytes=230, is_tiny=True)])
    [link] = list(links)
    link.note_stored([EnvelopeId(bytes([n]) * 32) for n in range(20)])
    assert len(wire.sent) == 4
    assert all(len(parcel) <= 230 for parcel in wire.sent)
    assert link.counters["over_mtu"] == 0


def test_what_has_its_receipt_is_withdrawn_from_every_tiny_path() -> None:
    links, [wire] = built([PathFacts(name="a", mtu_bytes=1000, is_tiny=True)])
    sender = Sender(database=cast("Any", None), spool=cast("Any", None), links=links, clock=cast("Any", Hands()),
                    counters=Counters(), show_passport=lambda link, origin: None)  # fmt: skip
    sender._admit(Waiting(number=1, id=EnvelopeId(bytes(32)), origin=NodeId(bytes(8)), series=1, destination=AUTHORITY,
                          sequence=1, kind=Kind.ALERT, precedence=Precedence.FLASH, wire=b"an alert"))  # fmt: skip
    sender._send_what_is_due()
    assert wire.sent == [b"an alert"]
    sender.freed([1])
    assert wire.withdrawn == [b"an alert"]


def test_only_the_neighbor_s_passport_makes_a_link_of_a_known_session() -> None:
    link = Link(
        id=cast("Any", 1), session=cast("Session", TinyWire(facts=PathFacts(name="a", mtu_bytes=100), peer=PEERS[0]))
    )
    assert link.known is not None
    assert link.known.peer_id == PEERS[0].node_id
    assert Link(id=cast("Any", 2), session=cast("Session", Wire(facts=link.session.facts, peer=PEERS[0]))).known is None
