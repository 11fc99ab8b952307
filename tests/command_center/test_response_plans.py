"""Response plans over the real API, database and watch: what fits, what waits for a person, what the node answers."""

from pathlib import Path

import httpx
import pytest

from command_center.commands import CallbackAdd, NodeStanding
from command_center.responses import plan_file
from command_center.responses.plan_file import Seen
from command_center.responses.planner import Planner
from relay import envelope as envelopes
from relay.errors import ConfigError
from relay.header import Kind
from relay.kinds.answer import Answer, Followed, Outcome
from relay.kinds.body import decode
from relay.kinds.instruction import Act, Instruction, SendClip
from relay.precedence import Precedence
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import MINUTE_MS, incident, kinds

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
trigger = [{ action = "send_clip", automatic = true }, { action = "act", name = "siren", for_s = 45 }]

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
        ("[[plan]]\nname = 'x'\ntrigger = [{action = 'send_clip', for_s = 5}]", "for_s with act only"),
        ("[[plan]]\nname = 'x'\ntrigger = [{action = 'act', name = 'siren', for_s = 3601}]", "<= 3600"),
        ("[[plan]]\nname = 'x'\ntrigger = [{action = 'act', name = 'siren', for_s = -1}]", ">= 0"),
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
        siren = Act(action="siren", for_s=45, by="dispatcher", reason="response plan, incident 1")
        assert (await orders(house, node))[1:] == [siren]
        await house.deliver(node, node.alert(label="rifle"))
        await card(client, 3)
        assert (
            await client.post("/api/v1/incidents/3/plan/4", json={"state": "declined", "note": "too loud"})
        ).status_code == 200
        assert (await orders(house, node)).count(siren) == 1, "declined is not done"
        assert kinds(await incident(client)).count("plan-step") == 4
        await assert_all_as_written(house)


async def answered(house: House, node: Node, at: int, outcome: Outcome, detail: str) -> None:
    """A node answers the order at that place of those that wait for nodes."""
    rows = await house.query("SELECT id FROM envelope WHERE kind = ? ORDER BY number", int(Kind.INSTRUCTION))
    instruction_id = rows[at][0]
    assert isinstance(instruction_id, bytes)
    word = Followed(instruction_id=instruction_id, outcome=outcome, detail=detail)
    await house.deliver(node, node.body(Kind.ANSWER, Answer(word=word)))


async def test_what_the_node_answers_to_an_order_stands_at_its_step(tmp_path: Path) -> None:
    """The person who confirmed a siren learns that there is none; another node's word about it counts for nothing."""
    async with running_center(await with_plans(tmp_path)) as house, house.signed_in() as client:
        node, stranger = house.node(), house.node("other")
        await house.deliver(node, node.alert())

        async def step_of(number: int) -> tuple[object, object, object]:
            steps = (await card(client))["steps"]
            assert isinstance(steps, list)
            found = steps[number - 1]
            return found["state"], found["outcome"], found["outcome_detail"]

        await card(client)
        assert (await client.post("/api/v1/incidents/1/plan/4", json={"state": "done"})).status_code == 200
        assert await step_of(4) == ("done", "", ""), "it was ordered, and nobody knows more"
        await answered(house, stranger, 1, Outcome.DONE, "of course")
        assert await step_of(4) == ("done", "", "")
        await answered(house, node, 0, Outcome.UNDER_WAY, "3 segments")
        await answered(house, node, 1, Outcome.REFUSED, "this node has no action 'siren'; it has none")
        assert await step_of(3) == ("done", "under_way", "3 segments")
        assert await step_of(4) == ("done", "refused", "this node has no action 'siren'; it has none")
        counted = house.services.metrics.snapshot()
        assert (counted["answers"], counted["answers_unasked"]) == (2, 1)
        await assert_all_as_written(house)


async def test_a_revoked_node_is_ordered_nothing_and_its_steps_say_so(tmp_path: Path) -> None:
    async with running_center(await with_plans(tmp_path)) as house, house.signed_in() as client:
        node = house.node()
        await house.deliver(node, node.alert())
        await card(client)
        await house.center.administration.perform(NodeStanding(name="gate", standing="revoked", reason="stolen"))
        answer = await client.post("/api/v1/incidents/1/plan/4", json={"state": "done"})
        assert (answer.status_code, "was revoked" in answer.text) == (422, True)
        assert (await client.post("/api/v1/incidents/1/plan/4", json={"state": "declined"})).status_code == 200
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
