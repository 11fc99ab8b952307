"""A center with a small, real history: two nodes, pictures, a gap, a view, an acknowledgement, a withdrawn node."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from PIL import Image, ImageDraw

from command_center.commands import NodeStanding
from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier.errors import Wrong
from command_center.evidence.verifier.main import claims
from relay.header import Kind
from relay.identity import Identity
from relay.kinds.chunk import cut
from relay.kinds.exhibit import Exhibit, ExhibitItem
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import until


def picture(text: str, *, size: tuple[int, int] = (64, 48)) -> bytes:
    """A real JPEG."""
    image = Image.new("RGB", size, (40, 60, 90))
    ImageDraw.Draw(image).text((4, 4), text, fill=(255, 255, 255))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return stream.getvalue()


async def show(house: House, node: Node, alert_id: bytes, data: bytes, *, media_type: str = "image/jpeg",
               deliver_all: bool = True) -> bytes:  # fmt: skip
    """Send an exhibit and its bytes; waits until the center has put them together."""
    sha256 = hashlib.sha256(data).digest()
    item = ExhibitItem(media_type=media_type, sha256=sha256, size_bytes=len(data), chunk_bytes=4096, width_px=64,
                       height_px=48, captured_wall_ms=house.clock.wall_ms(), captured_monotonic_ms=1)  # fmt: skip
    await house.deliver(node, node.body(Kind.EXHIBIT, Exhibit(alert_id=alert_id, items=(item,))))
    chunks = list(cut(data, sha256, 4096))
    for chunk in chunks if deliver_all else chunks[:-1]:
        await house.deliver(node, node.body(Kind.CHUNK, chunk))
    if deliver_all:

        async def is_here() -> bool:
            return bool(await house.query("SELECT 1 FROM stored_object WHERE sha256 = ?", sha256))

        await until(is_here)
    return sha256


async def play(house: House) -> None:
    """What happened."""
    gate, yard = house.node("gate"), house.node("yard")
    first = gate.alert(confidence=0.91)
    await house.deliver(gate, gate.heartbeat(), first)
    await show(house, gate, first.id, picture("first"))
    house.clock.advance(2_000)
    gate.alert()  # number lost on the way: a gap
    second = gate.alert(confidence=0.97)
    await house.deliver(gate, second)
    await show(house, gate, second.id, picture("second", size=(320, 240)), deliver_all=False)
    other = yard.alert(label="knife", camera="cam9")
    await house.deliver(yard, other)
    await show(house, yard, other.id, picture("yard"))
    async with house.signed_in() as client:
        version = (await client.get("/api/v1/incidents/1")).json()["version"]
        answer = await client.post("/api/v1/incidents/1/acknowledge", json={"version": version})
        assert answer.status_code == 200, answer.text
    await house.center.administration.perform(
        NodeStanding(name="yard", standing="revoked", reason="=stolen, <b>gone</b>")
    )


def make(root_dir: Path, story: Callable[[House], Awaitable[None]] = play) -> Path:
    """Run the story in a new center and stop it; returns its state folder."""

    async def run() -> None:
        async with running_center(root_dir) as house:
            await story(house)

    asyncio.run(run())
    return root_dir


def unpack(file: Path, to_dir: Path) -> Path:
    """As any ZIP tool does it; returns the bag's folder."""
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(to_dir)
    (bag_dir,) = to_dir.iterdir()
    return bag_dir


def seal_again(bag_dir: Path, center: Identity) -> None:
    """What somebody with the center's key can do: make every manifest fit, and sign."""

    def manifest(names: list[str]) -> bytes:
        return b"".join(
            f"{hashlib.sha256((bag_dir / n).read_bytes()).hexdigest()}  {n}\n".encode() for n in sorted(names)
        )

    payload = [str(f.relative_to(bag_dir)) for f in (bag_dir / "data").rglob("*") if f.is_file()]
    size = sum((bag_dir / name).stat().st_size for name in payload)
    lines = [
        line for line in (bag_dir / "bag-info.txt").read_text().splitlines() if not line.startswith("Payload-Oxum")
    ]
    (bag_dir / "bag-info.txt").write_text("\n".join([*lines, f"Payload-Oxum: {size}.{len(payload)}"]) + "\n")
    (bag_dir / "manifest-sha256.txt").write_bytes(manifest(payload))
    tags = manifest(["bag-info.txt", "bagit.txt", "manifest-sha256.txt"])
    (bag_dir / "tagmanifest-sha256.txt").write_bytes(tags)
    (bag_dir / "signatures/tagmanifest-sha256.txt.sig").write_bytes(center.signing.sign(tags).signature)


def wrong_in(place: Path, *, authority: str = "") -> str:
    """What verification says is wrong; empty where all holds."""
    try:
        list(claims(place, authority=authority, check_signature=is_signature))
    except Wrong as error:
        return str(error)
    return ""
