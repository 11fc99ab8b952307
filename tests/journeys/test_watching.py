"""Watching live, the whole way: a real Chromium, and WHEP clients that are not ours, against a real centre and a real node."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from playwright.async_api import Page, async_playwright

from command_center.live.facts import LiveOpened
from tests.camera_node.viewer import viewer
from tests.camera_node.waiting import until
from tests.command_center.test_live import journalled
from tests.journeys.live_house import GATE, LiveHouse, live_house

CHROMIUM_FILE = Path("/usr/bin/chromium")
WHEP_CLIENT_FILE = Path(__file__).parent / "data" / "whep.js"
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
    """A page of the centre's own origin, as a player that somebody embeds there would be."""
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
