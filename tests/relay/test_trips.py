"""How many round trips a node's first alert takes after a start, and what happens where its neighbor does not want to know it.

On a satellite each is 600 ms. ZeroMQ's own share is five: one of TCP, two of its greeting, two of CURVE.
"""

from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from relay import hop
from relay.acquaintance import Acquaintance
from relay.config import ListenConfig, PathConfig
from relay.errors import NotForUs
from relay.header import Kind
from relay.ids import AUTHORITY
from relay.kinds import roster as rosters
from relay.kinds.roster import RosterStatement
from relay.passport import Role, SignedPassport
from relay.path import Lane
from relay.paths import parcels
from relay.station import AnswerLevel, Station
from tests.relay.house import House, until
from tests.relay.lock_step import lock_step
from tests.relay.test_introduction import Side
from tests.relay.test_path_conformance import an_alert

ANYWHERE = "tcp://127.0.0.1:0"
CURVE_TRIPS = 5.0
TLS_TRIPS = 2.0
"""TCP, and TLS 1.3; who we are and the hello go with its last word."""
HTTP_TRIPS = 3.0
"""TCP, the session's opening, the hello with its welcome; TLS has one more."""
TRIES = 3
"""A link in lock step lets more time pass than is needed where this machine falls asleep in the middle; never less."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


def port_of(station: Station) -> int:
    return int(station.listening_on[0].rpartition(":")[2])


async def trips_of_the_first_alert(house: House, kind: Literal["zeromq", "tls", "https"]) -> float:
    """Of one that waits in the spool when the node starts; asserts that it went, was stored and was receipted once."""
    scheme = {"zeromq": "tcp", "tls": "tls", "https": "http"}[kind]
    listens = ListenConfig(kind=kind, endpoint=f"{scheme}://127.0.0.1:0")
    async with house.station("gate-camera") as node:
        await node.put(an_alert(node))
    async with (
        house.station("center", listen=listens, has_intake_log=True) as center,
        lock_step(port_of(center)) as link,
    ):
        await center.receiver.recover()
        path = PathConfig(name="sat", kind=kind, endpoint=f"{scheme}://127.0.0.1:{link.port}", peer="center")
        async with house.station("gate-camera", to=[path]) as node:
            heard: list[float] = []
            node.on_answer(lambda answer: heard.append(link.trips) if answer.level == AnswerLevel.HEARD else None)
            await until(lambda: bool(heard), "the receipt", timeout_s=40)
            await until(lambda: node.path_health()[0].is_up, "the welcome")
            assert node.counters["envelopes_sent"] == 1
            assert center.counters["envelopes_stored"] == 1
            assert (
                center.counters["duplicates_arrived"]
                == center.counters.refused_total
                == node.counters.refused_total
                == 0
            )
            assert (await center.status()).links[0].path == "sat"
    return heard[0]


@pytest.mark.parametrize(
    ("kind", "wanted"), [("zeromq", CURVE_TRIPS + 1), ("tls", TLS_TRIPS + 1), ("https", HTTP_TRIPS + 1)]
)
async def test_a_first_alert_and_its_receipt_take_one_trip_more_than_it_takes_to_be_let_in(
    kind: Literal["zeromq", "tls", "https"], wanted: float, house: House
) -> None:
    trips = [await trips_of_the_first_alert(house, kind)]
    while trips[-1] > wanted and len(trips) < TRIES:
        trips.append(await trips_of_the_first_alert(house, kind))
    assert min(trips) == wanted, trips


async def test_a_caller_that_reads_no_answers_is_given_none(house: House) -> None:
    """What it would not read would be lost: all of it comes down the poll."""
    listens = ListenConfig(kind="https", endpoint="http://127.0.0.1:0")
    async with house.station("center", listen=listens) as center, aiohttp.ClientSession() as client:
        base = center.listening_on[0] + "/v1/hop"
        hello = parcels.join([hop.encode(hop.Hello(house.passports["gate-camera"].wire, 0, bytes(range(16))))])
        for query, status in (("", 204), ("?answers", 200)):
            async with client.post(base) as opened:
                name = await opened.text()
            async with client.post(f"{base}/{name}/{Lane.URGENT.value}{query}", data=hello) as reply:
                assert reply.status == status
                answers = parcels.split(await reply.read())
            if not answers:
                async with client.get(f"{base}/{name}") as polled:
                    answers = parcels.split(await polled.read())
            assert isinstance(hop.decode(answers[0]), hop.Welcome)


async def test_where_the_hello_is_refused_the_alert_goes_once_and_again_after_the_welcome(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.station("center", listen=ANYWHERE) as center:
        really_admit = center.trust.admit
        shown: list[bytes] = []

        def refuse(wire: bytes) -> SignedPassport:
            shown.append(wire)
            raise NotForUs("not now")

        monkeypatch.setattr(center.trust, "admit", refuse)
        async with house.station("gate-camera", to=[("center", center.listening_on[0])]) as node:
            await node.put(an_alert(node))
            await until(lambda: len(shown) >= 4, "more hellos, none of them welcome")
            assert node.counters["envelopes_sent"] == 1
            assert center.counters["refused_not_introduced"] == 2, "the alert, and by which path it came"
            assert center.counters["envelopes_stored"] == 0
            assert not node.path_health()[0].is_up
            assert (await node.status()).neighbors == ()
            monkeypatch.setattr(center.trust, "admit", really_admit)
            await until(lambda: node.counters["envelopes_receipted"] == 1, "the receipt")
            assert node.path_health()[0].is_up
            assert center.counters["envelopes_stored"] == 1
            assert node.counters["envelopes_sent"] == 2
            assert center.counters["duplicates_arrived"] == 0


async def test_on_a_metered_path_whose_neighbor_never_welcomes_us_nothing_but_hellos_is_spent(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first session may cost an alert; the next ones on that path wait for their welcome."""
    async with house.station("center", listen=ANYWHERE) as center:

        def refuse(wire: bytes) -> SignedPassport:
            raise NotForUs("never")

        monkeypatch.setattr(center.trust, "admit", refuse)
        path = PathConfig(name="sat", endpoint=center.listening_on[0], peer="center", metered=True)
        async with house.station("gate-camera", to=[path]) as node:
            await node.put(an_alert(node))
            for sessions in (1, 2, 3):
                await until(lambda: center.counters["refused_not_for_us"] >= sessions, "a hello that is refused")  # noqa: B023
                await until(lambda: center.counters["refused_not_introduced"] == 2, "what went behind the first one")
                for link in list(node.sender._links):
                    link.session.drop("a test ends it")
            assert node.counters["envelopes_sent"] == 1


