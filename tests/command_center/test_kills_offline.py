"""Backup, restore, rebuild and retention, each killed -9 wherever it touches a file or a row: the old state or the new one, and the next try works."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from command_center import backup, check, restoring
from command_center.accounts import UserRole
from command_center.blobs import BlobStore
from command_center.custody import retention
from command_center.state_dir import DATABASE_NAME, StateDir
from relay.clock import SimulatedClock
from tests.command_center.house import running_center
from tests.evidence.scene import picture, show
from tests.evidence.test_custody import close_all

PASSPHRASE: Final = "nine patient herons"
DAY_MS: Final = 86_400_000
_SEEN: Final = """
import os, signal, sqlite3, sys
from pathlib import Path
from command_center import backup, check, restoring
from command_center.blobs import BlobStore
from command_center.custody import retention
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
left, root = int(sys.argv[1]), Path(sys.argv[2])
state, clock, passphrase = StateDir(root / "center"), SimulatedClock(), "nine patient herons"
def seen():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
def happens(event, given):
    if event in {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.copyfile"}:
        seen()
    elif event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen()
connect = sqlite3.connect
def traced(*given, **named):
    made = connect(*given, **named)
    made.set_trace_callback(lambda statement: statement.startswith(("COMMIT", "DELETE", "INSERT", "UPDATE")) and seen())
    return made
sqlite3.connect = traced
sys.addaudithook(happens)
"""
_BACK_UP: Final = 'backup.back_up(state, root / "copy", clock, passphrase=passphrase)'
_RESTORE: Final = 'restoring.restore(root / "kept", root / "again", clock, passphrase=passphrase)'
_REBUILD: Final = "check.rebuild(state, clock.wall_ms())"
_RETAIN: Final = f"""
database = state.open_database()
retention.keep(database, BlobStore(state.blobs_dir), days=9, now_ms=clock.wall_ms() + 10 * {DAY_MS}, actor="center")
database.close()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped center with two closed incidents and their pictures, and a backup of it."""
    root_dir = tmp_path_factory.mktemp("made")

    async def story() -> None:
        async with running_center(root_dir / "center") as house:
            node = house.node()
            for camera in ("cam1", "cam2"):
                alert = node.alert(camera=camera)
                await house.deliver(node, alert)
                await show(house, node, alert.id, picture(camera))
            async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
                await close_all(client)

    asyncio.run(story())
    backup.back_up(StateDir(root_dir / "center"), root_dir / "kept", SimulatedClock(), passphrase=PASSPHRASE)
    return root_dir


def is_killed(root_dir: Path, program: str, at: int) -> bool:
    """Whether it was; otherwise it came to its end."""
    done = subprocess.run([sys.executable, "-c", _SEEN + program, str(at), str(root_dir)], capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


def sound(state_dir: Path) -> None:
    report = check.run(StateDir(state_dir))
    assert report.problems == ()


@pytest.fixture
def root_dir(made: Path, tmp_path: Path) -> Path:
    """The same, of one's own."""
    return Path(shutil.copytree(made, tmp_path / "root"))


@pytest.mark.parametrize("at", [1, 7, 14, 20])
def test_a_backup_that_is_killed_is_not_there_and_the_next_one_is_whole(root_dir: Path, at: int) -> None:
    assert is_killed(root_dir, _BACK_UP, at), "the fault must happen"
    assert not (root_dir / "copy").exists()
    backup.back_up(StateDir(root_dir / "center"), root_dir / "copy", SimulatedClock(), passphrase=PASSPHRASE)
    assert backup.load(root_dir / "copy").missing_objects == ()
    assert not (root_dir / "copy.partial").exists()


@pytest.mark.parametrize("at", [1, 12, 28, 42])
def test_a_restore_that_is_killed_leaves_no_center_and_the_next_one_makes_one(root_dir: Path, at: int) -> None:
    assert is_killed(root_dir, _RESTORE, at), "the fault must happen"
    assert not (root_dir / "again").exists()
    restoring.restore(root_dir / "kept", root_dir / "again", SimulatedClock(), passphrase=PASSPHRASE)
    sound(root_dir / "again")


@pytest.mark.parametrize("at", [2, 35, 66])
def test_a_rebuild_that_is_killed_changes_nothing_and_the_next_one_mends(root_dir: Path, at: int) -> None:
    with contextlib.closing(sqlite3.connect(root_dir / "center" / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE incident SET label = 'nothing'")
    assert is_killed(root_dir, _REBUILD, at), "the fault must happen"
    assert len(check.run(StateDir(root_dir / "center")).problems) == 1
    assert check.rebuild(StateDir(root_dir / "center"), 0)
    sound(root_dir / "center")


@pytest.mark.parametrize("at", [3, 24, 25, 27, 29, 31])
def test_retention_that_is_killed_is_sound_and_is_finished_later(root_dir: Path, at: int) -> None:
    state = StateDir(root_dir / "center")
    assert is_killed(root_dir, _RETAIN, at), "the fault must happen"
    sound(state.root_dir)
    assert not is_killed(root_dir, _RETAIN, 1 << 30)
    sound(state.root_dir)
    with contextlib.closing(state.open_database()) as database:
        retention.unlink(database, BlobStore(state.blobs_dir))
    assert [file for file in state.blobs_dir.rglob("*") if file.is_file()] == []
