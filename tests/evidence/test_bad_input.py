"""What an export or a check can be given or suffer that it should not: a clear word, nothing overwritten, and the attempt in the journal."""

import contextlib
import hashlib
import io
import os
import sqlite3
import subprocess
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from command_center import check, facts
from command_center.accounts import UserRole
from command_center.custody.commands import HoldPlace, HoldRelease, ObjectErase
from command_center.errors import BadRequest, NotFound, NotPossible
from command_center.evidence import archive
from command_center.evidence.export import export
from command_center.evidence.verifier.zip_form import Member, local_header, trailer
from command_center.facts import Remark
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.errors import OperatorError
from tests.command_center.house import House, running_center
from tests.evidence.scene import picture, play, unpack, wrong_in
from tests.evidence.test_export import ALL, ONE, kinds

PAGE_BYTES = 4096


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_center(tmp_path / "running") as made:
        await play(made)
        yield made


# ---------------------------------------------------------------------- bags that somebody brings


def one_member(name: str, data: bytes = b"x") -> bytes:
    import zlib

    member = Member(name, len(data), zlib.crc32(data), 0)
    start = local_header(name, len(data), member.crc) + data
    return start + b"".join(trailer([member], len(start)))


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bag/bagit.txt", b"\0" * 20_000_000)
    return stream.getvalue()


def later_format(bag: bytes) -> bytes:
    """As a release of tomorrow would write it."""
    stream = io.BytesIO()
    writer = archive.ArchiveWriter(stream)
    with zipfile.ZipFile(io.BytesIO(bag)) as made:
        for name in made.namelist():
            writer.add(name, [made.read(name).replace(b"Heard-Evidence-Format: 1\n", b"Heard-Evidence-Format: 9\n")])
    writer.finish()
    return stream.getvalue()


BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a path that leads out": (lambda _: one_member("../../evil"), "expected a"),
    "an absolute path": (lambda _: one_member("/etc/cron.d/evil"), "expected a"),
    "a bomb": (lambda _: bomb(), "unpack it and verify the folder"),
    "a later format": (later_format, "found 9: check it with the release that made it"),
    "cut off": (lambda bag: bag[: len(bag) // 2], "cut off"),
    "no bag at all": (lambda _: b"GIF89a", ""),
    "nothing": (lambda _: b"", ""),
}


def everything_in(folder_dir: Path) -> list[str]:
    return sorted(str(file) for file in folder_dir.rglob("*"))


async def test_each_bad_bag_is_refused_in_words_and_the_attempt_is_journalled(house: House, tmp_path: Path) -> None:
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        order = (await client.post("/api/v1/exports", json={"incidents": ["1"]})).json()["id"]
        from tests.evidence.test_export_api import finished

        job = await finished(client, order)
        good = (await client.get(job["file_url"])).content
        before = everything_in(tmp_path)
        for what, (spoil, expected) in BAD.items():
            said = (await client.post("/api/v1/verifications", params={"name": what}, content=spoil(good))).json()
            assert not said["passed"], what
            assert said["problem"], what
            assert expected in said["problem"], (what, said["problem"])
        foreign = await client.post("/api/v1/verifications?name=foreign&authority=" + "0" * 64, content=good)
        assert "another agency's" in foreign.json()["problem"]
        assert everything_in(tmp_path) == before, "nothing was unpacked, nothing is left"
    rows = await house.query("SELECT actor, payload FROM entry WHERE kind = 'bag-verified' ORDER BY id")
    assert {row[0] for row in rows} == {"user:erin"}
    details = [facts.decode(row[1], Remark).detail for row in rows if isinstance(row[1], bytes)]
    assert [detail.partition(":")[0] for detail in details] == [*BAD, "foreign"]
    assert all(detail.partition(": ")[2] for detail in details), "each with what was wrong"


# ---------------------------------------------------------------------- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system without room for the bag."""
    mount_dir = tmp_path / "small"
    mount_dir.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", mount_dir]).returncode:
        pytest.skip("needs root to mount a small tmpfs")
    try:
        yield mount_dir
    finally:
        subprocess.run(["umount", mount_dir], check=True)


def test_a_disk_that_fills_up_leaves_nothing_and_the_attempt_is_journalled(center: Path, small_disk: Path) -> None:
    with pytest.raises(OperatorError, match="No space left on device"):
        export(StateDir(center), ALL, small_disk / "bag.zip", SimulatedClock())
    assert list(small_disk.iterdir()) == []
    assert kinds(center) == ["export-started", "export-failed"]
    export(StateDir(center), ALL, center.parent / "bag.zip", SimulatedClock())
    assert wrong_in(center.parent / "bag.zip") == "", "elsewhere it works"


def test_an_error_of_the_disk_behind_the_writing_is_not_lost(center: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells a failed write-back once; it is told to the flush that runs beside the writing, not to the last one."""
    calls: list[int] = []

    def broken(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(archive, "_BEHIND_BYTES", 1)
    with pytest.raises(OperatorError, match="Input/output error"):
        export(StateDir(center), ALL, center.parent / "bag.zip", SimulatedClock())
    assert calls, "the fault happened"
    assert not (center.parent / "bag.zip").exists()
    assert kinds(center) == ["export-started", "export-failed"]


# ---------------------------------------------------------------------- the power


def test_the_name_is_given_only_to_what_the_disk_has(center: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte is fsynced before the name, and the folder after it: a power cut at any step leaves no bag, or all of it."""
    steps: list[str] = []
    target_file = center.parent / "bag.zip"
    real_fsync, real_rename, size_at_fsync = os.fsync, Path.rename, [0]

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name == str(center.parent):
            steps.append("folder")
        elif name.endswith(".partial"):
            size_at_fsync[0] = os.fstat(descriptor).st_size
            steps.append("file")

    def rename(self: Path, target: Path) -> Path:
        if Path(target) == target_file:
            steps.append("name")
            assert self.stat().st_size == size_at_fsync[0], "nothing was written after the fsync"
            assert kinds(center)[-1] == "export-finished", "the journal has the digest before anybody has the bag"
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    export(StateDir(center), ONE, target_file, SimulatedClock())
    assert steps[-3:] == ["file", "name", "folder"]


def test_what_a_power_cut_can_leave_of_a_bag_passes_nowhere(bag_zip: Path, tmp_path: Path) -> None:
    """A length without its pages, at every page of the file: a file system that promised less than we ask for."""
    data, torn_file = bag_zip.read_bytes(), tmp_path / "torn.zip"
    tried = 0
    for at in range(0, len(data), PAGE_BYTES):
        page = data[at : at + PAGE_BYTES]
        if page.strip(b"\0"):
            torn_file.write_bytes(data[:at] + bytes(len(data) - at))
            assert wrong_in(torn_file), f"zeros from byte {at}"
            torn_file.write_bytes(data[:at] + bytes(len(page)) + data[at + len(page) :])
            assert wrong_in(torn_file), f"a page of zeros at byte {at}"
            torn_file.write_bytes(data[:at])
            assert wrong_in(torn_file), f"cut off at byte {at}"
            tried += 3
    assert tried > 3 * len(data) // PAGE_BYTES // 2


# ---------------------------------------------------------------------- one picture by order


def test_one_picture_is_deleted_by_order_with_its_tombstone_and_every_proof_stays(center: Path) -> None:
    sha256 = hashlib.sha256(picture("first")).hexdigest()

    async def perform(command: object) -> tuple[str, ...]:
        async with running_center(center) as house:
            try:
                return (await house.center.administration.perform(command)).lines  # type: ignore[arg-type]
            finally:
                await house.database.run(lambda c: c.execute("SELECT 1"))

    import asyncio

    def do(command: object) -> tuple[str, ...]:
        return asyncio.run(perform(command))

    with pytest.raises(BadRequest, match="expected a reason"):
        do(ObjectErase(sha256=sha256, reason=" "))
    with pytest.raises(NotFound, match="no picture or clip"):
        do(ObjectErase(sha256="00" * 32, reason="order 7"))
    with pytest.raises(BadRequest, match="hexadecimal"):
        do(ObjectErase(sha256="zz", reason="order 7"))
    do(HoldPlace(incidents=("1",), reason="case 7"))
    with pytest.raises(NotPossible, match="on hold"):
        do(ObjectErase(sha256=sha256, reason="order 7"))
    do(HoldRelease(incidents=("1",), reason="closed"))
    assert "its tombstone is in the journal" in do(ObjectErase(sha256=sha256, reason="order 7 of the county court"))[0]
    from command_center.blobs import BlobStore
    from command_center.custody import retention

    state = StateDir(center)
    with contextlib.closing(state.open_database()) as database:
        retention.unlink(database, BlobStore(state.blobs_dir))
    assert not [file for file in (center / "blobs").rglob("*") if file.name.startswith(sha256)]
    assert check.run(state).problems == ()
    made = export(state, ONE, center.parent / "bag.zip", SimulatedClock())
    assert any("deleted at the center" in line and "order 7 of the county court" in line for line in made.missing)
    assert wrong_in(made.file) == ""
    bag_dir = unpack(made.file, center.parent / "unpacked")
    custody = (bag_dir / "data/custody/custody.csv").read_text()
    assert "object-erased" in custody
    assert "order 7 of the county court" in custody
    with contextlib.closing(sqlite3.connect(center / "center.sqlite")) as connection:
        assert connection.execute("SELECT reason FROM erased_object").fetchall() == [("order 7 of the county court",)]
