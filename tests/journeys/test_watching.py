"""Watching live, the whole way: a real Chromium, and WHEP clients that are not ours, against a real center and a real node."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from playwright.async_api import Page, async_playwright, expect

from command_center.live.facts import LiveOpened
from relay.header import Kind
from relay.kinds.alert import Alert, Rule
from relay.precedence import Precedence
from tests.camera_node.viewer import viewer
from tests.camera_node.waiting import until
from tests.command_center.test_live import journalled
from tests.journeys.live_house import GATE, LiveHouse, live_house

CHROMIUM_FILE = Path("/usr/bin/chromium")
APP_DIR = Path(__file__).parents[2] / "command_center" / "console" / "app"
WHEP_CLIENT_FILE = APP_DIR / "node_modules" / "whip-whep" / "whep.js"
"""The WHEP draft's author's own client, of its npm package."""
WHY = {"reason": "a person at the fence"}

COUNT_FRAMES = """
const video = document.createElement("video");
video.muted = true; video.autoplay = true;
document.body.append(video);
window.shown = 0;
const count = () => { window.shown += 1; video.requestVideoFrameCallback(count); };
video.requestVideoFrameCallback(count);
const pc = new RTCPeerConnection();
window.pc = pc;
pc.addTransceiver("video", {direction: "recvonly"});
pc.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); };
"""


@contextlib.asynccontextmanager
async def page_of(house: LiveHouse, html: str) -> AsyncIterator[Page]:
    """A page of the center's own origin, as a player that somebody embeds there would be."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE,
            args=["--no-sandbox", "--disable-gpu", "--allow-loopback-in-peer-connection"],
        )
        try:
            page = await (await browser.new_context()).new_page()
            page.on("console", lambda message: print("page:", message.text))

            async def serve(route: Any) -> None:
                if route.request.url.endswith("whep.js"):
                    await route.fulfill(path=WHEP_CLIENT_FILE, content_type="text/javascript")
                else:
                    await route.fulfill(body=html, content_type="text/html")

            await page.route("**/watching/*", serve)
            await page.goto(f"{house.url}/watching/page.html")
            yield page
        finally:
            await browser.close()


async def shown(page: Page, least: int) -> None:
    await page.wait_for_function(f"window.shown >= {least}", timeout=40_000)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none")
async def test_the_whep_drafts_own_client_shows_the_camera_in_chromium(tmp_path: Path) -> None:
    async with live_house(tmp_path) as house, house.signed_in() as client:
        secret = await house.token(client, "video.watch")
        html = f"""<!doctype html><body><script type="module">
        import {{ WHEPClient }} from "/watching/whep.js";
        {COUNT_FRAMES}
        window.client = new WHEPClient();
        await client.view(pc, location.origin + "{GATE}?reason=a+person+at+the+fence", "{secret}");
        </script>"""
        async with page_of(house, html) as page:
            await shown(page, 15)
            (opened,) = await journalled(house.house, "live-opened", LiveOpened)
            assert (opened.by, opened.reason, opened.way) == ("alice", WHY["reason"], "webrtc")
            await until(lambda: [v.rung for v in house.node.live.report().viewings] == ["main"], within_s=20)
            await page.evaluate("window.client.stop()")
            await until(lambda: house.node.live.report().viewings == (), within_s=20, what="the node stops")
        assert house.house.services.live.count == 0


async def test_a_client_on_another_webrtc_stack_is_cut_with_its_session(tmp_path: Path) -> None:
    async with live_house(tmp_path) as house, house.signed_in() as client, viewer() as eyes:
        answer = await client.post(
            GATE, content=await eyes.offer(), params=WHY, headers={"Content-Type": "application/sdp"}
        )
        assert answer.status_code == 201, answer.text
        await eyes.accept(answer.text)
        await until(lambda: len(eyes.frames) > 5, within_s=30, what="pictures come")
        assert (await client.delete("/api/v1/session")).status_code == 204
        await until(lambda: "closed" in eyes.states, within_s=20, what="the viewer is cut off")


async def test_stills_come_the_whole_way_where_no_video_does(tmp_path: Path) -> None:
    async with live_house(tmp_path) as house, house.signed_in() as client:
        answer = await client.post(f"{GATE}/stills", params=WHY)
        assert answer.status_code == 201, answer.text
        place, number = answer.headers["location"], 0
        for _ in range(3):
            still = await client.get(f"{place}/still", params={"after": number})
            assert still.status_code == 200, still.text
            assert still.content[:2] == b"\xff\xd8"
            assert int(still.headers["x-heard-still"]) > number
            number = int(still.headers["x-heard-still"])
        await client.delete(place)
        await until(lambda: house.node.live.report().viewings == (), within_s=20, what="the node stops")


