"""One center's history and its bags, made once for all tests that only read them."""

import shutil
from pathlib import Path

import pytest

from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from tests.evidence.scene import make, unpack


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped center; don't write to it."""
    return make(tmp_path_factory.mktemp("history") / "center")


@pytest.fixture
def center(history: Path, tmp_path: Path) -> Path:
    """A stopped center of one's own."""
    return Path(shutil.copytree(history, tmp_path / "center"))


@pytest.fixture(scope="session")
def bag_zip(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first incident, exported; don't write to it."""
    folder_dir = tmp_path_factory.mktemp("exported")
    state = Path(shutil.copytree(history, folder_dir / "center"))
    export(StateDir(state), Selection(incidents=("INC-2026-000001",)), folder_dir / "one.zip", SimulatedClock())
    return folder_dir / "one.zip"


@pytest.fixture
def bag_dir(bag_zip: Path, tmp_path: Path) -> Path:
    """The same, unpacked, of one's own."""
    return unpack(bag_zip, tmp_path / "unpacked")
