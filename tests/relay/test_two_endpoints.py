"""Two endpoints before one center: what goes down goes by both, and either may die."""

import contextlib
from pathlib import Path

from relay.clock import SimulatedClock
from relay.config import PathConfig
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Role
from relay.precedence import Precedence
from relay.routes import ROUTE_KEPT_MS, ROUTES_KEPT, Routes
from relay.spool import Draft
from relay.station import Station
from tests.relay.house import House, Kept, until


def enrolled(tmp_path: Path) -> House:
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("east", Role.RELAY), ("west", Role.RELAY), ("gate", Role.CAMERA)):
        house.enroll(name, role)
    house.settle()
    return house


async def acknowledge(center: Station, house: House, alert_id: bytes) -> None:
    seen = Acknowledgement(alert_ids=(alert_id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1)
    gate = house.identities["gate"]
    await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                           destination=gate.node_id, peer_sealing_key=gate.sealing_key))  # fmt: skip


async def test_receipts_and_acknowledgements_return_by_both_endpoints_and_by_the_one_that_is_left(
    tmp_path: Path,
) -> None:
    house, heard = enrolled(tmp_path), Kept()
    async with contextlib.AsyncExitStack() as stack:
        center = await stack.enter_async_context(house.station("center", listen="tcp://127.0.0.1:0"))
        ends: dict[str, contextlib.AsyncExitStack] = {}
        relays: dict[str, Station] = {}
        for name in ("east", "west"):
            ends[name] = await stack.enter_async_context(contextlib.AsyncExitStack())
            running = house.station(name, listen="tcp://127.0.0.1:0", to=[("center", center.listening_on[0])])
            relays[name] = await ends[name].enter_async_context(running)
        paths = [PathConfig(name=name, endpoint=relay.listening_on[0], peer=name) for name, relay in relays.items()]
        gate = await stack.enter_async_context(house.station("gate", to=paths, inbox=heard))
        await until(lambda: all(report.is_up for report in gate.path_health()), "both paths")
        alert = await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
        await until(lambda: gate.counters["envelopes_receipted"] == 1, "the receipt")
        await until(lambda: len(center._links.routes_to(gate.identity.node_id)) == 2, "both ways down")
        await until(lambda: all(relay.counters["envelopes_receipted"] == 1 for relay in relays.values()),
                    "the receipt at both endpoints")  # fmt: skip
        await acknowledge(center, house, alert.envelope.id)
        await until(lambda: len(heard.arrivals) == 1, "the acknowledgement")
        await until(lambda: all(relay.counters["envelopes_carried"] == 2 for relay in relays.values()),
                    "the acknowledgement at both endpoints")  # fmt: skip
        newest = center._links.routes_to(gate.identity.node_id)[-1]
        dying = next(name for name, relay in relays.items() if relay.identity.node_id == newest)
        await ends[dying].aclose()
        await acknowledge(center, house, alert.envelope.id)
        await until(lambda: len(heard.arrivals) == 2, "the acknowledgement by the endpoint that is left")


def test_ways_down_are_few_and_those_that_others_outlived_are_forgotten() -> None:
    clock, origin = SimulatedClock(), NodeId(b"camera..")
    routes = Routes(clock)
    for number in range(10):
        routes.learn(origin, NodeId(bytes([number]) * 8))
    assert [way[0] for way in routes.to(origin)] == [6, 7, 8, 9]
    assert len(routes.to(origin)) == ROUTES_KEPT
    clock.advance(ROUTE_KEPT_MS)
    routes.learn(origin, NodeId(bytes([7]) * 8))
    assert {way[0] for way in routes.to(origin)} == {6, 7, 8, 9}, "just young enough"
    clock.advance(1)
    routes.learn(origin, NodeId(bytes([7]) * 8))
    assert [way[0] for way in routes.to(origin)] == [7]
    assert routes.to(NodeId(b"nobody..")) == []
