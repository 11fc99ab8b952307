"""A center's folder on a disk that can't be written: said in one line, and checked all the same."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_center import check
from command_center.state_dir import DATABASE_NAME, StateDir
from relay.errors import OperatorError, SpoolDamaged
from tests.command_center.house import running_center


@contextlib.contextmanager
def read_only(folder_dir: Path) -> Iterator[Path]:
    """The same folder where nothing can be written; skips the test where nothing may be mounted."""
    mounted_dir = folder_dir.with_name(folder_dir.name + "-mounted")
    mounted_dir.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", folder_dir, mounted_dir]).returncode:
        pytest.skip("needs root to mount a folder")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", mounted_dir], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (mounted_dir / "proof").touch()
        yield mounted_dir
    finally:
        subprocess.run(["umount", "-l", mounted_dir], check=True)


async def made(root_dir: Path) -> StateDir:
    async with running_center(root_dir) as house:
        node = house.node()
        await house.deliver(node, node.alert())
    return house.state


async def test_a_disk_that_can_t_be_written_is_one_clear_line(tmp_path: Path) -> None:
    state = await made(tmp_path / "center")
    with read_only(state.root_dir) as mounted_dir:
        with pytest.raises(OperatorError, match=r"can.t be written .*mounted read-only"):
            StateDir(mounted_dir).open_database()
        with pytest.raises(OperatorError, match="can't be written"):
            async with running_center(mounted_dir):
                pass


async def test_a_copy_that_can_t_be_written_is_checked_as_it_is(tmp_path: Path) -> None:
    state = await made(tmp_path / "center")
    with read_only(state.root_dir) as mounted_dir:
        report = check.run(StateDir(mounted_dir))
    assert (report.problems, report.entries > 2) == ((), True)


async def test_what_would_be_passed_over_is_said_and_not_called_sound(tmp_path: Path) -> None:
    state = await made(tmp_path / "center")
    state.database_file.with_name(DATABASE_NAME + "-wal").write_bytes(bytes(100))
    with read_only(state.root_dir) as mounted_dir, pytest.raises(SpoolDamaged, match="copy the folder"):
        check.run(StateDir(mounted_dir))
