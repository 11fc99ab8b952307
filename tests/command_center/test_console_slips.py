"""What a tired hand does at the console: a key too far, the wrong button, a choice that can only be refused. In real Chromium."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from command_center.accounts import UserRole
from relay.kinds.heartbeat import CameraState
from relay.precedence import Precedence
from tests.command_center.console_desk import IN_CHROMIUM, Room, center_of_today, choose, room, violations
from tests.command_center.console_scene import PLANS, pictured_alarm, sighting, word
from tests.command_center.house import House

pytestmark = [*IN_CHROMIUM]
WITH_TIME = re.compile(r" \d\d:\d\d:\d\d$")
UNITS = (("M21", "medic"), ("M22", "medic"), ("K9-4", "dog"), ("T8", "patrol"))


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A room at a center with two incidents, a plan that wants medics, and units: M21 at the first, M22 at the second, T8 out of service."""
    async with center_of_today(tmp_path / "center", plans=PLANS) as house, room(house) as opened:
        quay = house.node("harbor-01", site="Harbor")
        for camera, label in (("quay", "long_gun"), ("gate", "handgun")):
            await pictured_alarm(house, quay, label=label, camera=camera, precedence=Precedence.FLASH)
        async with house.signed_in("rivera", UserRole.SUPERVISOR) as browser:

            async def say(address: str, **body: object) -> None:
                answer = await browser.post(f"/api/v1{address}", json=body)
                assert answer.status_code < 300, (address, answer.text)

            for name, capability in UNITS:
                await say("/units", name=name, agency="Harbor patrol", capabilities=[capability])
            for name in ("M21", "M22", "K9-4"):
                await say(f"/units/{name}/status", version=1, status="available")
            for incident, name in ((1, "M21"), (2, "M22")):
                await say(f"/incidents/{incident}/units", version=1, unit=name, unit_version=2)
        yield opened


async def role_of(house: House, name: str) -> str:
    return str((await house.query("SELECT role FROM account WHERE name = ?", name))[0][0])


async def test_focus_goes_with_a_unit_to_the_group_where_it_stands_now(desk_room: Room) -> None:
    page = await desk_room.at_work("alice", height=460)
    await page.keyboard.press("3")
    for name, step, group in (("T8", "available", "Free"), ("T8", "out of service", "Out of service"), ("M21", "clear", "Free")):  # fmt: skip
        await page.get_by_role("button", name=f"{name}: {step}", exact=True).press("Enter")
        moved = page.get_by_role("region", name=group).locator(f'.unit[data-unit="{name}"]')
        await expect(moved).to_be_focused()
        await expect(moved).to_be_in_viewport(ratio=1)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name=re.compile(r"^M21: "))).not_to_have_count(0)
    assert await page.evaluate("document.activeElement.closest('.unit')?.dataset.unit") == "M21"


async def test_only_who_can_be_sent_has_a_number_and_what_the_plan_wants_comes_first(desk_room: Room) -> None:
    page = await desk_room.at_work("alice")
    await choose(page, 1)
    await page.keyboard.press("u")
    form = page.get_by_role("group", name="Send a unit")
    await expect(form.locator(".choice-name")).to_have_text(["K9-4: available", "M22: assigned"])
    await expect(form.locator(".choice-meaning").first).to_contain_text("lacks medic")
    await expect(form.locator(".choice-meaning").last).to_have_text(
        re.compile("^is taken away from incident 2, has medic")
    )
    await expect(form).to_contain_text("Out of service: T8.")
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await choose(page, 2)
    await page.keyboard.press("u")
    await expect(form.locator(".choice-name")).to_have_text(["K9-4: available", "M21: assigned"])
    await expect(form.locator(".choice-meaning").first).not_to_contain_text("medic")


async def test_new_link_for_a_unit_at_work_and_a_unit_off_the_board_are_asked_for_twice(desk_room: Room) -> None:
    house = desk_room.house
    page = await desk_room.at_work("alice", width=1366, height=768)
    await page.keyboard.press("3")
    opener = page.get_by_role("button", name="M21: phone link")
    await opener.press("Enter")
    asked = page.get_by_role("group", name="M21: phone link")
    await expect(asked).to_contain_text("M21 is at work: the link on its phone ends.")
    await expect(asked.get_by_role("button", name="Leave it")).to_be_focused()
    for part in (".unit-where", ".unit-heard"):
        box = await page.locator(f'.unit[data-unit="M21"] {part}').bounding_box()
        assert box is not None
        assert box["width"] > 150, "the question has a line of its own"
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await expect(opener).to_be_focused()
    assert await house.query("SELECT 1 FROM entry WHERE kind = 'unit-link-made'") == []
    await opener.click()
    await asked.get_by_role("button", name="Make a new one").click()
    await expect(page.get_by_role("region", name="Link for M21's phone")).to_be_visible()
    await page.get_by_role("button", name="T8: take off the board").click()
    await page.get_by_role("button", name="Take it off").click()
    await expect(page.locator('.unit[data-unit="T8"]')).to_have_count(0)
    await expect(page.locator("#page > .notice")).to_have_text(re.compile(r"^T8 is off the board.*\d\d:\d\d:\d\d$"))


