"""People at work: two dispatchers, units, notes, a shift's end, an auditor, hostile words; in real Chromium against a real center."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from command_center.accounts import UserRole
from command_center.accounts.totp import code_at, step_at
from tests.command_center.console_desk import IN_CHROMIUM, Room, alarm, center_of_today, photograph, room
from tests.command_center.house import House
from tests.command_center.test_console_sign_in import secret_shown

pytestmark = [*IN_CHROMIUM]
HOSTILE = "<img src=x onerror=window.harmed=1>"


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A room at a center of today; afterwards no browser had anything to complain about."""
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        yield opened
        assert [text for text in opened.complaints if "409" not in text and "401" not in text] == []


async def unit_on_board(house: House, *names: str) -> None:
    """Units that are available."""
    async with house.signed_in("sergeant", UserRole.SUPERVISOR) as browser:
        for name in names:
            made = (await browser.post("/api/v1/units", json={"name": name, "capabilities": ["medic"]})).json()
            answer = await browser.post(
                f"/api/v1/units/{name}/status", json={"version": made["version"], "status": "available"}
            )
            assert answer.status_code == 200, answer.text


async def hold(page: Page, pattern: str, until: asyncio.Event) -> None:
    """Requests of this window wait on their way: what they carry is old when they arrive."""

    async def wait(route: Route) -> None:
        await until.wait()
        await route.continue_()

    await page.route(re.compile(pattern), wait)


async def test_two_dispatchers_press_the_same_key_and_the_second_is_told_who_was_first(desk_room: Room) -> None:
    house = desk_room.house
    alice, bob = await desk_room.at_work("alice"), await desk_room.at_work("bob")
    await alarm(house, house.node())
    for page in (alice, bob):
        await expect(page.locator('.row[data-incident="1"]')).to_be_visible()
    on_its_way = asyncio.Event()
    await hold(bob, "/acknowledge$", on_its_way)
    await bob.keyboard.press("a")
    await alice.keyboard.press("a")
    await expect(alice.locator("#detail")).to_contain_text("Acknowledged by alice")
    on_its_way.set()
    await expect(bob.locator(".detail-content > .notice")).to_contain_text("alice was first: acknowledged")
    await expect(bob.locator('.row[data-incident="1"]')).to_contain_text("Acknowledged by alice")
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'incident-acknowledged'") == [(1,)]


async def test_two_dispatchers_send_the_same_unit_and_it_goes_to_one_incident(desk_room: Room) -> None:
    house = desk_room.house
    node = house.node()
    await alarm(house, node, camera="gate")
    await alarm(house, node, camera="quay")
    await unit_on_board(house, "M21")
    alice, bob = await desk_room.at_work("alice"), await desk_room.at_work("bob")
    await alice.locator('.row[data-incident="1"] .row-open').click()
    await bob.locator('.row[data-incident="2"] .row-open').click()
    on_its_way = asyncio.Event()
    await hold(bob, "/incidents/2/units$", on_its_way)
    for page in (bob, alice):
        await page.keyboard.press("u")
        await expect(page.get_by_role("group", name="Send a unit")).to_contain_text("M21: available")
        await page.keyboard.press("1")
    await expect(alice.locator(".responding")).to_contain_text("M21")
    on_its_way.set()
    await expect(bob.locator("#detail > div > .notice")).to_contain_text(
        "Somebody was first: M21 is assigned at incident 1 now"
    )
    assert await house.query("SELECT incident FROM unit WHERE name = 'M21'") == [(1,)]


async def test_a_unit_is_sent_followed_and_noted_without_touching_the_mouse(desk_room: Room) -> None:
    house = desk_room.house
    await alarm(house, house.node())
    await unit_on_board(house, "M21", "K9")
    page = await desk_room.at_work("alice", width=1500, height=950)
    await expect(page.locator('.row[data-incident="1"]')).to_be_visible()
    await page.keyboard.press("a")
    await expect(page.locator("#detail")).to_contain_text("Acknowledged by alice")
    await page.keyboard.press("/")
    await page.keyboard.type("d m21")
    await expect(page.locator("#command-hint")).to_have_text(re.compile(r"Enter: send M21 to INC-\d+-000001"))
    await page.keyboard.press("Enter")
    await expect(page.locator('.row[data-incident="1"]')).to_contain_text("M21 assigned")
    await page.keyboard.press("/")
    await page.keyboard.type("/s M21 en route")
    await page.keyboard.press("Enter")
    await expect(page.locator(".responding")).to_contain_text("en route")
    await page.keyboard.press("/")
    await page.keyboard.type("s M99 clear")
    await page.keyboard.press("Enter")
    await expect(page.locator("#command-hint")).to_have_text("There is no unit M99 on the board.")
    await page.keyboard.press("Escape")
    await page.keyboard.press("w")
    await page.keyboard.type("white van, no plates")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notes")).to_contain_text("white van, no plates")
    await photograph(page, "incident-dark")
    await page.keyboard.press("Escape")
    await page.keyboard.press("3")
    board = page.locator('.unit[data-unit="M21"]')
    await expect(board).to_contain_text("en route for")
    await board.get_by_role("button", name="M21: on scene").click()
    await expect(page.get_by_role("status").filter(has_text="M21 is on scene.")).to_be_visible()
    await photograph(page, "units-dark")
    assert await house.query("SELECT status FROM unit WHERE name = 'M21'") == [("on_scene",)]


