"""What goes wrong at a desk: a cut line, a center that restarts, stale clicks, double presses, hostile pictures; in real Chromium."""

import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright, expect

from command_center.config import CenterConfig
from relay.precedence import Precedence
from tests.command_center.cable import Cable
from tests.command_center.console_desk import (
    CHROMIUM_FILE,
    IN_CHROMIUM,
    Room,
    alarm,
    center_of_today,
    choose,
    photograph,
    room,
    violations,
)
from tests.command_center.house import PASSWORD, running_center
from tests.evidence.scene import picture, show

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
MISSED = 25
CLICK_AS_ROWS_MOVE = """() => { const scroller = document.querySelector("#queue"), pressed = document.querySelector('.row[data-incident="1"] .acknowledge');
  const { x, y, width, height } = pressed.getBoundingClientRect();
  new MutationObserver((_, watching) => { const under = document.elementFromPoint(x + width / 2, y + height / 2);
    if (!under?.closest('.row[data-incident="2"]')) return; watching.disconnect(); window.hit = under.className; under.click(); })
    .observe(scroller, { childList: true, subtree: true, attributes: true }); }"""


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        yield opened


def posts(page: Page, address: str) -> list[str]:
    """What this window sends to an address that ends so; filled as it goes out."""
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" and re.search(address, asked.url) else None)  # fmt: skip
    return sent


async def sign_in_at(page: Page, url: str, name: str) -> None:
    await page.goto(url)
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.locator("#stream-state")).to_contain_text("Live")


async def test_a_line_that_was_cut_is_told_loudly_and_afterwards_every_event_is_there_and_none_twice(desk_room: Room) -> None:  # fmt: skip
    house = desk_room.house
    gate = house.node("gate")
    await house.add_user("alice")
    port = urlsplit(house.center.url).port
    assert port is not None
    async with Cable(port).laid() as cable:
        page = await desk_room.window()
        await sign_in_at(page, cable.url, "alice")
        await alarm(house, gate, camera="first")
        await expect(page.locator(".row")).to_have_count(1)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path + "?" + urlsplit(request.url).query))
        cable.cut()
        banner = page.locator("#stream-banner")
        await expect(banner).to_contain_text("This screen has not changed since")
        await expect(page.locator("#stale-mark")).to_contain_text("NOT LIVE since")
        await expect(page).to_have_title(re.compile("^NOT LIVE"))
        await photograph(page, "stream-lost-dark")
        assert await violations(page) == []
        await page.keyboard.press("4")
        await expect(page.locator("tr.node .node-state")).to_have_text(re.compile("^was "))
        await expect(page.get_by_role("region", name="Waiting to come in")).not_to_contain_text("(0)")
        await page.keyboard.press("1")
        assert cable.cut_count > 0
        for number in range(MISSED):
            await alarm(house, gate, camera=f"missed{number}", precedence=Precedence.FLASH)
        async with house.signed_in("bob") as bob:
            await bob.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
        cable.mend()
        await page.get_by_role("button", name="Try now").click()
        await expect(banner).to_contain_text("Live again.")
        await expect(page.locator("#summary")).to_contain_text(
            f"{MISSED} unacknowledged, {MISSED} FLASH · {MISSED + 1} open"
        )
        await expect(page.locator("#stale-mark")).to_be_hidden()
        resumed = [address for address in asked if address.startswith("/api/v1/events?after=")]
        assert resumed, "the stream went on"
        assert not any(address.startswith("/api/v1/incidents?") for address in asked), "from the last event, not anew"
        await page.get_by_role("button", name="All", exact=True).click()
        await expect(page.locator("#queue")).to_have_attribute("style", re.compile("height"))
        assert await house.query("SELECT COUNT(*) FROM incident") == [(MISSED + 1,)]


async def test_a_center_that_restarts_finds_its_consoles_waiting_and_they_go_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = CenterConfig(http=f"127.0.0.1:{port}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu"]
        )
        async with center_of_today(tmp_path / "center", config) as house:
            clock = house.clock
            await alarm(house, house.node("gate"), camera="before")
            page = await Room(browser, house).at_work("alice")
            await expect(page.locator(".row")).to_have_count(1)
        await expect(page.locator("#stream-banner")).to_contain_text("Stream lost.")
        async with running_center(tmp_path / "center", clock=clock, config=config) as house:
            house._serial = 50  # passports go on counting where the first run's ended
            await alarm(house, house.node("yard"), camera="after")
            await expect(page.locator("#stream-banner")).to_contain_text("Live again.", timeout=30_000)
            await expect(page.locator("#summary")).to_contain_text("2 unacknowledged, 2 FLASH · 2 open")
            await page.keyboard.press("n")
            await page.keyboard.press("a")
            await expect(page.locator('.row[data-incident="2"]')).to_contain_text("Acknowledged by alice")
        await browser.close()


