"""At the console: what a picture must not show is drawn on it, with the mouse, by clicks and from the keyboard. In real Chromium."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FloatRect, Locator, Page, expect

from command_center.accounts import UserRole
from relay.precedence import Precedence
from tests.command_center.console_desk import (
    IN_CHROMIUM,
    Room,
    center_of_today,
    choose,
    photograph,
    room,
    violations,
)
from tests.command_center.console_scene import FRAME_PX, pictured_alarm
from tests.command_center.house import House

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
WIDTH_PX, HEIGHT_PX = FRAME_PX
STEP_PX = 13
"""Of an arrow key on a picture of 1280 pixels: a hundredth of its width."""


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with center_of_today(tmp_path / "center") as house, room(house) as made:
        await pictured_alarm(house, house.node("gate"), label="handgun", camera="cam1", precedence=Precedence.FLASH)
        yield made


async def opened(page: Page) -> Locator:
    """The redaction's form in the incident's details, with the picture in sight."""
    await choose(page, 1)
    await page.locator("details.redact > summary").click()
    form = page.get_by_role("form", name="Redact a picture")
    await expect(form.get_by_role("img")).to_have_js_property("complete", value=True)
    await form.locator(".regions-stage").scroll_into_view_if_needed()
    return form


async def box_of(locator: Locator) -> FloatRect:
    box = await locator.bounding_box()
    assert box is not None
    return box


class Stage:
    """The picture on the screen, by parts of its width and height."""

    def __init__(self, page: Page, box: FloatRect) -> None:
        self._page, self._box = page, box

    async def at(self, x: float, y: float) -> None:
        await self._page.mouse.move(self._box["x"] + x * self._box["width"], self._box["y"] + y * self._box["height"], steps=4)  # fmt: skip

    async def drag(self, one: tuple[float, float], other: tuple[float, float]) -> None:
        await self.at(*one)
        await self._page.mouse.down()
        await self.at(*other)
        await self._page.mouse.up()


async def numbers(form: Locator, region: int) -> list[int]:
    fields = form.get_by_role("group", name=f"Region {region}", exact=True).get_by_role("spinbutton")
    return [int(await fields.nth(at).input_value()) for at in range(4)]


def near(found: list[int], expected: tuple[float, float, float, float]) -> bool:
    """Within two pixels of the screen: the picture is shown at less than its size."""
    return all(abs(a - b) <= 8 for a, b in zip(found, expected, strict=True))


async def stored(house: House) -> list[tuple[object, object]]:
    rows = await house.query("SELECT mode, regions_px FROM redaction")
    return [(row[0], json.loads(str(row[1]))) for row in rows]


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_supervisor_draws_moves_and_sizes_regions_with_the_mouse_and_comes_back_to_change_them(
    desk_room: Room, theme: str
) -> None:
    page = await desk_room.at_work("rivera", UserRole.SUPERVISOR, width=1440, height=900, is_light=theme == "light")
    form = await opened(page)
    stage = Stage(page, await box_of(form.locator(".regions-stage")))
    await stage.drag((0.5, 0.5), (0.25, 0.25))  # upward, to the left
    await expect(form.locator("[data-region]")).to_have_count(1)
    drawn = await numbers(form, 1)
    assert near(drawn, (0.25 * WIDTH_PX, 0.25 * HEIGHT_PX, 0.25 * WIDTH_PX, 0.25 * HEIGHT_PX)), drawn
    await stage.drag((0.4, 0.4), (0.5, 0.4))
    moved = await numbers(form, 1)
    assert near(moved, (0.35 * WIDTH_PX, 0.25 * HEIGHT_PX, drawn[2], drawn[3])), moved
    corner = await box_of(form.locator(".region-corner"))
    await page.mouse.move(corner["x"] + 12, corner["y"] + 12)
    await page.mouse.down()
    await stage.at(1.3, 0.9)  # beyond the edge: it ends there
    await page.mouse.up()
    sized = await numbers(form, 1)
    assert sized[:2] == moved[:2]
    assert sized[0] + sized[2] == WIDTH_PX
    for corner_at in ((0.05, 0.6), (0.2, 0.9)):  # two clicks, nothing dragged
        await stage.at(*corner_at)
        await page.mouse.down()
        await page.mouse.up()
    await expect(form.locator("[data-region]")).to_have_count(2)
    clicked = await numbers(form, 2)
    assert near(clicked, (0.05 * WIDTH_PX, 0.6 * HEIGHT_PX, 0.15 * WIDTH_PX, 0.3 * HEIGHT_PX)), clicked
    await photograph(page, f"redaction-drawn-{theme}")
    assert await violations(page) == []
    await form.get_by_label("Reason").fill("bystanders")
    await page.keyboard.press("Enter")
    await expect(page.locator("details.redact")).to_contain_text("black, 2 regions")
    assert await stored(desk_room.house) == [("black", [sized, clicked])]
    await page.reload()  # somebody comes back to it
    form = await opened(page)
    await expect(form.locator("[data-region]")).to_have_count(2)
    assert [await numbers(form, 1), await numbers(form, 2)] == [sized, clicked]
    await form.get_by_role("button", name="Remove region 1").click()
    await form.get_by_label("How").select_option("blur")
    await photograph(page, f"redaction-changed-{theme}")
    assert await violations(page) == []
    await form.get_by_label("Reason").fill("one of them agreed")
    await form.get_by_role("button", name="Change the redaction").click()
    await expect(page.locator("details.redact")).to_contain_text("blur, 1 region")
    assert await stored(desk_room.house) == [("blur", [clicked])]


async def test_a_supervisor_without_a_mouse_adds_moves_sizes_and_removes_regions(desk_room: Room) -> None:
    page = await desk_room.at_work("rivera", UserRole.SUPERVISOR, width=1440, height=900)
    form = await opened(page)
    add = form.get_by_role("button", name="Add a region")
    await add.focus()
    await page.keyboard.press("Enter")
    chip = form.get_by_role("button", name="Region 1 of 1: left 512, top 288, 256 wide, 144 high")
    await expect(chip).to_be_focused()
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown", "Control+ArrowRight"):
        await page.keyboard.press(key)
    assert await numbers(form, 1) == [512 - STEP_PX + 1, 288 - STEP_PX, 256 + STEP_PX, 144 + STEP_PX]
    await expect(page.locator("#announce-polite")).to_contain_text("Region 1: left 500, top 275, 269 wide, 157 high")
    assert await page.locator(".row.selected").get_attribute("data-incident") == "1", (
        "the queue's arrows were not meant"
    )
    await add.press("Enter")
    await expect(form.get_by_role("button", name="Region 2 of 2")).to_be_focused()
    await photograph(page, "redaction-keyboard-dark")
    await page.keyboard.press("Delete")
    await expect(form.get_by_role("button", name="Region 1 of 1")).to_be_focused()
    await form.get_by_role("spinbutton", name="Left").fill("5000")
    await page.keyboard.press("Tab")
    assert (await numbers(form, 1))[0] == WIDTH_PX - 269, "what lies beyond the edge is pulled in"
    await form.get_by_label("Reason").fill("a child")
    await page.keyboard.press("Enter")
    await expect(page.locator("details.redact")).to_contain_text("black, 1 region")
    assert await stored(desk_room.house) == [("black", [[1011, 275, 269, 157]])]
    await form.get_by_role("button", name="Region 1 of 1").press("Delete")
    await expect(add).to_be_focused()
    await form.get_by_label("Reason").fill("nothing is left")
    await page.keyboard.press("Enter")
    await expect(form.get_by_role("alert")).to_contain_text("Draw at least one region first")
    assert len(await stored(desk_room.house)) == 1


async def test_half_a_region_is_forgotten_on_escape_and_the_details_stay_open(desk_room: Room) -> None:
    page = await desk_room.at_work("rivera", UserRole.SUPERVISOR, width=390, height=844)
    form = await opened(page)
    stage = form.locator(".regions-stage")
    await stage.click(position={"x": 40, "y": 40})
    await expect(form.locator(".region-point")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(form.locator(".region-point")).to_have_count(0)
    await expect(form).to_be_visible()
    await stage.click(position={"x": 60, "y": 60})
    await stage.click(position={"x": 160, "y": 110})
    await expect(form.locator("[data-region]")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await photograph(page, "redaction-390-dark")
    assert await violations(page) == []