# ---------------------------------------------------------------------- who is presumed, without sockets


def side_that_calls(house: House) -> Side:
    """The camera's side of a session whose carrier has proved the center's key; it holds the center's passport."""
    side = Side(house, "gate-camera", is_outgoing=True)
    side.wire.transport_key = house.identities["center"].transport_key
    side.trust.admit(house.passports["center"].wire)
    return side


def welcome_of(house: House) -> hop.Welcome:
    return hop.Welcome(house.passports["center"].wire, 0, bytes(16), bytes(64))


def kinds_taken(side: Side) -> set[Kind]:
    return {kind for kind in Kind if side.link.takes(kind, 300, 0, AUTHORITY)}


def test_before_the_welcome_only_what_is_urgent_goes_and_the_path_is_not_called_up(house: House) -> None:
    side = side_that_calls(house)
    assert side.speaks.begin(side.link)
    assert isinstance(side.wire.said[0], hop.Hello)
    assert [link.id for link in side.links.towards(AUTHORITY)] == [side.link.id]
    assert kinds_taken(side) == {Kind.ALERT, Kind.RETRACTION, Kind.ACKNOWLEDGEMENT}
    assert side.links.is_cut_off()
    side.speaks.welcome_arrived(side.link, welcome_of(house))
    assert kinds_taken(side) == set(Kind)
    assert not side.links.is_cut_off()


def test_who_asks_who_we_are_is_told_nothing_more_before_its_welcome(house: House) -> None:
    side = side_that_calls(house)
    assert side.speaks.begin(side.link)
    side.links.doubt(side.link)
    assert side.link.acquaintance is Acquaintance.NONE
    assert side.links.towards(AUTHORITY) == []
    side.speaks.welcome_arrived(side.link, welcome_of(house))
    assert len(side.links.towards(AUTHORITY)) == 1
    side.links.doubt(side.link)  # it was welcome: a question alone takes nothing back
    assert len(side.links.towards(AUTHORITY)) == 1


def test_a_path_whose_presumed_welcome_never_came_is_not_presumed_again_until_one_comes(house: House) -> None:
    side = side_that_calls(house)
    assert side.speaks.begin(side.link)
    side.links.closed(side.wire)
    side.link = side.links.opened(side.wire, 0)
    assert not side.speaks.begin(side.link)
    assert side.links.towards(AUTHORITY) == []
    side.speaks.welcome_arrived(side.link, welcome_of(house))
    side.links.closed(side.wire)
    side.link = side.links.opened(side.wire, 0)
    assert side.speaks.begin(side.link)


@pytest.mark.parametrize("lacking", ["proof of its key", "its passport", "its standing", "our call"])
def test_nobody_is_presumed_without(lacking: str, house: House) -> None:
    side = side_that_calls(house)
    match lacking:
        case "proof of its key":
            side.wire.transport_key = b""
        case "its passport":
            side.wire.transport_key = bytes(32)
        case "its standing":
            withdrawn = RosterStatement(number=1, issued_at_ms=0, revoked=(house.identities["center"].node_id,))
            side.trust.follow(rosters.issue(house.authority.signing, withdrawn))
        case _:
            side.wire.is_outgoing = False
    assert not side.speaks.begin(side.link)
    assert side.links.towards(AUTHORITY) == []
