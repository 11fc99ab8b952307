"""People at real consoles: real Chromium, a real center with its own HTTP, real keys and journal.

Pictures of what they see go into the folder that ``HEARD_PICTURES_DIR`` names, if it names one.
"""

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from command_center.accounts import UserRole
from command_center.config import CenterConfig
from command_center.responses import plan_file
from relay.clock import SimulatedClock
from relay.precedence import Precedence
from tests.command_center.house import PASSWORD, House, Node, running_center

CHROMIUM_FILE = Path("/usr/bin/chromium")
IN_CHROMIUM = (
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none"),
)
"""What marks a test with a browser; slow ones say so beside it."""
AXE_FILE = Path(__file__).parents[2] / "command_center" / "console" / "app" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES_DIR = os.environ.get("HEARD_PICTURES_DIR", "")
WAIT_MS = 20_000
expect.set_options(timeout=15_000)
_RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }"


@contextlib.asynccontextmanager
async def center_of_today(root_dir: Path, config: CenterConfig | None = None, plans: str = "") -> AsyncIterator[House]:
    """A center whose clock says what the browser's says, so that ages are what people would see; with these response plans."""
    clock = SimulatedClock(wall_ms=int(time.time() * 1000))
    if plans:
        async with running_center(root_dir, clock=clock):
            pass
        (root_dir / plan_file.FILE_NAME).write_text(plans)
    async with running_center(root_dir, clock=clock, config=config) as house:
        yield house


class Room:
    """One browser; everybody in it has a window of their own."""

    def __init__(self, browser: Browser, house: House) -> None:
        self._browser = browser
        self.house = house
        self.complaints: list[str] = []

    async def window(self, *, width: int = 1280, height: int = 800, is_light: bool = False) -> Page:
        """A window that nobody is signed in at."""
        context: BrowserContext = await self._browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(WAIT_MS)
        if is_light:
            await context.add_init_script("localStorage.setItem('heard.theme', 'light')")
        page = await context.new_page()
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(self.house.center.url)
        return page

    async def at_work(self, name: str, role: UserRole = UserRole.DISPATCHER, *, width: int = 1280, height: int = 800,
                      is_light: bool = False) -> Page:  # fmt: skip
        """Somebody's window, signed in, with the sound check done."""
        with contextlib.suppress(Exception):  # the same person may sit down twice
            await self.house.add_user(name, role)
        page = await self.window(width=width, height=height, is_light=is_light)
        await page.get_by_label("Username").fill(name)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#stream-state")).to_contain_text("Live", timeout=WAIT_MS)
        await page.get_by_role("button", name="Play test tone").click()
        await page.get_by_role("button", name="I heard it").click()
        return page


@contextlib.asynccontextmanager
async def room(house: House) -> AsyncIterator[Room]:
    """A room with a browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield Room(browser, house)
        finally:
            await browser.close()


async def alarm(house: House, node: Node, *, label: str = "handgun", camera: str = "cam1",
                precedence: Precedence = Precedence.FLASH) -> None:  # fmt: skip
    """An alert arrives."""
    await house.deliver(node, node.alert(label=label, camera=camera, precedence=precedence))


async def choose(page: Page, number: int) -> None:
    """Click a row until it is the selected one: a click just after the rows moved is refused on purpose."""
    row = page.locator(f'.row[data-incident="{number}"]')
    await expect(row).to_be_visible()
    for _ in range(10):
        await row.locator(".row-open").click()
        with contextlib.suppress(AssertionError):
            await expect(row).to_have_class(re.compile(r"\bselected\b"), timeout=1000)
            return
    raise AssertionError(f"expected incident {number} to be selected after ten clicks")


async def photograph(page: Page, name: str) -> None:
    """Keep a picture for people to look at."""
    if PICTURES_DIR:
        await page.screenshot(path=f"{PICTURES_DIR}/{name}.png")


async def violations(page: Page) -> list[str]:
    """What axe-core finds: rule, and the first element that breaks it."""
    await page.evaluate(AXE_FILE.read_text(encoding="utf-8"))
    found: list[str] = await page.evaluate(
        f"axe.run(document, {_RULES}).then(({{ violations }}) => violations.map(({{ id, nodes }}) => `${{id}}: ${{nodes[0].html}} ${{nodes[0].failureSummary}}`))"
    )
    return found
