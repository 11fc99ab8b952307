"""Every page, in both colors and on a small screen: axe-core finds nothing, and each is photographed for people to look at."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from command_center.accounts import UserRole
from tests.command_center.console_desk import (
    IN_CHROMIUM,
    PICTURES_DIR,
    Room,
    center_of_today,
    choose,
    photograph,
    room,
    violations,
)
from tests.command_center.console_scene import PLANS, busy_evening
from tests.command_center.receivers import listening

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
PAGES = {
    "1": "incidents",
    "2": "map",
    "3": "units",
    "4": "fleet",
    "5": "handover",
    "6": "callbacks",
    "7": "audit",
    "8": "accounts",
}
SIZES = {"dark": (1920, 1080), "light": (1280, 800)}


@pytest.fixture
async def busy_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A room at a center where something of everything is going on."""
    if PICTURES_DIR:
        Path(PICTURES_DIR).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  once, before anything runs
    with listening() as receiver:
        async with center_of_today(tmp_path / "center", plans=PLANS) as house, room(house) as opened:
            await busy_evening(house, receiver)
            yield opened


async def look(page: Page, name: str) -> list[str]:
    await photograph(page, name)
    return [f"{name}: {found}" for found in await violations(page)]


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing_on_any_page(busy_room: Room, theme: str) -> None:
    found: list[str] = []
    stranger = await busy_room.window(is_light=theme == "light")
    await expect(stranger.get_by_label("Username")).to_be_visible()
    found += await look(stranger, f"sign-in-{theme}")
    width, height = SIZES[theme]
    page = await busy_room.at_work(
        "okafor", UserRole.ADMINISTRATOR, width=width, height=height, is_light=theme == "light"
    )
    for digit, name in PAGES.items():
        await page.keyboard.press(digit)
        await expect(page.locator(".page-link[aria-current=page]")).to_contain_text(name.capitalize())
        if name == "incidents":
            await choose(page, 2)
            await expect(page.locator(".notes")).to_contain_text("Two people at the water")
            found += await look(page, f"incident-{theme}")
            await page.locator("#detail").evaluate("pane => { pane.scrollTop = pane.scrollHeight; }")
        if name == "units":
            await page.get_by_role("button", name="M21: phone link").click()
            await page.get_by_role("button", name="Make a new one").click()
            await expect(page.get_by_role("img", name="QR code")).to_be_visible()
        if name == "callbacks":
            await expect(page.get_by_role("region", name="Deliveries")).to_contain_text("HTTP 410")
        if name == "map":
            await expect(page.get_by_role("button", name="harbor-01/gate: 1 open incident")).to_be_visible()
            await expect(page.get_by_role("button", name="It stands here")).to_be_visible()
        if name == "audit":
            await page.get_by_role("button", name="Search").last.click()
            await expect(page.get_by_role("region", name="Entries")).to_contain_text("unit sent")
        found += await look(page, f"{name}-{theme}")
    await page.keyboard.press("1")
    for key, name in (("u", "send"), ("c", "close"), ("s", "shelve"), ("g", "merge")):
        await page.keyboard.press(key)
        await expect(page.locator(".close-form")).to_be_visible()
        found += await look(page, f"form-{name}-{theme}")
        await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    found += await look(page, f"keys-{theme}")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="All", exact=True).click()
    await choose(page, 4)
    await page.keyboard.press("x")
    await expect(page.get_by_role("group", name="Don't tell it again")).to_be_visible()
    found += await look(page, f"form-suppress-{theme}")
    assert found == [], "\n".join(found)


async def test_at_1024_pixels_nothing_is_cut_off_and_axe_finds_nothing(busy_room: Room) -> None:
    found: list[str] = []
    page = await busy_room.at_work("okafor", UserRole.ADMINISTRATOR, width=1024, height=768)
    for digit, name in PAGES.items():
        await page.keyboard.press(digit)
        await expect(page.locator(".page-link[aria-current=page]")).to_contain_text(name.capitalize())
        found += await look(page, f"{name}-1024")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 1024
        ends = await page.locator("#sign-out").evaluate("button => button.getBoundingClientRect().right")
        assert ends <= 1024
    assert found == [], "\n".join(found)


FIND_WIDE = """pane => { const end = pane.getBoundingClientRect().left + pane.clientWidth;
  return [...pane.querySelectorAll("*")].filter((one) => one.checkVisibility() && !one.closest(".visually-hidden") && one.getBoundingClientRect().right > end + 0.5)
    .map((one) => `${one.tagName}.${one.className}`); }"""


