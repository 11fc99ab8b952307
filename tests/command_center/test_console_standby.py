"""The fleet page says whether a second machine has everything, and says nothing where there is to be none."""

import re
from pathlib import Path

from playwright.async_api import expect

from command_center.accounts import UserRole
from command_center.config import CenterConfig, StandbyConfig
from command_center.demonstration.household import free_port
from tests.command_center.console_desk import IN_CHROMIUM, center_of_today, room, violations
from tests.command_center.standby_here import KEYS, follower_here

pytestmark = [*IN_CHROMIUM]


async def test_a_center_that_is_on_its_own_says_so_and_says_when_it_is_not(tmp_path: Path) -> None:
    port = free_port()
    config = CenterConfig(http="127.0.0.1:0", listen=(), standby=StandbyConfig(address=f"127.0.0.1:{port}"))
    async with center_of_today(tmp_path / "center", config=config) as house, room(house) as opened:
        page = await opened.at_work("ada", UserRole.SUPERVISOR, width=1366, height=768)
        await page.keyboard.press("4")
        line = page.locator("#standby")
        await expect(line).to_have_text(
            re.compile(
                r"Standby: not in step since .+\. This center is on its own: tell whoever runs it\. Why: no standby of this center at .+: Connection refused"
            )
        )
        assert await violations(page) == []
        await page.screenshot(path=tmp_path / "not-in-step.png")
        other_dir = tmp_path / "standby"
        (other_dir / "blobs").mkdir(parents=True)
        for name in KEYS:
            (other_dir / name).write_bytes((house.state.root_dir / name).read_bytes())
            (other_dir / name).chmod(0o600)
        with follower_here(other_dir, house.services.identity, port):
            await expect(line).to_have_text(
                re.compile("Standby: in step since .+ What is shown here is on a second machine, too."), timeout=40_000
            )
            await page.screenshot(path=tmp_path / "in-step.png")


async def test_where_no_standby_is_to_be_nothing_is_said(tmp_path: Path) -> None:
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        page = await opened.at_work("ada", UserRole.SUPERVISOR, width=1366, height=768)
        await page.keyboard.press("4")
        await expect(page.locator("#page")).to_contain_text("No node is enrolled yet")
        await expect(page.locator("#standby")).to_have_count(0)
