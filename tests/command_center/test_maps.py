"""What the console's map lies on: files that the operator named, and nothing else."""

from pathlib import Path

import pytest
from PIL import Image

from tests.command_center.house import running_center

CORNERS = "[[52.5, 13.3], [52.51, 13.32]]"


async def test_without_files_there_is_a_grid_and_nobody_is_shown_one_unasked(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.browser() as stranger:
        assert (await stranger.get("/api/v1/map")).status_code == 401
        assert (await stranger.get("/api/v1/map/base.pmtiles")).status_code == 401
        async with house.signed_in() as browser:
            assert (await browser.get("/api/v1/map")).json() == {"base_url": None, "plan": None}
            assert (await browser.get("/api/v1/map/base.pmtiles")).status_code == 404
            assert (await browser.get("/api/v1/map/plan")).status_code == 404


async def test_an_archive_is_read_in_ranges_and_a_plan_lies_between_its_corners(tmp_path: Path) -> None:
    archive, plan = tmp_path / "city.pmtiles", tmp_path / "plan.png"
    archive.write_bytes(bytes(range(256)) * 100)
    Image.new("RGB", (20, 10), "white").save(plan)
    async with running_center(tmp_path / "center") as house:
        file = house.state.config_file
    file.write_text(
        f'{file.read_text()}\n[map]\nbase_file = "{archive}"\nplan_file = "{plan}"\nplan_corners = {CORNERS}\n'
    )
    async with running_center(tmp_path / "center") as house, house.signed_in() as browser:
        ground = (await browser.get("/api/v1/map")).json()
        assert ground["plan"] == {"url": "/api/v1/map/plan", "south": 52.5, "west": 13.3, "north": 52.51, "east": 13.32}
        piece = await browser.get(ground["base_url"], headers={"Range": "bytes=256-511"})
        assert piece.status_code == 206
        assert piece.content == bytes(range(256))
        picture = await browser.get(ground["plan"]["url"])
        assert picture.headers["content-type"] == "image/png"


@pytest.mark.parametrize("name", ["plan.svg", "plan.html", "plan"])
async def test_a_plan_in_which_a_script_could_stand_is_not_served(tmp_path: Path, name: str) -> None:
    plan = tmp_path / name
    plan.write_text("<script>alert(1)</script>")
    async with running_center(tmp_path / "center") as house:
        file = house.state.config_file
    file.write_text(f'{file.read_text()}\n[map]\nplan_file = "{plan}"\nplan_corners = {CORNERS}\n')
    async with running_center(tmp_path / "center") as house, house.signed_in() as browser:
        assert (await browser.get("/api/v1/map/plan")).status_code == 404
