"""Clips with signed segments: a damaged copy says which bytes are wrong, and so proves the rest."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from camera_node import clip_sender
from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.header import Kind
from relay.identity import Identity
from relay.kinds.chunk import cut
from relay.kinds.exhibit import MAX_SEGMENTS, ClipExhibit, ExhibitItem, Segment
from tests.command_center.house import House
from tests.command_center.test_ingest import until
from tests.evidence.scene import make, seal_again, unpack, wrong_in

SIZES = (3000, 5000, 2500)
FILM = b"".join(bytes([n]) * size for n, size in enumerate(SIZES, start=65))
SHA256 = hashlib.sha256(FILM).digest()


def segments(sizes: tuple[int, ...] = SIZES) -> tuple[Segment, ...]:
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    return tuple((size, hashlib.sha256(FILM[end - size : end]).digest()) for size, end in zip(sizes, ends, strict=True))


async def film(house: House) -> None:
    node = house.node("gate")
    alert = node.alert()
    await house.deliver(node, alert)
    item = ExhibitItem(media_type="video/mp4", sha256=SHA256, size_bytes=len(FILM), chunk_bytes=4096, width_px=64, height_px=48,
                       captured_wall_ms=house.clock.wall_ms(), captured_monotonic_ms=1)  # fmt: skip
    await house.deliver(
        node, node.body(Kind.EXHIBIT, ClipExhibit(alert_id=alert.id, items=(item,), segments=segments()))
    )
    for chunk in cut(FILM, SHA256, 4096):
        await house.deliver(node, node.body(Kind.CHUNK, chunk))

    async def is_here() -> bool:
        return bool(await house.query("SELECT 1 FROM stored_object"))

    await until(is_here)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "center", film)


@pytest.fixture
def bag_zip(filmed: Path, tmp_path: Path) -> Path:
    center = Path(shutil.copytree(filmed, tmp_path / "center"))
    export(StateDir(center), Selection(is_all=True), tmp_path / "bag.zip", SimulatedClock())
    return tmp_path / "bag.zip"


def test_the_byte_range_that_is_wrong_is_named(bag_zip: Path, tmp_path: Path) -> None:
    assert any("1 of them clips with signed segments" in line for line in claims(bag_zip))
    bag_dir = unpack(bag_zip, tmp_path / "unpacked")
    clip = bag_dir / f"data/media/{SHA256.hex()}.mp4"
    for at, named in (
        (0, "bytes 0 to 2999"),
        (2999, "bytes 0 to 2999"),
        (3000, "bytes 3000 to 7999"),
        (10_499, "bytes 8000 to 10499"),
    ):
        data = bytearray(FILM)
        data[at] ^= 1
        clip.write_bytes(data)
        assert f"{named} are not as signed, by the segments that its node signed" in wrong_in(bag_dir)
        archive = bytearray(bag_zip.read_bytes())
        archive[archive.index(FILM) + at] ^= 1
        (tmp_path / "bad.zip").write_bytes(archive)
        assert f"{named} are not as signed" in wrong_in(tmp_path / "bad.zip")
    clip.write_bytes(FILM[:4000])
    assert "bytes 3000 to 7999 are not as signed" in wrong_in(bag_dir)
    clip.write_bytes(FILM + b"x")
    assert "expected SHA-256" in wrong_in(bag_dir)
    data = bytearray(FILM)
    data[1], data[9000] = 0, 0
    clip.write_bytes(data)
    alone = subprocess.run(
        [sys.executable, "-I", "-S", bag_dir / "data/verify.py"], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert "bytes 0 to 2999 are not as signed; bytes 8000 to 10499 are not as signed" in alone.stdout


class Odd(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An exhibit as a hostile node may sign it."""

    salt: bytes
    alert_id: bytes
    items: tuple[ExhibitItem, ...]
    more: object


@pytest.mark.parametrize(
    "more", [segments()[:2], (), 7, "text", ((1, b"x"),), ((1,),), {"a": 1}, (("a", bytes(32)),), [[[]]]]
)
def test_what_a_node_says_behind_its_items_spoils_no_bag(tmp_path: Path, more: object) -> None:
    async def story(house: House) -> None:
        node = house.node("gate")
        alert = node.alert()
        await house.deliver(node, alert)
        item = ExhibitItem(media_type="video/mp4", sha256=SHA256, size_bytes=len(FILM), chunk_bytes=4096, width_px=64, height_px=48,
                           captured_wall_ms=1, captured_monotonic_ms=1)  # fmt: skip
        odd = Odd(salt=bytes(8), alert_id=alert.id, items=(item,), more=more)
        await house.deliver(node, node.say(Kind.EXHIBIT, msgspec.msgpack.encode(odd)))

    center = make(tmp_path / "center", story)
    export(StateDir(center), Selection(is_all=True), tmp_path / "bag.zip", SimulatedClock())
    said = "\n".join(claims(tmp_path / "bag.zip"))
    assert ("1 exhibits" if more == segments()[:2] else "0 exhibits") in said, (
        "what is no exhibit is kept as unreadable"
    )
    assert "signed segments" not in said


def test_a_seal_over_a_wrong_clip_does_not_help(bag_zip: Path, filmed: Path, tmp_path: Path) -> None:
    bag_dir = unpack(bag_zip, tmp_path / "unpacked")
    (bag_dir / f"data/media/{SHA256.hex()}.mp4").write_bytes(FILM[::-1])
    seal_again(bag_dir, Identity.load(filmed / "identity.key"))
    assert "expected its name to be its SHA-256" in wrong_in(bag_dir)


@pytest.mark.parametrize("count", [65, 128, 200, 1000])
def test_a_clip_of_many_segments_is_described_in_longer_ones(tmp_path: Path, count: int) -> None:
    parts = [bytes([n % 251]) * (n % 7 + 1) for n in range(count)]
    (tmp_path / "clip").write_bytes(b"".join(parts))
    longer = clip_sender._longer(tmp_path / "clip", [(len(part), hashlib.sha256(part).digest()) for part in parts])
    assert len(longer) <= MAX_SEGMENTS
    data = (tmp_path / "clip").read_bytes()
    assert sum(size for size, _ in longer) == len(data)
    at = 0
    for size, sha256 in longer:
        assert hashlib.sha256(data[at : at + size]).digest() == sha256
        at += size
