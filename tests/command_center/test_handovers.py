"""The handover of a shift over the real API: whole, and taken by somebody else."""

from command_center.accounts import UserRole
from tests.command_center.house import House
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_units import on_board, send


async def test_shift_is_handed_over_whole_and_taken_by_somebody_else(house: House) -> None:
    node = house.node()
    for label in ("handgun", "rifle"):
        await house.deliver(node, node.alert(label=label))
    async with house.signed_in() as alice, house.signed_in("bob") as bob:
        await on_board(alice)
        await send(alice, "M21")
        await alice.post("/api/v1/incidents/2/notes", json={"text": "the caretaker has a key"})
        await alice.post(
            "/api/v1/shelves", json={"node": node.id.hex(), "camera": "cam2", "reason": "works", "minutes": 5}
        )
        now = (await alice.get("/api/v1/handovers")).json()
        assert now["last"] is None
        assert [(item["id"], item["state"]) for item in now["now"]["incidents"]] == [
            (1, "acknowledged"),
            (2, "unacknowledged"),
        ]
        assert [(item["name"], item["status"], item["incident"]) for item in now["now"]["units"]] == [
            ("M21", "assigned", 1)
        ]
        assert [item["reason"] for item in now["now"]["shelves"]] == ["works"]
        assert [item["text"] for item in now["now"]["notes"]] == ["the caretaker has a key"]
        given = await alice.post("/api/v1/handovers", json={"note": "quiet night"})
        assert given.status_code == 201, given.text
        last = given.json()["last"]
        assert (last["by"], last["note"], last["taken_by"]) == ("user:alice", "quiet night", None)
        assert last["summary"]["incidents"] == now["now"]["incidents"]
        assert (await bob.post("/api/v1/handovers", json={})).status_code == 422, "one waits already"
        own = await alice.post(f"/api/v1/handovers/{last['id']}/take", json={})
        assert (own.status_code, "somebody of the next shift" in own.text) == (422, True)
        for _ in range(2):
            taken = await bob.post(f"/api/v1/handovers/{last['id']}/take", json={"note": "read"})
            assert taken.json()["last"]["taken_by"] == "user:bob"
        async with house.signed_in("sue", UserRole.SUPERVISOR) as sue:
            assert (await sue.post(f"/api/v1/handovers/{last['id']}/take", json={})).status_code == 409
        assert taken.json()["now"]["notes"] == [] or taken.json()["now"]["since_ms"] == last["at_ms"]
        assert (await bob.post("/api/v1/handovers/99/take", json={})).status_code == 404
    assert await house.query("SELECT kind, COUNT(*) FROM entry WHERE kind LIKE 'handover-%' GROUP BY 1 ORDER BY 1") == [
        ("handover-given", 1), ("handover-taken", 1)
    ]  # fmt: skip
    await assert_all_as_written(house)
