"""Pictures reach a browser as pixels of ours, never as a node's bytes."""

import asyncio
import hashlib
import io
import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from command_center import pictures
from command_center.blobs import BlobStore
from command_center.errors import NotFound
from command_center.evidence.masking import CannotMask, mask
from command_center.pictures import MOST_BYTES, MOST_SCANS, require_bounded, small_jpeg
from tests.command_center.house import House
from tests.command_center.test_ingest import until


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


def overpainted(scans: int) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    target = io.BytesIO()
    Image.effect_noise((320, 200), 60).convert("RGB").save(target, "JPEG", progressive=True)
    data = target.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * scans + data[-2:]


@pytest.mark.parametrize(("data", "is_shown"), [
    (overpainted(0), True), (overpainted(20), True), (overpainted(MOST_SCANS), False), (overpainted(0) + bytes(MOST_BYTES), False),
])  # fmt: skip
def test_what_costs_more_to_unpack_than_any_camera_s_picture_is_not_unpacked(tmp_path: Path, data: bytes, is_shown: bool) -> None:  # fmt: skip
    """A JPEG of 300 kB that is painted over 200 times takes a processor for ten seconds; one of 512 MB for hours."""
    picture_file = tmp_path / "picture"
    picture_file.write_bytes(data)
    if is_shown:
        assert small_jpeg(picture_file, 800).startswith(b"\xff\xd8")
        assert mask(data, "black", [(0, 0, 9, 9)]).startswith(b"\xff\xd8")
        return
    with pytest.raises(NotFound, match="TooMuch"):
        small_jpeg(picture_file, 800)
    with pytest.raises(CannotMask, match="expected a picture of at most"):
        mask(data, "black", [(0, 0, 9, 9)])


def test_scans_are_counted_in_a_jpeg_only() -> None:
    require_bounded(b"\x89PNG" + b"\xff\xda" * (MOST_SCANS + 1))


async def test_two_pictures_are_unpacked_at_once_and_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # fmt: skip
    begun, may_end, most = list[int](), threading.Event(), list[int]()

    def slow(_file: Path, _most_px: int) -> bytes:
        begun.append(1)
        most.append(len(begun))
        may_end.wait(20)
        begun.pop()
        return b""

    monkeypatch.setattr(pictures, "small_jpeg", slow)
    asked = [asyncio.create_task(pictures.small(tmp_path, 800)) for _ in range(40)]
    try:

        async def are_two() -> bool:
            return len(begun) == 2

        await until(are_two)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        may_end.set()
        await asyncio.gather(*asked)
    assert max(most) == 2
