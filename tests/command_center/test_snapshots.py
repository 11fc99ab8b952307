"""Pictures reach a browser as pixels of ours, never as a node's bytes."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from command_center.blobs import BlobStore
from command_center.errors import NotFound
from command_center.pictures import small_jpeg
from tests.command_center.house import House


async def stored(house: House, data: bytes, media_type: str = "image/jpeg") -> str:
    digest = hashlib.sha256(data).digest()
    blobs: BlobStore = house.services.blobs
    blobs.write(digest, iter([data]))
    await house.database.run(
        lambda c: c.execute("INSERT INTO stored_object VALUES (?, ?, ?, 1)", (digest, len(data), media_type)).rowcount
    )
    return digest.hex()


def jpeg(width: int = 3000, height: int = 1000) -> bytes:
    target = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script>"
    Image.new("RGB", (width, height), (200, 30, 30)).save(target, "JPEG", exif=exif, comment=b"<script>")
    return target.getvalue() + b"<html><script>alert(2)</script></html>"


async def test_a_picture_is_encoded_anew_and_made_to_fit(house: House) -> None:
    source = jpeg()
    async with house.signed_in() as client:
        answer = await client.get(f"/api/v1/snapshots/{await stored(house, source)}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert b"script" in source
        assert b"script" not in answer.content
        with Image.open(io.BytesIO(answer.content)) as shown:
            assert max(shown.size) == 1920
            assert not shown.getexif()


async def test_what_is_no_picture_is_not_handed_to_a_browser(house: House) -> None:
    async with house.signed_in() as client:
        for data, media_type in ((b"<svg onload=alert(1)>", "image/svg+xml"), (os.urandom(500), "image/jpeg"),
                                 (jpeg(), "text/html"), (b"GIF89a" + bytes(100), "image/gif")):  # fmt: skip
            sha256 = await stored(house, data + os.urandom(8), media_type)
            assert (await client.get(f"/api/v1/snapshots/{sha256}")).status_code == 404


def test_hostile_picture_is_not_handed_to_a_phone(tmp_path: Path) -> None:
    picture_file = tmp_path / "picture"
    Image.effect_noise((1600, 900), 60).convert("RGB").save(picture_file, "JPEG", comment=b"<script>alert(1)</script>")
    made = small_jpeg(picture_file, 800)
    assert b"<script" not in made
    with Image.open(io.BytesIO(made)) as image:
        assert (image.format, image.size) == ("JPEG", (800, 450))
    header = picture_file.read_bytes()
    for bad in (b"", b"GIF89a" + bytes(100), b"<svg xmlns='http://www.w3.org/2000/svg'/>", header[:300], _bomb()):
        picture_file.write_bytes(bad)
        with pytest.raises(NotFound):
            small_jpeg(picture_file, 800)


def _bomb() -> bytes:
    """A PNG of 30,000 × 30,000 that compresses to little."""
    target = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(target, "PNG")
    return target.getvalue()