async def test_text_from_a_node_that_is_long_does_not_push_anything_off_the_screen(busy_room: Room) -> None:
    page = await busy_room.at_work("okafor", UserRole.SUPERVISOR, width=1280)
    async with busy_room.house.signed_in("long", UserRole.SUPERVISOR) as browser:
        await browser.post("/api/v1/incidents/1/notes", json={"text": "x" * 3000})
    await page.locator('.row[data-incident="1"] .row-open').click()
    await expect(page.locator(".notes")).to_contain_text("xxx")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 1280
    wide = await page.locator("#detail").evaluate(FIND_WIDE)
    assert wide == []


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing_on_the_small_pages_of_units_and_other_agencies(busy_room: Room, theme: str) -> None:
    house, found = busy_room.house, list[str]()
    async with house.signed_in("lead", UserRole.SUPERVISOR) as browser:
        link = (await browser.post("/api/v1/units/M21/link", json={})).json()["url"]
        share = {"agency": "City police", "reason": "they go their way", "minutes": 30}
        aid = (await browser.post("/api/v1/incidents/2/shares", json=share)).json()["url"]
    page = await busy_room.window(width=390, height=844, is_light=theme == "light")
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")

    async def go(address: str, name: str) -> None:
        await page.goto(f"{house.center.url.rstrip('/')}{address}")
        found.extend(await look(page, f"{name}-phone-{theme}"))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, name

    await go("/unit", "unit-sign-in")
    await go(f"/u/{link.rpartition('/')[2]}", "unit")
    await go(f"/aid/{aid.rpartition('/')[2]}", "aid-closed")
    await page.get_by_role("button", name="Open it here").click()
    await expect(page.get_by_role("img", name="Snapshot of the alert")).to_be_visible()
    found += await look(page, f"aid-phone-{theme}")
    await go("/u/nothing", "refused")
    assert found == [], "\n".join(found)


FIND_UNLABELED = """() => [...document.querySelectorAll("#page table.table")].flatMap((table) => {
  const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
  return [...table.querySelectorAll("tbody tr")].flatMap((row) => [...row.cells].flatMap((cell, at) =>
    cell.tagName === "TH" || cell.colSpan > 1 || cell.dataset.label === heads[at] ? [] : [`${heads[at]}: ${cell.dataset.label}`])); })"""
FIND_SIDEWAYS = """() => [...document.querySelectorAll("#page, #page .table-scroll, #page table, #page tbody tr")].filter((one) => one.checkVisibility() && (one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > innerWidth))
  .map((one) => `${one.tagName}.${one.className} ${one.scrollWidth} in ${one.clientWidth}`)"""


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_on_a_phone_every_table_is_read_without_scrolling_sideways(busy_room: Room, theme: str) -> None:
    async with busy_room.house.signed_in("custodian", UserRole.SUPERVISOR) as browser:
        held = await browser.post("/api/v1/holds", json={"incident": 2, "reason": "case 12, the prosecutor asked"})
        assert held.status_code < 300, held.text
    page = await busy_room.at_work("okafor", UserRole.ADMINISTRATOR, width=390, height=844, is_light=theme == "light")
    found: list[str] = []

    async def read(name: str, region: str, told: str) -> None:
        await expect(page.get_by_role("region", name=region)).to_contain_text(told)
        shown = page.get_by_role("region", name=region)
        assert await shown.get_by_role("columnheader").count() > 2, "still a table for whoever hears it"
        assert await shown.get_by_role("cell").count() > 2
        assert await page.evaluate(FIND_UNLABELED) == [], name
        assert await page.evaluate(FIND_SIDEWAYS) == [], name
        found.extend(await look(page, f"{name}-phone-{theme}"))

    for digit, region, told in (("4", "Nodes", "depot-02"), ("4", "Alarm quality", "knife"), ("6", "Deliveries", "HTTP 410"),
                                ("6", "Receivers", "410"), ("8", "Accounts", "Sign out everywhere")):  # fmt: skip
        await page.keyboard.press(digit)
        await read(f"{PAGES[digit]}-{region.lower().replace(' ', '-')}", region, told)
    mine = page.get_by_role("region", name="Accounts").get_by_role("row", name="okafor")
    await expect(mine.locator("[data-label=Change]")).to_be_hidden()
    await page.keyboard.press("7")
    for tab in ("Search", "Who looked"):
        await page.get_by_role("button", name=tab, exact=True).first.click()
        await page.get_by_role("search").get_by_role("button", name="Search").click()
        await read(f"audit-{tab.lower().replace(' ', '-')}", "Entries", "INC-2026-000001")
    await page.get_by_role("button", name="Holds", exact=True).click()
    await read("audit-holds", "Legal holds", "the prosecutor asked")
    assert found == [], "\n".join(found)


async def test_focus_stays_by_what_was_done_when_its_button_goes(busy_room: Room) -> None:
    page = await busy_room.at_work("okafor", UserRole.ADMINISTRATOR)
    await choose(page, 2)
    await page.keyboard.press("u")
    await expect(page.get_by_role("group", name="Send a unit")).to_be_focused()
    await expect(page.locator(".choice").first).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.locator(".choice").first).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator('.row[data-incident="2"] .row-open')).to_be_focused()
    await page.keyboard.press("3")
    await page.get_by_role("button", name="M21: on scene").press("Enter")
    await expect(page.locator('.unit[data-unit="M21"]')).to_have_attribute("data-status", "on_scene")
    assert await page.get_by_role("button", name="M21: on scene").count() == 0
    await expect(page.locator('.unit[data-unit="M21"]')).to_be_focused()
    await expect(page.get_by_role("status").filter(has_text="M21")).to_have_text(re.compile(r"M21.* \d\d:\d\d:\d\d$"))
    await page.get_by_role("button", name="T8: available").press("Enter")
    await expect(page.locator('.unit[data-unit="T8"]')).to_have_attribute("data-status", "available")
    assert await page.evaluate("document.activeElement.closest('#page') !== null")
