"""Every page, in both colors and on a small screen: axe-core finds nothing, and each is photographed for people to look at."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from command_center.accounts import UserRole
from relay.precedence import Precedence
from tests.command_center.console_desk import (
    CHROMIUM_FILE,
    PICTURES_DIR,
    Room,
    alarm,
    center_of_today,
    photograph,
    room,
    violations,
)
from tests.command_center.house import House

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none"),
]
PAGES = {"1": "incidents", "2": "map", "3": "units", "4": "fleet", "5": "handover", "6": "audit", "7": "accounts"}
SCENE = (("handgun", "gate", Precedence.FLASH), ("long_gun", "quay", Precedence.FLASH), ("person", "fence", Precedence.IMMEDIATE),
         ("vehicle", "dock", Precedence.IMMEDIATE), ("person", "hall", Precedence.PRIORITY))  # fmt: skip


@pytest.fixture
async def busy_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A room at a center where something of everything is going on."""
    if PICTURES_DIR:
        Path(PICTURES_DIR).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  once, before anything runs
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        await busy_evening(house)
        yield opened


async def busy_evening(house: House) -> None:
    """Incidents in every state, units in several, a shelf, notes, places, a handover, nodes well and ill."""
    harbor, depot = house.node("harbor-01"), house.node("depot-02")
    await house.deliver(harbor, harbor.heartbeat())
    for label, camera, precedence in SCENE:
        await alarm(house, harbor, label=label, camera=camera, precedence=precedence)
        house.clock.advance(1500)
    depot.sequence += 4  # four messages of it are missing
    await alarm(house, depot, camera="cam1", precedence=Precedence.IMMEDIATE)
    async with house.signed_in("rivera", UserRole.SUPERVISOR) as browser:

        async def say(path: str, **body: object) -> None:
            answer = await browser.post(f"/api/v1{path}", json=body)
            assert answer.status_code < 300, (path, answer.text)

        for name, capability in (("M21", "medic"), ("K9-4", "dog"), ("T7", "patrol"), ("T8", "patrol")):
            await say("/units", name=name, agency="Harbor patrol", capabilities=[capability])
        for name in ("M21", "K9-4", "T7"):
            await say(f"/units/{name}/status", version=1, status="available")
        await say("/incidents/2/acknowledge", version=1)
        await say("/incidents/2/units", version=2, unit="M21", unit_version=2)
        await say("/units/M21/status", version=3, status="en_route")
        await say(
            "/incidents/2/notes", text="Two people at the water, one carries a long bag. Caller stays on the line."
        )
        await say("/incidents/4/acknowledge", version=1)
        await say("/incidents/4/close", version=2, disposition="false_alarm", note="delivery van")
        await say(
            "/shelves",
            node=harbor.id.hex(),
            camera="hall",
            label="person",
            reason="cleaners until 23:00",
            minutes=60,
            covers_flash=True,
        )
        await say("/handovers", note="Gate 2 sticks; the porter has the key.")
        for place, lat, lon in (
            ("harbor-01", 53.5405, 9.984),
            ("harbor-01/gate", 53.5412, 9.9866),
            ("depot-02", 53.539, 9.979),
        ):
            answer = await browser.put(f"/api/v1/places/{place}", json={"lat": lat, "lon": lon})
            assert answer.status_code == 200, answer.text
        await say("/units/M21/position", lat=53.542, lon=9.982)


async def look(page: Page, name: str) -> list[str]:
    await photograph(page, name)
    return [f"{name}: {found}" for found in await violations(page)]


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing_on_any_page(busy_room: Room, theme: str) -> None:
    found: list[str] = []
    stranger = await busy_room.window(is_light=theme == "light")
    await expect(stranger.get_by_label("Username")).to_be_visible()
    found += await look(stranger, f"sign-in-{theme}")
    page = await busy_room.at_work("okafor", UserRole.ADMINISTRATOR, width=1440, height=900, is_light=theme == "light")
    for digit, name in PAGES.items():
        await page.keyboard.press(digit)
        await expect(page.locator(".page-link[aria-current=page]")).to_contain_text(name.capitalize())
        if name == "incidents":
            await page.locator('.row[data-incident="2"] .row-open').click()
            await expect(page.locator(".notes")).to_contain_text("Two people at the water")
        if name == "map":
            await expect(page.get_by_role("button", name="harbor-01/gate: 1 open incident")).to_be_visible()
            await expect(page.get_by_role("button", name="It stands here")).to_be_visible()
        if name == "audit":
            await page.get_by_role("button", name="Search").last.click()
            await expect(page.get_by_role("region", name="Entries")).to_contain_text("unit-assigned")
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
