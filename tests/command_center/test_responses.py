"""Plans, welfare, handover and mutual aid over the real API, database and watch; each act replays to the same views."""

import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from command_center.accounts import UserRole
from command_center.commands import CallbackAdd
from command_center.responses import plan_file
from command_center.responses.plan_file import Seen
from command_center.responses.planner import Planner
from relay import envelope as envelopes
from relay.errors import ConfigError
from relay.header import Kind
from relay.kinds.body import decode
from relay.kinds.instruction import Act, Instruction, SendClip
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import MINUTE_MS, act, incident, kinds
from tests.command_center.test_units import on_board, send, step, unit

PLANS = """
time_zone = "Europe/Amsterdam"

[[plan]]
name = "Weapon at a school"
sites = ["north"]
labels = ["handgun", "rifle"]
precedence = ["FLASH"]
instructions = "Lock the doors. Nobody goes in before two units are there."
send = { units = 2, capabilities = ["medic"] }
tell = [{ receiver = "school-desk" }, { receiver = "control-room", automatic = true }]
trigger = [{ action = "send_clip", automatic = true }, { action = "act", name = "siren" }]

[[plan]]
name = "At night"
between = ["22:00", "06:00"]
days = ["fri", "sat"]
instructions = "The guard has the keys."
"""
NOON_FRIDAY_MS = 1_795_778_400_000  # 2026-11-27 11:20 UTC


def seen(changes: dict[str, str] | None = None, at_ms: int = NOON_FRIDAY_MS) -> Seen:
    facts = {"site": "north", "node": "gate", "camera": "cam1", "label": "handgun", "precedence": "FLASH"} | (
        changes or {}
    )
    return Seen(at_ms=at_ms, **facts)


def names(found: Seen) -> list[str]:
    return [plan.name for plan in plan_file.parse(PLANS.encode(), "plans.toml").fitting(found)]


