"""What is given away: masked copies, the plan of the site, the object for another agency's system, the database for anybody."""

import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from command_center import check
from command_center.accounts import UserRole
from command_center.commands import Outcome
from command_center.custody.commands import RedactionList, RedactionSet
from command_center.errors import BadRequest, NotFound, NotPossible
from command_center.evidence import masking
from command_center.evidence.eido import INCIDENT_TYPES
from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.identity import Identity
from tests.command_center.house import House, running_center
from tests.evidence.eido_schema import INCIDENT_TYPES as CODES
from tests.evidence.eido_schema import SCHEMA
from tests.evidence.scene import make, picture, play, seal_again, show, unpack, wrong_in

FACE = (10, 8, 30, 24)


def checkered() -> bytes:
    """A picture whose every detail would be seen through a weak mask."""
    image = Image.new("RGB", (64, 48))
    image.putdata([(255, 255, 255) if (n % 64 + n // 64) % 2 else (0, 0, 0) for n in range(64 * 48)])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def pixels(data: bytes, region: tuple[int, int, int, int]) -> list[tuple[int, int, int]]:
    left, top, width, height = region
    with Image.open(io.BytesIO(data)) as image:
        part = image.convert("RGB").crop((left, top, left + width, top + height))
        return [part.getpixel((x, y)) for y in range(part.height) for x in range(part.width)]  # type: ignore[misc]


def test_black_and_blur_leave_nothing_of_the_region_and_the_rest_as_it_was() -> None:
    for mode, most in (("black", 24), ("blur", 60)):
        masked = masking.mask(checkered(), mode, [FACE])
        inside = pixels(masked, (FACE[0] + 8, FACE[1] + 8, 8, 8))  # whole JPEG blocks within
        assert max(max(one) for one in inside) - min(min(one) for one in inside) <= most, mode
        outside = pixels(masked, (48, 36, 16, 12))
        assert max(max(one) for one in outside) > 200
        assert masked == masking.mask(checkered(), mode, [FACE]), "the same bytes again"


def test_metadata_does_not_come_along() -> None:
    image = Image.new("RGB", (32, 32), (9, 9, 9))
    exif = Image.Exif()
    exif[270] = "the secret caption"
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif, comment=b"the secret caption")
    assert b"secret" in stream.getvalue()
    assert b"secret" not in masking.mask(stream.getvalue(), "black", [(0, 0, 4, 4)])


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 not a picture", b"GIF89a" + bytes(40)])
def test_what_cannot_be_drawn_is_withheld(data: bytes) -> None:
    with pytest.raises(masking.CannotMask):
        masking.mask(data, "black", [FACE])
    with pytest.raises(masking.CannotMask, match="regions within"):
        masking.mask(checkered(), "black", [(60, 0, 10, 10)])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_center(tmp_path / "center") as made:
        await play(made)
        yield made


async def test_redactions_over_the_api_and_what_is_refused(house: House) -> None:
    sha256 = hashlib.sha256(picture("first")).hexdigest()
    body = {"mode": "black", "regions_px": [list(FACE)], "reason": "a bystander"}
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        done = await client.put(f"/api/v1/redactions/{sha256}", json=body)
        assert done.status_code == 200, done.text
        (shown,) = done.json()["redactions"]
        assert (shown["mode"], shown["by"], shown["regions_px"]) == ("black", "sam", [list(FACE)])
        assert [number[-6:] for number in shown["incidents"]] == ["000001"]
        for changes, status, text in (({"regions_px": [[60, 0, 10, 10]]}, 422, "within 64 x 48"), ({"regions_px": []}, 422, "regions"),
                                      ({"reason": " "}, 422, "a reason"), ({"mode": "sepia"}, 422, "")):  # fmt: skip
            answer = await client.put(f"/api/v1/redactions/{sha256}", json=body | changes)
            assert (answer.status_code, text in answer.text) == (status, True), answer.text
        assert (await client.put("/api/v1/redactions/" + "0" * 64, json=body)).status_code == 404
        assert (await client.delete(f"/api/v1/redactions/{sha256}?reason=order+of+court")).status_code == 204
        assert (await client.get("/api/v1/redactions")).json() == {"redactions": []}
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        assert (await client.put(f"/api/v1/redactions/{sha256}", json=body)).status_code == 403
        refused = await client.post("/api/v1/exports", json={"incidents": ["1"], "unredacted": True})
        assert (refused.status_code, "by supervisors" in refused.text) == (403, True)
    kinds = await house.query(
        "SELECT COUNT(*) FROM entry WHERE kind = 'redaction-set' AND subject = ?", f"object:{sha256}"
    )
    assert kinds == [(2,)]


async def test_regions_are_bounded_by_the_picture_and_not_by_what_its_node_says_of_it(house: House) -> None:
    node = house.node("liar")
    alert, large = node.alert(camera="cam2"), picture("large", size=(320, 240))
    await house.deliver(node, alert)
    sha256 = (await show(house, node, alert.id, large)).hex()  # its exhibit says 64 x 48
    body = {"mode": "black", "regions_px": [[300, 200, 20, 40]], "reason": "a bystander"}
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        subject = (await client.get(f"/api/v1/redactions/{sha256}")).json()
        assert (subject["width_px"], subject["height_px"]) == (320, 240)
        assert (subject["media_type"], subject["is_here"]) == ("image/jpeg", True)
        beyond = await client.put(f"/api/v1/redactions/{sha256}", json=body | {"regions_px": [[300, 200, 21, 40]]})
        assert (beyond.status_code, "within 320 x 240" in beyond.text) == (422, True)
        assert (await client.put(f"/api/v1/redactions/{sha256}", json=body)).status_code == 200
        assert (await client.get("/api/v1/redactions/" + "0" * 64)).status_code == 404
        not_here = hashlib.sha256(picture("second", size=(320, 240))).hexdigest()
        waited_for = (await client.get(f"/api/v1/redactions/{not_here}")).json()
        assert (waited_for["is_here"], waited_for["width_px"]) == (False, 64)
    async with house.signed_in("dora", UserRole.DISPATCHER) as client:
        assert (await client.get(f"/api/v1/redactions/{sha256}")).status_code == 403


async def test_commands_say_what_is_wrong(house: House) -> None:
    sha256 = hashlib.sha256(picture("first")).hexdigest()

    async def perform(**changes: Any) -> Outcome:
        values = {"sha256": sha256, "mode": "black", "regions_px": (FACE,), "reason": "x"} | changes
        return await house.center.administration.perform(RedactionSet(**values))

    with pytest.raises(BadRequest, match="hexadecimal"):
        await perform(sha256="no")
    with pytest.raises(NotFound, match="no exhibit names"):
        await perform(sha256="00" * 32)
    with pytest.raises(NotPossible, match="expected black"):
        await perform(mode="sepia")
    await perform()
    listed = await house.center.administration.perform(RedactionList())
    assert listed.lines[0].startswith(sha256)


# ---------------------------------------------------------------------- in the bag


async def _redacted(house: House) -> None:
    await play(house)
    node = house.node("pier")
    alert = node.alert(camera="cam3", label="person")
    await house.deliver(node, alert)
    clip = await show(house, node, alert.id, b"moving pictures" * 500, media_type="video/mp4")
    broken = await show(house, node, alert.id, b"\xff\xd8\xff\xe0 not a picture")
    await house.center.administration.perform(
        RedactionSet(
            sha256=hashlib.sha256(picture("first")).hexdigest(), mode="black", regions_px=(FACE,), reason="a bystander"
        )
    )
    await house.center.administration.perform(RedactionSet(sha256=clip.hex(), mode="withhold", reason="a minor"))
    await house.center.administration.perform(
        RedactionSet(sha256=broken.hex(), mode="blur", regions_px=((0, 0, 4, 4),), reason="a bystander")
    )
    with pytest.raises(NotPossible, match="a clip can only be withheld"):
        await house.center.administration.perform(
            RedactionSet(sha256=clip.hex(), mode="black", regions_px=(FACE,), reason="x")
        )
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        for name, lat, lon in (("gate/cam1", 52.52, 13.405), ("north", 52.521, 13.406), ("far away", 10.0, 10.0),
                               ("depot", 52.5195, 13.4045)):  # fmt: skip
            answer = await client.put(f"/api/v1/places/{name}", json={"lat": lat, "lon": lon})
            assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def redacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped center with redactions and positions."""
    return make(tmp_path_factory.mktemp("redacted") / "center", _redacted)


@pytest.fixture
def bag_dir(redacted: Path, tmp_path: Path) -> Path:
    center = Path(shutil.copytree(redacted, tmp_path / "center"))
    export(StateDir(center), Selection(is_all=True), tmp_path / "bag.zip", SimulatedClock())
    said = list(claims(tmp_path / "bag.zip"))
    assert any("3 redacted, the digest of each original is listed" in line for line in said)
    return unpack(tmp_path / "bag.zip", tmp_path / "unpacked")


def test_masked_copy_is_in_the_bag_the_original_by_its_digest_only(bag_dir: Path, redacted: Path) -> None:
    stated = json.loads((bag_dir / "data/completeness.json").read_text())
    rows = {row["original_sha256"]: row for row in stated["redactions"]}
    original = hashlib.sha256(picture("first")).hexdigest()
    assert (rows[original]["mode"], rows[original]["why"]) == ("black", "a bystander")
    masked = bag_dir / "data" / rows[original]["file"]
    assert hashlib.sha256(masked.read_bytes()).hexdigest() == masked.stem
    assert {row["mode"] for sha256, row in rows.items() if sha256 != original} == {"withhold"}, (
        "also what can't be masked"
    )
    assert [row["file"] for sha256, row in rows.items() if sha256 != original] == [None, None]
    every = b"".join(file.read_bytes() for file in bag_dir.rglob("*") if file.is_file())
    assert picture("first") not in every, "not in the reports either"
    assert picture("yard") in every
    report = (bag_dir / "data/report.html").read_text()
    assert f'<img src="{rows[original]["file"]}"' in report
    assert original in report
    assert check.run(StateDir(redacted)).problems == ()


def test_originals_come_where_they_are_asked_for_and_the_journal_says_so(redacted: Path, tmp_path: Path) -> None:
    center = Path(shutil.copytree(redacted, tmp_path / "center"))
    export(StateDir(center), Selection(incidents=("1",), is_unredacted=True), tmp_path / "bag.zip", SimulatedClock())
    bag = unpack(tmp_path / "bag.zip", tmp_path / "unpacked")
    assert (bag / f"data/media/{hashlib.sha256(picture('first')).hexdigest()}.jpg").exists()
    connection = sqlite3.connect(center / "center.sqlite")
    (payload,) = connection.execute("SELECT payload FROM entry WHERE kind = 'export-started'").fetchone()
    connection.close()
    assert b"with originals of what is redacted" in payload


@pytest.mark.parametrize("what", ["original", "copy gone", "copy stray", "row gone"])
def test_a_redaction_that_does_not_add_up_is_noticed_under_the_centers_own_seal(
    bag_dir: Path, redacted: Path, what: str
) -> None:
    stated_file = bag_dir / "data/completeness.json"
    stated = json.loads(stated_file.read_text())
    row = next(row for row in stated["redactions"] if row["file"])
    if what == "original":
        (bag_dir / f"data/media/{row['original_sha256']}.jpg").write_bytes(picture("first"))
    elif what == "copy gone":
        (bag_dir / "data" / row["file"]).unlink()
    elif what == "copy stray":
        (bag_dir / "data/redactions/more.jpg").write_bytes(b"x")
    else:
        stated["redactions"].remove(row)
        stated_file.write_text(json.dumps(stated))
    seal_again(bag_dir, Identity.load(redacted / "identity.key"))
    assert "redact" in wrong_in(bag_dir)


def test_plan_of_the_site_is_in_both_reports(bag_dir: Path, tmp_path: Path) -> None:
    report = (bag_dir / "data/report.html").read_text()
    assert "gate/cam1 at 52.520000, 13.405000 (WGS 84, as configured); one square is" in report
    assert report.count("<svg ") == 3, "each incident's; a camera without a position stands where its site does"
    assert "far away" not in report
    assert ">depot</text>" in report
    if shutil.which("pdftoppm"):
        subprocess.run(
            ["pdftoppm", "-r", "60", "-png", bag_dir / "data/report.pdf", tmp_path / "page"], check=True, timeout=60
        )
        red = 0
        for file in tmp_path.glob("page-*.png"):
            with Image.open(file) as page:
                colors = page.convert("RGB").getcolors(1 << 20) or []
            red += sum(count for count, (r, g, b) in colors if r > 150 and g < 80 and b < 80)  # type: ignore[misc]
        assert red > 20, "the camera's mark"


def test_no_position_is_said(bag_zip: Path, tmp_path: Path) -> None:
    report = (unpack(bag_zip, tmp_path / "x") / "data/report.html").read_text()
    assert "Nobody has configured a position" in report


# ---------------------------------------------------------------------- for other systems


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"$ref"}:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_eido_has_what_the_standard_requires_and_its_references_resolve(bag_dir: Path) -> None:
    files = sorted((bag_dir / "data/eido").glob("*.json"))
    assert [file.stem for file in files] == [f"INC-2026-00000{n}" for n in (1, 2, 3)]
    said = json.loads(files[0].read_text())
    for name in ("$id", "lastUpdateTimeStamp", "updatedByAgencyReference", "eidoVersion", "issuingElementIdentification",
                 "incidentComponent"):  # fmt: skip
        assert said[name], name
    assert said["incidentComponent"]["incidentTypeCommonRegistryText"] == "WEAPON"
    assert said["incidentComponent"]["internalIncidentId"] == "INC-2026-000001"
    (agency,) = said["agencyComponent"]
    assert agency["agencyType"]
    assert agency["agencyRoleDescriptionRegistryText"]
    (location,) = said["locationComponent"]
    assert location["locationTypeDescriptionRegistryText"]
    from xml.etree import ElementTree as ET

    tree = ET.fromstring(location["locationByValue"].encode())
    assert tree.find(".//{http://www.opengis.net/gml}pos").text == "52.520000 13.405000"  # type: ignore[union-attr]
    components = [item for value in said.values() if isinstance(value, list) for item in value]
    ids = {item["$id"] for item in [*components, said["incidentComponent"]]}
    assert set(references(said)) <= ids
    assert all(note["notesActionComments"] for note in said["notesComponent"])
    alarm = json.loads(said["alarmsSensorsComponent"][0]["csaaAlarmInformation"])
    assert (alarm["label"], alarm["camera"]) == ("handgun", "cam1")


def test_eido_holds_to_the_published_schema_in_every_state(bag_dir: Path, tmp_path: Path) -> None:
    """Open, closed with a code, closed without one; with pictures, masked ones and none."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="jsonschema_rs is not installed")

    async def story(house: House) -> None:
        async with house.signed_in() as client:
            closings = (("fire", "gone_on_arrival"), ("umbrella", "handled"), ("knife", "duplicate"), ("smoke", ""))
            for number, (label, disposition) in enumerate(closings, start=1):
                node = house.node(label)
                alert = node.alert(label=label, camera=label)
                await house.deliver(node, alert)
                if label != "umbrella":
                    await show(house, node, alert.id, picture(label))
                if disposition:
                    url = f"/api/v1/incidents/{number}"
                    version = (await client.get(url)).json()["version"]
                    await client.post(f"{url}/acknowledge", json={"version": version})
                    closing = {"version": version + 1, "disposition": disposition, "note": "it was so"}
                    answer = await client.post(f"{url}/close", json=closing)
                    assert answer.status_code == 200, answer.text

    center = make(tmp_path / "closings", story)
    export(StateDir(center), Selection(is_all=True), tmp_path / "closings.zip", SimulatedClock())
    validator = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)
    types, states, codes = list[str](), list[str](), list[str]()
    bags = (bag_dir, unpack(tmp_path / "closings.zip", tmp_path / "x"))
    for file in [file for bag in bags for file in sorted((bag / "data/eido").glob("*.json"))]:
        said = json.loads(file.read_text())
        assert [error.message for error in validator.iter_errors(said)] == [], file.name
        for media in said["mediaComponent"]:
            assert (file.parent / media["uri"]).is_file(), "the address leads to the picture in the same bag"
        incident = said["incidentComponent"]
        types.append(incident["incidentTypeCommonRegistryText"])
        states += incident["incidentStatusCommonRegistryText"]
        codes += [one["dispositionCommonRegistryCode"] for one in incident.get("dispositionComponent", [])]
    assert {"FUNK", "SUSP", "WEAPON", "FSMOKE"} <= set(types)
    assert {"Active", "Closed", "Cancelled"} <= set(states)
    assert sorted(codes) == ["14", "22"], "handled has no code in that list"
    assert set(INCIDENT_TYPES.values()) <= CODES


def test_the_database_opens_in_datasette(bag_dir: Path) -> None:
    datasette = pytest.importorskip("datasette", reason="datasette is not installed")
    del datasette
    code = (
        "import asyncio, sys\nfrom datasette.app import Datasette\n"
        "async def main():\n"
        "    app = Datasette([], immutables=[sys.argv[1]])\n"
        "    await app.invoke_startup()\n"
        "    answer = await app.client.get('/incident/incident.json?_shape=array')\n"
        "    print(answer.text)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bag_dir / "data/incident.db")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [row["number"] for row in json.loads(done.stdout)] == [f"INC-2026-00000{n}" for n in (1, 2, 3)]
