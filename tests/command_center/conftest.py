"""Fixtures of the command centre's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.command_center.house import House, running_center


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running centre with real keys, database and files."""
    async with running_center(tmp_path / "center") as made:
        yield made
