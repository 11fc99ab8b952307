"""What all tiny paths share: a seal that proves the neighbor and fits one frame, and a queue that says nothing twice."""

from pathlib import Path

import pytest

from relay import hop, limits
from relay.counters import Counters
from relay.errors import BadSignature, Malformed
from relay.passport import Role
from relay.path import Lane, PathFacts, Session
from relay.paths.tiny_seal import OVERHEAD_BYTES, TAG_BYTES, TinySeal
from relay.paths.tiny_session import DEPTH, Batch, TinySession, no_room
from relay.precedence import Precedence
from relay.ranges import RangeSet
from tests.properties.drafting import CENTER, receipt_for, signed
from tests.relay.house import House

VECTORS_DIR = Path(__file__).parents[1] / "vectors"


@pytest.fixture
def seals(tmp_path: Path) -> tuple[TinySeal, TinySeal, TinySeal]:
    """A camera's for the center, the center's for the camera, a stranger's for the center."""
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("gate-camera", Role.CAMERA), ("stranger", Role.CAMERA)):
        house.enroll(name, role)
    ours = {name: house.passports[name].passport for name in house.passports}
    return (TinySeal(house.identities["gate-camera"], ours["center"]), TinySeal(house.identities["center"], ours["gate-camera"]),
            TinySeal(house.identities["stranger"], ours["center"]))  # fmt: skip


def session(seal: TinySeal, counters: Counters) -> TinySession:
    return TinySession(
        facts=PathFacts(name="tiny", mtu_bytes=331, is_tiny=True), seal=seal, is_outgoing=True, counters=counters
    )


def next_alone(queue: TinySession) -> bytes | None:
    batch = queue.next_batch(no_room)
    return None if batch is None else batch.parcels[0]


@pytest.mark.parametrize(
    "name", ["alert", "alert_largest", "pulse", "pulse_largest", "retraction", "receipt", "receipt_gaps", "note_stored"]
)
def test_what_matters_fits_one_radio_frame_with_its_proof(
    seals: tuple[TinySeal, TinySeal, TinySeal], name: str
) -> None:
    parcel = (VECTORS_DIR / f"{name}.bin").read_bytes()
    sealed = seals[0].seal(parcel)
    assert TAG_BYTES + len(sealed) <= limits.LORA_FRAME_BYTES
    assert seals[1].open(sealed) == (parcel,)
    assert len(sealed) <= len(parcel) + OVERHEAD_BYTES


@pytest.mark.parametrize(
    "name", ["acknowledgement", "roster_envelope", "heartbeat", "chunk", "alert.truncated", "note_hello"]
)
def test_every_parcel_comes_out_as_it_went_in(seals: tuple[TinySeal, TinySeal, TinySeal], name: str) -> None:
    parcel = (VECTORS_DIR / f"{name}.bin").read_bytes()
    assert seals[1].open(seals[0].seal(parcel)) == (parcel,)


def test_the_pair_alone_knows_its_tag_and_its_proofs(seals: tuple[TinySeal, TinySeal, TinySeal]) -> None:
    camera, center, stranger = seals
    assert camera.tag == center.tag != stranger.tag
    sealed = camera.seal(b"\x93 words")
    for changed in (
        sealed[:-1] + b"x",
        b"\x11" + sealed[1:],
        sealed[:5] + b"\x00" + sealed[6:],
        stranger.seal(b"\x93 words"),
    ):
        with pytest.raises(BadSignature):
            center.open(changed)
    with pytest.raises(BadSignature):
        camera.open(sealed)  # our own words thrown back at us
    with pytest.raises(Malformed):
        center.open(sealed[:OVERHEAD_BYTES])


async def test_the_queue_holds_each_parcel_once_and_the_newest_receipt(
    seals: tuple[TinySeal, TinySeal, TinySeal],
) -> None:
    counters = Counters()
    queue = session(seals[0], counters)
    chunk, alert = signed(0, 1, 9, 1, precedence=Precedence.BULK).wire, signed(0, 1, 1, 1).wire
    older, newer = (receipt_for(CENTER, 7, RangeSet([(1, upto)])).wire for upto in (3, 4))
    for parcel, lane in ((chunk, Lane.BULK), (alert, Lane.URGENT), (alert, Lane.URGENT), (hop.encode(hop.Ping(1)), Lane.URGENT),
                         (older, Lane.URGENT), (newer, Lane.URGENT)):  # fmt: skip
        assert queue.send(parcel, lane)
    assert queue.filled.is_set()
    assert [next_alone(queue) for _ in range(5)] == [newer, alert, hop.encode(hop.Ping(1)), chunk, None]
    assert not queue.filled.is_set()


async def test_what_has_its_answer_is_withdrawn_and_hellos_are_never_said(
    seals: tuple[TinySeal, TinySeal, TinySeal],
) -> None:
    counters = Counters()
    queue = session(seals[0], counters)
    alert = signed(0, 1, 1, 1).wire
    assert queue.send(alert, Lane.URGENT)
    queue.withdraw(alert)
    assert queue.send(hop.encode(hop.Who()), Lane.URGENT)
    assert next_alone(queue) is None
    assert (counters["tiny_withdrawn"], counters["tiny_not_sent"]) == (1, 1)
    queue.give_back(Batch(parcels=(alert,)))
    queue.give_back(Batch(parcels=(alert,)))
    assert [next_alone(queue), next_alone(queue)] == [alert, None]


async def test_a_full_queue_takes_only_what_is_more_urgent_than_its_last(
    seals: tuple[TinySeal, TinySeal, TinySeal],
) -> None:
    counters = Counters()
    queue = session(seals[0], counters)
    for number in range(DEPTH):
        assert queue.send(signed(0, 1, number + 1, 1, precedence=Precedence.ROUTINE).wire, Lane.BULK)
    assert not queue.send(signed(0, 1, 99, 1, precedence=Precedence.ROUTINE).wire, Lane.BULK)
    assert queue.send(signed(0, 1, 100, 1).wire, Lane.URGENT)
    assert counters["tiny_gave_way"] == 1
    assert next_alone(queue) == signed(0, 1, 100, 1).wire
    queue.drop("over")
    assert not queue.send(b"\x94 more", Lane.URGENT)


class Heard:
    def __init__(self) -> None:
        self.parcels: list[bytes] = []

    def session_opened(self, session: Session) -> None: ...

    def session_received(self, session: Session, parcel: bytes) -> None:
        self.parcels.append(parcel)

    def session_closed(self, session: Session, reason: str) -> None: ...


async def test_a_hello_or_a_stranger_s_word_is_refused_and_counted(seals: tuple[TinySeal, TinySeal, TinySeal]) -> None:
    counters, heard = Counters(), Heard()
    camera, center, stranger = seals
    at_center = session(center, counters)
    assert at_center.arrived(heard, camera.seal(hop.encode(hop.Ping(1))))
    assert not at_center.arrived(heard, camera.seal(hop.encode(hop.Who())))
    assert not at_center.arrived(heard, stranger.seal(hop.encode(hop.Ping(1))))
    assert not at_center.arrived(heard, b"?")
    assert heard.parcels == [hop.encode(hop.Ping(1))]
    assert (counters["refused_malformed"], counters["refused_bad_signature"]) == (2, 1)
