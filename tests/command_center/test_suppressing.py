"""False alarms fed back to the node: who may, of what, for how long; and the order that leaves for the node."""

from command_center.accounts import UserRole
from relay import envelope as envelopes
from relay.header import Kind
from relay.kinds import body as bodies
from relay.kinds.instruction import Instruction, Suppress, Unsuppress
from tests.command_center.house import House, Node
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_lifecycle import act


async def orders_to(house: House, node: Node) -> list[object]:
    """What waits in the center's spool for a node."""
    rows = await house.database.run(lambda c: c.execute("SELECT wire FROM envelope ORDER BY number").fetchall())
    secret = node.identity.shared_secret(house.center.station.identity.sealing_key)
    found: list[object] = []
    for (wire,) in rows:
        envelope = envelopes.parse(wire)
        if envelope.header.kind is Kind.INSTRUCTION and envelope.header.destination == node.id:
            found.append(bodies.decode(envelopes.open_body(envelope, secret), Instruction).order)
    return found


async def test_a_false_alarm_is_suppressed_at_its_node_by_a_supervisor_until_its_end(house: House) -> None:
    node = house.node()
    alert = node.alert()
    await house.deliver(node, alert)
    wanted = {"incident": 1, "for_s": 7 * 86_400, "reason": "the poster beside the gate"}
    async with house.signed_in() as dispatcher, house.signed_in("sam", UserRole.SUPERVISOR) as supervisor:
        refused = await supervisor.post("/api/v1/suppressions", json=wanted)
        assert refused.status_code == 422
        assert "close it as a false alarm first" in refused.text
        assert (await act(dispatcher, "1/acknowledge", version=1)).status_code == 200
        closed = await act(dispatcher, "1/close", version=2, disposition="false_alarm", note="a poster")
        assert closed.status_code == 200
        assert (await dispatcher.post("/api/v1/suppressions", json=wanted)).status_code == 403
        made = await supervisor.post("/api/v1/suppressions", json=wanted)
        assert made.status_code == 201, made.text
        (one,) = made.json()["suppressions"]
        assert (one["alert_id"], one["by"], one["camera"]) == (alert.id.hex(), "sam", "cam1")
        (order,) = await orders_to(house, node)
        assert isinstance(order, Suppress)
        assert (order.alert_id, order.for_s, order.by) == (alert.id, 7 * 86_400, "sam")
        ended = await supervisor.delete(f"/api/v1/suppressions/{alert.id.hex()}")
        assert ended.json() == {"suppressions": []}
        assert isinstance((await orders_to(house, node))[1], Unsuppress)
        assert (await supervisor.delete(f"/api/v1/suppressions/{alert.id.hex()}")).status_code == 404
        again = await supervisor.post("/api/v1/suppressions", json=wanted)
        assert len(again.json()["suppressions"]) == 1
        house.clock.advance(7 * 86_400_000 + 1)
    async with house.signed_in("sue", UserRole.SUPERVISOR) as later:
        assert (await later.get("/api/v1/suppressions")).json() == {"suppressions": []}, "it ended by itself"
        for changes in ({"for_s": 5}, {"for_s": 91 * 86_400}, {"reason": ""}, {"incident": 0}):
            assert (await later.post("/api/v1/suppressions", json={**wanted, **changes})).status_code == 422
        assert (await later.post("/api/v1/suppressions", json={**wanted, "incident": 99})).status_code == 404
    await assert_all_as_written(house)
