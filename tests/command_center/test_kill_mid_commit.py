"""A center that is killed while it commits: whatever it has promised is there, and everything follows from the journal."""

import asyncio
import contextlib
import random
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from command_center.demonstration.household import BIN_DIR, free_port
from relay import envelope as envelopes
from relay import intake_log
from relay.identity import Identity
from tests.benchmarks.center import _nodes
from tests.benchmarks.ingest_load import Load, LoadNode

PASSWORD = "nine patient herons"
KILLS = 3


def tool(state_dir: Path, *args: str | Path) -> str:
    done = subprocess.run(
        [BIN_DIR / "command-center", *args, "--state", state_dir], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.asynccontextmanager
async def running(state_dir: Path, endpoint: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command: list[str | Path] = [BIN_DIR / "command-center", "run", "--state", state_dir, "--listen", endpoint, "--http",
               f"127.0.0.1:{port}", "--log-level", "error"]  # fmt: skip
    process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b"Console" in await asyncio.to_thread(process.stdout.readline)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, 20)
        assert process.stdout is not None
        process.stdout.close()


async def send(
    endpoint: str, server: Identity, nodes: list[LoadNode], authority: Identity, *, is_endless: bool
) -> None:
    for node in nodes:  # what was under way when the center died is sent again, as nodes do that hear no receipt
        node.sent_s = node.sent_s[: node.acked]
    load = Load(endpoint, server.transport_key, nodes)
    await load.connect()
    try:
        await load.run(window=40)
        while is_endless:
            for node in nodes:
                node.sign(5, authority.sealing_key)
            await load.run(window=1)  # many small commits
            await asyncio.sleep(0.05)  # a pace, so that checking it all takes seconds
    finally:
        load.close()


async def write_notes(url: str, answered: list[str]) -> None:
    """A dispatcher who writes one note after the other; ``answered`` are those that the center said it has."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        session = await client.post("/api/v1/session", json={"username": "ada", "password": PASSWORD})
        client.headers["X-Heard-CSRF"] = session.json()["csrf"]
        while True:
            text = f"note {len(answered)}"
            answer = await client.post("/api/v1/incidents/1/notes", json={"text": text, "key": text})
            if answer.status_code == 201:
                answered.append(text)
            await asyncio.sleep(0.01)  # until the first alert there is no incident


def promises(state_dir: Path, nodes: list[LoadNode], notes: list[str]) -> None:
    """Everything that was receipted or answered is in the database, or in the intake log, opened as the next start opens them."""
    logged = [envelopes.parse(record.wire).header for record in intake_log.read(state_dir / intake_log.FILE_NAME)]
    with contextlib.closing(sqlite3.connect(state_dir / "center.sqlite")) as connection:
        for node in nodes:
            ours = node.identity.node_id
            held = {row[0] for row in connection.execute("SELECT sequence FROM alert WHERE node = ?", (ours,))}
            held |= {header.sequence for header in logged if header.origin == ours}
            assert set(range(1, node.acked + 1)) <= held, "a receipt means durable"
        kept = {text for (text,) in connection.execute("SELECT text FROM incident_note")}
        assert set(notes) <= kept, "an answered act is durable"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_center_that_is_killed_mid_commit_keeps_every_promise(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    dice, state_dir, endpoint = random.Random(seed), tmp_path / "center", f"tcp://127.0.0.1:{free_port()}"
    tool(state_dir, "init")
    (tmp_path / "password").write_text(PASSWORD)
    tool(state_dir, "user", "add", "ada", "--role", "dispatcher", "--password-file", tmp_path / "password")
    authority, server = Identity.load(state_dir / "authority.key"), Identity.load(state_dir / "identity.key")
    nodes, notes = _nodes(authority), list[str]()
    for _ in range(KILLS):
        enough, notes_enough = sum(node.acked for node in nodes) + dice.randrange(200, 600), len(notes) + 3
        async with running(state_dir, endpoint) as (process, url):
            sending = asyncio.create_task(send(endpoint, server, nodes, authority, is_endless=True))
            writing = asyncio.create_task(write_notes(url, notes))
            while sum(node.acked for node in nodes) < enough or len(notes) < notes_enough:
                assert not sending.done(), sending.exception()
                assert not writing.done(), writing.exception()
                await asyncio.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            for task in (sending, writing):
                task.cancel()
            await asyncio.gather(sending, writing, return_exceptions=True)
        promises(state_dir, nodes, notes)
    async with running(state_dir, endpoint):
        await send(endpoint, server, nodes, authority, is_endless=False)
    promises(state_dir, nodes, notes)
    assert all(node.acked == len(node.wires) for node in nodes)
    with contextlib.closing(sqlite3.connect(state_dir / "center.sqlite")) as connection:
        alerts, ids = connection.execute("SELECT COUNT(*), COUNT(DISTINCT id) FROM alert").fetchone()
    assert alerts == ids == sum(len(node.wires) for node in nodes), "each once, however often it was sent"
    assert "all as written" in tool(state_dir, "check")
    assert len(set(notes)) == len(notes) >= 3 * KILLS
