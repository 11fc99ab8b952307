"""What people stumble over in a shift: where the keyboard is after an act, what a small window cuts off, dead ends, numbers that differ."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from command_center.accounts import UserRole
from relay.precedence import Precedence
from tests.command_center.console_desk import (
    IN_CHROMIUM,
    WAIT_MS,
    Room,
    center_of_today,
    choose,
    photograph,
    room,
    violations,
)
from tests.command_center.console_scene import PLANS, busy_evening, pictured_alarm
from tests.command_center.house import PASSWORD

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
CUT = """[...document.querySelectorAll(".row-facts")].filter((facts) => {
  const number = [...facts.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && /\\d/.test(node.data));
  const range = document.createRange();
  range.setStart(number, 0);
  range.setEnd(number, /^\\d+/.exec(number.data)[0].length);
  const ellipsis = facts.scrollWidth > facts.clientWidth ? 14 : 0;
  return range.getBoundingClientRect().right > facts.getBoundingClientRect().right + 0.5 - ellipsis;
}).map((facts) => facts.textContent)"""
"""Rows whose number can't be read to its end."""


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with center_of_today(tmp_path / "center") as house, room(house) as made:
        yield made


async def test_the_keyboard_is_on_the_sound_check_after_sign_in_and_on_the_selected_incident_after_it(
    desk_room: Room,
) -> None:
    house = desk_room.house
    await house.add_user("okafor")
    for is_quiet in (True, False):
        page = await desk_room.window()
        await page.get_by_label("Username").fill("okafor")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Play test tone")).to_be_focused(timeout=WAIT_MS)
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="I heard it").press("Enter")
        after = page.locator("#queue") if is_quiet else page.locator(".row.selected .row-open")
        await expect(after).to_be_focused()
        if is_quiet:
            await pictured_alarm(house, house.node("gate"), label="handgun", camera="cam1", precedence=Precedence.FLASH)


async def test_a_picture_whose_request_was_cut_comes_back_by_itself(desk_room: Room) -> None:
    house = desk_room.house
    page, refused = await desk_room.at_work("okafor"), []

    async def cut(route: Route) -> None:
        refused.append(route.request.url)
        await route.abort()

    await page.route("**/api/v1/snapshots/**", cut)
    await pictured_alarm(house, house.node("gate"), label="handgun", camera="cam1", precedence=Precedence.FLASH)
    await choose(page, 1)
    await expect(page.locator("#detail .picture-words")).to_have_text("Picture not available, trying again")
    assert refused, "the line was cut"
    await page.unroute("**/api/v1/snapshots/**")
    await expect(page.locator("#detail .picture-words")).to_have_text("", timeout=WAIT_MS)
    assert await page.locator("#detail .picture img").evaluate("image => image.complete && image.naturalWidth > 0")


async def test_in_a_low_window_or_at_twice_the_size_the_picture_is_whole_and_the_box_is_on_it(desk_room: Room) -> None:
    house = desk_room.house
    await pictured_alarm(house, house.node("gate"), label="handgun", camera="cam1", precedence=Precedence.FLASH)
    page = await desk_room.at_work("okafor", width=640, height=400)  # 1280 x 800 at 200 %
    await page.locator(".row .row-open").click()
    image = page.locator("#detail .large img")
    await expect(image).to_have_js_property("naturalWidth", 1280)
    await expect(page.locator("#detail .picture-words")).to_have_text("")
    shown, around, box = await image.bounding_box(), await page.locator("#detail .large").bounding_box(), await page.locator("#detail .large .picture-box").bounding_box()  # fmt: skip
    assert shown is not None
    assert around is not None
    assert shown["height"] <= around["height"] + 0.5
    assert shown["width"] / shown["height"] == pytest.approx(1280 / 720, rel=0.01)
    assert box == shown
    await photograph(page, "detail-640")
    assert await violations(page) == []


async def test_whoever_would_send_a_unit_where_there_is_none_is_led_to_the_board(desk_room: Room) -> None:
    house = desk_room.house
    await pictured_alarm(house, house.node("gate"), label="handgun", camera="cam1", precedence=Precedence.FLASH)
    page = await desk_room.at_work("okafor")
    await choose(page, 1)
    await page.keyboard.press("u")
    await expect(page.get_by_text("There is no unit on the board.")).to_be_visible()
    await page.get_by_role("button", name="Go to the units").click()
    await expect(page.get_by_role("button", name="Put on the board")).to_be_visible()


async def test_numbers_can_be_read_say_the_same_everywhere_and_are_understood_where_they_are_typed(
    tmp_path: Path,
) -> None:
    async with center_of_today(tmp_path / "center", plans=PLANS) as house, room(house) as opened:
        await busy_evening(house)
        page = await opened.at_work("rivera", UserRole.SUPERVISOR, width=1024, height=700)
        await expect(page.locator(".row")).to_have_count(5)
        await expect(page.locator(".row .tag", has_text="shelved")).to_be_visible()
        assert await page.evaluate(CUT) == []
        house.clock.advance(31_000)
        await expect(page.locator(".row .tag", has_text="second position")).to_be_visible()
        assert await page.evaluate(CUT) == []
        await photograph(page, "queue-1024")
        await expect(page.locator("#summary")).to_contain_text("3 unacknowledged, 1 FLASH · 5 open")
        await page.keyboard.press("5")
        now = page.get_by_role("region", name="Open now")
        await expect(now).to_contain_text("5 incidents, 3 unacknowledged, 1 kept silent")
        await page.keyboard.press("7")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/audit/entries" in request.url else None)
        for typed in ("INC-2026-000002", "2"):
            await page.get_by_label("Incident", exact=True).fill(typed)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("region", name="Entries")).to_contain_text("unit sent")
        assert [re.search(r"incident=(\d+)", url)[1] for url in asked] == ["2", "2"]  # type: ignore[index]
        assert await violations(page) == []


async def test_before_anybody_has_handed_over_the_cards_stand_side_by_side_at_one_height(desk_room: Room) -> None:
    house = desk_room.house
    await pictured_alarm(house, house.node("gate"), label="handgun", camera="cam1", precedence=Precedence.FLASH)
    page = await desk_room.at_work("okafor", width=1440, height=900)
    await page.keyboard.press("5")
    tops = []
    for name in ("Hand over", "Open now"):
        box = await page.get_by_role("region", name=name).bounding_box()
        assert box is not None
        tops.append(box["y"])
    assert tops[0] == tops[1]
    await photograph(page, "handover-first-dark")
