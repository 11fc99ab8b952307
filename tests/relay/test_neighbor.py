"""Neighbors on a LAN: found by mDNS, each carried by the one beside it; nothing goes round in circles, and no copy stays."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.config import ListenConfig, PathConfig
from relay.errors import Malformed
from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Role
from relay.paths import announcement
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Answer, AnswerLevel, Station
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert

pytest.importorskip("zeroconf", reason="needs the neighbor extra")

ANNOUNCING = ListenConfig(name="lan", kind="neighbor", endpoint="tcp://127.0.0.1:0", interface="lo")
LOOKING = PathConfig(name="neighbors", kind="neighbor", interface="lo")


@pytest.fixture
def house(tmp_path: Path) -> House:
    built = House(tmp_path / "house")
    built.enroll("center", Role.CENTER)
    for name in ("camera-a", "camera-b", "camera-c"):
        built.enroll(name, Role.CAMERA)
    built.settle(strangers=True)
    return built


def is_beside(station: Station, *names: str) -> bool:
    return {link.peer.name for link in station._links if link.peer} >= set(names)


async def backlog_of(*stations: Station) -> int:
    return sum([sum((await station.status()).backlog) for station in stations])


@contextlib.asynccontextmanager
async def camera(house: House, name: str, *uplinks: PathConfig, inbox: Kept | None = None) -> AsyncIterator[Station]:
    async with house.station(name, listen=ANNOUNCING, to=[*uplinks, LOOKING], inbox=inbox) as station:
        yield station


async def test_a_node_without_uplink_is_carried_by_the_one_beside_it_and_the_answers_come_back(house: House) -> None:
    inbox, node_inbox, answers = Kept(), Kept(), list[Answer]()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
        uplink = PathConfig(name="uplink", endpoint=center.listening_on[0], peer="center")
        async with camera(house, "camera-a", uplink) as a, camera(house, "camera-b", inbox=node_inbox) as b:
            b.on_answer(answers.append)
            spooled = await b.put(an_alert(b))
            await until(lambda: bool(inbox.arrivals), "the alert at the center", timeout_s=30)
            [arrival] = inbox.arrivals
            assert (arrival.envelope.id, arrival.passport.name) == (spooled.envelope.id, "camera-b")
            assert arrival.via == a.identity.node_id
            await until(lambda: {x.level for x in answers} >= {AnswerLevel.RELAYED, AnswerLevel.HEARD}, "its receipt")
            seen = Acknowledgement(
                alert_ids=(spooled.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
            )
            await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                                   destination=b.identity.node_id, peer_sealing_key=b.identity.sealing_key))  # fmt: skip
            await until(lambda: bool(node_inbox.arrivals), "the acknowledgement")
            chunk = b.draft_up(Kind.CHUNK, Precedence.BULK, bytes(4000))
            await b.put(chunk)
            await until(lambda: len(inbox.arrivals) == 2, "a clip's chunk: there is no straight way")


def has_no_way_on(node: Station) -> bool:
    """All is parked; or came by the other one before its own node brought it, as on a busy machine, so that nobody is left to hand it to."""
    left = node.sender._window
    return all(number in node.sender._came_by and not item.entry.links for number, item in left.items()) and (
        node.counters["envelopes_sent"] + len(left) >= 4
    )


async def test_nothing_goes_round_in_circles_and_every_copy_is_let_go(house: House) -> None:
    """Three nodes that all call each other, and none has an uplink; then one gets it."""
    inbox = Kept()
    async with contextlib.AsyncExitStack() as stack:
        a = await stack.enter_async_context(camera(house, "camera-a"))
        b = await stack.enter_async_context(camera(house, "camera-b"))
        c_context = camera(house, "camera-c")
        c = await c_context.__aenter__()
        nodes = {"camera-a": a, "camera-b": b, "camera-c": c}
        for name, node in nodes.items():
            await until(functools.partial(is_beside, node, *(set(nodes) - {name})), "each other", timeout_s=40)
        for node in nodes.values():
            await node.put(an_alert(node))
        await until(
            lambda: all(node.counters["envelopes_carried"] == 2 for node in nodes.values()), "copies", timeout_s=30
        )
        await until(
            lambda: all(has_no_way_on(node) for node in nodes.values()), "everything to be parked", timeout_s=30
        )
        sent = [node.counters["envelopes_sent"] for node in nodes.values()]
        await asyncio.sleep(3)
        assert [node.counters["envelopes_sent"] for node in nodes.values()] == sent, (
            "they keep handing each other copies"
        )
        assert all(count <= 12 for count in sent), "four each, and what a loaded machine says twice"
        assert not any(node.counters["own_came_back"] for node in nodes.values())
        # One of them comes to where there is an uplink.
        await c_context.__aexit__(None, None, None)
        async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
            uplink = PathConfig(name="uplink", endpoint=center.listening_on[0], peer="center")
            async with camera(house, "camera-c", uplink) as c:
                await until(lambda: len(inbox.arrivals) == 3, "all three alerts", timeout_s=40)
                assert len({arrival.envelope.id for arrival in inbox.arrivals}) == 3
                while await backlog_of(a, b, c):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert len(inbox.arrivals) == 3


async def test_a_straight_way_is_taken_and_the_neighbor_only_asked_when_it_stays_silent(house: House) -> None:
    inbox = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
        uplink = PathConfig(name="uplink", endpoint=center.listening_on[0], peer="center")
        async with camera(house, "camera-a", uplink) as a, camera(house, "camera-b", uplink) as b:
            await until(lambda: is_beside(b, "camera-a", "center"), "both ways", timeout_s=30)
            await b.put_all([b.draft_up(Kind.HEARTBEAT, Precedence.ROUTINE, bytes(100), ttl_s=60) for _ in range(5)])
            await until(lambda: len(inbox.arrivals) == 5, "the heartbeats")
            assert a.counters["envelopes_carried"] == 0


async def test_strangers_on_the_lan_are_not_called_and_their_passports_not_taken(house: House, tmp_path: Path) -> None:
    others = House(tmp_path / "others")
    others.enroll("camera-x", Role.CAMERA)
    others.settle()
    async with camera(others, "camera-x") as stranger, camera(house, "camera-a") as a, camera(house, "camera-b") as b:
        await until(lambda: is_beside(a, "camera-b") and is_beside(b, "camera-a"), "the neighbors", timeout_s=30)
        assert (await stranger.status()).neighbors == ()
        assert (await a.status()).neighbors == ("camera-b",)


async def test_an_announcement_with_our_tag_and_another_s_key_opens_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An impostor: our authority's tag is no secret, but it has no passport."""
    others = House(tmp_path / "others")
    others.enroll("camera-x", Role.CAMERA)
    others.settle()
    impostor_authority = announcement.tag_of(house.authority.signing_key)
    async with camera(house, "camera-a") as a:
        monkeypatch.setattr(announcement, "tag_of", lambda key: impostor_authority)
        async with others.station("camera-x", listen=ANNOUNCING) as impostor:
            await until(
                lambda: impostor.counters.refused_total + a.counters.refused_total > 0, "the refusal", timeout_s=30
            )
            assert (await a.status()).neighbors == ()


