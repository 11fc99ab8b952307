"""Who comes into the fleet and who is kept out of it, over HTTP: only administrators, what they saw, and once."""

import httpx

from command_center.accounts import UserRole
from relay.enrollment import EnrollmentCode, accept_reply, build_request, parse_code
from relay.identity import Identity
from relay.precedence import Precedence
from tests.command_center.house import House
from tests.command_center.test_enrollments import post
from tests.command_center.test_ingest import assert_all_as_written

ORDER = {"name": "gate", "role": "camera", "site": "north", "minutes": 10}


async def invited(client: httpx.AsyncClient, **changes: object) -> EnrollmentCode:
    answer = await client.post("/api/v1/nodes/invites", json=ORDER | changes)
    assert answer.status_code == 201, answer.text
    assert answer.json()["command"] == f"camera-node enroll {answer.json()['code']} --state DIR"
    return parse_code(answer.json()["code"])


async def waiting(client: httpx.AsyncClient) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await client.get("/api/v1/nodes/waiting")).json()["waiting"]
    return found


async def test_a_machine_is_invited_seen_and_let_in_at_the_console_in_the_name_of_whoever_did(house: House) -> None:
    async with house.signed_in("ada", UserRole.ADMINISTRATOR) as client:
        code, machine = await invited(client), Identity.generate()
        assert await waiting(client) == [], "an invite that nobody used is no machine"
        assert (await post(house, build_request(code, machine)))[0] == 202
        (one,) = await waiting(client)
        assert one == {"name": "gate", "role": "camera", "site": "north", "node": machine.node_id.hex()}
        approved = await client.post("/api/v1/nodes/waiting/gate/approval", json={"node": one["node"]})
        assert approved.status_code == 201
        assert approved.json() == {"id": machine.node_id.hex(), "name": "gate", "serial": 2}
        assert await waiting(client) == []
        again = await client.post("/api/v1/nodes/waiting/gate/approval", json={"node": one["node"]})
        assert again.status_code == 404, "a second click lets nobody in"
    status, data = await post(house, build_request(code, machine))
    assert status == 200
    assert accept_reply(data, code, machine) is not None
    rows = await house.query(
        "SELECT kind, actor FROM entry WHERE kind IN ('node-invited', 'node-admitted') ORDER BY id"
    )
    assert rows == [("node-invited", "user:ada"), ("node-admitted", "user:ada")]
    await assert_all_as_written(house)


async def test_another_machine_under_the_same_name_is_not_let_in_by_a_click_on_the_first(house: House) -> None:
    async with house.signed_in("ada", UserRole.ADMINISTRATOR) as client:
        first, second = Identity.generate(), Identity.generate()
        await post(house, build_request(await invited(client), first))
        await house.database.run(lambda c: c.execute("DELETE FROM invite").fetchall())
        await post(house, build_request(await invited(client), second))
        stale = await client.post("/api/v1/nodes/waiting/gate/approval", json={"node": first.node_id.hex()})
        assert stale.status_code == 409
        assert second.node_id.hex() in stale.json()["detail"]
        assert await house.query("SELECT COUNT(*) FROM node") == [(0,)]


async def test_a_node_is_quarantined_taken_back_and_withdrawn_with_a_reason_each_once(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    address = f"/api/v1/nodes/{node.id.hex()}/standing"
    async with house.signed_in("ada", UserRole.ADMINISTRATOR) as client:
        quarantine = {"standing": "quarantined", "was": "approved", "reason": "it tells what is not there"}
        answer = await client.put(address, json=quarantine)
        assert answer.status_code == 200, answer.text
        (shown,) = answer.json()["nodes"]
        assert (shown["state"], shown["reason"]) == ("quarantined", "it tells what is not there")
        stale = await client.put(address, json=quarantine)
        assert stale.status_code == 409
        assert "is quarantined by now" in stale.json()["detail"]
        house.clock.advance(60_000)
        await house.deliver(node, node.alert(camera="cam2", precedence=Precedence.FLASH))
        quarantined = await house.query("SELECT is_quarantined FROM incident ORDER BY id")
        assert quarantined == [(0,), (1,)], "what it tells now is kept, and marked"
        back = {"standing": "approved", "was": "quarantined", "reason": "its lens was cleaned"}
        assert (await client.put(address, json=back)).json()["nodes"][0]["state"] != "quarantined"
        gone = {"standing": "revoked", "was": "approved", "reason": "it was stolen"}
        assert (await client.put(address, json=gone)).json()["nodes"][0]["state"] == "revoked"
        assert house.center.station.trust.is_revoked(node.id), "every station is told, this one first"
        for standing in ("approved", "quarantined"):
            wrong = await client.put(address, json={"standing": standing, "was": "approved", "reason": "a try"})
            assert wrong.status_code == 409, "withdrawn is for good"
        for body in ({"standing": "approved", "was": "approved"}, back | {"reason": "x"}, back | {"standing": "gone"}):
            assert (await client.put(address, json=body)).status_code == 422
        nobody = await client.put(f"/api/v1/nodes/{'0' * 16}/standing", json=back)
        assert nobody.status_code == 404
    rows = await house.query("SELECT actor FROM entry WHERE kind = 'node-standing'")
    assert rows == [("user:ada",)] * 3
    await assert_all_as_written(house)


async def test_a_node_named_like_another_one_s_id_is_not_taken_for_it(house: House) -> None:
    meant = house.node("meant")
    impostor = house.node(meant.id.hex())
    for node in (meant, impostor):
        await house.deliver(node, node.alert())
    async with house.signed_in("ada", UserRole.ADMINISTRATOR) as client:
        order = {"standing": "quarantined", "was": "approved", "reason": "noise"}
        await client.put(f"/api/v1/nodes/{meant.id.hex()}/standing", json=order)
    rows = await house.query("SELECT id, standing FROM node")
    assert {meant.id: "quarantined", impostor.id: "approved"} == {row[0]: row[1] for row in rows}


async def test_bad_invites_say_why_and_others_than_administrators_only_see_who_waits(house: House) -> None:
    async with house.signed_in("ada", UserRole.ADMINISTRATOR) as client:
        for wrong in (
            {"name": ""},
            {"name": "a\nb"},
            {"role": "center"},
            {"minutes": 0},
            {"minutes": 10_081},
            {"site": ""},
        ):
            assert (await client.post("/api/v1/nodes/invites", json=ORDER | wrong)).status_code == 422, wrong
        await post(house, build_request(await invited(client, is_preapproved=True), Identity.generate()))
        taken = await client.post("/api/v1/nodes/invites", json=ORDER)
        assert taken.status_code == 422
        assert "there is a node 'gate' already" in taken.json()["detail"]
    for number, role in enumerate((UserRole.DISPATCHER, UserRole.SUPERVISOR, UserRole.AUDITOR)):
        async with house.signed_in(f"person{number}", role) as client:
            assert (await client.get("/api/v1/nodes/waiting")).status_code == 200
            assert (await client.post("/api/v1/nodes/invites", json=ORDER | {"name": "b"})).status_code == 403
            assert (await client.post("/api/v1/nodes/waiting/b/approval", json={"node": "0" * 16})).status_code == 403
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(6,)]
