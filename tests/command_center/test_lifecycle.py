"""What becomes of incidents after they open, over the real API, database and watch: each act replays to the same views."""

from pathlib import Path

import httpx
import pytest

from command_center import annunciation
from command_center.accounts import UserRole
from command_center.incidents import Disposition
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import assert_all_as_written, until

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS


async def incident(client: httpx.AsyncClient, number: int = 1) -> dict[str, object]:
    answer = await client.get(f"/api/v1/incidents/{number}")
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def wait_for(client: httpx.AsyncClient, number: int, **wanted: object) -> None:
    async def holds() -> bool:
        found = await incident(client, number)
        return all(found[name] == value for name, value in wanted.items())

    await until(holds)


async def act(client: httpx.AsyncClient, path: str, **body: object) -> httpx.Response:
    return await client.post(f"/api/v1/incidents/{path}", json=body)


def kinds(found: dict[str, object]) -> list[str]:
    timeline = found["timeline"]
    assert isinstance(timeline, list)
    return [moment["what"] for moment in timeline if moment["what"] != "viewed"]


async def test_flash_is_notified_again_up_to_the_supervisor_and_not_after_somebody_took_it(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    await house.deliver(node, node.alert(label="rifle"))
    async with house.signed_in() as client:
        for level, step_s in enumerate((15, 15, 30), start=1):
            await until(lambda: _watched(house, 2))
            house.clock.advance(step_s * SECOND_MS + 10)
            await wait_for(client, 1, level=level)
            if level == 1:
                await wait_for(client, 2, level=1)
                assert (await act(client, "2/acknowledge", version=1)).status_code == 200
        assert kinds(await incident(client, 1)) == ["alert"] + ["incident-notified-again"] * 3
        assert (await incident(client, 2))["level"] == 1, "a person has it in hand"
    await assert_all_as_written(house)


async def _watched(house: House, states: int) -> bool:
    """Whether the watch has seen that many incidents as they are now: it counts from there."""
    return house.services.metrics.snapshot().get("states_watched", 0) >= states


async def test_an_acknowledgement_after_which_nothing_happens_expires(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        assert (await act(client, "1/acknowledge", version=1)).status_code == 200
        await until(lambda: _watched(house, 1))
        house.clock.advance(round(annunciation.ACKNOWLEDGEMENT_LASTS_S[Precedence.FLASH] * 1000) + 1)
        await wait_for(client, 1, state="unacknowledged", acknowledged_by=None, version=3)
        late = await act(client, "1/close", version=2, disposition="handled")
        assert late.status_code == 409, "who had it open must look again"
    await assert_all_as_written(house)


async def test_a_storm_that_was_acknowledged_in_one_go_does_not_sound_again_in_one_go(house: House) -> None:
    nodes = [house.node(f"n{number}") for number in range(6)]
    for node in nodes:
        for number in range(3):
            await house.deliver(node, node.alert(label=f"c{number}", precedence=Precedence.IMMEDIATE))
    async with house.signed_in() as client:
        for number in range(1, 19):
            assert (await act(client, f"{number}/acknowledge", version=1)).status_code == 200
        await until(lambda: _watched(house, 18))
        house.clock.advance(round(annunciation.ACKNOWLEDGEMENT_LASTS_S[Precedence.IMMEDIATE] * 1000) + 1)
        await wait_for(client, 18, state="unacknowledged")
        await wait_for(client, 10, quiet="")
        assert await quiets(house) == {"": 10, "flood": 8}
    await assert_all_as_written(house)


async def test_who_works_on_an_incident_keeps_it_acknowledged_and_who_only_looks_does_not(house: House) -> None:
    node = house.node()
    lasts_ms = round(annunciation.ACKNOWLEDGEMENT_LASTS_S[Precedence.FLASH] * 1000)
    await house.deliver(node, node.alert(), node.alert(label="rifle"))
    async with house.signed_in() as client:
        for number in (1, 2):
            assert (await act(client, f"{number}/acknowledge", version=1)).status_code == 200
        await until(lambda: _watched(house, 2))
        house.clock.advance(lasts_ms - MINUTE_MS)
        assert (await act(client, "1/notes", text="the caretaker is on the phone")).status_code == 201
        await incident(client, 2)
        house.clock.advance(MINUTE_MS + 1)
        await wait_for(client, 2, state="unacknowledged")
        assert (await incident(client, 1))["state"] == "acknowledged"
        house.clock.advance(lasts_ms + 1)
        await wait_for(client, 1, state="unacknowledged")
    await assert_all_as_written(house)


async def test_flood_of_a_thousand_sounds_ten_times_keeps_everything_and_no_flash_waits(house: House) -> None:
    cameras, arrived = [house.node(f"n{number}") for number in range(5)], 0
    for node in cameras:
        alerts = [node.alert(label=f"c{number}", precedence=Precedence.IMMEDIATE) for number in range(200)]
        arrived += await house.deliver(node, *alerts)
    assert arrived == 1000
    flash = house.node("flash")
    await house.deliver(flash, flash.alert())
    rows = await house.query("SELECT quiet, precedence, COUNT(*) FROM incident GROUP BY 1, 2 ORDER BY 1, 2")
    assert rows == [("", 0, 1), ("", 1, 10), ("flood", 1, 990)]
    per_camera = await house.query("SELECT COUNT(*) FROM incident WHERE quiet = '' AND precedence = 1 GROUP BY node")
    assert max(int(str(row[0])) for row in per_camera) == 3, "one chattering camera can't take all the room"
    assert await house.query("SELECT COUNT(*) FROM alert") == [(1001,)]
    await assert_all_as_written(house)


async def test_what_was_held_back_is_annunciated_as_room_comes_back(house: House) -> None:
    node = house.node()
    for number in range(5):
        await house.deliver(node, node.alert(label=f"c{number}", precedence=Precedence.IMMEDIATE))
    assert await house.query("SELECT COUNT(*) FROM incident WHERE quiet = 'flood'") == [(2,)]
    house.clock.advance(annunciation.WINDOW_MS + 1)

    async def none_held() -> bool:
        return await house.query("SELECT COUNT(*) FROM incident WHERE quiet = 'flood'") == [(0,)]

    await until(none_held)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'incident-annunciated'") == [(2,)]
    await assert_all_as_written(house)


async def shelve(client: httpx.AsyncClient, source: Node, **changes: object) -> httpx.Response:
    wanted = {"node": source.id.hex(), "camera": "cam1", "label": "handgun", "reason": "film crew", "minutes": 30}
    return await client.post("/api/v1/shelves", json=wanted | changes)


async def test_shelved_source_is_silent_until_its_time_is_over(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
    async with house.signed_in() as client:
        assert (await shelve(client, node)).status_code == 201
        assert (await incident(client))["quiet"] == "shelved", "what waited already falls silent, too"
        house.clock.advance(MINUTE_MS)
        await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
        assert (await incident(client, 2))["quiet"] == "shelved"
        await house.deliver(node, node.alert(label="rifle", precedence=Precedence.IMMEDIATE))
        assert (await incident(client, 3))["quiet"] == "", "the shelf is for handguns"
        await house.deliver(node, node.alert(precedence=Precedence.FLASH))
        assert (await incident(client, 4))["quiet"] == "", "a rise in severity breaks out"
        assert len((await client.get("/api/v1/shelves")).json()["shelves"]) == 1
        house.clock.advance(30 * MINUTE_MS)
        await wait_for(client, 1, quiet="")
        await wait_for(client, 2, quiet="")
        assert (await client.get("/api/v1/shelves")).json() == {"shelves": []}
    await assert_all_as_written(house)


async def test_flash_is_shelved_only_by_two_people(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    async with (
        house.signed_in("sam", UserRole.SUPERVISOR) as first,
        house.signed_in("dora") as dispatcher,
        house.signed_in("sue", UserRole.SUPERVISOR) as second,
    ):
        shelf = (await shelve(first, node, covers_flash=True)).json()["shelves"][0]["id"]
        await house.deliver(node, node.alert())
        assert (await incident(first))["quiet"] == "", "one person is not enough"
        assert "second person" in (await first.post(f"/api/v1/shelves/{shelf}/agree")).json()["detail"]
        assert "expected a supervisor" in (await dispatcher.post(f"/api/v1/shelves/{shelf}/agree")).json()["detail"]
        assert (await second.post(f"/api/v1/shelves/{shelf}/agree")).status_code == 200
        assert (await incident(first))["quiet"] == "shelved"
        assert (await second.post(f"/api/v1/shelves/{shelf}/agree")).status_code == 409
        assert (await first.delete(f"/api/v1/shelves/{shelf}")).json() == {"shelves": []}
        assert (await incident(first))["quiet"] == ""
    await assert_all_as_written(house)


async def test_what_waits_on_a_shelf_sounds_by_turns_when_it_ends_and_flash_at_once(house: House) -> None:
    """A camera that chattered on its shelf must not fill the room with alarms at the moment that it comes off."""
    node = house.node()
    await house.deliver(node, node.heartbeat())
    async with house.signed_in("sam", UserRole.SUPERVISOR) as sam, house.signed_in("sue", UserRole.SUPERVISOR) as sue:
        shelf = (await shelve(sam, node, label="", covers_flash=True)).json()["shelves"][0]["id"]
        assert (await sue.post(f"/api/v1/shelves/{shelf}/agree")).status_code == 200
        for number in range(8):
            await house.deliver(node, node.alert(label=f"c{number}", precedence=Precedence.IMMEDIATE))
        await house.deliver(node, node.alert())
        assert (await act(sam, "8/acknowledge", version=1)).status_code == 200
        assert await quiets(house) == {"shelved": 9}
        assert (await sam.delete(f"/api/v1/shelves/{shelf}")).status_code == 200
        assert (await incident(sam, 9))["quiet"] == "", "FLASH waits for nothing"
        assert (await incident(sam, 8))["quiet"] == "", "a person has it in hand"
        await wait_for(sam, 3, quiet="")
        assert await quiets(house) == {"": 5, "flood": 4}, "three of one camera in ten minutes, as ever"
        house.clock.advance(annunciation.WINDOW_MS + 1)
        await wait_for(sam, 6, quiet="")
        assert kinds(await incident(sam, 9))[:2] == ["alert", "incident-annunciated"]
        assert kinds(await incident(sam, 8)).count("incident-annunciated") == 0
    await assert_all_as_written(house)


async def quiets(house: House) -> dict[object, object]:
    return {row[0]: row[1] for row in await house.query("SELECT quiet, COUNT(*) FROM incident GROUP BY 1")}


async def test_what_another_shelf_still_covers_stays_silent(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    async with house.signed_in() as client:
        narrow = (await shelve(client, node)).json()["shelves"][0]["id"]
        assert (await shelve(client, node, label="", minutes=60)).status_code == 201
        await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
        assert (await client.delete(f"/api/v1/shelves/{narrow}")).status_code == 200
        assert (await incident(client))["quiet"] == "shelved"
        house.clock.advance(60 * MINUTE_MS)
        await wait_for(client, 1, quiet="")
    await assert_all_as_written(house)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"reason": "  "}, 422, "expected a reason"),
        ({"minutes": 0}, 422, "at most 8 hours"),
        ({"minutes": 1e300}, 422, "at most 8 hours"),
        ({"node": "zz"}, 422, "hexadecimal"),
        ({"node": "00" * 8}, 404, "no node"),
    ],
)
async def test_shelving_that_makes_no_sense_is_refused(
    house: House, changes: dict[str, object], status: int, words: str
) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        answer = await shelve(client, node, **changes)
    assert answer.status_code == status, answer.text
    assert words in answer.text


async def test_merged_incidents_are_handled_as_one_and_come_apart_again(house: House) -> None:
    node = house.node()
    for label in ("handgun", "rifle", "knife"):
        await house.deliver(node, node.alert(label=label))
    async with house.signed_in() as client:
        assert (await act(client, "2/merge", version=1, into=1)).status_code == 200
        assert (await act(client, "3/merge", version=1, into=1)).status_code == 200
        queue = (await client.get("/api/v1/incidents")).json()["incidents"]
        assert [(item["id"], item["parts"]) for item in queue] == [(1, [2, 3])]
        whole = await incident(client)
        alerts = whole["alerts"]
        assert isinstance(alerts, list)
        assert {alert["label"] for alert in alerts} == {"handgun", "rifle", "knife"}
        assert (await act(client, "1/acknowledge", version=1)).status_code == 200
        assert (await incident(client, 3))["state"] == "acknowledged"
        assert (await act(client, "3/unmerge", version=3)).status_code == 200
        await house.deliver(node, node.alert(label="rifle"))
        assert (await act(client, "1/close", version=2, disposition="handled")).status_code == 200
        assert [(await incident(client, number))["state"] for number in (1, 2, 3)] == [
            "closed",
            "closed",
            "acknowledged",
        ]
    await assert_all_as_written(house)


async def test_what_is_merged_into_an_incident_in_hand_is_in_hand_and_its_camera_knows(house: House) -> None:
    gate, yard = house.node(), house.node("yard")
    await house.deliver(gate, gate.alert())
    await house.deliver(yard, yard.alert(), yard.alert(label="rifle"))
    async with house.signed_in() as client:
        assert (await act(client, "1/acknowledge", version=1)).status_code == 200
        assert (await act(client, "3/merge", version=1, into=2)).status_code == 200
        assert (await incident(client, 3))["state"] == "unacknowledged", "nobody has seen either"
        assert (await act(client, "2/merge", version=1, into=1)).status_code == 200
        for number in (2, 3):
            found = await incident(client, number)
            assert (found["state"], found["merged_into"]) == ("acknowledged", 1)
        told = await house.query(
            "SELECT destination, COUNT(*) FROM envelope WHERE kind = ? GROUP BY 1", int(Kind.ACKNOWLEDGEMENT)
        )
        assert sorted(told) == sorted([(gate.id, 1), (yard.id, 2)])
        assert (await act(client, "2/merge", version=1, into=1)).status_code == 409, "the click came before"
    await assert_all_as_written(house)


async def test_merges_that_make_no_sense_are_refused(house: House) -> None:
    node = house.node()
    for label in ("handgun", "rifle"):
        await house.deliver(node, node.alert(label=label))
    async with house.signed_in() as client:
        assert (await act(client, "1/merge", version=1, into=1)).status_code == 422
        assert (await act(client, "1/merge", version=9, into=2)).status_code == 409
        assert (await act(client, "1/merge", version=1, into=99)).status_code == 404
        assert (await act(client, "1/unmerge", version=1)).status_code == 409
        assert (await act(client, "1/merge", version=1, into=2)).status_code == 200
        assert (await act(client, "2/merge", version=1, into=1)).status_code == 422
    await assert_all_as_written(house)


async def test_only_its_own_node_can_take_an_alert_back(house: House) -> None:
    node, other = house.node(), house.node("other")
    alert = node.alert()
    await house.deliver(node, alert)
    await house.deliver(other, other.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED)))
    async with house.signed_in() as client:
        assert (await incident(client))["returned"] is False
        said = Retraction(alert_id=alert.id, ground=Ground.SECOND_STAGE, note="an umbrella")
        await house.deliver(node, node.body(Kind.RETRACTION, said))
        await house.deliver(node, node.body(Kind.RETRACTION, said))
        found = await incident(client)
        assert found["returned"] is True
        assert found["state"] == "unacknowledged", "it still wants a person"
        alerts = found["alerts"]
        assert isinstance(alerts, list)
        assert alerts[0]["retraction"] == "second_stage: an umbrella"
        await house.deliver(node, node.alert())
        assert (await incident(client))["returned"] is False, "it is seen again"
    assert house.services.metrics.snapshot()["alerts_retracted"] == 1
    await assert_all_as_written(house)