async def test_a_click_aimed_before_the_rows_moved_acknowledges_nothing(desk_room: Room) -> None:
    house = desk_room.house
    gate = house.node("gate")
    await alarm(house, gate, camera="old")
    page = await desk_room.at_work("alice")
    await expect(page.locator(".row")).to_have_count(1)
    await page.mouse.move(5, 5)
    sent = posts(page, "/acknowledge$")
    await page.evaluate(CLICK_AS_ROWS_MOVE)
    await alarm(house, gate, camera="new")  # it takes the place of the one that the hand aims at
    await expect(page.locator('.row[data-incident="2"]')).to_contain_text("The queue just moved. Press again.")
    assert "acknowledge" in await page.evaluate("window.hit"), "the click did hit the other incident's button"
    assert sent == []
    assert await house.query("SELECT COUNT(*) FROM incident WHERE state != 'unacknowledged'") == [(0,)]
    await choose(page, 2)
    await expect(page.locator(".detail-content > .notice")).to_have_text("")  # answered, it goes


async def test_two_presses_are_one_act(desk_room: Room) -> None:
    house = desk_room.house
    await alarm(house, house.node("gate"))
    page = await desk_room.at_work("alice")
    await expect(page.locator(".row")).to_have_count(1)
    acknowledged, noted, handed = posts(page, "/acknowledge$"), posts(page, "/notes$"), posts(page, "/handovers$")
    await page.evaluate("for (let at = 0; at < 3; at += 1) document.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true }))")  # fmt: skip
    await expect(page.locator("#detail")).to_contain_text("Acknowledged by alice")
    await page.get_by_label("Note", exact=True).fill("white van")
    await page.evaluate("for (let at = 0; at < 2; at += 1) document.querySelector('.note-line').requestSubmit()")
    await expect(page.locator(".notes")).to_contain_text("white van")
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Handover").click()
    await page.get_by_role("button", name="Hand over").dblclick()
    await expect(page.get_by_role("region", name="Last handover")).to_contain_text("Nobody has taken over yet")
    assert (len(acknowledged), len(noted), len(handed)) == (1, 1, 1)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind IN ('incident-acknowledged', 'note-written')") == [(2,)]  # fmt: skip
    assert desk_room.complaints == []


HOSTILE = {
    "noise": (os.urandom(600), "image/jpeg"),
    "a drawing with a script": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.harmed=1'><script>window.harmed=1</script></svg>", "image/svg+xml"),
    "a page": (b"<!doctype html><script>window.harmed=1</script>", "image/png"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(HOSTILE))
async def test_a_picture_that_is_none_is_said_to_be_missing_and_runs_nothing(desk_room: Room, what: str) -> None:
    house = desk_room.house
    gate = house.node("gate")
    alert = gate.alert()
    await house.deliver(gate, alert)
    data, media_type = HOSTILE[what]
    await show(house, gate, alert.id, data, media_type=media_type)
    page = await desk_room.at_work("alice")
    await expect(page.locator("#detail .picture-words")).to_contain_text("Picture not available")
    assert await page.evaluate("window.harmed") is None
    desk_room.complaints[:] = [text for text in desk_room.complaints if "404" not in text]
    assert desk_room.complaints == []


@pytest.mark.parametrize("size", [(16, 4000), (4000, 16)])
async def test_a_picture_of_any_shape_stays_in_its_place(desk_room: Room, size: tuple[int, int]) -> None:
    house = desk_room.house
    gate = house.node("gate")
    alert = gate.alert()
    await house.deliver(gate, alert)
    await show(house, gate, alert.id, picture("x", size=size))
    page = await desk_room.at_work("alice")
    await expect(page.locator("#detail .picture img")).to_have_js_property("complete", value=True)
    frame, pane = await page.locator("#detail .picture").bounding_box(), await page.locator("#detail").bounding_box()
    assert frame is not None
    assert pane is not None
    assert frame["height"] <= 0.5 * pane["height"] + 96
    assert frame["x"] + frame["width"] <= pane["x"] + pane["width"]
    assert await page.evaluate("document.documentElement.scrollWidth") <= 1280