async def test_unit_that_is_on_the_board_already_is_not_said_to_be_new(desk_room: Room) -> None:
    page = await desk_room.at_work("alice")
    await page.keyboard.press("3")
    form = page.get_by_role("form", name="Put a unit on the board")
    await form.get_by_label("Unit").fill("M21")
    await form.get_by_label("Can do").fill("medic, boat")
    await page.keyboard.press("Enter")
    await expect(page.locator("#page > .notice")).to_contain_text(
        "M21 was on the board already; it is known now as: no agency, boat, medic."
    )


async def press_twice(page: Page, first: str, second: str) -> None:
    await page.get_by_role("button", name=first).press("Enter")
    await expect(page.get_by_role("button", name="Leave it")).to_be_focused()
    await page.get_by_role("button", name=second).press("Enter")


async def test_no_key_too_far_makes_an_administrator_or_takes_a_password(desk_room: Room) -> None:
    house = desk_room.house
    page = await desk_room.at_work("ada", UserRole.ADMINISTRATOR, width=1366, height=768)
    await page.keyboard.press("8")
    role = page.get_by_label("Role of rivera")
    await role.focus()
    await page.keyboard.press("ArrowDown")
    await expect(role).to_have_value("administrator")
    give = page.get_by_role("button", name="Change rivera to administrator")
    await expect(give).to_be_visible()
    assert await role_of(house, "rivera") == "supervisor"
    await page.keyboard.press("ArrowUp")
    await expect(give).to_have_count(0)
    await role.select_option("auditor")
    await page.get_by_role("button", name="Change rivera to auditor").press("Enter")
    told = page.get_by_role("region", name="Everybody").locator(".notice")
    await expect(told).to_have_text(re.compile(r"^rivera is auditor now\. \d\d:\d\d:\d\d$"))
    assert await role_of(house, "rivera") == "auditor"
    was = await house.query("SELECT * FROM account WHERE name = 'rivera'")
    await page.get_by_role("button", name="New password for rivera").dblclick()
    await expect(page.get_by_role("group", name="New password for rivera")).to_contain_text("is good no more")
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="New password for rivera")).to_be_focused()
    assert await house.query("SELECT * FROM account WHERE name = 'rivera'") == was
    await press_twice(page, "New password for rivera", "Make a new one")
    await expect(told).to_contain_text("rivera's password, shown this once")
    await press_twice(page, "End account rivera", "End it")
    await expect(told).to_have_text(re.compile(r"^rivera is out, and what was open has ended\. \d\d:\d\d:\d\d$"))


async def test_what_became_of_a_hold_a_redaction_and_an_export_stands_with_its_time(desk_room: Room) -> None:
    page = await desk_room.at_work("ada", UserRole.ADMINISTRATOR)
    await choose(page, 1)
    told = page.locator("details.hold .notice")
    await page.locator("details.hold summary").click()
    await page.locator("details.hold").get_by_label("Reason").fill("case 12")
    await page.keyboard.press("Enter")
    await expect(told).to_have_text(re.compile(r"^On hold: .*" + WITH_TIME.pattern))
    await page.locator("details.redact summary").click()
    await page.locator("details.redact").get_by_label("How").select_option("withhold")
    await page.locator("details.redact").get_by_label("Reason").fill("a child")
    await page.keyboard.press("Enter")
    await expect(page.locator("details.redact .notice")).to_have_text(
        re.compile(r"^Exports follow it.*" + WITH_TIME.pattern)
    )
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("7")
    told = page.locator("#page > .notice")
    await page.get_by_role("button", name="Holds", exact=True).click()
    form = page.get_by_role("form", name="Place a hold")
    await form.get_by_label("Incident").fill("99")
    await form.get_by_label("Reason").fill("case 13")
    desk_room.complaints.clear()
    await page.keyboard.press("Enter")
    await expect(told).to_have_text(re.compile(r"^Not held\. There is no incident 99 \d\d:\d\d:\d\d$"))
    await page.get_by_role("button", name="Redactions", exact=True).click()
    await page.get_by_role("textbox", name="is given away as it is").fill("no child is in it")
    await page.keyboard.press("Enter")
    await expect(told).to_have_text(re.compile(r"^It is given away.*" + WITH_TIME.pattern))
    await page.get_by_role("button", name="Export", exact=True).first.click()
    order = page.get_by_role("form", name="Order an export")
    await order.get_by_role("button", name="Export").click()
    await expect(told).to_have_text(
        re.compile(r"^Not ordered\. Say which, in one way: incidents.*" + WITH_TIME.pattern)
    )
    await order.get_by_label("Incidents").fill("1")
    await order.get_by_role("button", name="Export").click()
    await expect(told).to_have_text(re.compile(r"^Ordered: .*" + WITH_TIME.pattern))