def test_plan_fits_where_every_condition_that_it_names_holds() -> None:
    assert names(seen()) == ["Weapon at a school"]
    for changes in ({"site": "south"}, {"label": "knife"}, {"precedence": "IMMEDIATE"}):
        assert names(seen(changes)) == []


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (10, True),  # Friday 22:20 local
        (15, True),  # Saturday 03:20: Friday's night
        (18, False),  # Saturday 06:20
        (9, False),  # Friday 21:20
        (34, True),  # Saturday 22:20
        (39, True),  # Sunday 03:20: Saturday's night
        (58, False),  # Sunday 22:20
    ],
)
def test_night_belongs_to_the_day_on_which_it_began_in_local_time(hours: int, expected: bool) -> None:
    assert ("At night" in names(seen(at_ms=NOON_FRIDAY_MS + hours * 3_600_000))) is expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plan = 3", "Expected `array`"),
        ("[[plan]]\nname = 'x'", "expected something to do"),
        (
            "[[plan]]\nname = 'x'\nlabel = ['handgun']\ninstructions = 'y'",
            "unknown key 'label'; known keys: between, cameras",
        ),
        ("[[plan]]\nname = 'x'\ninstructions = 'y'\nbetween = ['25:00', '06:00']", "such as 22:00, found '25:00'"),
        ("[[plan]]\nname = 'x'\ninstructions = 'y'\nbetween = ['06:00', '06:00']", "no time at all"),
        ("[[plan]]\nname = 'x'\ninstructions = 'y'\nprecedence = ['LOUD']", "Invalid enum value 'LOUD'"),
        ("[[plan]]\nname = 'x'\ninstructions = 'y'\n" * 2, "each plan's name once, found 'x' 2 times"),
        ("time_zone = 'Mars/Olympus'", "such as Europe/Amsterdam, found 'Mars/Olympus'"),
        ("time_zone = '../../etc/passwd'", "such as Europe/Amsterdam"),
        ("[[plan]]\nname = 'x'\ntell = [{receiver = 'a'}, {receiver = 'a'}]", "each receiver once"),
        ("[[plan]]\nname = 'x'\ntrigger = [{action = 'explode'}]", "Invalid enum value 'explode'"),
        ("[[plan]]\nname = 'x'\ntrigger = [{action = 'act'}]", "expected a name with act"),
        ("[[plan", "expected TOML in plans.toml"),
    ],
)
def test_plans_that_make_no_sense_are_refused_with_what_and_where(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_file.parse(text.encode(), "plans.toml")
    assert "plans.toml" in str(caught.value)
    assert words in str(caught.value)


async def with_plans(tmp_path: Path) -> Path:
    root_dir = tmp_path / "center"
    async with running_center(root_dir):
        pass
    (root_dir / plan_file.FILE_NAME).write_text(PLANS)
    return root_dir


async def card(client: httpx.AsyncClient, number: int = 1) -> dict[str, object]:
    async def holds() -> bool:
        return bool((await client.get(f"/api/v1/incidents/{number}/response")).json()["plans"])

    await until(holds)
    found: dict[str, object] = (await client.get(f"/api/v1/incidents/{number}/response")).json()["plans"][0]
    return found


async def orders(house: House, node: Node) -> list[object]:
    secret = node.identity.shared_secret(house.services.identity.sealing_key)
    rows = await house.query("SELECT wire FROM envelope WHERE kind = ? ORDER BY number", int(Kind.INSTRUCTION))
    found: list[object] = []
    for (wire,) in rows:
        assert isinstance(wire, bytes)
        found.append(decode(envelopes.open_body(envelopes.parse(wire), secret), Instruction).order)
    return found


async def test_plan_proposes_and_a_person_decides_unless_it_says_otherwise(tmp_path: Path) -> None:
    async with running_center(await with_plans(tmp_path)) as house, house.signed_in() as client:
        for name in ("school-desk", "control-room"):
            await house.center.administration.perform(
                CallbackAdd(name=name, url="https://desk.invalid/", only_called=True)
            )
        node = house.node()
        await house.deliver(node, node.heartbeat())
        alert = node.alert()
        await house.deliver(node, alert, node.alert(label="knife"))
        found = await card(client)
        assert (found["plan"], found["units"], found["capabilities"]) == ("Weapon at a school", 2, ["medic"])
        assert str(found["instructions"]).startswith("Lock the doors")
        steps = found["steps"]
        assert isinstance(steps, list)
        assert [(item["kind"], item["target"], item["state"], item["by"]) for item in steps] == [
            ("tell", "school-desk", "proposed", ""), ("tell", "control-room", "done", "plan"),
            ("send_clip", "", "done", "plan"), ("act", "siren", "proposed", ""),
        ]  # fmt: skip
        assert await orders(house, node) == [SendClip(alert_id=alert.id, reason="response plan, incident 1")]
        assert (await client.get("/api/v1/incidents/2/response")).json()["plans"] == [], "no plan is about knives"
        path = "/api/v1/incidents/1/plan"
        for _ in range(2):
            assert (await client.post(f"{path}/1", json={"state": "done"})).status_code == 200
        assert (await client.post(f"{path}/2", json={"state": "declined"})).status_code == 409, "it is done already"
        assert (await client.post(f"{path}/9", json={"state": "done"})).status_code == 404
        assert (await client.post(f"{path}/1", json={"state": "perhaps"})).status_code == 422
        async with house.signed_in("bob") as bob:
            late = await bob.post(f"{path}/1", json={"state": "done"})
            assert (late.status_code, "done already, by alice" in late.text) == (409, True)
        assert len(await orders(house, node)) == 1, "nothing is done that nobody confirmed"
        assert (await client.post(f"{path}/4", json={"state": "done"})).status_code == 200
        siren = Act(action="siren", by="dispatcher", reason="response plan, incident 1")
        assert (await orders(house, node))[1:] == [siren]
        await house.deliver(node, node.alert(label="rifle"))
        await card(client, 3)
        assert (
            await client.post("/api/v1/incidents/3/plan/4", json={"state": "declined", "note": "too loud"})
        ).status_code == 200
        assert (await orders(house, node)).count(siren) == 1, "declined is not done"
        assert kinds(await incident(client)).count("plan-step") == 4
        await assert_all_as_written(house)


async def test_call_that_reaches_nobody_is_not_called_done(tmp_path: Path) -> None:
    async with running_center(await with_plans(tmp_path)) as house, house.signed_in() as client:
        node = house.node()
        await house.deliver(node, node.alert())
        steps = (await card(client))["steps"]
        assert isinstance(steps, list)
        assert [item["state"] for item in steps] == ["proposed", "proposed", "done", "proposed"], (
            "also what is automatic"
        )
        answer = await client.post("/api/v1/incidents/1/plan/1", json={"state": "done"})
        assert (answer.status_code, "no receiver school-desk" in answer.text) == (422, True)
        assert (await client.post("/api/v1/incidents/1/plan/1", json={"state": "declined"})).status_code == 200


async def test_plan_is_put_once_over_restarts_and_old_incidents_set_nothing_off(tmp_path: Path) -> None:
    root_dir = tmp_path / "center"
    async with running_center(root_dir) as house:  # plans are switched on only later
        node = house.node()
        await house.deliver(node, node.alert())
        clock = house.clock
    clock.advance(11 * MINUTE_MS)
    (root_dir / plan_file.FILE_NAME).write_text(PLANS)
    async with running_center(root_dir, clock=clock) as house, house.signed_in() as client:
        node = house.node("second")
        await house.deliver(node, node.heartbeat())
        await house.deliver(node, node.alert())
        states = []
        for number in (1, 2):
            steps = (await card(client, number))["steps"]
            assert isinstance(steps, list)
            states.append([item["state"] for item in steps])
        assert states == [["proposed"] * 4, ["proposed", "proposed", "done", "proposed"]]
    for _ in range(2):
        async with running_center(root_dir, clock=clock) as house:
            node = house.node("third")
            await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
            seen_before = house.center.services.planner
            await until(lambda planner=seen_before, of=house: _caught_up(of, planner))  # type: ignore[misc]
            assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'plan-matched'") == [(2,)]
            await assert_all_as_written(house)


async def _caught_up(house: House, planner: Planner) -> bool:
    return not await house.database.run(planner.is_due)


async def test_what_is_held_back_gets_its_plan_when_it_sounds(tmp_path: Path) -> None:
    root_dir = tmp_path / "center"
    async with running_center(root_dir):
        pass
    (root_dir / plan_file.FILE_NAME).write_text(
        PLANS.replace('precedence = ["FLASH"]', "").replace('"rifle"]', '"c4"]')
    )
    async with running_center(root_dir) as house, house.signed_in() as client:
        node = house.node()
        for number in range(5):
            await house.deliver(node, node.alert(label=f"c{number}", precedence=Precedence.IMMEDIATE))
        assert (await incident(client, 5))["quiet"] == "flood"
        assert (await client.get("/api/v1/incidents/5/response")).json()["plans"] == []
        house.clock.advance(11 * MINUTE_MS)
        steps = (await card(client, 5))["steps"]
        assert isinstance(steps, list)
        assert {item["state"] for item in steps} == {"proposed"}, "it is old by now: nothing goes off by itself"
        await assert_all_as_written(house)


async def test_unit_that_is_not_heard_is_asked_after_until_somebody_hears_it(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())

    async def watched(silences: int) -> bool:
        return house.services.metrics.snapshot().get("silences_watched", 0) >= silences

    async def level(wanted: int) -> None:
        async def holds() -> bool:
            return (await unit(client))["welfare_level"] == wanted

        await until(holds)

    async with house.signed_in() as client:
        await on_board(client)
        await send(client, "M21")
        await step(client, "M21", "on_scene")
        await until(lambda: watched(1))
        house.clock.advance(20 * MINUTE_MS + 1)
        await level(1)
        house.clock.advance(5 * MINUTE_MS + 1)
        await level(2)
        assert kinds(await incident(client)).count("welfare-due") == 2
        assert (await client.post("/api/v1/units/M21/heard", json={"note": "by radio"})).status_code == 200
        assert (await unit(client))["welfare_level"] == 0
        await until(lambda: watched(2))
        house.clock.advance(19 * MINUTE_MS)
        assert (await step(client, "M21", "clear")).status_code == 200
        house.clock.advance(60 * MINUTE_MS)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'welfare-due'") == [(2,)]
    await assert_all_as_written(house)


async def test_welfare_goes_on_over_a_restart(tmp_path: Path) -> None:
    async with running_center(tmp_path) as house, house.signed_in() as client:
        node = house.node()
        await house.deliver(node, node.alert())
        await on_board(client)
        await send(client, "M21")
        await step(client, "M21", "on_scene")
        clock = house.clock
    clock.advance(21 * MINUTE_MS)  # nothing ran meanwhile
    async with running_center(tmp_path, clock=clock) as again:

        async def reminded() -> bool:
            return await again.query("SELECT welfare_level FROM unit") == [(1,)]

        await until(reminded)
        await assert_all_as_written(again)


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


async def shared(client: httpx.AsyncClient, **changes: object) -> tuple[str, int]:
    body = {"agency": "county", "reason": "their street", "minutes": 30} | changes
    answer = await client.post("/api/v1/incidents/1/shares", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return "/aid/" + made["url"].rpartition("/")[2], made["share"]["id"]


async def test_shared_incident_opens_in_one_browser_until_it_is_revoked_and_each_look_is_kept(house: House) -> None:
    node = house.node()
    alert = node.alert()
    await house.deliver(node, alert)
    async with house.signed_in("sue", UserRole.SUPERVISOR) as client:
        link, number = await shared(client)
        async with house.browser("198.51.100.7") as theirs, house.browser("203.0.113.9") as other:
            before = await theirs.get(link)
            assert "handgun" not in before.text, "a preview sees nothing and takes no seat"
            assert (await theirs.post(link)).status_code == 303
            page = await theirs.get(link)
            assert (page.status_code, "handgun" in page.text, "Ends in 30 min" in page.text) == (200, True, True)
            assert "<script" not in page.text
            late = await other.post(link)
            assert (late.status_code, "opened in another browser" in late.text) == (403, True)
            other.cookies.set("heard_aid", "stolen", path=link)
            assert (await other.get(link)).status_code == 403
            assert (await theirs.get("/api/v1/incidents/1")).status_code == 401, "the link opens nothing else"
            assert (await theirs.post("/api/v1/incidents/1/shares", json={})).status_code == 401, "nor can it share"
            await house.deliver(
                node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED))
            )
            assert "has taken this alert back" in (await theirs.get(link)).text
            assert (await theirs.get(f"{link}/picture")).status_code == 404
            rows = (await client.get("/api/v1/incidents/1/response")).json()["shares"]
            assert rows[0]["opened_at_ms"] is not None
            ended = await client.post(f"/api/v1/incidents/1/shares/{number}/revoke", json={"reason": "over"})
            assert ended.json()[0]["ended_why"] == "over"
            gone = await theirs.get(link)
            assert (gone.status_code, "no longer: over" in gone.text) == (403, True)
    looks = await house.query(
        "SELECT kind, actor, COUNT(*) FROM entry WHERE actor LIKE 'agency:%' GROUP BY 1, 2 ORDER BY 1"
    )
    assert looks == [
        ("denied", "agency:county", 3), ("share-opened", "agency:county", 1), ("share-viewed", "agency:county", 2)
    ]  # fmt: skip
    assert await house.query("SELECT length(token_sha256), length(seat_sha256) FROM share") == [(32, 32)]
    await assert_all_as_written(house)


