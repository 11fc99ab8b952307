"""Fixtures of the command center's tests."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.command_center.house import House, running_center


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running center with real keys, database and files."""
    async with running_center(tmp_path / "center") as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def built_console(request: pytest.FixtureRequest) -> None:
    """The console as its source is now; only where a test of this run looks at it."""
    if any(item.get_closest_marker("browser") for item in request.session.items):
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, root / "scripts" / "build_console.py"], capture_output=True, text=True, timeout=600
        )
        if done.returncode != 0:
            pytest.exit(f"the console's tests can't run.\n{done.stderr}", returncode=1)
