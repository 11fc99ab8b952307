"""The map in real Chromium: on a raster archive, on a vector archive, on a plan of the site; layers, and something gets its place."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from command_center.config import CenterConfig, MapConfig
from relay.kinds.heartbeat import CameraState
from tests.command_center.console_desk import IN_CHROMIUM, alarm, center_of_today, photograph, room
from tests.command_center.console_scene import path, word

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
EXTENT = 4096
WORLD = (-1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000)
PNG, MVT = 2, 1
PIXEL = """async ([x, y]) => {
  const box = document.querySelector(".map").getBoundingClientRect();
  for (const canvas of document.querySelectorAll(".map canvas.leaflet-tile")) {
    const at = canvas.getBoundingClientRect(), [left, top] = [box.left + x * box.width - at.left, box.top + y * box.height - at.top];
    if (left < 0 || top < 0 || left >= at.width || top >= at.height) continue;
    return [...canvas.getContext("2d").getImageData(left * canvas.width / at.width, top * canvas.height / at.height, 1, 1).data];
  }
  return null;
}"""


# ---------------------------------------------------------------------- archives, as PMTiles version 3 says


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(found) + bytes([value])


def archive_of_one_tile(tile: bytes, kind: int) -> bytes:
    """The whole world as one tile."""
    directory, metadata = bytes([1, 0, 1]) + varint(len(tile)) + bytes([1]), b"{}"
    starts = 127, 127 + len(directory), 127 + len(directory) + len(metadata)
    sizes = (starts[0], len(directory), starts[1], len(metadata), starts[2], 0, starts[2], len(tile), 1, 1, 1)
    header = b"PMTiles\x03" + struct.pack("<11Q6B4iB2i", *sizes, 1, 1, 1, kind, 0, 0, *WORLD, 0, 0, 0)
    return header + directory + metadata + tile


def green_png() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (256, 256), "#3a5f4a").save(held, "PNG")
    return held.getvalue()


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def rectangle(left: int, top: int, right: int, bottom: int) -> bytes:
    """A polygon's geometry (Mapbox Vector Tile 2.1, section 4.3): move to, three lines, close."""

    def zigzag(value: int) -> int:
        return value << 1 ^ value >> 31

    steps = [9, zigzag(left), zigzag(top), 26, zigzag(right - left), 0, 0, zigzag(bottom - top), zigzag(left - right), 0, 15]  # fmt: skip
    return b"".join(varint(step) for step in steps)


def layer(name: str, kind: str, geometry: bytes) -> bytes:
    """One layer of one polygon whose ``kind`` says what it is."""
    feature = field(2, bytes([0, 0])) + varint(3 << 3) + varint(3) + field(4, geometry)
    return field(3, varint(15 << 3) + varint(2) + field(1, name.encode()) + field(2, feature) + field(3, b"kind")
                 + field(4, field(1, kind.encode())) + varint(5 << 3) + varint(EXTENT))  # fmt: skip


