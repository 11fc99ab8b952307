"""The leader is killed under load and its disk is lost; the standby takes over: whatever anybody was promised is there, once."""

import asyncio
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from command_center.demonstration.household import BIN_DIR, free_port
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


RELAY: Final = """state_dir = "."

[[path]]
name = "to-a"
endpoint = "tls://127.0.0.1:{a}"
kind = "tls"
peer = "command-center"

[[path]]
name = "to-b"
endpoint = "tls://127.0.0.1:{b}"
kind = "tls"
peer = "command-center"
"""


def emit(state_dir: Path) -> str:
    done = subprocess.run([BIN_DIR / "alert-relay", "emit", "--state", state_dir, "--label", "gunshot", "--camera", "mic1"], check=True,
                          capture_output=True, text=True)  # fmt: skip
    return str(json.loads(done.stdout)["id"])


def alerts_in(state_dir: Path) -> set[str]:
    with contextlib.closing(
        sqlite3.connect(f"{(state_dir / 'center.sqlite').as_uri()}?mode=ro", uri=True)
    ) as connection:
        return {row[0].hex() for row in connection.execute("SELECT id FROM alert")}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_camera_with_a_path_to_each_machine_is_heard_by_the_one_that_took_over(tmp_path: Path) -> None:
    pair, camera_dir = Pair(tmp_path), tmp_path / "camera"
    ports, http_port = {"a": free_port(), "b": free_port()}, free_port()
    said = list[str]()
    with contextlib.ExitStack() as stack:
        with (
            following(pair.b_dir, "--overwrite"),
            leading(pair.a_dir, f"tls://127.0.0.1:{ports['a']}", http_port) as first,
        ):
            invited = tool("node", "invite", "gate", "--role", "camera", "--site", "yard", "--approved", "--json", "--url",
                           f"http://127.0.0.1:{http_port}", "--state", pair.a_dir)  # fmt: skip
            subprocess.run([BIN_DIR / "alert-relay", "enroll", json.loads(invited)["code"], "--state", camera_dir], check=True,
                           capture_output=True)  # fmt: skip
            (camera_dir / "relay.toml").write_text(RELAY.format(**ports))
            running = subprocess.Popen([BIN_DIR / "alert-relay", "run", "--config", camera_dir / "relay.toml"],
                                       stdout=subprocess.DEVNULL)  # fmt: skip
            stack.callback(running.wait, 20)
            stack.callback(running.kill)
            wait_until_in_step(pair.a_dir)
            said.append(emit(camera_dir))
            until(lambda: set(said) == alerts_in(pair.a_dir))
            first.send_signal(signal.SIGKILL)
            first.wait(20)
        for file in ("center.sqlite", "center.sqlite-wal", "center.sqlite-shm", "intake.log"):
            (pair.a_dir / file).unlink(missing_ok=True)
        said.append(emit(camera_dir))  # while nobody listens
        tool("promote", "--state", pair.b_dir)
        assert set(said[:1]) == alerts_in(pair.b_dir)
        with leading(pair.b_dir, f"tls://127.0.0.1:{ports['b']}"):
            until(lambda: set(said) == alerts_in(pair.b_dir))
            said.append(emit(camera_dir))
            until(lambda: set(said) == alerts_in(pair.b_dir))
    assert "all as written" in tool("check", "--state", pair.b_dir)
    with contextlib.closing(sqlite3.connect(pair.b_dir / "center.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM alert").fetchone() == (3,), "each once"


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline_s, "did not happen within 40 s"
        time.sleep(0.1)
