"""Color is never the only sign: each state has its own word and shape, and what is chosen has an edge where a person's own colors stand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from command_center.accounts import UserRole
from tests.command_center.console_desk import (
    IN_CHROMIUM,
    Room,
    center_of_today,
    choose,
    photograph,
    room,
)
from tests.command_center.console_scene import PLANS, busy_evening
from tests.command_center.receivers import listening

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
SIGNS = """([within, state, sign]) => {
  const signs = {};
  for (const one of document.querySelectorAll(within)) {
    const shown = sign ? one.querySelector(sign) : one;
    const words = shown.innerText.replace(/\\d+ (s|min|h)|\\s+/g, " ").trim();
    const shapes = [...shown.querySelectorAll("path")].map((path) => path.getAttribute("d")).join();
    (signs[one.dataset[state]] ??= new Set()).add(`${words} ${shapes}`);
  }
  return Object.fromEntries(Object.entries(signs).map(([name, seen]) => [name, [...seen].sort()]));
}"""
"""By state: what is seen of it where nobody sees its color."""
EDGE = "one => getComputedStyle(one).outlineStyle"


@pytest.fixture
async def busy_room(tmp_path: Path) -> AsyncIterator[Room]:
    with listening() as receiver:
        async with center_of_today(tmp_path / "center", plans=PLANS) as house, room(house) as opened:
            await busy_evening(house, receiver)
            yield opened


async def signs(page: Page, within: str, state: str, sign: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = await page.evaluate(SIGNS, [within, state, sign])
    return found


def told_apart(found: dict[str, list[str]], *states: str) -> bool:
    """Whether these states are there, each with something to see, and no two look alike."""
    assert set(states) <= set(found), f"expected {states}, found {sorted(found)}"
    seen = [sign for state in found for sign in found[state]]
    return all(seen) and len(set(seen)) == len(seen)


async def test_every_state_has_a_word_and_a_shape_of_its_own(busy_room: Room) -> None:
    page = await busy_room.at_work("rivera", UserRole.SUPERVISOR, width=1440, height=900)
    await page.get_by_role("button", name="All", exact=True).click()
    await expect(page.locator(".row")).to_have_count(6)
    assert told_apart(await signs(page, ".row .precedence", "precedence"), "FLASH", "IMMEDIATE", "PRIORITY")
    shapes = await page.evaluate(
        "[...new Map([...document.querySelectorAll('.row .precedence')].map((one) => [one.dataset.precedence, one.querySelector('path').getAttribute('d')])).values()]"
    )
    assert len(set(shapes)) == len(shapes) == 3, "the shape alone tells them apart"
    states = await signs(page, ".row", "state", ".row-state")
    assert {state: {sign.split()[0].rstrip(":") for sign in seen} for state, seen in states.items()} == {
        "unacknowledged": {"Unacknowledged"}, "acknowledged": {"Acknowledged"}, "closed": {"Closed"}}  # fmt: skip
    assert told_apart(await signs(page, ".fleet .node", "state", ".node-state"), "live", "silent")
    alarm = page.locator("#alarm-state")
    armed = await alarm.inner_text()
    await page.keyboard.press("m")
    await expect(alarm).to_have_attribute("data-alarm", "muted")
    muted = await alarm.inner_text()
    assert armed[0] != muted[0], "another sign, not only another color"
    await page.keyboard.press("3")
    await expect(page.locator(".board .unit")).to_have_count(4)
    units = await signs(page, ".board .unit", "status", ".unit-status")
    marks = {state: {sign.strip()[0] for sign in seen} for state, seen in units.items()}
    assert marks.keys() >= {"en_route", "available", "out_of_service"}
    assert len(set.union(*marks.values())) == len(marks)
    await page.keyboard.press("4")
    down, up = page.locator("tr.node li.down"), page.locator("tr.node td:nth-child(4) li:not(.down)").first
    assert (await down.inner_text())[0] != (await up.inner_text())[0]


async def test_with_a_person_s_own_colors_what_is_chosen_has_an_edge(busy_room: Room) -> None:
    page = await busy_room.at_work("rivera", UserRole.SUPERVISOR, width=1440, height=900)
    await choose(page, 2)
    await page.emulate_media(forced_colors="active")
    assert await page.locator(".row.selected").evaluate(EDGE) == "solid"
    assert await page.locator(".row:not(.selected)").first.evaluate(EDGE) == "none"
    for chosen, other in (("#show-open", "#show-all"), (".page-link[aria-current=page]", ".page-link:not([aria-current])")):  # fmt: skip
        assert await page.locator(chosen).evaluate(EDGE) == "solid"
        assert await page.locator(other).first.evaluate(EDGE) == "none"
    # Not axe: it reads the colors that the sheet says, not those that are forced.
    await photograph(page, "forced-colors")
