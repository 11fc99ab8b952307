"""Stations talk over real sockets: an alert is carried, stored once, receipted; an answer comes back the same way."""

import asyncio
from pathlib import Path

import pytest

from relay import envelope as envelopes
from relay.header import Kind
from relay.kinds import alert, body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Answer, AnswerLevel, Station
from tests.relay.house import House, Kept, until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path, {"center": Role.CENTER, "site-relay": Role.RELAY, "gate-camera": Role.CAMERA})


def an_alert(station: Station, label: str = "handgun") -> Draft:
    spoken = Alert(label=label, camera="gate", zone="yard", confidence=0.9, rule=Rule.CLASS_OF_INTEREST)
    return station.draft_up(Kind.ALERT, Precedence.FLASH, spoken.encode())


async def test_alert_goes_through_a_relay_and_its_receipt_comes_back(house: House) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        house.station("site-relay", listen="tcp://127.0.0.1:0", to=[("center", center.listening_on[0])]) as carrier,
        house.station("gate-camera", to=[("site-relay", carrier.listening_on[0])]) as node,
    ):
        node.on_answer(answers.append)
        spooled = await node.put(an_alert(node))
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the receipt")
        assert [a.envelope.id for a in inbox.arrivals] == [spooled.envelope.id]
        arrival = inbox.arrivals[0]
        secret = house.authority.shared_secret(arrival.passport.sealing_key)
        assert alert.decode(envelopes.open_body(arrival.envelope, secret)).label == "handgun"
        assert arrival.via == carrier.identity.node_id
        for station in (node, carrier):
            assert (await station.status()).backlog == (0, 0, 0, 0, 0)


async def test_acknowledgement_comes_back_to_the_node(house: House) -> None:
    center_inbox, node_inbox, answers = Kept(), Kept(), list[Answer]()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=center_inbox) as center,
        house.station("site-relay", listen="tcp://127.0.0.1:0", to=[("center", center.listening_on[0])]) as carrier,
        house.station("gate-camera", to=[("site-relay", carrier.listening_on[0])], inbox=node_inbox) as node,
    ):
        spooled = await node.put(an_alert(node))
        await until(lambda: bool(center_inbox.arrivals), "the alert")
        seen = Acknowledgement(
            alert_ids=(spooled.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
        )
        center.on_answer(answers.append)
        node_id = node.identity.node_id
        await center.put(
            Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen), destination=node_id,
                  peer_sealing_key=house.identities["gate-camera"].sealing_key)
        )  # fmt: skip
        await until(lambda: bool(node_inbox.arrivals), "the acknowledgement")
        opened = body.decode(
            envelopes.open_body(
                node_inbox.arrivals[0].envelope, node.identity.shared_secret(center.identity.sealing_key)
            ),
            Acknowledgement,
        )
        assert opened.alert_ids == (spooled.envelope.id,)
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the node's receipt")
        assert (await center.status()).backlog == (0, 0, 0, 0, 0)
        assert (await carrier.status()).backlog == (0, 0, 0, 0, 0)


async def test_everything_arrives_after_the_relay_was_away_the_newest_first(house: House) -> None:
    inbox = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
        async with house.station(
            "site-relay", listen="tcp://127.0.0.1:0", to=[("center", center.listening_on[0])]
        ) as first:
            endpoint = first.listening_on[0]
        async with house.station("gate-camera", to=[("site-relay", endpoint)]) as node:
            for _ in range(50):
                await node.put(an_alert(node))
            await asyncio.sleep(0.3)
            assert not inbox.arrivals, "the relay is away: nothing can have arrived"
            async with house.station("site-relay", listen=endpoint, to=[("center", center.listening_on[0])]):
                await until(lambda: len(inbox.arrivals) == 50, "the backlog", timeout_s=30)
    order = [a.envelope.header.sequence for a in inbox.arrivals]
    assert sorted(order) == list(range(1, 51))
    assert order[0] == 50
    assert 1 in order[:3], "and the past beside it"


async def test_a_stranger_gets_nowhere(house: House, tmp_path: Path) -> None:
    stranger_house = House(tmp_path / "other")
    stranger_house.enroll("center", Role.CENTER, house.identities["center"])
    stranger_house.enroll("intruder", Role.CAMERA)
    stranger_house.settle()
    inbox = Kept()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        stranger_house.station("intruder", to=[("center", center.listening_on[0])]) as intruder,
    ):
        await intruder.put(an_alert(intruder))
        await until(lambda: center.counters["refused_bad_signature"] > 0, "the refusal of its passport")
        assert not inbox.arrivals
        assert (await intruder.status()).backlog[Precedence.FLASH] == 1


async def test_a_failing_store_gives_no_receipt(house: House) -> None:
    inbox, answers = Kept(), list[Answer]()
    inbox.fail_with = RuntimeError("the disk burns")
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        house.station("gate-camera", to=[("center", center.listening_on[0])]) as node,
    ):
        node.on_answer(answers.append)
        await node.put(an_alert(node))
        await until(lambda: center.counters["refused_not_stored"] > 0, "the failure")
        assert not answers
        inbox.fail_with = None
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the retry", timeout_s=20)
    assert len(inbox.arrivals) == 1