async def test_share_ends_at_its_time_with_its_incident_and_when_the_clock_leaps_back(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in("sue", UserRole.SUPERVISOR) as client:
        link, _ = await shared(client)
        await shared(client, minutes=1440)

        async def ended(count: int) -> bool:
            return await house.query("SELECT COUNT(*) FROM share WHERE ended_at_ms IS NOT NULL") == [(count,)]

        house.clock.advance(30 * MINUTE_MS)
        async with house.browser() as theirs:
            late = await theirs.post(link)
            assert (late.status_code, "time" in late.text) == (403, True)
        await until(lambda: ended(1))
        await act(client, "1/acknowledge", version=1)
        await act(client, "1/close", version=2, disposition="handled")
        await until(lambda: ended(2))
        assert (await client.post("/api/v1/incidents/1/shares", json={"agency": "c", "reason": "r"})).status_code == 422
        for wrong in ({"agency": "", "reason": "r"}, {"agency": "a", "reason": "r", "minutes": 1441}, {"agency": "a"}):
            assert (await client.post("/api/v1/incidents/1/shares", json=wrong)).status_code == 422
    assert await house.query("SELECT ended_why FROM share ORDER BY id") == [
        ("its time was over",),
        ("the incident is closed",),
    ]
    await assert_all_as_written(house)


async def test_guessed_links_are_journalled_once_a_minute_and_counted_each_time(house: House) -> None:
    async with house.browser() as somebody:
        for number in range(5):
            assert (await somebody.post(f"/aid/guess{number}")).status_code == 403
            assert (await somebody.get(f"/u/guess{number}")).status_code == 404
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(2,)]
    assert house.services.metrics.snapshot()["denials"] == 10


async def test_hostile_picture_is_not_handed_to_a_phone(tmp_path: Path) -> None:
    from command_center.errors import NotFound
    from command_center.pictures import small_jpeg

    picture_file = tmp_path / "picture"
    Image.effect_noise((1600, 900), 60).convert("RGB").save(picture_file, "JPEG", comment=b"<script>alert(1)</script>")
    made = small_jpeg(picture_file, 800)
    assert b"<script" not in made
    with Image.open(io.BytesIO(made)) as image:
        assert (image.format, image.size) == ("JPEG", (800, 450))
    header = picture_file.read_bytes()
    for bad in (b"", b"GIF89a" + bytes(100), b"<svg xmlns='http://www.w3.org/2000/svg'/>", header[:300], _bomb()):
        picture_file.write_bytes(bad)
        with pytest.raises(NotFound):
            small_jpeg(picture_file, 800)


def _bomb() -> bytes:
    """A PNG of 30,000 × 30,000 that compresses to little."""
    target = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(target, "PNG")
    return target.getvalue()
