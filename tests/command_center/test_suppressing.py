"""False alarms fed back to the node: who may, of what, for how long; and the order that leaves for the node."""

from command_center.accounts import UserRole
from relay import envelope as envelopes
from relay.header import Kind
from relay.kinds import body as bodies
from relay.kinds.answer import Answer, Followed, Outcome
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
        assert (one["outcome"], one["outcome_detail"]) == ("", ""), "the node has not answered yet"
        (order,) = await orders_to(house, node)
        assert isinstance(order, Suppress)
        assert (order.alert_id, order.for_s, order.by) == (alert.id, 7 * 86_400, "sam")
        ended = await supervisor.delete(f"/api/v1/suppressions/{alert.id.hex()}")
        assert ended.json()["suppressions"] == []
        assert [item["until_ms"] for item in ended.json()["ending"]] == [0], "its node has not said so yet"
        assert isinstance((await orders_to(house, node))[1], Unsuppress)
        assert (await supervisor.delete(f"/api/v1/suppressions/{alert.id.hex()}")).status_code == 404
        again = await supervisor.post("/api/v1/suppressions", json=wanted)
        assert len(again.json()["suppressions"]) == 1
        house.clock.advance(7 * 86_400_000 + 1)
    async with house.signed_in("sue", UserRole.SUPERVISOR) as later:
        assert (await later.get("/api/v1/suppressions")).json() == {"suppressions": [], "ending": []}, (
            "it ended by itself"
        )
        for changes in ({"for_s": 5}, {"for_s": 91 * 86_400}, {"reason": ""}, {"incident": 0}):
            assert (await later.post("/api/v1/suppressions", json={**wanted, **changes})).status_code == 422
        assert (await later.post("/api/v1/suppressions", json={**wanted, "incident": 99})).status_code == 404
    await assert_all_as_written(house)


async def test_what_the_node_answers_stands_beside_its_order_and_another_node_s_word_does_not_count(
    house: House,
) -> None:
    node, stranger = house.node(), house.node("other")
    await house.deliver(node, node.alert())
    async with house.signed_in("sam", UserRole.SUPERVISOR) as supervisor:
        assert (await act(supervisor, "1/acknowledge", version=1)).status_code == 200
        assert (await act(supervisor, "1/close", version=2, disposition="false_alarm")).status_code == 200
        wanted = {"incident": 1, "for_s": 3600, "reason": "the poster beside the gate"}
        made = (await supervisor.post("/api/v1/suppressions", json=wanted)).json()["suppressions"][0]
        first, *_ = await instruction_ids(house, node)
        for sender, outcome, detail in (
            (stranger, Outcome.DONE, ""),
            (node, Outcome.REFUSED, "it has forgotten that alert"),
        ):
            await answers(house, sender, first, outcome, detail)
            (shown,) = (await supervisor.get("/api/v1/suppressions")).json()["suppressions"]
            said = ("refused", detail) if sender is node else ("", "")
            assert (shown["outcome"], shown["outcome_detail"]) == said
        await supervisor.delete(f"/api/v1/suppressions/{made['alert_id']}")
        second = (await instruction_ids(house, node))[-1]
        assert second != first
        (waits,) = (await supervisor.get("/api/v1/suppressions")).json()["ending"]
        assert waits["outcome"] == "", "what it said to the first order is no answer to the second"
        await answers(house, node, second, Outcome.DONE)
        assert (await supervisor.get("/api/v1/suppressions")).json() == {"suppressions": [], "ending": []}
        found = (await supervisor.get("/api/v1/audit/entries", params={"text": "beside the gate"})).json()["entries"]
        assert [entry["kind"] for entry in found] == ["alarm-suppressed"]
    await assert_all_as_written(house)


async def instruction_ids(house: House, node: Node) -> list[bytes]:
    """Of the orders that wait for a node, the oldest first."""
    rows = await house.database.run(lambda c: c.execute("SELECT wire FROM envelope ORDER BY number").fetchall())
    parsed = [envelopes.parse(wire) for (wire,) in rows]
    return [one.id for one in parsed if one.header.kind is Kind.INSTRUCTION and one.header.destination == node.id]


async def answers(house: House, node: Node, instruction_id: bytes, outcome: Outcome, detail: str = "") -> None:
    """A node says what became of an order."""
    word = Followed(instruction_id=instruction_id, outcome=outcome, detail=detail)
    await house.deliver(node, node.body(Kind.ANSWER, Answer(word=word)))
    house.services.feed.wake()
