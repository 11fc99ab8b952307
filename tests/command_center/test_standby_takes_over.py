"""The leader is killed under load and its disk is lost; the standby takes over: whatever anybody was promised is there, once."""

import asyncio
import contextlib
import random
import signal
import sqlite3
from pathlib import Path

import pytest

from command_center.demonstration.household import free_port
from relay.identity import Identity
from tests.benchmarks.center import _nodes
from tests.command_center.standby_pair import Pair, following, leading, tool, wait_until_in_step
from tests.command_center.test_kill_mid_commit import PASSWORD, promises, send, write_notes


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_standby_takes_over_with_everything_that_was_promised(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    dice, endpoint = random.Random(seed), f"tcp://127.0.0.1:{free_port()}"
    pair = Pair(tmp_path)
    (tmp_path / "password").write_text(PASSWORD)
    tool("user", "add", "ada", "--role", "dispatcher", "--password-file", tmp_path / "password", "--state", pair.a_dir)
    authority, server = Identity.load(pair.a_dir / "authority.key"), pair.identity
    nodes, notes = _nodes(authority), list[str]()
    leader_dir, standby_dir = pair.a_dir, pair.b_dir
    for _ in range(2):
        http_port = free_port()
        with following(standby_dir, "--overwrite"), leading(leader_dir, endpoint, http_port) as process:
            sending = asyncio.create_task(send(endpoint, server, nodes, authority, is_endless=True))
            writing = asyncio.create_task(write_notes(f"http://127.0.0.1:{http_port}", notes))
            await asyncio.to_thread(wait_until_in_step, leader_dir)
            enough, notes_enough = sum(node.acked for node in nodes) + dice.randrange(300, 900), len(notes) + 5
            while sum(node.acked for node in nodes) < enough or len(notes) < notes_enough:
                assert not sending.done(), sending.exception()
                assert not writing.done(), writing.exception()
                await asyncio.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            for task in (sending, writing):
                task.cancel()
            await asyncio.gather(sending, writing, return_exceptions=True)
            process.wait(20)
        for file in ("center.sqlite", "center.sqlite-wal", "center.sqlite-shm", "intake.log"):
            (leader_dir / file).unlink(missing_ok=True)
        said = tool("promote", "--state", standby_dir)
        assert "leads now" in said
        assert "0 problems" in said
        promises(standby_dir, nodes, notes)
        leader_dir, standby_dir = standby_dir, leader_dir
        (standby_dir / "center.sqlite").touch()  # a new disk
    with leading(leader_dir, endpoint):
        await send(endpoint, server, nodes, authority, is_endless=False)
    promises(leader_dir, nodes, notes)
    assert all(node.acked == len(node.wires) for node in nodes)
    with contextlib.closing(sqlite3.connect(leader_dir / "center.sqlite")) as connection:
        alerts, ids = connection.execute("SELECT COUNT(*), COUNT(DISTINCT id) FROM alert").fetchone()
        assert connection.execute("SELECT COUNT(*) FROM entry WHERE kind = 'promoted'").fetchone() == (2,)
    assert alerts == ids == sum(len(node.wires) for node in nodes), "each once, however often it was sent"
    assert "all as written" in tool("check", "--state", leader_dir)
    assert len(set(notes)) == len(notes) >= 10
