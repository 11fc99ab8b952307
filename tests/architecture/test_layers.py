"""The house's rules that a machine can check."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("relay", "models", "hardware", "camera_node", "command_center")
VAGUE = {"util", "utils", "common", "helper", "helpers", "manager", "base", "misc"}


def _sources() -> list[Path]:
    return [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]


def test_no_file_is_longer_than_a_reader_lasts() -> None:
    long = {str(f.relative_to(ROOT)): n for f in _sources() if (n := len(f.read_text().splitlines())) > 400}
    assert not long


def test_no_file_has_a_vague_name() -> None:
    assert not [str(f) for f in _sources() if f.stem in VAGUE]


def test_every_module_says_what_it_owns() -> None:
    silent = [str(f.relative_to(ROOT)) for f in _sources() if not f.read_text().startswith('"""')]
    assert not silent


@pytest.mark.parametrize("module", ["relay.cli", "relay.station", "relay"])
def test_a_relay_starts_without_the_libraries_of_nodes_and_centers(module: str) -> None:
    code = f"import sys, {module}; bad = {{'cv2', 'av', 'numpy', 'fastapi', 'torch', 'onnxruntime'}} & set(sys.modules); sys.exit(repr(bad) if bad else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
