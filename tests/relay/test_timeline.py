"""What a station knows of an alert's way, what it tells upwards, and what a person at that machine is shown."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from relay import cli, envelope, tracing
from relay.clock import SimulatedClock
from relay.config import PathConfig
from relay.counters import Counters
from relay.crew import crew
from relay.door import open_door
from relay.errors import CannotOpen
from relay.header import Kind
from relay.ids import EnvelopeId, NodeId
from relay.kinds.body import decode
from relay.kinds.trace import MOST_PASSAGES, Trace
from relay.passport import Role
from relay.path import PathFacts
from relay.service import station_verbs
from relay.timeline import ALERTS_KEPT, UNANSWERED_TOLD_MS, Timeline, traces_of
from relay.tracing import AlertWay
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert

LTE = PathFacts(name="lte", mtu_bytes=65536, kind="zeromq", provider="Provider A")
PEER, CENTER = NodeId(b"neighbor"), NodeId(b"thecente")


class Alert:
    kind = int(Kind.ALERT)

    def __init__(self, number: int) -> None:
        self.id = EnvelopeId(number.to_bytes(32, "big"))


def a_timeline() -> tuple[Timeline, SimulatedClock, Counters]:
    clock, counters = SimulatedClock(), Counters()
    return Timeline(clock=clock, counters=counters), clock, counters


def test_each_leg_s_time_is_the_sender_s_own_and_a_receipt_answers_what_went_to_its_signer() -> None:
    timeline, clock, _ = a_timeline()
    alert = Alert(1)
    timeline.durable(alert.id, alert.kind)
    clock.advance(3)
    timeline.sent(alert, LTE, PEER)
    timeline.sent(alert, LTE, CENTER)
    assert timeline.take_news() == [], "nothing has an answer yet"
    clock.advance(40)
    timeline.stored_there(PEER, "lte", [alert.id])
    timeline.sent(alert, LTE, CENTER)
    clock.advance(100)
    timeline.receipted([alert.id], CENTER)
    (stay,) = timeline.take_news()
    relayed, direct = stay.legs[PEER, "lte"], stay.legs[CENTER, "lte"]
    assert (relayed.answered_ms - relayed.sent_ms, relayed.is_receipt) == (40, False)
    assert (direct.answered_ms - direct.sent_ms, direct.is_receipt, direct.tries) == (140, True, 2)
    assert stay.heard_ms - stay.had_ms == 143
    assert timeline.take_news() == [], "told once"


def test_a_leg_without_an_answer_is_told_after_a_while_and_again_when_it_comes() -> None:
    timeline, clock, _ = a_timeline()
    alert = Alert(1)
    timeline.sent(alert, LTE, PEER)
    clock.advance(UNANSWERED_TOLD_MS)
    assert len(timeline.take_news()) == 1
    timeline.stored_there(PEER, "lte", [alert.id])
    assert len(timeline.take_news()) == 1


def test_the_number_of_alerts_in_memory_is_bounded_and_what_is_forgotten_untold_is_counted() -> None:
    timeline, _, counters = a_timeline()
    for number in range(ALERTS_KEPT + 10):
        timeline.sent(Alert(number), LTE, PEER)
    assert counters["trace_forgotten"] == 10
    timeline.receipted([Alert(number).id for number in range(ALERTS_KEPT + 10)], CENTER)
    told = traces_of(timeline.take_news())
    assert sum(len(trace.passages) for trace in told) == ALERTS_KEPT
    assert max(len(trace.passages) for trace in told) == MOST_PASSAGES
    assert {len(trace.ways) for trace in told} == {1}, "a path is named once in each"


async def test_every_hop_tells_its_own_part_and_only_the_authority_can_read_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("yard-relay", Role.RELAY), ("gate-camera", Role.CAMERA)):
        house.enroll(name, role)
    house.settle()
    inbox = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
        wan = PathConfig(name="wan", endpoint=center.listening_on[0], peer="center", provider="Provider B")
        async with house.station("yard-relay", listen="tcp://127.0.0.1:0", to=[wan]) as relay:
            wifi = PathConfig(name="wifi", endpoint=relay.listening_on[0], peer="yard-relay")
            async with house.station("gate-camera", to=[wifi]) as node, crew() as members:
                for station in (node, relay):
                    members.start(tracing.tell(station, every_s=0.05), "traces")
                await until(lambda: all(s.path_health()[0].is_up for s in (node, relay)), "the paths")
                alert = await node.put(an_alert(node))

                def told() -> dict[NodeId, Trace]:
                    found: dict[NodeId, Trace] = {}
                    for item in inbox.arrivals:
                        if item.envelope.header.kind is Kind.TRACE:
                            secret = house.authority.shared_secret(item.passport.sealing_key)
                            found[item.envelope.header.origin] = decode(
                                envelope.open_body(item.envelope, secret), Trace
                            )
                    return found

                own, carried = node.identity.node_id, relay.identity.node_id
                await until(lambda: own in told() and told()[own].passages[0].heard_ms > 0, "the node's trace")
                await until(lambda: carried in told() and told()[carried].passages[0].heard_ms > 0, "the relay's trace")
                first, second = told()[own], told()[carried]
                assert first.ways[0].path == "wifi"
                assert first.passages[0].alert == second.passages[0].alert == alert.envelope.id[:8]
                assert first.passages[0].legs[0].to == carried
                assert second.ways[0].provider == "Provider B"
                assert (second.passages[0].came_from, second.passages[0].came_over) == (own, "wifi")
                assert second.passages[0].legs[0].is_receipt
                first_of_node = next(a for a in inbox.arrivals if a.envelope.header.origin == own
                                     and a.envelope.header.kind is Kind.TRACE)  # fmt: skip
                assert first_of_node.path == "wan", "the center knows what the relay calls the path"
                with pytest.raises(CannotOpen):
                    envelope.open_body(
                        first_of_node.envelope, relay.identity.shared_secret(first_of_node.passport.sealing_key)
                    )
                await _shown_at_the_door(house, node.passport.name, alert.envelope.id.hex(), station_verbs(node))


async def _shown_at_the_door(house: House, name: str, alert: str, verbs: object) -> None:
    state_dir = house.dir_of(name)
    async with open_door(state_dir, verbs):  # type: ignore[arg-type]
        as_json = await asyncio.to_thread(
            CliRunner().invoke, cli.app, ["trace", alert[:12], "--state", str(state_dir), "--json"]
        )
        (way,) = msgspec.json.decode(as_json.stdout, type=list[AlertWay])
        assert (way.alert, way.legs[0].path, way.legs[0].to, way.legs[0].answer) == (
            alert,
            "wifi",
            "yard-relay",
            "stored",
        )
        assert way.heard_after_ms is not None
        shown = await asyncio.to_thread(CliRunner().invoke, cli.app, ["trace", alert, "--state", str(state_dir)])
        assert "raised here" in shown.stdout
        assert "sent to yard-relay over wifi (zeromq)" in shown.stdout
        assert "heard: the command center has it" in shown.stdout
        missing = await asyncio.to_thread(CliRunner().invoke, cli.app, ["trace", "00" * 32, "--state", str(state_dir)])
        assert missing.exit_code == 1
        refused = await asyncio.to_thread(CliRunner().invoke, cli.app, ["trace", "nonsense", "--state", str(state_dir)])
        assert refused.exit_code != 0
        assert "hexadecimal" in refused.output


async def test_a_way_is_kept_over_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate-camera", Role.CAMERA)
    house.settle()
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        async with house.station("gate-camera", to=[("center", center.listening_on[0])]) as node, crew() as members:
            alert = (await node.put(an_alert(node))).envelope.id.hex()
            members.start(tracing.tell(node, every_s=0.05), "traces")
            await until(lambda: node.counters["envelopes_spooled"] >= 2, "the trace")
        async with house.station("gate-camera") as again:
            question = msgspec.Raw(msgspec.json.encode({"alert": alert}))
            (way,) = await tracing.answer(again, question)
            assert way.legs[0].answer == "receipt"