async def test_revoked_node_shows_nothing_any_more(tmp_path: Path) -> None:
    from command_center.commands import NodeStanding

    async with live_house(tmp_path) as house, house.signed_in() as client, viewer() as eyes:
        answer = await client.post(
            GATE, content=await eyes.offer(), params=WHY, headers={"Content-Type": "application/sdp"}
        )
        await eyes.accept(answer.text)
        await until(lambda: len(eyes.frames) > 5, within_s=30, what="pictures come")
        await asyncio.wait_for(
            house.house.center.administration.perform(NodeStanding(name="gate", standing="revoked")), 20
        )
        await until(lambda: "closed" in eyes.states, within_s=20, what="the viewer is cut off")


@contextlib.asynccontextmanager
async def console_of(house: LiveHouse, script: str = "") -> AsyncIterator[Page]:
    """The console with one incident of the camera open; a browser that complains of nothing."""
    await house.house.add_user("alice")
    alert = Alert(label="handgun", camera="gate", confidence=0.9, rule=Rule.CLASS_OF_INTEREST, age_ms=40)
    await house.node.station.put(house.node.station.draft_up(Kind.ALERT, Precedence.FLASH, alert.encode()))
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE,
            args=["--no-sandbox", "--disable-gpu", "--allow-loopback-in-peer-connection"],
        )
        page = await (await browser.new_context(viewport={"width": 1400, "height": 1000})).new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(40_000)
        await page.add_init_script(script)
        await page.goto(house.url)
        await page.get_by_label("Username").fill("alice")
        await page.get_by_label("Password").fill("correct horse battery")
        await page.get_by_role("button", name="Sign in").click()
        try:
            yield page
        finally:
            await browser.close()
    assert complaints == []


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none")
async def test_console_shows_stills_through_the_relay_where_no_connection_comes_about(tmp_path: Path) -> None:
    # As behind a firewall that lets nothing through: every check of the way fails.
    blocked = """
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (said) {
      return original.call(this, {type: said.type, sdp: said.sdp.replace(/a=ice-pwd:.*/g, "a=ice-pwd:" + "x".repeat(22))});
    };
    """
    async with live_house(tmp_path) as house, console_of(house, blocked) as page:
        await page.get_by_role("button", name="Watch gate live").click()
        await expect(page.locator('section.live[data-rung="relay-stills"] img')).to_be_visible(timeout=60_000)
        first = await page.locator("section.live img").get_attribute("src")
        await expect(page.locator("section.live img")).not_to_have_attribute("src", first or "", timeout=40_000)
        await expect(page.locator("section.live")).to_contain_text("no connection came about")


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none")
async def test_dispatcher_watches_the_incidents_camera_in_the_console_until_the_node_stops_it(tmp_path: Path) -> None:
    async with live_house(tmp_path) as house, console_of(house) as page:
        await page.set_viewport_size({"width": 1366, "height": 700})
        await page.get_by_role("button", name="Watch gate live").click()
        live = page.locator("section.live")
        await expect(page.locator('section.live[data-phase="video"]')).to_be_visible(timeout=40_000)
        await expect(live.locator("video")).to_be_in_viewport(ratio=0.98)  # all of a picture of 4:3, in a low window
        await expect(live.get_by_role("heading")).to_have_text("● Live")
        await expect(live.locator(".live-status")).to_have_text(
            re.compile(r"picture \d+ ms old · .*bit/s · .* % lost · first picture after \d"), timeout=40_000
        )
        (opened,) = await journalled(house.house, "live-opened", LiveOpened)
        assert (opened.by, opened.incident) == ("alice", 1)
        # The node stops showing it, as when somebody revokes it: the picture goes, and the page says why.
        await house.house.services.live.end(house.house.services.live.all()[0], "the node was revoked")
        await expect(live.get_by_role("alert")).to_have_text("Ended: the node was revoked.", timeout=40_000)
        await expect(live.locator("video")).to_have_count(0)
        await live.get_by_role("button", name="Watch again").click()
        await expect(page.locator('section.live[data-phase="video"]')).to_be_visible(timeout=40_000)
        await live.get_by_role("button", name="Stop watching").click()
        await expect(live).to_contain_text("You stopped watching.")
        await until(lambda: house.house.services.live.count == 0, within_s=20, what="the center knows that it is over")
        await until(lambda: house.node.live.report().viewings == (), within_s=20, what="the node stops")
