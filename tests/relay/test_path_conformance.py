"""What every carrier must do, over each of them: nothing here knows which one it runs on.

Carriers differ in two ways, and only where a test says so: a *tiny* one takes no chunks and can't tell that nobody listens; a *walked* one (a
stick that somebody carries) has no connection, so there is nothing that could be up, or found again.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Answer, AnswerLevel, Station
from tests.relay.carriers import CARRIERS, Carrier, carrier
from tests.relay.house import House, Kept, until


@pytest.fixture(params=CARRIERS)
async def way(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Carrier]:
    async with carrier(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


def an_alert(station: Station) -> Draft:
    said = Alert(label="handgun", camera="gate", zone="yard", confidence=0.9, rule=Rule.CLASS_OF_INTEREST)
    return station.draft_up(Kind.ALERT, Precedence.FLASH, said.encode())


async def test_alert_goes_up_and_its_receipt_comes_back(house: House, way: Carrier) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with (
        house.station("center", listen=way.listener, inbox=inbox) as center,
        house.station("gate-camera", to=way.dialed("center", way.endpoint_of(center))) as node,
    ):
        node.on_answer(answers.append)
        spooled = await node.put(an_alert(node))
        async with way.between(center, node):
            await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the receipt")
        assert [a.envelope.id for a in inbox.arrivals] == [spooled.envelope.id]
        if way.is_walked:
            return  # the station has no path of it, and its spool says what waits
        health = node.path_health()[0]
        assert health.is_up
        assert health.bytes_up > 200


async def test_acknowledgement_comes_down(house: House, way: Carrier) -> None:
    inbox, node_inbox, answers = Kept(), Kept(), list[Answer]()
    async with (
        house.station("center", listen=way.listener, inbox=inbox) as center,
        house.station("gate-camera", to=way.dialed("center", way.endpoint_of(center)), inbox=node_inbox) as node,
        way.between(center, node),
    ):
        center.on_answer(answers.append)
        spooled = await node.put(an_alert(node))
        await until(lambda: bool(inbox.arrivals), "the alert")
        seen = Acknowledgement(
            alert_ids=(spooled.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
        )
        await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                               destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
        await until(lambda: bool(node_inbox.arrivals), "the acknowledgement")
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the node's receipt")


async def test_chunks_of_the_largest_size_arrive_whole_and_alerts_pass_them(house: House, way: Carrier) -> None:
    inbox = Kept()
    async with (
        house.station("center", listen=way.listener, inbox=inbox) as center,
        house.station("gate-camera", to=way.dialed("center", way.endpoint_of(center))) as node,
    ):
        chunks = [node.draft_up(Kind.CHUNK, Precedence.BULK, bytes([number]) * 16_000) for number in range(40)]
        await node.put_all(chunks)
        alert = await node.put(an_alert(node))
        if way.is_tiny:
            await until(lambda: bool(inbox.arrivals), "the alert")
            assert [a.envelope.id for a in inbox.arrivals] == [alert.envelope.id], "a tiny carrier took a chunk"
            assert (await node.status()).backlog[Precedence.BULK] == 40
            return
        async with way.between(center, node):
            await until(lambda: len(inbox.arrivals) == 41, "everything", timeout_s=30)
        order = [a.envelope.id for a in inbox.arrivals]
        assert order.index(alert.envelope.id) < 40, "the alert waited for every chunk"


async def test_what_was_spooled_while_nobody_listened_arrives_the_newest_first_then_in_order(
    house: House, way: Carrier
) -> None:
    inbox = Kept()
    async with house.station("center", listen=way.listener) as first:
        endpoint = way.endpoint_of(first)
    async with house.station("gate-camera", to=way.dialed("center", endpoint)) as node:
        for _ in range(20):
            await node.put(an_alert(node))
        await asyncio.sleep(0.3)
        assert way.is_tiny or way.is_walked or not node.path_health()[0].is_up
        async with (
            house.station("center", listen=way.again_at(endpoint), inbox=inbox) as center,
            way.between(center, node),
        ):
            await until(lambda: len(inbox.arrivals) == 20, "the backlog", timeout_s=40)
    order = [a.envelope.header.sequence for a in inbox.arrivals]
    assert sorted(order) == list(range(1, 21))
    if way.is_walked:
        assert order == list(range(1, 21)), "a stick is handed over as a whole"
    elif not way.is_tiny:  # there it was said while nobody listened, too
        assert order[0] == 20
    if not way.is_tiny:  # each that went ahead came before what is older; the rest is as it was put
        rest = [number for place, number in enumerate(order) if number == min(order[place:])]
        assert len(rest) >= 12


async def test_a_listener_that_restarts_is_found_again(house: House, way: Carrier) -> None:
    inbox = Kept()
    async with house.station("center", listen=way.listener) as first:
        endpoint = way.endpoint_of(first)
        node_context = house.station("gate-camera", to=way.dialed("center", endpoint))
        node = await node_context.__aenter__()
        async with way.between(first, node):
            await until(lambda: way.is_walked or node.path_health()[0].is_up, "the path")
    try:
        if not way.is_tiny and not way.is_walked:
            await until(lambda: not node.path_health()[0].is_up, "the loss to be noticed", timeout_s=30)
        async with (
            house.station("center", listen=way.again_at(endpoint), inbox=inbox) as center,
            way.between(center, node),
        ):
            await node.put(an_alert(node))
            await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=40)
    finally:
        await node_context.__aexit__(None, None, None)


async def test_the_passport_of_another_authority_is_refused(house: House, way: Carrier, tmp_path: Path) -> None:
    others = House(tmp_path / "others")
    others.enroll("center", Role.CENTER, house.identities["center"])
    others.enroll("intruder", Role.CAMERA)
    others.settle()
    inbox = Kept()
    async with (
        house.station("center", listen=way.listener, inbox=inbox) as center,
        others.station("intruder", to=way.dialed("center", way.endpoint_of(center))) as intruder,
    ):
        await intruder.put(an_alert(intruder))
        if way.calls_strangers:
            names = ("refused_bad_signature", "radio_for_others", "refused_passport_bad_signature")
            async with way.between(center, intruder):
                await until(lambda: any(center.counters[name] for name in names), "the refusal")
        else:
            await asyncio.sleep(1)
            assert (await center.status()).neighbors == ()
        assert not inbox.arrivals


async def test_a_passport_without_its_keys_opens_nothing(house: House, way: Carrier, tmp_path: Path) -> None:
    """Passports are no secret: who shows another's must be found out, by the transport's key or by the challenge."""
    thieves = House(tmp_path / "thieves")
    thieves.authority = house.authority
    thieves.passports = {"center": house.passports["center"], "gate-camera": house.passports["gate-camera"]}
    thief = thieves.enroll("thief", Role.CAMERA)
    thieves.passports["thief"] = house.passports["gate-camera"]  # the camera's passport, the thief's keys
    thieves.settle()
    assert thief.node_id != house.identities["gate-camera"].node_id
    inbox = Kept()
    async with (
        house.station("center", listen=way.listener, inbox=inbox) as center,
        thieves.station("thief", to=way.dialed("center", way.endpoint_of(center))) as station,
    ):
        if way.is_tiny or way.is_walked:
            await station.put(an_alert(station))  # it says nothing before it has something to say
        refusals = (center.counters, station.counters)  # on a radio, a tag under a wrong key is just other people's
        async with way.between(center, station):
            await until(lambda: any(c.refused_total + c["radio_for_others"] > 0 for c in refusals), "the refusal")
        assert "gate-camera" not in (await center.status()).neighbors
        await station.put(an_alert(station))
        await asyncio.sleep(0.5)
        assert not inbox.arrivals
