"""`model-bundle` does what its help says, and says in one line what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.packing import SIGNER, STRANGER, WEIGHTS


def run(*words: str, succeeds: bool = True) -> str:
    """One command as a real process; its output, or its one line of complaint."""
    ended = subprocess.run([sys.executable, "-m", "models.cli", *words], capture_output=True, text=True, timeout=60)
    assert (ended.returncode == 0) is succeeds, ended.stdout + ended.stderr
    if not succeeds:
        assert "Traceback" not in ended.stderr
        return ended.stderr
    return ended.stdout


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "signer.key"
    file.write_bytes(bytes(range(32)))
    file.chmod(0o600)
    return file


def pack(tmp_path: Path, key_file: Path, version: str, *, succeeds: bool = True) -> tuple[Path, str]:
    weights_file, bundle_file = tmp_path / "yard.onnx", tmp_path / f"{version}.heardmodel"
    weights_file.write_bytes(WEIGHTS + version.encode())
    words = ["--name", "yard", "--labels", "person, handgun", "--license", "Apache-2.0", "--data-source", "a test"]
    said = run(
        "pack", str(weights_file), "--to", str(bundle_file), "--key", str(key_file), "--version", version, *words,
        succeeds=succeeds,
    )  # fmt: skip
    return bundle_file, said


def test_model_goes_from_weights_to_use_and_back(tmp_path: Path, key_file: Path) -> None:
    trust_file, registry = tmp_path / "trusted", str(tmp_path / "registry")
    trust_file.write_text(f"# who may sign\n{SIGNER.hex()}  # the yard's own\n", "utf-8")
    trust = ("--registry", registry, "--trust", str(trust_file))
    ids = []
    for version in ("1.0.0", "1.1.0"):
        bundle_file, _ = pack(tmp_path, key_file, version)
        assert SIGNER.hex() in run("verify", str(bundle_file), "--signer", SIGNER.hex())
        ids.append(run("install", str(bundle_file), *trust).strip())
        run("activate", ids[-1], *trust)
    assert run("list", "--registry", registry).splitlines() == [f"previous  {ids[0]}", f"active    {ids[1]}"]
    assert run("rollback", *trust) == f"active {ids[0]}, previous {ids[1]}\n"


def test_wrong_signer_is_said_in_one_line(tmp_path: Path, key_file: Path) -> None:
    bundle_file, _ = pack(tmp_path, key_file, "1.0.0")
    said = run("verify", str(bundle_file), "--signer", bytes(STRANGER.verify_key).hex(), succeeds=False)
    assert said.startswith("error: expected a manifest signed by a trusted signer")
    assert said.count("\n") == 1


def test_nobody_to_trust_is_said(tmp_path: Path, key_file: Path) -> None:
    bundle_file, _ = pack(tmp_path, key_file, "1.0.0")
    assert "--signer HEX or --trust FILE" in run("verify", str(bundle_file), succeeds=False)


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ab" * 33])
def test_bad_public_key_is_said(tmp_path: Path, text: str) -> None:
    assert "64 hexadecimal digits" in run("verify", str(tmp_path / "none"), "--signer", text, succeeds=False)


def test_missing_bundle_is_said(tmp_path: Path) -> None:
    said = run("verify", str(tmp_path / "none.heardmodel"), "--signer", SIGNER.hex(), succeeds=False)
    assert "No such file" in said


def test_key_that_others_can_read_is_refused(tmp_path: Path, key_file: Path) -> None:
    key_file.chmod(0o644)
    _, said = pack(tmp_path, key_file, "1.0.0", succeeds=False)
    assert "chmod 600" in said


def test_key_of_the_wrong_size_is_refused(tmp_path: Path, key_file: Path) -> None:
    key_file.write_bytes(bytes(31))
    _, said = pack(tmp_path, key_file, "1.0.0", succeeds=False)
    assert "32 raw bytes" in said


def test_version_that_is_none_is_refused(tmp_path: Path, key_file: Path) -> None:
    bundle_file, said = pack(tmp_path, key_file, "newest", succeeds=False)
    assert "version" in said
    assert not bundle_file.exists()


def test_a_bundle_is_never_overwritten(tmp_path: Path, key_file: Path) -> None:
    """A node may be reading it: what is packed by a slip in its place would be what it sees with after its next start."""
    bundle_file, _ = pack(tmp_path, key_file, "1.0.0")
    packed = bundle_file.read_bytes()
    _, said = pack(tmp_path, key_file, "1.0.0", succeeds=False)
    assert "is never overwritten: choose another name" in said
    assert bundle_file.read_bytes() == packed
