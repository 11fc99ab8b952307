"""The status board over the real API, database and spool: nobody is sent twice, and the camera learns of each step."""

import asyncio

import httpx

from command_center.accounts import UserRole
from relay import envelope as envelopes
from relay.header import Kind
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.body import decode
from tests.command_center.house import House, Node
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_lifecycle import act, incident, kinds

Json = dict[str, object]


async def unit(client: httpx.AsyncClient, name: str = "M21") -> Json:
    answer = await client.get(f"/api/v1/units/{name}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def on_board(client: httpx.AsyncClient, name: str = "M21", *capabilities: str, lat: float | None = None) -> None:
    """A unit that is available, perhaps with a position."""
    made = await client.post("/api/v1/units", json={"name": name, "agency": "city", "capabilities": list(capabilities)})
    assert made.status_code == 201, made.text
    assert (await step(client, name, "available")).status_code == 200
    if lat is not None:
        there = await client.post(f"/api/v1/units/{name}/position", json={"lat": lat, "lon": 4.3})
        assert there.status_code == 200, there.text


async def step(client: httpx.AsyncClient, name: str, status: str, version: int | None = None) -> httpx.Response:
    if version is None:
        version = int(str((await unit(client, name))["version"]))
    return await client.post(f"/api/v1/units/{name}/status", json={"version": version, "status": status})


async def send(client: httpx.AsyncClient, name: str, number: int = 1, **versions: int) -> httpx.Response:
    seen = {
        "version": (await incident(client, number))["version"],
        "unit_version": (await unit(client, name))["version"],
    }
    return await client.post(f"/api/v1/incidents/{number}/units", json={"unit": name, **seen, **versions})


async def told(house: House, node: Node) -> list[AnswerState]:
    """What a node's own keys read in the acknowledgements that wait for it, in order."""
    secret = node.identity.shared_secret(house.services.identity.sealing_key)
    rows = await house.query("SELECT wire FROM envelope WHERE kind = ? ORDER BY number", int(Kind.ACKNOWLEDGEMENT))
    states = []
    for (wire,) in rows:
        assert isinstance(wire, bytes)
        body = decode(envelopes.open_body(envelopes.parse(wire), secret), Acknowledgement)
        states.append(body.state)
    return states


async def test_unit_goes_all_the_way_and_the_camera_learns_of_each_step(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await on_board(client)
        sent = await send(client, "M21")
        assert sent.status_code == 200, sent.text
        assert sent.json()["incident"]["state"] == "acknowledged", "who sends a unit has seen it"
        assert sent.json()["incident"]["responding"] == [{"unit": "M21", "status": "assigned"}]
        for status in ("accepted", "en_route", "on_scene"):
            assert (await step(client, "M21", status)).status_code == 200
        found = (await client.get("/api/v1/incidents/1/response")).json()["assignments"][0]
        assert None not in (found["accepted_at_ms"], found["en_route_at_ms"], found["on_scene_at_ms"])
        assert found["ended_at_ms"] is None
        held = await act(client, "1/close", version=3, disposition="handled")
        assert (held.status_code, "M21 (on scene) still at incident 1" in held.text) == (422, True)
        assert (await step(client, "M21", "clear")).json()["incident"] is None
        assert (await act(client, "1/close", version=3, disposition="handled")).status_code == 200
        assert (await client.get("/api/v1/incidents/1/response")).json()["assignments"][0]["ended_as"] == "clear"
        assert kinds(await incident(client)) == [
            "alert", "incident-acknowledged", "unit-assigned", *["unit-status"] * 4, "incident-closed"
        ]  # fmt: skip
    assert await told(house, node) == [
        AnswerState.SEEN, AnswerState.DISPATCHED, AnswerState.DISPATCHED, AnswerState.EN_ROUTE, AnswerState.ON_SCENE,
        AnswerState.CLOSED,
    ]  # fmt: skip
    await assert_all_as_written(house)


async def test_two_dispatchers_can_not_give_one_unit_twice(house: House) -> None:
    node = house.node()
    for label in ("handgun", "rifle"):
        await house.deliver(node, node.alert(label=label))
    async with house.signed_in() as alice, house.signed_in("bob") as bob:
        await on_board(alice)
        seen = int(str((await unit(alice))["version"]))
        answers = await asyncio.gather(send(alice, "M21", 1, unit_version=seen), send(bob, "M21", 2, unit_version=seen))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (lost,) = [answer.json() for answer in answers if answer.status_code == 409]
        winner = "alice" if answers[0].status_code == 200 else "bob"
        assert f"by {winner}): somebody else was first" in lost["detail"]
        assert lost["unit"]["status"] == "assigned", "the answer shows how it is now"
        assert lost["incident"]["responding"] == []
    assert await house.query("SELECT COUNT(*) FROM assignment") == [(1,)]
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'stale-click'") == [(1,)], (
        "who was second is kept"
    )
    await assert_all_as_written(house)


async def test_second_dispatcher_sends_nobody_to_an_incident_that_changed_meanwhile(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as alice, house.signed_in("bob") as bob:
        await on_board(alice)
        await on_board(alice, "M22")
        assert (await send(alice, "M21", version=1)).status_code == 200
        stale = await send(bob, "M22", version=1)
        assert stale.status_code == 409
        assert stale.json()["incident"]["responding"] == [{"unit": "M21", "status": "assigned"}]
        assert (await unit(bob, "M22"))["status"] == "available"
        assert (await send(bob, "M22")).status_code == 200, "having looked again, a second unit may go"
    await assert_all_as_written(house)


async def test_double_submit_sends_once_and_says_so(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await on_board(client)
        seen = int(str((await unit(client))["version"]))
        for _ in range(3):
            assert (await send(client, "M21", version=1, unit_version=seen)).status_code == 200
        first = await step(client, "M21", "accepted", seen + 1)
        again = await step(client, "M21", "accepted", seen + 1)
        assert (first.status_code, again.status_code) == (200, 200)
        assert again.json() == first.json()
    assert await house.query("SELECT kind, COUNT(*) FROM entry WHERE kind LIKE 'unit-%' GROUP BY kind") == [
        ("unit-added", 1), ("unit-assigned", 1), ("unit-status", 2)
    ]  # fmt: skip
    assert house.services.metrics.snapshot()["double_submits"] == 2


async def test_reassigned_unit_leaves_the_other_incident_and_a_released_one_is_available(house: House) -> None:
    node = house.node()
    for label in ("handgun", "rifle"):
        await house.deliver(node, node.alert(label=label))
    async with house.signed_in() as client:
        await on_board(client)
        await send(client, "M21", 1)
        await step(client, "M21", "en_route")
        assert (await send(client, "M21", 2)).status_code == 200
        assert (await incident(client, 1))["responding"] == []
        (first,) = (await client.get("/api/v1/incidents/1/response")).json()["assignments"]
        assert first["ended_as"] == "reassigned"
        version = (await unit(client))["version"]
        body = {"unit_version": version, "reason": "M22 is nearer"}
        wrong = await client.post("/api/v1/incidents/1/units/M21/release", json=body)
        assert (wrong.status_code, "not at incident 1" in wrong.text) == (422, True)
        assert (await client.post("/api/v1/incidents/2/units/M21/release", json=body)).status_code == 200
        assert (await client.post("/api/v1/incidents/2/units/M21/release", json=body)).status_code == 409
        assert ((await unit(client))["status"], (await unit(client))["note"]) == ("available", "M22 is nearer")
    await assert_all_as_written(house)


async def test_steps_that_do_not_follow_are_refused_and_name_those_that_do(house: House) -> None:
    async with house.signed_in() as client:
        await on_board(client)
        wrong = await step(client, "M21", "on_scene")
        assert wrong.status_code == 422
        assert "may become assigned, out of service" in wrong.text
        assert (await step(client, "M21", "out_of_service", version=99)).status_code == 409
        assert (await step(client, "M21", "out_of_service")).status_code == 200
        assert (await client.get("/api/v1/units/M99")).status_code == 404
        for name in ("", "M  21", " M21", "M21 ", "M\t21", "x" * 33, "x " * 17, "<b>"):
            assert (await client.post("/api/v1/units", json={"name": name})).status_code == 422
    async with house.signed_in("ann", UserRole.AUDITOR) as auditor:
        assert (await step(auditor, "M21", "available")).status_code == 403
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(1,)]
    await assert_all_as_written(house)


async def test_recommended_is_who_is_near_the_camera_as_exactly_as_it_is_known(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await on_board(client, "north", "medic", lat=52.02)
        await on_board(client, "south", "medic", "k9", lat=51.99)
        await on_board(client, "lost")
        path = "/api/v1/incidents/1/recommendations"
        unknown = (await client.get(path)).json()
        assert unknown["scene"] is None
        assert all(item["distance_m"] is None for item in unknown["units"])
        assert (await client.put("/api/v1/places/north", json={"lat": 52.03, "lon": 4.3})).status_code == 200
        by_site = (await client.get(path)).json()
        assert [item["unit"] for item in by_site["units"]] == ["north", "south", "lost"]
        assert 1100 < by_site["units"][0]["distance_m"] < 1120
        assert (await client.put("/api/v1/places/gate/cam1", json={"lat": 51.98, "lon": 4.3})).status_code == 200
        by_camera = (await client.get(path)).json()
        assert [item["unit"] for item in by_camera["units"]] == ["south", "north", "lost"]
        able = (await client.get(path, params={"wanted": "k9"})).json()["units"]
        assert [item["lacks"] for item in able] == [[], ["k9"], ["k9"]]
        assert (await client.put("/api/v1/places/north", json={"lat": 91, "lon": 4.3})).status_code == 422
        assert (await client.delete("/api/v1/places/gate/cam1")).status_code == 200
        assert (await client.get("/api/v1/places")).json()["places"][0]["name"] == "north"
    await assert_all_as_written(house)


async def test_positions_that_are_no_news_are_counted_and_not_journalled(house: House) -> None:
    async with house.signed_in() as client:
        await on_board(client, lat=52.0)
        for _ in range(5):
            await client.post("/api/v1/units/M21/position", json={"lat": 52.0001, "lon": 4.3})
        await client.post("/api/v1/units/M21/position", json={"lat": 52.01, "lon": 4.3, "measured_at_ms": 5})
        assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'unit-positioned'") == [(1,)]
        assert house.services.metrics.snapshot()["positions_thinned"] == 6
        house.clock.advance(61_000)
        await client.post("/api/v1/units/M21/position", json={"lat": 52.0001, "lon": 4.3})
        position = (await unit(client))["position"]
        assert isinstance(position, dict)
        assert (position["lat"], position["source"], position["at_ms"]) == (52.0001, "console", house.clock.wall_ms())
        assert (await client.post("/api/v1/units/M21/position", json={"lat": "NaN", "lon": 4.3})).status_code == 422
    await assert_all_as_written(house)


async def test_notes_are_kept_as_written_once_for_each_key_and_never_changed(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    hostile = "<script>alert(1)</script> \u202e 🚨 ' OR 1=1"
    async with house.signed_in() as client:
        for key in ("k1", "k1", "k2"):
            answer = await client.post("/api/v1/incidents/1/notes", json={"text": hostile, "key": key})
            assert answer.status_code == 201
        notes = answer.json()["notes"]
        assert [(note["by"], note["role"], note["text"]) for note in notes] == [
            ("user:alice", "dispatcher", hostile)
        ] * 2
        for text in ("", "   ", "x" * 4001):
            assert (await client.post("/api/v1/incidents/1/notes", json={"text": text})).status_code == 422
        assert (await client.post("/api/v1/incidents/9/notes", json={"text": "x"})).status_code == 404
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await client.request(method, "/api/v1/incidents/1/notes")).status_code == 405
        timeline = (await incident(client))["timeline"]
        assert isinstance(timeline, list)
        assert [moment["detail"] for moment in timeline if moment["what"] == "note-written"] == [hostile] * 2
    await assert_all_as_written(house)


async def test_other_words_under_a_key_that_was_used_are_another_note_and_not_lost(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        for text in ("one person", "one person", "two, one of them armed", "two, one of them armed", "one person"):
            answer = await client.post("/api/v1/incidents/1/notes", json={"text": text, "key": "k1"})
            assert answer.status_code == 201
        assert [note["text"] for note in answer.json()["notes"]] == ["one person", "two, one of them armed"]
    await assert_all_as_written(house)


async def test_incident_that_units_work_at_stays_acknowledged(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await on_board(client)
        await send(client, "M21")
        house.clock.advance(3_600_000)
        await asyncio.sleep(1.2)  # two turns of the watch, which would let it expire
        assert (await incident(client))["state"] == "acknowledged"
        closed = await act(client, "1/close", version=3, disposition="handled", release_units=True)
        assert closed.status_code == 200, closed.text
        assert ((await unit(client))["status"], (await unit(client))["note"]) == ("clear", "incident 1 was closed")
    await assert_all_as_written(house)


async def test_consoles_hear_of_units_and_retired_ones_are_gone(house: House) -> None:
    async with house.signed_in() as client:
        await on_board(client)
        board = (await client.get("/api/v1/units")).json()
        assert [item["name"] for item in board["units"]] == ["M21"]
        assert (await client.delete("/api/v1/units/M21")).status_code == 204
        assert (await client.get("/api/v1/units")).json()["units"] == []
        assert (await client.delete("/api/v1/units/M21")).status_code == 404
    rows = await house.query("SELECT kind, subject FROM event ORDER BY id")
    assert set(rows) == {("unit", "M21")}
    await assert_all_as_written(house)
