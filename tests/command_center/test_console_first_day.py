"""An administrator's first day: where nothing is yet, each page says how the first one comes, and where a console is not the place."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from command_center.accounts import UserRole
from tests.command_center.console_desk import IN_CHROMIUM, Room, center_of_today, room, violations

pytestmark = [*IN_CHROMIUM]


@pytest.fixture
async def empty_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        yield opened


async def test_pages_without_anything_say_how_the_first_one_comes(empty_room: Room) -> None:
    page = await empty_room.at_work("ada", UserRole.ADMINISTRATOR, width=1366, height=768, is_light=True)
    shown = page.locator("#page")
    await page.keyboard.press("4")
    await expect(shown).to_contain_text("No node is enrolled yet. Invite the first one below.")
    await expect(shown).to_contain_text("Cameras, zones and rules are written at the machine, in its node.toml")
    assert await violations(page) == []
    form = page.get_by_role("form", name="Invite")
    await form.get_by_label("Name").fill("gate/9")
    await form.get_by_label("Site").fill("Harbor")
    await page.keyboard.press("Enter")
    await expect(form.get_by_role("alert")).to_have_text(
        "Not invited. Expected letters, digits, spaces and . : - _ for a name or a site, at most 48, found 'gate/9'"
    )
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("2")
    await expect(shown).to_contain_text("A grid of coordinates: no map file and no site plan are named in center.toml")
    await expect(shown).to_contain_text("Only what is in the fleet can be put on the map, and nothing is yet.")
    await expect(page.get_by_role("form")).to_have_count(0)
    assert await violations(page) == []
    await page.keyboard.press("6")
    await expect(shown).to_contain_text("An administrator adds receivers with command-center callback add")
    await page.keyboard.press("3")
    await expect(shown).to_contain_text("No unit is on the board yet.")
    node = empty_room.house.node("harbor-01", site="Harbor")
    await empty_room.house.deliver(node, node.alert())
    await page.keyboard.press("2")
    await expect(page.get_by_role("button", name="It stands here")).to_be_enabled()