async def test_a_shift_is_handed_over_by_one_and_taken_by_another(desk_room: Room) -> None:
    house = desk_room.house
    await alarm(house, house.node())
    alice, bob = await desk_room.at_work("alice"), await desk_room.at_work("bob")
    await alice.keyboard.press("5")
    await expect(alice.get_by_role("region", name="Open now")).to_contain_text("1 incident, 1 unacknowledged")
    await alice.get_by_label("Note for the next shift").fill("gate 2 sticks\nring the porter")
    await alice.get_by_role("button", name="Hand over").click()
    await expect(alice.get_by_role("region", name="Last handover")).to_contain_text("Nobody has taken over yet")
    await expect(alice.get_by_role("button", name="I have read it")).to_have_count(0)
    await bob.keyboard.press("5")
    await expect(bob.get_by_role("region", name="Last handover")).to_contain_text("gate 2 sticks")
    await photograph(bob, "handover-dark")
    await bob.get_by_role("button", name="I have read it and take over").click()
    await expect(bob.get_by_role("region", name="Last handover")).to_contain_text("Taken over by bob")


async def test_an_auditor_finds_exports_and_verifies_and_can_do_nothing_else(desk_room: Room, tmp_path: Path) -> None:
    house = desk_room.house
    await alarm(house, house.node())
    dispatcher = await desk_room.at_work("alice")
    await expect(dispatcher.locator('.row[data-incident="1"]')).to_be_visible()
    await expect(dispatcher.get_by_role("link", name="Audit")).to_have_count(0)
    await dispatcher.keyboard.press("a")
    await expect(dispatcher.locator("#detail")).to_contain_text("Acknowledged by alice")
    page = await desk_room.at_work("vera", UserRole.AUDITOR, width=1400)
    await expect(page.locator('.row[data-incident="1"]')).to_be_visible()
    await expect(page.locator("#detail .buttons button")).to_have_count(0)
    await page.keyboard.press("a")
    await page.keyboard.press("c")
    await expect(page.locator(".close-form")).to_have_count(0)
    await page.keyboard.press("7")
    entries = page.get_by_role("region", name="Entries")
    await page.get_by_label("Who").fill("alice")
    await page.get_by_label("What").select_option("incident acknowledged")
    await page.get_by_role("button", name="Search").last.click()
    await expect(entries.locator("tbody tr")).to_have_count(1)
    cells = entries.locator("tbody td")
    shown = ["alice, dispatcher", "incident acknowledged", "as dispatcher"]
    assert [await cells.nth(at).inner_text() for at in (2, 3, 5)] == shown
    await expect(cells.nth(4)).to_have_text(re.compile(r"INC-\d{4}-000001"))
    assert [await cells.nth(at).get_attribute("title") for at in (2, 3, 4)] == [
        "user:alice",
        "incident-acknowledged",
        "incident:1",
    ]
    await photograph(page, "audit-dark")
    await page.get_by_label("As written in the journal").check()
    await expect(cells.nth(3)).to_have_text("incident-acknowledged")
    await expect(cells.nth(2)).to_have_text("user:alice")
    await page.get_by_role("button", name="Who looked").click()
    await page.get_by_role("button", name="Search").last.click()
    await expect(entries).to_contain_text("alice, dispatcher")
    await expect(page.get_by_label("What").locator("option", has_text="live video opened")).to_have_count(1)
    await expect(page.get_by_label("What").locator("option", has_text="account made")).to_have_count(0)
    await page.get_by_role("button", name="Export", exact=True).first.click()
    await page.get_by_label("or everything").check()
    await page.get_by_role("form", name="Order an export").get_by_role("button", name="Export").click()
    download_link = page.get_by_role("link", name="Download")
    await expect(download_link).to_be_visible(timeout=60_000)
    async with page.expect_download() as fetched:
        await download_link.click()
    bag = tmp_path / "evidence.zip"
    await (await fetched.value).save_as(bag)
    await page.get_by_role("button", name="Verify").first.click()
    await page.get_by_label("Bag (ZIP)").set_input_files(bag)
    await page.get_by_role("form", name="Verify a bag").get_by_role("button", name="Verify").click()
    await expect(page.get_by_role("region", name="Outcome")).to_contain_text("all as written", timeout=60_000)
    await photograph(page, "verify-dark")
    damaged = bytearray(bag.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    bag.write_bytes(damaged)
    await page.get_by_label("Bag (ZIP)").set_input_files(bag)
    await page.get_by_role("form", name="Verify a bag").get_by_role("button", name="Verify").click()
    await expect(page.get_by_role("region", name="Outcome")).to_contain_text("not as written", timeout=60_000)


async def test_an_administrator_lets_somebody_in_and_ends_another_whose_console_closes_at_once(desk_room: Room) -> None:
    alice = await desk_room.at_work("alice")
    ada = await desk_room.at_work("ada", UserRole.ADMINISTRATOR, width=1400)
    await ada.keyboard.press("8")
    await ada.get_by_label("Name").fill("bob")
    await ada.get_by_role("button", name="Let in").click()
    everybody = ada.get_by_role("region", name="Everybody")
    await expect(everybody.get_by_role("status")).to_contain_text("bob's password, shown this once")
    await expect(everybody.get_by_role("row", name="bob")).to_contain_text("must change the password")
    await photograph(ada, "accounts-dark")
    await everybody.get_by_role("button", name="end account alice").click()
    await everybody.get_by_role("button", name="End it").click()
    await expect(everybody.get_by_role("row", name="alice")).to_contain_text("ended")
    await expect(alice.get_by_role("alert")).to_contain_text("Your session has ended", timeout=30_000)
    dispatcher = await desk_room.at_work("carol")
    await dispatcher.keyboard.press("6")
    await expect(dispatcher.get_by_role("heading", name="Your account")).to_be_visible()
    await expect(dispatcher.get_by_role("region", name="Everybody")).to_have_count(0)
    await dispatcher.get_by_role("button", name="Set one up").click()
    await expect(dispatcher.get_by_role("img", name="QR code")).to_be_visible()
    secret = secret_shown(await dispatcher.locator("code.link").inner_text())
    step = step_at(desk_room.house.clock.wall_ms())
    await dispatcher.get_by_label("Code", exact=True).fill(code_at(secret, step))
    await dispatcher.get_by_role("button", name="Go on").click()
    await dispatcher.get_by_role("button", name="I have written them down").click()
    await expect(dispatcher.get_by_role("region", name="Your account")).to_contain_text(
        "set up, 10 recovery codes left"
    )


async def test_hostile_words_are_words_on_every_page(desk_room: Room) -> None:
    house = desk_room.house
    node = house.node("gate")
    await alarm(house, node, label="<b>x</b>", camera="<svg>")
    await house.deliver(node, node.heartbeat())
    async with house.signed_in("mallory", UserRole.SUPERVISOR) as browser:
        await browser.post("/api/v1/units", json={"name": "M1", "agency": HOSTILE, "capabilities": []})
        await browser.post("/api/v1/incidents/1/notes", json={"text": HOSTILE})
        await browser.post("/api/v1/handovers", json={"note": HOSTILE})
        await browser.put("/api/v1/places/gate/cam1", json={"lat": 52.5, "lon": 13.4})
    page = await desk_room.at_work("alice", UserRole.SUPERVISOR)
    await expect(page.locator(".notes")).to_contain_text(HOSTILE)
    for digit, said in (("3", HOSTILE), ("5", HOSTILE), ("4", "gate"), ("2", "gate/cam1"), ("7", "Search")):
        await page.keyboard.press(digit)
        await expect(page.locator("main")).to_contain_text(said)
    await page.get_by_role("button", name="Search").last.click()
    await expect(page.get_by_role("region", name="Entries")).to_contain_text("note written")
    assert await page.evaluate("window.harmed") is None
    assert await page.locator("main img[src=x], main b, main svg:not([class]), main .facts img").count() == 0