async def test_dispositions_make_the_precision_of_each_source(house: House) -> None:
    node = house.node()
    async with house.signed_in() as client:
        for number, disposition in enumerate(("handled", "false_alarm", "false_alarm", "test"), start=1):
            await house.deliver(node, node.alert())
            await act(client, f"{number}/acknowledge", version=1)
            assert (await act(client, f"{number}/close", version=2, disposition=disposition)).status_code == 200
        (source,) = (await client.get("/api/v1/quality")).json()["sources"]
    assert (source["incidents"], source["real"], source["not_real"], source["precision"]) == (4, 1, 2, 0.333)
    assert {item.value: item.apco_code for item in Disposition if item.apco_code} == {
        "gone_on_arrival": 14, "false_alarm": 17, "building_secure": 20, "duplicate": 22, "cancelled": 32,
    }  # fmt: skip


async def test_a_restart_repeats_no_level(tmp_path: Path) -> None:
    async with running_center(tmp_path) as house, house.signed_in() as client:
        node = house.node()
        await house.deliver(node, node.alert())
        await until(lambda: _watched(house, 1))
        house.clock.advance(31 * SECOND_MS)
        await wait_for(client, 1, level=2)
    async with running_center(tmp_path) as again, again.signed_in("bob") as client:
        await until(lambda: _watched(again, 1))
        again.clock.advance(29 * SECOND_MS)
        assert (await incident(client))["level"] == 2
        again.clock.advance(2 * SECOND_MS)
        await wait_for(client, 1, level=3)
        assert kinds(await incident(client)).count("incident-notified-again") == 2
