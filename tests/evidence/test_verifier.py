"""Verification: every change is noticed and named, whoever made it; hostile files are refused before they are opened."""

import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_center.evidence.archive import ArchiveWriter
from command_center.evidence.verifier.zip_form import LIMIT, Member, local_header, trailer
from relay.identity import Identity
from tests.evidence.scene import seal_again, wrong_in

SEED = int(os.environ.get("HEARD_SEED", random.randrange(1 << 32)))

# ---------------------------------------------------------------------- tampering

Mutation = tuple[str, bytes]


def mutations(data: bytes, others: list[bytes], chance: random.Random, count: int) -> Iterator[Mutation]:
    """Changed twins of one file."""
    size = len(data)
    yield "emptied", b""
    yield "byte appended", data + b"\0"
    yield "newline appended", data + b"\n"
    yield "last byte cut off", data[:-1]
    yield "first byte cut off", data[1:]
    yield "swapped", chance.choice(others)
    for _ in range(count):
        at, bit = chance.randrange(size), 1 << chance.randrange(8)
        yield f"byte {at} flipped", data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
        yield f"byte {at} removed", data[:at] + data[at + 1 :]
        yield f"byte {at} inserted", data[:at] + bytes([chance.randrange(256)]) + data[at:]
        yield f"cut off at {at}", data[:at]
        to = chance.randrange(size)
        low, high = min(at, to), max(at, to)
        yield f"bytes from {low} and {high} re-ordered", data[:low] + data[high:] + data[low:high]


def tamper_files(bag_dir: Path, each: int, seed: int) -> int:
    chance = random.Random(seed)
    files = {file: file.read_bytes() for file in sorted(bag_dir.rglob("*")) if file.is_file()}
    tried = 0
    for file, data in files.items():
        others = [other for other in files.values() if other != data]
        for what, changed in mutations(data, others, chance, each):
            if changed != data:
                file.write_bytes(changed)
                said = wrong_in(bag_dir)
                assert said, f"{file.relative_to(bag_dir)}: {what} was not noticed (seed {seed})"
                tried += 1
        file.unlink()
        assert wrong_in(bag_dir), f"{file} removed (seed {seed})"
        added = file.with_name("added")
        added.write_bytes(data)
        file.write_bytes(data)
        assert wrong_in(bag_dir), f"{added} added (seed {seed})"
        added.unlink()
        other = chance.choice([one for one, content in files.items() if content != data])
        exchange(file, other)
        assert wrong_in(bag_dir), f"{file} and {other} exchanged (seed {seed})"
        exchange(file, other)
        tried += 3
    assert wrong_in(bag_dir) == "", "put back, it is as exported"
    return tried