def test_an_announcement_says_no_more_than_it_must(house: House) -> None:
    identity = house.identities["camera-a"]
    said = announcement.properties_of(house.authority.signing_key, identity.transport_key)
    assert set(said) == {"v", "a", "k"}
    text = repr(said) + announcement.instance_of(identity.transport_key)
    assert "camera" not in text
    assert identity.node_id.hex() not in text
    raw: dict[bytes, bytes | None] = {key.encode(): value.encode() for key, value in said.items()}
    found = announcement.parse(raw, ["192.168.1.7"], 5701)
    assert found.transport_key == identity.transport_key
    assert found.endpoint == "tcp://192.168.1.7:5701"
    assert announcement.parse(raw, ["fe80::1"], 5701).endpoint == "tcp://[fe80::1]:5701"


@pytest.mark.parametrize(
    ("change", "addresses", "port"),
    [
        ({b"v": b"2"}, ["10.0.0.1"], 1), ({b"a": None}, ["10.0.0.1"], 1), ({b"k": b"ff"}, ["10.0.0.1"], 1),
        ({b"k": b"GG" * 32}, ["10.0.0.1"], 1), ({}, ["8.8.8.8"], 1), ({}, ["224.0.0.1"], 1), ({}, [], 1), ({}, ["10.0.0.1"], 0),
        ({}, ["10.0.0.1"], None), ({}, ["nonsense"], 1), ({b"x%d" % n: b"" for n in range(20)}, ["10.0.0.1"], 1),
    ],
)  # fmt: skip
def test_a_bad_announcement_is_refused(
    change: dict[bytes, bytes | None], addresses: list[str], port: int | None
) -> None:
    good: dict[bytes, bytes | None] = {b"v": b"1", b"a": b"00112233", b"k": b"ab" * 32}
    assert announcement.parse(good, ["10.0.0.1"], 1).tag == "00112233"
    with pytest.raises(Malformed):
        announcement.parse({**good, **change}, addresses, port)
