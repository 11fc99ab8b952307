"""Exports at the console: how far they are, stopped, by camera and by time, and a download that was cut off and goes on."""

import hashlib
import io
import threading
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from command_center.accounts import UserRole
from command_center.evidence.export import Exported, NoteStep
from command_center.evidence.progress import Progress
from command_center.evidence.selection import Selection
from tests.command_center.console_desk import IN_CHROMIUM, Room, alarm, center_of_today, photograph, room
from tests.evidence.scene import wrong_in

pytestmark = [*IN_CHROMIUM]


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    async with center_of_today(tmp_path / "center") as house, room(house) as made:
        yield made


async def test_an_auditor_watches_stops_orders_by_camera_and_time_and_goes_on_with_a_download(
    desk_room: Room, tmp_path: Path
) -> None:
    house, gate = desk_room.house, threading.Event()
    await alarm(house, house.node("gate"), camera="cam1")
    await alarm(house, house.node("yard"), camera="cam9")

    def slow(target_file: Path, progress: Progress, note: NoteStep, name: str) -> Exported:
        progress.enter("pictures and clips", 10_000_000)
        progress.advance(4_000_000)
        gate.wait(60)
        progress.advance(1)
        raise AssertionError("it was stopped before")

    page = await desk_room.at_work("vera", UserRole.AUDITOR, width=1400)
    await page.keyboard.press("7")
    await page.get_by_role("button", name="Export", exact=True).first.click()
    name = house.services.exports.order(Selection(is_all=True), "vera", slow)
    bar = page.get_by_role("progressbar", name=f"Export {name}")
    await expect(bar).to_have_attribute("value", "4000000")
    await expect(bar).to_have_attribute("max", "10000000")
    await photograph(page, "export-progress-dark")
    async with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await page.get_by_role("button", name="Stop").click()
    gate.set()  # not before the center knows: the export would be through with it first
    await expect(page.get_by_role("list", name="Exports")).to_contain_text("× stopped by vera: nothing was exported")
    order = page.get_by_role("form", name="Order an export")
    await page.get_by_label("camera").fill("cam9")
    await order.get_by_role("button", name="Export").click()
    jobs = page.get_by_role("list", name="Exports")
    await expect(jobs).to_contain_text("incidents camera cam9")
    await page.get_by_label("or since").fill("2020-01-01T00:00")
    await page.get_by_label("until").fill("2099-01-01T00:00")
    await order.get_by_role("button", name="Export").click()
    await expect(jobs).to_contain_text("incidents from 2020-01-0")
    links = page.get_by_role("link", name="Download")
    await expect(links).to_have_count(2, timeout=60_000)
    await photograph(page, "exports-dark")
    address = house.center.url + str(await links.first.get_attribute("href"))
    cookies = {str(cookie.get("name")): str(cookie.get("value")) for cookie in await page.context.cookies()}
    bag = await _cut_off_and_gone_on_with(address, cookies)
    bag_file = tmp_path / "bag.zip"
    bag_file.write_bytes(bag)
    assert wrong_in(bag_file) == ""
    shown = await jobs.inner_text()
    with_manifest = hashlib.sha256(_member(bag, "tagmanifest-sha256.txt")).hexdigest()
    assert with_manifest in shown, "the console names what the whole bag hangs on"
    await page.get_by_label("camera").fill("cam9")
    await page.get_by_label("fetch clips from nodes first").check()
    async with page.expect_request(lambda request: request.method == "POST" and "/exports" in request.url) as ordered:
        await order.get_by_role("button", name="Export").click()
    asked = (await ordered.value).post_data_json
    assert asked is not None
    assert (asked["camera"], asked["fetch"], asked["partial"]) == ("cam9", True, True)
    await expect(jobs).to_contain_text("fetching clips from nodes")
    await page.get_by_role("button", name="Stop").click()
    await expect(jobs).not_to_contain_text("fetching clips from nodes")


async def _cut_off_and_gone_on_with(address: str, cookies: dict[str, str]) -> bytes:
    """What a browser does: the line is cut in the middle, and the rest is asked for by range."""
    async with httpx.AsyncClient(cookies=cookies, timeout=60) as client:
        async with client.stream("GET", address) as first:
            assert first.status_code == 200
            length, tag = int(first.headers["content-length"]), first.headers["etag"]
            async for piece in first.aiter_raw(length // 3):
                begun = piece
                break
        assert 0 < len(begun) < length, "it was cut off"
        rest = await client.get(address, headers={"Range": f"bytes={len(begun)}-", "If-Range": tag})
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes {len(begun)}-{length - 1}/{length}"
    return begun + rest.content


def _member(bag: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(bag)) as made:
        return made.read(next(item for item in made.namelist() if item.endswith(f"/{name}")))
