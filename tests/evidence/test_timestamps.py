"""Timestamps by a real authority (openssl), checked by openssl and by plain Python; one that can't be reached holds nothing up."""

import random
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from command_center.config import TimestampConfig
from command_center.errors import BadRequest
from command_center.evidence import timestamping
from command_center.evidence.export import Exported, export
from command_center.evidence.selection import Selection
from command_center.evidence.verifier import timestamp
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.identity import Identity
from tests.evidence import tsa
from tests.evidence.scene import unpack, wrong_in

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
ONE = Selection(incidents=("1",))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder_dir = tmp_path_factory.mktemp("tsa") / "rsa"
    tsa.make(folder_dir)
    return folder_dir


def configure(center: Path, url: str, ca_file: Path | str = "") -> None:
    text = (center / "center.toml").read_text().partition("\n[timestamp]")[0]
    (center / "center.toml").write_text(f'{text}\n[timestamp]\nurl = "{url}"\nca_file = "{ca_file}"\ntimeout_s = 5\n')


def exported(center: Path, name: str = "bag.zip") -> Exported:
    return export(StateDir(center), ONE, center.parent / name, SimulatedClock())


def line_of(place: Path) -> str:
    return next(line for line in claims(place) if line.startswith("timestamp: "))


def openssl_agrees(bag_dir: Path) -> None:
    done = subprocess.run(
        ["openssl", "ts", "-verify", "-data", "tagmanifest-sha256.txt", "-in", "signatures/tagmanifest-sha256.txt.tsr", "-CAfile",
         "signatures/tsa-chain.pem"], cwd=bag_dir, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert "Verification: OK" in done.stdout + done.stderr
    for name in ("signatures/timestamp-sha256.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", name], cwd=bag_dir, check=True, timeout=30)


def test_a_timestamped_bag_is_checked_by_openssl_by_us_and_by_python_alone(
    center: Path, authority: Path, tmp_path: Path
) -> None:
    with tsa.serving(authority) as (url, queries):
        configure(center, url, authority / "ca.pem")
        made = exported(center)
        assert made.timestamp.endswith(f"Z by {url}"), made.timestamp
        assert len(queries) == 1
        assert len(queries[0]) < 80, "nothing but a hash leaves the center"
    said = line_of(made.file)
    assert "an authority says that the tag manifest existed at 20" in said
    assert "signed with the certificate in it" in said
    bag_dir = unpack(made.file, tmp_path / "unpacked")
    openssl_agrees(bag_dir)
    code = "import sys, bagit; bagit.Bag(sys.argv[1]).validate()"
    subprocess.run([sys.executable, "-c", code, str(bag_dir)], check=True, timeout=60, capture_output=True)
    alone = subprocess.run(
        [sys.executable, "-I", "-S", bag_dir / "data/verify.py"], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert said in alone.stdout
    connection = sqlite3.connect(center / "center.sqlite")
    (payload,) = connection.execute("SELECT payload FROM entry WHERE kind = 'export-finished'").fetchone()
    connection.close()
    assert url.encode() in payload


@pytest.mark.parametrize(
    ("kind", "digest"), [("prime256v1", "sha256"), ("secp384r1", "sha384"), ("rsa:3072", "sha512")]
)
def test_other_kinds_of_keys_are_checked_too(tmp_path: Path, kind: str, digest: str) -> None:
    tsa.make(tmp_path / "tsa", kind, digest)
    with tsa.serving(tmp_path / "tsa") as (url, _):
        token, said = timestamping.ask(TimestampConfig(url=url), b"the tag manifest")
    assert said.is_signed is True
    changed = bytearray(token)
    changed[-3] ^= 1  # within the signature's value
    assert timestamp.parse(bytes(changed)).is_signed is not True


def test_an_authority_that_cannot_be_reached_is_stated_and_added_later_to_zip_and_folder(
    center: Path, authority: Path, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        configure(center, f"http://127.0.0.1:{closed.getsockname()[1]}/", authority / "ca.pem")
        made = exported(center)
    assert made.timestamp.startswith("none: http://127.0.0.1:")
    assert "add it later with command-center timestamp" in made.timestamp
    assert "one was wanted of http://127.0.0.1:" in line_of(made.file)
    before = made.file.read_bytes()
    bag_dir = unpack(made.file, tmp_path / "unpacked")
    own = Identity.load(center / "identity.key")
    with tsa.serving(authority) as (url, _):
        settings = TimestampConfig(url=url, ca_file=str(authority / "ca.pem"))
        configure(center, url, authority / "ca.pem")
        program = [sys.executable, "-W", "error", "-c", "from command_center.cli import main; main()"]
        done = subprocess.run(
            [*program, "timestamp", made.file, "--state", center], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        timestamping.add(bag_dir, settings, own)
        for place in (made.file, bag_dir):
            assert "an authority says" in line_of(place)
            with pytest.raises(BadRequest, match="has a timestamp already"):
                timestamping.add(place, settings, own)
        configure(center, "")
        plain = exported(center, "second.zip").file
        with pytest.raises(BadRequest, match="another center"):
            timestamping.add(plain, settings, Identity.generate())
    openssl_agrees(bag_dir)
    assert before[: len(before) // 2] == made.file.read_bytes()[: len(before) // 2]
    assert not list(center.parent.glob(".bag.zip.*.partial"))
    connection = sqlite3.connect(center / "center.sqlite")
    rows = connection.execute("SELECT subject FROM entry WHERE kind = 'export-timestamped'").fetchall()
    started = connection.execute("SELECT subject FROM entry WHERE kind = 'export-started' ORDER BY id").fetchone()
    connection.close()
    assert rows == [started]


@pytest.mark.parametrize("answer", [b"", b"<html>", b"\x30\x03\x02\x01\x02", b"\x30\x80\x30", b"\x30\x84\xff\xff\xff\xff" + bytes(9),
                                    bytes(300_000)])  # fmt: skip
def test_an_authority_that_talks_nonsense_is_as_none(center: Path, authority: Path, answer: bytes) -> None:
    with tsa.serving(authority, spoil=answer) as (url, _):
        configure(center, url)
        made = exported(center)
    assert made.timestamp.startswith(f"none: {url}")
    assert wrong_in(made.file) == ""


def test_a_timestamp_of_something_else_is_not_taken(center: Path, authority: Path) -> None:
    other = tsa.reply(authority, timestamping.query(bytes(32), 5))
    with tsa.serving(authority, spoil=other) as (url, _):
        configure(center, url)
        assert "a timestamp of something else" in exported(center).timestamp


def test_each_change_of_the_timestamp_is_noticed(center: Path, authority: Path, tmp_path: Path) -> None:
    with tsa.serving(authority) as (url, _):
        configure(center, url, authority / "ca.pem")
        made = exported(center)
    bag_dir = unpack(made.file, tmp_path / "unpacked")
    files = [bag_dir / name for name in sorted(timestamp.FILES)]
    assert all(file.exists() for file in files)
    chance = random.Random(3161)
    for file in files:
        data = file.read_bytes()
        file.unlink()
        assert wrong_in(bag_dir), f"{file.name} removed"
        for _ in range(60):
            at = chance.randrange(len(data))
            file.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
            assert wrong_in(bag_dir), f"{file.name}, byte {at}"
        for changed in (data[:-1], data + b"\n", b"", data[1:]):
            file.write_bytes(changed)
            assert wrong_in(bag_dir)
        file.write_bytes(data)
    assert wrong_in(bag_dir) == ""
    (bag_dir / "signatures/more.tsr").write_bytes(b"x")
    assert "it was added" in wrong_in(bag_dir)