def exchange(one: Path, other: Path) -> None:
    """Two files change places."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def tamper_archive(bag_zip: Path, work_file: Path, count: int, seed: int) -> int:
    chance = random.Random(seed)
    data = bag_zip.read_bytes()
    shutil.copy(bag_zip, work_file)
    tried = 0
    with work_file.open("r+b", buffering=0) as stream:
        for _ in range(count):
            at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
            os.pwrite(stream.fileno(), bytes([data[at] ^ bit]), at)
            assert wrong_in(work_file), f"byte {at}, bit {bit} of the archive (seed {seed})"
            os.pwrite(stream.fileno(), data[at : at + 1], at)
            tried += 1
        assert wrong_in(work_file) == ""
        for at in chance.sample(range(len(data)), max(3, count // 20)):
            stream.truncate(at)
            assert wrong_in(work_file), f"cut off at {at} (seed {seed})"
            stream.truncate(0)
            os.pwrite(stream.fileno(), data, 0)
            tried += 1
    for changed in (b"\0" + data, data + b"\0", data + data, data[:-22] + b"PK\5\6" + bytes(18)):
        work_file.write_bytes(changed)
        assert wrong_in(work_file)
    return tried


def test_each_change_of_a_file_is_noticed(bag_dir: Path) -> None:
    assert tamper_files(bag_dir, 3, SEED) > 1_200


def test_each_change_of_the_archive_is_noticed(bag_zip: Path, tmp_path: Path) -> None:
    assert tamper_archive(bag_zip, tmp_path / "x.zip", 1_500, SEED) > 1_500


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_changes_are_noticed(bag_dir: Path, bag_zip: Path, tmp_path: Path) -> None:
    tried = tamper_files(bag_dir, 140, SEED) + tamper_archive(bag_zip, tmp_path / "x.zip", 50_000, SEED)
    assert tried >= 100_000


def public_tools_accept(bag_dir: Path) -> bool:
    """The commands of VERIFY.md that need nothing of ours, in their order."""
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        if subprocess.run(
            ["sha256sum", "--status", "--strict", "-c", manifest], cwd=bag_dir, stderr=subprocess.DEVNULL
        ).returncode:
            return False
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "signatures/center.pem", "-rawin", "-in", "tagmanifest-sha256.txt",
         "-sigfile", "signatures/tagmanifest-sha256.txt.sig"], cwd=bag_dir, capture_output=True)  # fmt: skip
    return done.returncode == 0


@pytest.mark.skipif(
    not (shutil.which("sha256sum") and shutil.which("openssl")), reason="sha256sum and openssl are needed"
)
def test_public_tools_alone_notice_each_kind_of_change_in_every_file_that_they_cover(bag_dir: Path) -> None:
    """All but the key by which openssl checks: whose that is says its passport, or a person who compares."""
    chance = random.Random(SEED)
    files = {file: file.read_bytes() for file in sorted(bag_dir.rglob("*")) if file.is_file()}
    del files[bag_dir / "signatures/center.pem"]
    assert public_tools_accept(bag_dir)
    tried = 0
    for file, data in files.items():
        others = [other for other in files.values() if other != data]
        for what, changed in mutations(data, others, chance, 1):
            if changed != data:
                file.write_bytes(changed)
                assert not public_tools_accept(bag_dir), f"{file.relative_to(bag_dir)}: {what} (seed {SEED})"
                tried += 1
        file.unlink()
        assert not public_tools_accept(bag_dir), f"{file.relative_to(bag_dir)} removed"
        file.write_bytes(data)
        tried += 1
    assert tried > 11 * len(files)
    assert public_tools_accept(bag_dir), "put back, all is well"


def test_public_tools_cover_every_file(bag_dir: Path) -> None:
    """Each file is in a manifest for sha256sum, or is the signature that openssl checks, or its key."""
    listed, tags = (
        {line.split("  ")[1] for line in (bag_dir / name).read_text().splitlines()}
        for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt")
    )
    found = {str(f.relative_to(bag_dir)) for f in bag_dir.rglob("*") if f.is_file()}
    assert found == {*listed, *tags, "tagmanifest-sha256.txt", "signatures/center.pem",
                     "signatures/tagmanifest-sha256.txt.sig"}  # fmt: skip


# ---------------------------------------------------------------------- a center that lies


def lie(bag_dir: Path, center: Path, change: Callable[[Path], None]) -> str:
    change(bag_dir / "data")
    seal_again(bag_dir, Identity.load(center / "identity.key"))
    return wrong_in(bag_dir)


def replace(file: Path, old: bytes, new: bytes) -> None:
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new, 1))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def alert_file(data_dir: Path, ending: str) -> Path:
    return min(data_dir.glob(f"alerts/*{ending}"))


def drop_alert(data_dir: Path) -> None:
    name = alert_file(data_dir, ".pae").stem
    for file in data_dir.glob(f"alerts/{name}*"):
        file.unlink()
    index = data_dir / "statements.jsonl"
    index.write_text("".join(f"{line}\n" for line in index.read_text().splitlines() if name not in line))


def drop_row(data_dir: Path) -> None:
    (table,) = (data_dir / "completeness").iterdir()
    lines = table.read_text().splitlines()
    table.write_text("\n".join([line for line in lines if not line.startswith("5,")]) + "\n")


def false_row(data_dir: Path) -> None:
    (table,) = (data_dir / "completeness").iterdir()
    text = table.read_text().splitlines()
    at = next(n for n, line in enumerate(text) if line.startswith("2,"))
    first, last, _, where = text[at].split(",", 3)
    text[at] = f"{first},{last},{'ab' * 32},{where}"
    table.write_text("\n".join(text) + "\n")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: flip(alert_file(d, ".body")), ".body"),
        (lambda d: flip(alert_file(d, ".pae")), ".sig"),
        (lambda d: flip(alert_file(d, ".sig")), ".sig"),
        (lambda d: replace(alert_file(d, ".dsse.json"), b'"payload":"', b'"payload":"AA'), ".dsse.json"),
        (drop_alert, "entries.jsonl"),
        (drop_row, "numbers are passed over"),
        (false_row, "came before"),
        (lambda d: replace(d / "journal/entries.jsonl", b'"actor":"user:alice"', b'"actor":"user:bob"'), "entries.jsonl"),
        (lambda d: replace(d / "journal/checkpoint", b"heard/", b"feard/"), "checkpoint"),
        (lambda d: replace(d / "completeness.json", b'"missing_media": [', b'"missing_media": [], "was": ['), "nothing says why"),
        (lambda d: (d / "media/added.jpg").write_bytes(b"x"), "media/added.jpg"),
        (lambda d: (d / f"media/{hashlib.sha256(b'x').hexdigest()}.jpg").write_bytes(b"x"), "no signed exhibit names"),
        (lambda d: [p.unlink() for p in (d / "media").iterdir()], "nothing says why it is not here"),
        (lambda d: shutil.copy(d / "keys/authority.pem", min(d.glob("keys/" + "[0-9a-f]" * 16 + ".pem"))), "not the key of the passport"),
        (lambda d: flip(min(d.glob("passports/*.sig"))), "passports/"),
        (lambda d: (d / "alerts/stray.pae").write_bytes(b"x"), "alerts/stray.pae"),
    ],
)  # fmt: skip
def test_what_the_centers_own_key_cannot_hide(
    bag_dir: Path, history: Path, change: Callable[[Path], None], named: str
) -> None:
    assert named in lie(bag_dir, history, change)


def test_sealing_again_without_a_change_passes(bag_dir: Path, history: Path) -> None:
    assert lie(bag_dir, history, lambda _: None) == ""


def test_another_centers_key_is_not_enough(bag_dir: Path) -> None:
    stranger = Identity.generate()
    seal_again(bag_dir, stranger)
    assert "not by the center" in wrong_in(bag_dir)


# ---------------------------------------------------------------------- refused


def test_a_bag_of_another_authority_is_refused(bag_zip: Path, bag_dir: Path) -> None:
    text = (bag_dir / "bag-info.txt").read_text()
    own = text.partition("Heard-Authority: ")[2].splitlines()[0]
    assert wrong_in(bag_zip, authority=own) == ""
    assert wrong_in(bag_zip, authority=":".join(own[n : n + 2] for n in range(0, 64, 2)).upper()) == ""
    assert "another agency's, or a forgery" in wrong_in(bag_zip, authority="0" * 64)


def test_a_later_format_is_not_judged(bag_dir: Path) -> None:
    replace(bag_dir / "bag-info.txt", b"Heard-Evidence-Format: 1", b"Heard-Evidence-Format: 2")
    assert "found 2: check it with the release that made it" in wrong_in(bag_dir)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "bag/../../evil", "bag//x", "bag/.hidden", "bag/a\\b", "bag/a\0b",
                                  "bag/" + "x" * 300, "bag/é", "bag"])  # fmt: skip
def test_path_tricks_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "evil.zip"
    data = local_header(name, 1, 0x8CDC1683) + b"x"
    file.write_bytes(data + b"".join(trailer([Member(name, 1, 0x8CDC1683, 0)], len(data))))
    assert "expected a" in wrong_in(file)
    assert sorted(tmp_path.iterdir()) == [file]


def test_bombs_and_foreign_archives_are_refused(tmp_path: Path, bag_dir: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bag/bagit.txt", b"\0" * 50_000_000)
    assert "unpack it and verify the folder" in wrong_in(file)
    for content in (b"", b"PK", b"not a zip at all", b"PK\5\6" + bytes(18)):
        file.write_bytes(content)
        assert wrong_in(file)
    huge = local_header("bag/x", LIMIT + 5, 0)
    file.write_bytes(huge)
    assert "cut off" in wrong_in(file)
    (bag_dir / "data/link").symlink_to("/etc/passwd")
    assert "found a link" in wrong_in(bag_dir)
    assert "can't be read" in wrong_in(tmp_path / "nothing")


def test_large_members_have_the_form_that_zipfile_reads(tmp_path: Path) -> None:
    """4 GiB and more, as a sparse file: the headers are what matters."""
    file = tmp_path / "large.zip"
    size = LIMIT + 10
    members = [Member("bag/large", size, 0, 0)]
    with file.open("wb") as stream:
        stream.write(local_header("bag/large", size, 0))
        stream.seek(size, os.SEEK_CUR)
        after = stream.tell()
        members.append(Member("bag/small", 2, 0x3F3ED0B0, after))
        stream.write(local_header("bag/small", 2, zlib.crc32(b"ok")) + b"ok")
        members[1] = Member("bag/small", 2, zlib.crc32(b"ok"), after)
        for piece in trailer(members, stream.tell()):
            stream.write(piece)
    with zipfile.ZipFile(file) as archive:
        assert archive.getinfo("bag/large").file_size == size
        assert archive.read("bag/small") == b"ok"


def test_writer_and_zipfile_agree() -> None:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream)
    writer.add("bag/a", [b"one", b"two"])
    writer.add("bag/b", [])
    writer.finish()
    with zipfile.ZipFile(stream) as archive:
        assert archive.read("bag/a") == b"onetwo"
        assert archive.read("bag/b") == b""
    assert struct.unpack("<H", stream.getvalue()[-2:]) == (0,)


def test_garbage_in_every_json_is_a_named_error(bag_dir: Path, history: Path) -> None:
    """Also under the center's own seal: no file makes the verifier stumble."""
    originals = {f: f.read_bytes() for f in (bag_dir / "data").rglob("*.json*") if "alerts" not in str(f)}
    for file, data in originals.items():
        for garbage in (
            b"[" * 100_000 + b"\n",
            b"null\n",
            b"{}\n",
            b'{"id": 1e999}\n',
            b"\xff\xfe\n",
            b"NaN\n",
            json.dumps(["a"]).encode() + b"\n",
        ):
            file.write_bytes(garbage)
            seal_again(bag_dir, Identity.load(history / "identity.key"))
            wrong_in(bag_dir)  # raises nothing but Wrong
        file.write_bytes(data)
    seal_again(bag_dir, Identity.load(history / "identity.key"))
    assert wrong_in(bag_dir) == ""