async def test_flash_of_a_source_is_not_silenced_by_one_press(desk_room: Room) -> None:
    house = desk_room.house
    async with house.signed_in("okonkwo", UserRole.SUPERVISOR) as browser:
        source = (await browser.get("/api/v1/incidents/1")).json()["node"]["id"]
        shelf = {"node": source, "camera": "fence", "label": "person", "reason": "cleaners", "minutes": 60, "covers_flash": True}  # fmt: skip
        assert (await browser.post("/api/v1/shelves", json=shelf)).status_code == 201
    page = await desk_room.at_work("lead", UserRole.SUPERVISOR, width=1366, height=768)
    opener = page.get_by_role("button", name="Agree: FLASH, too: person at harbor-01, fence")
    await opener.dblclick()
    asked = page.get_by_role("group", name="Agree: FLASH, too")
    await expect(asked).to_contain_text(re.compile(r"Until .*\d\d:\d\d:\d\d no FLASH of it sounds for anybody\."))
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await expect(opener).to_be_focused()
    assert await house.query("SELECT agreed_by FROM shelf") in ([("",)], [(None,)])
    await opener.press("Enter")
    await asked.get_by_role("button", name="Agree", exact=True).press("Enter")
    await expect(page.locator(".shelf-flash")).to_contain_text("FLASH too, agreed by lead")


async def test_a_plan_is_read_without_scrolling_on_a_small_desk(desk_room: Room) -> None:
    house = desk_room.house
    for name in ("depot-01", "depot-02", "depot-03", "depot-04"):
        node = house.node(name, site="Depot")
        await word(house, node, ("dock", CameraState.SEEING, ""), ("hall", CameraState.FAULTY, "frozen picture"), paths=(), backlog=3)  # fmt: skip
        node.sequence += 2
        await word(house, node, ("dock", CameraState.SEEING, ""), ("hall", CameraState.FAULTY, "frozen picture"), paths=(), backlog=3)  # fmt: skip
    page = await desk_room.at_work("alice", width=1366, height=768)
    await choose(page, 1)
    await expect(page.locator("#unheard li")).to_have_count(8)
    await expect(page.locator(".plan-instructions")).to_be_in_viewport(ratio=1)
    await expect(page.locator(".plan .hint")).to_be_in_viewport(ratio=1)
    await expect(page.locator(".large .picture-box")).to_be_visible()


async def test_field_unit_reads_the_plan_before_it_presses_and_sees_what_is_meant(desk_room: Room) -> None:
    house = desk_room.house
    async with house.signed_in("lead", UserRole.SUPERVISOR) as browser:
        link = (await browser.post("/api/v1/units/M21/link", json={})).json()["url"]
    phone = await desk_room.window(width=390, height=844)
    await phone.goto(f"{house.center.url.rstrip('/')}/u/{link.rpartition('/')[2]}")
    plan, first = phone.get_by_text("Keep the public away from the quay."), phone.get_by_role("button").first
    await expect(plan).to_be_in_viewport(ratio=1)
    told, pressed = await plan.bounding_box(), await first.bounding_box()
    picture, mark = [await phone.locator(f".picture {name}").first.bounding_box() for name in ("img", "svg rect")]
    assert told is not None
    assert pressed is not None
    assert told["y"] < pressed["y"]
    assert picture is not None
    assert mark is not None
    left, top, right, bottom = sighting("long_gun").box_xyxy
    assert mark["x"] == pytest.approx(picture["x"] + left * picture["width"], abs=3)
    assert mark["y"] == pytest.approx(picture["y"] + top * picture["height"], abs=3)
    assert mark["width"] == pytest.approx((right - left) * picture["width"], abs=6)
    assert mark["height"] == pytest.approx((bottom - top) * picture["height"], abs=6)
    assert desk_room.complaints == []
    assert await violations(phone) == []
