"""A center and a standby in this process, each in a folder of its own."""

import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from command_center.config import CenterConfig, StandbyConfig
from command_center.standby.follower import Follower
from command_center.standby.line import Doorkeeper
from command_center.standby.messages import Answer, Asked
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.identity import Identity
from tests.command_center.house import House, running_center
from tests.command_center.test_ingest import until

KEYS = ("authority.key", "identity.key", "enrollment.msgpack", "center.toml")


def make(root_dir: Path, clock: SimulatedClock) -> tuple[Path, Path, Identity]:
    """A center's folder, and one with the same keys for its standby."""
    state = StateDir(root_dir / "a")
    identity = state.init(clock, name="center", site="hq", agency="agency", http="127.0.0.1:0", url="")
    other_dir = root_dir / "b"
    (other_dir / "blobs").mkdir(parents=True)
    for name in KEYS:
        (other_dir / name).write_bytes((state.root_dir / name).read_bytes())
        (other_dir / name).chmod(0o600)
    return state.root_dir, other_dir, identity


@contextlib.asynccontextmanager
async def leading(state_dir: Path, port: int, clock: SimulatedClock, *, wait_s: float = 5.0) -> AsyncIterator[House]:
    config = CenterConfig(
        http="127.0.0.1:0", listen=(), standby=StandbyConfig(address=f"127.0.0.1:{port}", wait_s=wait_s)
    )
    async with running_center(state_dir, clock=clock, config=config) as house:
        yield house


async def until_it_says(house: House, kind: str, times: int = 1) -> None:
    async def is_said() -> bool:
        return await house.query("SELECT COUNT(*) FROM entry WHERE kind = ?", kind) == [(times,)]

    await until(is_said)


def rows_of(state_dir: Path) -> list[tuple[int, bytes]]:
    """The journal in a standby's folder."""
    connection = sqlite3.connect(f"{(state_dir / 'center.sqlite').as_uri()}?immutable=1", uri=True)
    with contextlib.closing(connection):
        return connection.execute("SELECT id, leaf FROM entry ORDER BY id").fetchall()


async def until_they_are_the_same(house: House, b_dir: Path) -> None:
    """Page by page; the first has counters of its own."""

    async def are_the_same() -> bool:
        copy_file = b_dir.parent / "now.sqlite"
        copy_file.unlink(missing_ok=True)
        with (
            contextlib.closing(house.database.reader()) as source,
            contextlib.closing(sqlite3.connect(copy_file)) as target,
        ):
            source.backup(target)
        return copy_file.read_bytes()[4096:] == (b_dir / "center.sqlite").read_bytes()[4096:]

    await until(are_the_same)


@contextlib.contextmanager
def asked_of(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, before: Callable[[Asked], None] | None = None
) -> Iterator[list[Asked]]:
    """What the standby is asked; ``before`` is called on its thread."""
    asked, does = list[Asked](), follower._do

    def do(message: Asked) -> Answer:
        asked.append(message)
        if before is not None:
            before(message)
        return does(message)

    with monkeypatch.context() as patch:
        patch.setattr(follower, "_do", do)
        yield asked


@contextlib.contextmanager
def follower_here(state_dir: Path, identity: Identity, port: int = 0) -> Iterator[tuple[Follower, int]]:
    """A standby in this process."""
    follower = Follower(StateDir(state_dir))
    door = Doorkeeper("127.0.0.1", port, identity, follower.called)
    serving = threading.Thread(target=follower.serve)
    serving.start()
    try:
        yield follower, door.port
    finally:
        door.close()
        follower.stop()
        serving.join(20)
        follower.close()
