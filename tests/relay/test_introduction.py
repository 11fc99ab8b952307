"""The proof of keys between neighbors, where the carrier proves nothing: every shortcut is refused."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay import hop
from relay.budget import Purse
from relay.clock import SimulatedClock
from relay.errors import BadSignature
from relay.identity import AuthorityKeys, Identity
from relay.introduction import Introducer
from relay.links import Link, Links
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.trust import TrustBook
from tests.relay.house import House


@dataclass(eq=False)
class Wire:
    """A session that proves nothing and keeps what was said."""

    is_outgoing: bool
    transport_key: bytes = b""
    facts: PathFacts = field(default_factory=lambda: PathFacts(name="bare", mtu_bytes=65536))
    said: list[hop.Note] = field(default_factory=list)

    def send(self, parcel: bytes, lane: Lane) -> bool:
        self.said.append(hop.decode(parcel))
        return True

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)


class Side:
    """One end of the wire."""

    def __init__(self, house: House, name: str, *, is_outgoing: bool, identity: Identity | None = None) -> None:
        authority = AuthorityKeys(signing_key=house.authority.signing_key, sealing_key=house.authority.sealing_key)
        self.links = Links(purse=Purse({}), clock=SimulatedClock())
        self.wire = Wire(is_outgoing)
        self.link: Link = self.links.opened(self.wire, 0)
        self.trust = TrustBook(authority=authority, clock=SimulatedClock())
        self.speaks = Introducer(identity=identity or house.identities[name], own_passport=house.passports[name].wire,
                                 trust=self.trust, links=self.links)  # fmt: skip

    def last(self, kind: type[hop.Note]) -> hop.Note:
        return next(note for note in reversed(self.wire.said) if isinstance(note, kind))


@pytest.fixture
def house(tmp_path: Path) -> House:
    built = House(tmp_path)
    built.enroll("center", Role.CENTER)
    built.enroll("camera", Role.CAMERA)
    return built


def up_to_welcome(house: House, thief: Identity | None = None) -> tuple[Side, Side, hop.Welcome]:
    camera = Side(house, "camera", is_outgoing=True, identity=thief)
    center = Side(house, "center", is_outgoing=False)
    camera.speaks.greet(camera.link)
    hello = camera.last(hop.Hello)
    assert isinstance(hello, hop.Hello)
    assert center.speaks.hello_arrived(center.link, hello) is None, "nothing is proved yet"
    welcome = center.last(hop.Welcome)
    assert isinstance(welcome, hop.Welcome)
    return camera, center, welcome


def test_both_sides_are_introduced_by_their_proofs(house: House) -> None:
    camera, center, welcome = up_to_welcome(house)
    assert camera.speaks.welcome_arrived(camera.link, welcome).passport.name == "center"
    proved = camera.last(hop.Proved)
    assert isinstance(proved, hop.Proved)
    introduced = center.speaks.proved_arrived(center.link, proved)
    assert introduced is not None
    assert center.link.peer is not None
    assert center.link.peer.name == "camera"


def test_a_passport_shown_without_its_key_is_found_out(house: House) -> None:
    thief = Identity.generate()
    _, center, welcome = up_to_welcome(house, thief)
    from relay import dsse

    statement = welcome.challenge + house.identities["camera"].node_id + house.identities["center"].node_id
    with pytest.raises(BadSignature):
        center.speaks.proved_arrived(
            center.link, hop.Proved(dsse.sign(dsse.INTRODUCTION_TYPE, statement, thief.signing))
        )
    assert center.link.peer is None


def test_a_recorded_proof_is_worth_nothing_on_another_session(house: House) -> None:
    camera, center, welcome = up_to_welcome(house)
    camera.speaks.welcome_arrived(camera.link, welcome)
    recorded = camera.last(hop.Proved)
    assert isinstance(recorded, hop.Proved)
    assert center.speaks.proved_arrived(center.link, recorded) is not None
    _, another, _ = up_to_welcome(house)
    with pytest.raises(BadSignature):
        another.speaks.proved_arrived(another.link, recorded)
    assert another.link.peer is None


def test_the_center_s_own_proof_can_not_be_thrown_back_at_it(house: House) -> None:
    _, center, welcome = up_to_welcome(house)
    with pytest.raises(BadSignature):
        center.speaks.proved_arrived(center.link, hop.Proved(welcome.proof))


def test_a_wrong_welcome_is_refused_and_our_own_proof_is_not_given_away(house: House) -> None:
    camera, _, welcome = up_to_welcome(house)
    forged = hop.Welcome(welcome.passport, welcome.roster_number, welcome.challenge, bytes(64))
    with pytest.raises(BadSignature):
        camera.speaks.welcome_arrived(camera.link, forged)
    assert camera.link.peer is None
    assert not any(isinstance(note, hop.Proved) for note in camera.wire.said)


def test_a_second_hello_while_the_first_welcome_is_under_way_breaks_nothing(house: House) -> None:
    camera, center, welcome = up_to_welcome(house)
    camera.speaks.greet(camera.link)
    assert camera.speaks.welcome_arrived(camera.link, welcome).passport.name == "center"
    proved = camera.last(hop.Proved)
    assert isinstance(proved, hop.Proved)
    assert center.speaks.proved_arrived(center.link, proved) is not None