def land_and_water() -> bytes:
    """Land everywhere, water in the western half."""
    return layer("earth", "earth", rectangle(0, 0, EXTENT, EXTENT)) + layer(
        "water", "ocean", rectangle(0, 0, EXTENT // 2, EXTENT)
    )


# ---------------------------------------------------------------------- tests


async def put(page: Page, what: str, lat: str, lon: str) -> None:
    await page.get_by_label("What").select_option(what)
    await page.get_by_label("Latitude").fill(lat)
    await page.get_by_label("Longitude").fill(lon)
    await page.get_by_role("button", name="It stands here").click()


async def test_the_map_lies_on_the_operators_archive_and_something_gets_its_place(tmp_path: Path) -> None:
    archive = tmp_path / "site.pmtiles"
    archive.write_bytes(archive_of_one_tile(green_png(), PNG))
    config = CenterConfig(http="127.0.0.1:0", map=MapConfig(base_file=str(archive)))
    async with center_of_today(tmp_path / "center", config) as house, room(house) as opened:
        node = house.node("gate")
        await house.deliver(node, node.heartbeat())
        page = await opened.at_work("alice")
        await page.keyboard.press("2")
        await expect(page.locator("img.leaflet-tile-loaded").first).to_have_js_property("naturalWidth", 256)
        await put(page, "gate/cam1", "53.5405", "9.984")
        await expect(page.get_by_role("button", name="gate/cam1: seeing")).to_be_visible()
        await photograph(page, "map-archive-dark")
        assert opened.complaints == []


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_vector_archive_is_drawn_in_the_browser_in_the_colors_of_the_theme(tmp_path: Path, theme: str) -> None:
    archive = tmp_path / "city.pmtiles"
    archive.write_bytes(archive_of_one_tile(land_and_water(), MVT))
    config = CenterConfig(http="127.0.0.1:0", map=MapConfig(base_file=str(archive)))
    async with center_of_today(tmp_path / "center", config) as house, room(house) as opened:
        page = await opened.at_work("alice", is_light=theme == "light")
        await page.keyboard.press("2")
        await expect(page.locator(".map canvas.leaflet-tile").first).to_be_visible()
        await page.wait_for_function(f"async () => {{ const at = await ({PIXEL})([0.6, 0.5]); return at !== null && at[3] === 255; }}")  # fmt: skip
        water, land = await page.evaluate(PIXEL, [0.4, 0.5]), await page.evaluate(PIXEL, [0.6, 0.5])
        assert water is not None
        assert water[3] == land[3] == 255, (water, land)
        assert sum(abs(one - other) for one, other in zip(water, land, strict=True)) > 10, "water is not land"
        assert (sum(land[:3]) > 3 * 128) is (theme == "light")
        await photograph(page, f"map-vector-{theme}")
        assert [text for text in opened.complaints if "getImageData" not in text] == [], "of this test's own looks"


async def test_a_plan_of_the_site_lies_between_its_corners_under_its_cameras_and_layers_can_be_left_out(tmp_path: Path) -> None:  # fmt: skip
    plan = tmp_path / "plan.png"
    Image.new("RGB", (400, 200), "#27445c").save(plan)
    corners = ((53.539, 9.98), (53.542, 9.99))
    config = CenterConfig(http="127.0.0.1:0", map=MapConfig(plan_file=str(plan), plan_corners=corners))
    async with center_of_today(tmp_path / "center", config) as house, room(house) as opened:
        gate = house.node("gate")
        await word(house, gate, ("yard", CameraState.SEEING, ""), ("quay", CameraState.LOST, "unplugged"), paths=(path("lte", 60),))  # fmt: skip
        await alarm(house, gate, camera="yard")
        async with house.signed_in("sergeant") as browser:
            for name, lat, lon in (("gate/yard", 53.54, 9.984), ("gate/quay", 53.541, 9.987)):
                await browser.put(f"/api/v1/places/{name}", json={"lat": lat, "lon": lon})
            await browser.post("/api/v1/units", json={"name": "M21", "capabilities": []})
            await browser.post("/api/v1/units/M21/position", json={"lat": 53.5404, "lon": 9.9865})
        page = await opened.at_work("alice")
        await page.keyboard.press("2")
        picture = page.get_by_role("img", name="Site plan")
        await expect(picture).to_have_js_property("naturalWidth", 400)
        yard, quay, unit = (page.get_by_role("button", name=name) for name in ("gate/yard: 1 open incident", "gate/quay: lost", "M21: out of service"))  # fmt: skip
        box, camera = await picture.bounding_box(), await yard.locator(".map-sign").bounding_box()
        assert box is not None
        assert camera is not None
        across = (camera["x"] + camera["width"] / 2 - box["x"]) / box["width"]
        assert 0.35 < across < 0.45, "four tenths of the way from the plan's western edge"
        await photograph(page, "map-plan-dark")
        layers = page.get_by_role("group", name="Layers")
        await layers.get_by_role("button", name="Units").click()
        await expect(unit).to_have_count(0)
        await layers.get_by_role("button", name="Cameras").click()
        await expect(quay).to_have_count(0)
        await expect(yard).to_be_visible()  # an open incident is shown whatever is left out
        await yard.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail")).to_contain_text("Handgun", ignore_case=True)
        assert opened.complaints == []
