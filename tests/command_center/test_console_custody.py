"""At the console: who comes into the fleet and who is kept out, what is on hold, what is redacted, who witnesses. In real Chromium."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import expect

from command_center import facts, journal
from command_center.accounts import UserRole
from command_center.audit.index import AuditIndex
from command_center.config import CenterConfig, WitnessConfig
from command_center.facts import Remark
from relay.enrollment import EnrollmentCode, build_request, parse_code
from relay.identity import Identity
from relay.precedence import Precedence
from tests.command_center.console_desk import (
    IN_CHROMIUM,
    Room,
    alarm,
    center_of_today,
    choose,
    photograph,
    room,
    violations,
)
from tests.command_center.console_scene import PLANS, busy_evening, pictured_alarm
from tests.command_center.house import House
from tests.command_center.receivers import listening
from tests.command_center.test_enrollments import post

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with center_of_today(tmp_path / "center") as house, room(house) as made:
        yield made


async def test_an_administrator_invites_a_machine_lets_it_in_quarantines_it_and_takes_it_back(desk_room: Room) -> None:
    house, machine = desk_room.house, Identity.generate()
    page = await desk_room.at_work("ada", UserRole.ADMINISTRATOR)
    await page.keyboard.press("4")
    coming, order = page.get_by_role("region", name="Waiting to come in"), page.get_by_role("form", name="Invite")
    await expect(order).to_be_visible()
    await expect(coming).to_have_count(0)
    await order.get_by_label("Name").fill("quay-2")
    await order.get_by_label("Site").fill("Harbor")
    await page.keyboard.press("Enter")
    command = await page.locator("code.link").inner_text()
    assert command.startswith("camera-node enroll HEARD1-")
    await post(house, build_request(parse_code(command.split()[2]), machine))
    await expect(coming).to_contain_text(machine.node_id.hex())
    await photograph(page, "fleet-waiting-dark")
    assert await violations(page) == []
    await coming.get_by_role("button", name="Let in quay-2").click()
    await expect(coming).to_contain_text("quay-2 is in")
    row = page.locator(f'tr[data-node="{machine.node_id.hex()}"]')
    await expect(row).to_contain_text("quay-2")
    await row.get_by_role("button", name="Change… what is made of quay-2").press("Enter")
    form = row.get_by_role("form", name="What is made of quay-2")
    await expect(form.get_by_label("To")).to_be_focused()
    await form.get_by_label("Reason").fill("x")
    await page.keyboard.press("Enter")
    await expect(form.get_by_role("alert")).to_contain_text("Give the reason first")
    await photograph(page, "fleet-standing-dark")
    assert await violations(page) == []
    await form.get_by_label("Reason").fill("somebody moved it")
    await page.keyboard.press("Enter")
    await expect(row).to_have_attribute("data-state", "quarantined")
    await expect(row).to_contain_text("somebody moved it")
    await row.get_by_role("button", name="Change…").press("Enter")
    await form.get_by_label("Reason").fill("it stands where it stood")
    await page.keyboard.press("Enter")
    await expect(row).to_have_attribute("data-state", "waiting")
    await row.get_by_role("button", name="Change…").press("Enter")
    await page.keyboard.press("Escape")
    await expect(row.get_by_role("button", name="Change…")).to_be_focused()
    dispatcher = await desk_room.at_work("alice")
    await dispatcher.keyboard.press("4")
    await expect(dispatcher.locator("tr.node")).to_have_count(1)
    await expect(dispatcher.get_by_role("button", name="Change…")).to_have_count(0)
    await expect(dispatcher.get_by_role("form", name="Invite")).to_have_count(0)
    await post(house, build_request(await another(house), Identity.generate()))
    await expect(dispatcher.get_by_role("region", name="Waiting to come in")).to_contain_text("quay-3")
    await expect(dispatcher.get_by_role("button", name="Let in quay-3")).to_have_count(0)


async def another(house: House) -> EnrollmentCode:
    order = {"name": "quay-3", "role": "camera", "site": "Harbor"}
    async with house.signed_in("second", UserRole.ADMINISTRATOR) as client:
        return parse_code((await client.post("/api/v1/nodes/invites", json=order)).json()["code"])


async def test_a_supervisor_holds_an_incident_and_redacts_its_picture_and_an_auditor_sees_both(desk_room: Room) -> None:
    house = desk_room.house
    gate = house.node("gate")
    await pictured_alarm(house, gate, label="handgun", camera="cam1", precedence=Precedence.FLASH)
    page = await desk_room.at_work("rivera", UserRole.SUPERVISOR)
    await choose(page, 1)
    hold = page.locator("details.hold")
    await hold.get_by_text("Legal hold").click()
    form = hold.get_by_role("form", name="Place a hold")
    await form.get_by_label("Reason").fill("case 2026-117")
    await page.keyboard.press("Enter")
    await expect(hold).to_contain_text("On legal hold, by rivera")
    await photograph(page, "hold-detail-dark")
    assert await violations(page) == []
    here = page.locator("details.redact")
    await here.get_by_text("Redact a picture").click()
    await here.get_by_label("How").select_option("withhold")
    await here.get_by_label("Reason").fill("a child")
    await page.keyboard.press("Enter")
    await expect(here).to_contain_text("picture 1: withhold, by rivera: a child")
    await photograph(page, "redact-detail-dark")
    assert await violations(page) == []
    await here.get_by_role("textbox", name="is given away as it is").fill("no child is in it")
    await page.keyboard.press("Enter")
    await expect(here.get_by_role("listitem")).to_have_count(0)
    sha256 = (await house.query("SELECT sha256 FROM stored_object"))[0][0]
    assert isinstance(sha256, bytes)
    await page.keyboard.press("7")
    await page.get_by_role("button", name="Redactions").click()
    redact = page.get_by_role("form", name="Redact a picture")
    await redact.get_by_label("Picture (SHA-256)").fill(sha256.hex())
    await redact.get_by_label("Reason").fill("a bystander")
    await page.keyboard.press("Enter")
    await expect(redact.get_by_role("alert")).to_contain_text("Draw at least one region first")
    for at, numbers in enumerate(((1, 2, 30, 4), (5, 5, 6, 6))):
        await redact.get_by_role("button", name="Add a region").click()
        given = redact.get_by_role("group", name=f"Region {at + 1}", exact=True)
        for edge, number in zip(("Width", "Height", "Left", "Top"), (*numbers[2:], *numbers[:2]), strict=True):
            await given.get_by_label(edge).fill(str(number))
    await redact.get_by_label("Reason").press("Enter")
    listed = page.get_by_role("region", name="Redactions")
    await expect(listed).to_contain_text("black, 2 regions: 1,2,30,4 5,5,6,6")
    await photograph(page, "redactions-dark")
    assert await violations(page) == []
    auditor = await desk_room.at_work("vera", UserRole.AUDITOR, is_light=True)
    await auditor.keyboard.press("7")
    await auditor.get_by_role("button", name="Holds").click()
    await expect(auditor.get_by_role("region", name="Legal holds")).to_contain_text("case 2026-117")
    await expect(auditor.get_by_role("form")).to_have_count(0)
    await photograph(auditor, "holds-light")
    assert await violations(auditor) == []
    await auditor.get_by_role("button", name="Redactions").click()
    await expect(auditor.get_by_role("region", name="Redactions")).to_contain_text("a bystander")
    await expect(auditor.get_by_role("button", name="Withdraw")).to_have_count(0)
    await auditor.get_by_role("button", name=f"Show {sha256.hex()[:8]}").click()
    given_away = auditor.get_by_role("img", name=re.compile("Region 1: left 1, top 2, 30 wide, 4 high"))
    await expect(given_away).to_have_js_property("complete", value=True)
    await photograph(auditor, "redaction-shown-light")
    assert await violations(auditor) == []
    await page.get_by_role("button", name="Withdraw").click()
    assert await house.query("SELECT COUNT(*) FROM redaction WHERE mode = 'black'") == [(1,)], "no reason, nothing done"
    await listed.get_by_role("textbox").fill("the bystander agreed")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Every picture is given away as it is.")).to_be_visible()
    await page.get_by_role("button", name="Holds").click()
    await page.get_by_role("region", name="Legal holds").get_by_role("textbox").fill("the case is closed")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nothing is on hold")).to_be_visible()
    rows = await house.query(
        "SELECT kind, actor FROM entry WHERE kind LIKE 'hold-%' OR kind = 'redaction-set' ORDER BY id"
    )
    assert rows == [(kind, "user:rivera") for kind in ("hold-placed", *["redaction-set"] * 4, "hold-released")]


async def test_witnesses_are_shown_with_the_age_of_their_last_word_and_what_went_wrong(tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    witness = WitnessConfig(every_s=10, folders=(str(tmp_path / "held"),), urls=("http://127.0.0.1:9/keep",))
    config = CenterConfig(name="center", http="127.0.0.1:0", witness=witness)
    async with center_of_today(tmp_path / "center", config=config) as house, room(house) as desk_room:
        page = await desk_room.at_work("vera", UserRole.AUDITOR)
        await page.keyboard.press("7")
        await page.get_by_role("button", name="Witnesses").click()
        await expect(page.get_by_role("region", name="Whose we keep")).to_contain_text("Nobody's yet")
        ours = page.get_by_role("region", name="Our witnesses")
        await expect(ours.get_by_role("row", name=re.compile("held"))).to_contain_text("✓ kept", timeout=60_000)
        await expect(ours.get_by_role("row", name=re.compile("keep"))).to_contain_text("× not taken")
        await photograph(page, "witnesses-dark")
        assert await violations(page) == []
        house.clock.advance(3_600_000)
        # The console's clock follows the center's with its next answer.
        await expect(ours.get_by_role("row", name=re.compile("held"))).to_contain_text("ago")


async def test_a_search_that_takes_several_pages_goes_on_by_itself_until_something_is_found(
    desk_room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = desk_room.house
    await alarm(house, house.node("gate"), camera="cam1")
    monkeypatch.setattr("command_center.audit.pages.BUDGET_S", 0.0)
    page = await desk_room.at_work("vera", UserRole.AUDITOR)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/audit/entries" in request.url else None)
    await page.keyboard.press("7")
    await page.get_by_label("Text").fill("initialized")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Entries")).to_contain_text("command center made")
    assert len(asked) >= 1
    assert await violations(page) == []


async def test_an_auditor_is_told_how_far_the_index_is_behind_and_finds_the_newest_all_the_same(
    desk_room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = desk_room.house
    page = await desk_room.at_work("vera", UserRole.AUDITOR)
    monkeypatch.setattr(AuditIndex, "_try_slice", lambda *_, **__: (0, 0))  # a flood: it does not come to it
    until_ms = int(
        str((await house.query("SELECT at_ms FROM entry WHERE id = ?", house.services.audit_index.through))[0][0])
    )
    house.clock.advance(7_000)

    def flood(connection: sqlite3.Connection) -> None:
        for number in range(700):
            said = facts.encode(Remark(what="said", detail=f"straggler {number}"))
            journal.append(connection, at_ms=house.clock.wall_ms(), kind="note", actor="center", subject="flood", payload=said)  # fmt: skip

    await house.database.run(flood)
    await page.keyboard.press("7")
    await page.get_by_label("Text").fill("vera")
    await page.keyboard.press("Enter")
    said = page.get_by_text(re.compile(r"The search index is 7\d\d entries behind"))
    moment = datetime.fromtimestamp(until_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    await expect(said).to_contain_text(f"it goes until {moment}")
    await expect(said).to_contain_text("leaves nothing out")
    entries = page.get_by_role("region", name="Entries").get_by_role("row")
    await expect(entries.nth(1)).to_contain_text("journal read")
    await expect(entries.nth(1)).to_contain_text("vera")
    await photograph(page, "audit-behind-dark")
    assert await violations(page) == []
    monkeypatch.undo()
    await asyncio.to_thread(house.services.audit_index.catch_up)
    await page.get_by_role("button", name="Search").last.click()
    await expect(said).to_have_count(0)
    await expect(entries.nth(1)).to_contain_text("journal read")


SQUEEZED = """[...document.querySelectorAll(".table-scroll")].filter((one) => one.scrollHeight > one.clientHeight + 1).length"""


async def test_on_a_small_screen_no_table_is_squeezed_and_every_tab_of_the_audit_is_within_reach(
    tmp_path: Path,
) -> None:
    with listening() as receiver:
        async with center_of_today(tmp_path / "center", plans=PLANS) as house, room(house) as opened:
            await busy_evening(house, receiver)
            page = await opened.at_work("ada", UserRole.ADMINISTRATOR, width=390, height=844)
            await page.keyboard.press("4")
            await expect(page.get_by_role("region", name="Alarm quality")).to_be_visible()
            assert await page.locator("tr.node").count() == 4
            assert await page.evaluate(SQUEEZED) == 0
            await photograph(page, "fleet-390")
            await page.keyboard.press("2")
            await expect(page.get_by_role("button", name="harbor-01/gate: 1 open incident")).to_be_visible()
            ends = "all => all.map(one => one.getBoundingClientRect().right)"
            edge = (await page.locator(".map").evaluate_all(ends))[0]
            assert max(await page.locator(".map-name").evaluate_all(ends)) <= edge, "a mark's name ends within the map"
            await page.keyboard.press("7")
            tabs = page.get_by_role("group", name="Audit").get_by_role("button")
            assert await tabs.count() == 7
            for at in range(7):
                box = await tabs.nth(at).bounding_box()
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 390
                await tabs.nth(at).click()
                await expect(tabs.nth(at)).to_have_attribute("aria-pressed", "true")
                assert await page.evaluate("document.documentElement.scrollWidth") <= 390
                assert await violations(page) == []
            await photograph(page, "redactions-390")
