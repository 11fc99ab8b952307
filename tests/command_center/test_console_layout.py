"""Rules of the style sheets that somebody wrote because something was cut off or broken in two: each fails where its rule is taken away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from command_center.accounts import UserRole
from tests.command_center.console_desk import IN_CHROMIUM, Room, alarm, center_of_today, room
from tests.command_center.house import House

pytestmark = [*IN_CHROMIUM]
LINES = """all => all.map((one) => { const range = document.createRange(); range.selectNodeContents(one);
  return new Set([...range.getClientRects()].filter((box) => box.width > 1).map((box) => Math.round(box.bottom / 6))).size; })"""
BROKEN_WORDS = """cells => cells.flatMap((cell) => { const found = [], walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let text = walk.nextNode(); text; text = walk.nextNode()) for (const word of text.data.matchAll(/[^\\s-]+/g)) {
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    if (range.getClientRects().length > 1) found.push(word[0]); }
  return found; })"""
TOPS = "all => [...new Set(all.map((one) => Math.round(one.getBoundingClientRect().top)))]"
CUT_HINTS = """all => all.filter((one) => { const pen = document.createElement("canvas").getContext("2d"), style = getComputedStyle(one);
  pen.font = style.font; return pen.measureText(one.placeholder).width > one.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight) + 0.5; })
  .map((one) => one.placeholder)"""


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A room at a center with one incident, two units at work and one out of service for nearly twelve hours."""
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        await a_long_day(house)
        yield opened


async def a_long_day(house: House) -> None:
    async with house.signed_in("rivera", UserRole.SUPERVISOR) as browser:

        async def say(address: str, **body: object) -> None:
            answer = await browser.post(f"/api/v1{address}", json=body)
            assert answer.status_code < 300, (address, answer.text)

        for name in ("M21", "M22", "T8"):
            await say("/units", name=name, agency="Harbor patrol", capabilities=["medic"])
        house.clock.advance((12 * 60 - 1) * 60_000)
        await alarm(house, house.node("harbor-01", site="Harbor"), camera="gate")
        for name in ("M21", "M22"):
            await say(f"/units/{name}/status", version=1, status="available")
            incident = (await browser.get("/api/v1/incidents/1")).json()
            await say("/incidents/1/units", version=incident["version"], unit=name, unit_version=2)
        await say("/incidents/1/notes", text="two people at the water, one carries a long bag; " * 40)
        await say("/holds", incident=1, reason="case 12, the prosecutor asked")


async def lines_of(found: Locator) -> list[int]:
    lines: list[int] = await found.evaluate_all(LINES)
    return lines


@pytest.mark.parametrize("width", [1366, 1920])
async def test_a_unit_is_one_line_of_status_and_one_of_buttons(desk_room: Room, width: int) -> None:
    page = await desk_room.at_work("alice", width=width, height=768 if width < 1500 else 1080)
    await page.keyboard.press("3")
    await expect(page.locator(".unit-status").last).to_contain_text("out of service for 11 h 59 min")
    assert await lines_of(page.locator(".unit-status")) == [1, 1, 1]
    for row in await page.locator(".board .unit").all():
        tops = await row.locator(".unit-steps .button").evaluate_all(TOPS)
        assert len(tops) == 1, await row.inner_text()


async def audit(page: Page) -> None:
    await page.keyboard.press("7")
    await page.get_by_role("search").get_by_role("button", name="Search").click()
    await expect(page.get_by_role("region", name="Entries")).to_contain_text("unit sent")


async def test_the_audit_breaks_no_name_and_no_time_and_asks_in_one_line(desk_room: Room) -> None:
    page = await desk_room.at_work("vera", UserRole.ADMINISTRATOR, width=1366, height=768, is_light=True)
    await audit(page)
    assert set(await lines_of(page.locator(".entries td:nth-child(2)"))) == {1}
    assert await page.locator(".entries td:is(:nth-child(3), :nth-child(4))").evaluate_all(BROKEN_WORDS) == []
    form = page.get_by_role("search")
    assert len(await form.locator("input, select, button").evaluate_all(TOPS)) == 1
    await page.get_by_role("button", name="Holds", exact=True).click()
    await expect(page.get_by_role("region", name="Legal holds")).to_contain_text("the prosecutor asked")
    assert await page.locator("#page input").evaluate_all(CUT_HINTS) == []


async def test_on_a_phone_an_entry_of_the_audit_begins_with_its_number_and_time_in_one_line(desk_room: Room) -> None:
    page = await desk_room.at_work("vera", UserRole.ADMINISTRATOR, width=390, height=844)
    await audit(page)
    for is_exact in (False, True):
        await page.get_by_label("As written in the journal").set_checked(is_exact)
        for row in (await page.locator(".entries tbody tr").all())[:6]:
            cells = row.locator("td")
            assert len(await cells.evaluate_all(f"all => ({TOPS})(all.slice(0, 2))")) == 1
            assert await lines_of(cells.nth(1)) == [1]
            lefts = await cells.evaluate_all("all => all.slice(2).filter((one) => one.checkVisibility()).map((one) => { const range = document.createRange(); range.selectNodeContents(one); return Math.round(range.getClientRects()[0].left); })")  # fmt: skip
            assert len(set(lefts)) == 1, "what a column says begins at one edge"
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.keyboard.press("5")
    number = page.locator(".open-incidents li")
    box, told = await number.first.bounding_box(), await number.first.locator("span").last.bounding_box()
    assert box is not None
    assert told is not None
    assert told["width"] > 0.8 * box["width"], "what it is has the card's width"
