"""What a standby costs: a receipt at a steady rate and the rate at full speed, beside the same center alone.

Beside it PostgreSQL with a synchronous standby of its own: the same promise, two disks before the answer, without a signature, a journal, an incident.
"""

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from command_center.demonstration.household import BIN_DIR, free_port
from command_center.standby.leader import LOST
from command_center.state_dir import DATABASE_NAME
from relay.identity import Identity
from tests.benchmarks import postgres_rows
from tests.benchmarks.center import RATE, SLICE_S, Receiver, Run, Running
from tests.benchmarks.figure import Figure, NoFigure, percentile
from tests.benchmarks.ingest_load import CONNECTIONS

SLICES = 15
ROUNDS = 3
IN_STEP_WITHIN_S = 60.0


def measure() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as name,
        postgres_rows.cluster(CONNECTIONS, has_standby=True) as rows,
    ):
        alone, beside, commits_ms = asyncio.run(_by_turns(Path(name), rows))
    made = [
        Figure(name=f"receipt at {RATE} alerts/s over tls with a standby in step, {label}", value=percentile(beside.took_ms, share), unit="ms",
               peer=f"the same center alone, {label}", peer_value=percentile(alone.took_ms, share), is_more_better=False)
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]  # fmt: skip
    made.append(Figure(name="ingest at full speed over tls with a standby in step", value=beside.per_s, unit="/s", peer="the same center alone",
                       peer_value=alone.per_s))  # fmt: skip
    made += [
        Figure(name=f"receipt at {RATE} alerts/s over tls with a standby in step, {label}", value=percentile(beside.took_ms, share), unit="ms",
               peer=f"PostgreSQL with a synchronous standby, libpq's own calls, {label}", peer_value=percentile(commits_ms, share), is_more_better=False)
        for label, share in (("p50", 0.5), ("p99", 0.99)) if commits_ms
    ]  # fmt: skip
    return made


async def _by_turns(folder: Path, rows: postgres_rows.Cluster | None) -> tuple[Run, Run, list[float]]:
    commits_ms = list[float]()
    with contextlib.ExitStack() as stack:
        alone = Receiver(stack.enter_context(_center(folder / "alone")))
        running, follower = stack.enter_context(_pair(folder / "pair"))
        beside = Receiver(running)
        table = stack.enter_context(contextlib.closing(rows.load())) if rows is not None else None
        for receiver in (alone, beside):
            await receiver.load.connect()
            receiver.send(signal.SIGSTOP)
        for number in range(ROUNDS + SLICES):
            for receiver in (alone, beside):
                with contextlib.ExitStack() as turn:
                    if receiver is beside:
                        turn.callback(follower.send_signal, signal.SIGSTOP)
                        follower.send_signal(signal.SIGCONT)
                    turn.enter_context(receiver.going_on())
                    if number < ROUNDS:
                        receiver.run_flat_out()
                        await asyncio.sleep(2)  # what is behind its receipts
                    else:
                        receiver.run_steady(number)
            if table is not None and number >= ROUNDS:
                commits_ms += table.run_steady(rate_per_s=RATE, count=SLICE_S * RATE, seed=number)
        follower.send_signal(signal.SIGCONT)
        for receiver in (alone, beside):
            receiver.send(signal.SIGCONT)
        if times := _times_lost(folder / "pair" / "a"):
            raise NoFigure(f"the standby was lost {times} times meanwhile: what was measured is a center alone")
        return alone.close(), beside.close(), commits_ms


@contextlib.contextmanager
def _center(state_dir: Path, *, is_made: bool = False) -> Iterator[Running]:
    if not is_made:
        _tool("init", "--state", state_dir)
    endpoint = f"tls://127.0.0.1:{free_port()}"
    with _process(
        "run", "--state", state_dir, "--listen", endpoint, "--http", f"127.0.0.1:{free_port()}", "--log-level", "error"
    ) as process:
        yield endpoint, Identity.load(state_dir / "identity.key"), Identity.load(state_dir / "authority.key"), process


@contextlib.contextmanager
def _pair(folder: Path) -> Iterator[tuple[Running, "subprocess.Popen[bytes]"]]:
    """A center whose standby is in step, and the standby."""
    folder.mkdir()
    first_dir, second_dir, port = folder / "a", folder / "b", free_port()
    _tool("init", "--state", first_dir)
    (folder / "passphrase").write_text("nobody needs to know it")
    _tool("backup", "--state", first_dir, "--to", folder / "backup", "--passphrase-file", folder / "passphrase")
    _tool("restore", folder / "backup", "--state", second_dir, "--passphrase-file", folder / "passphrase")
    config_file = first_dir / "center.toml"
    config_file.write_text(
        config_file.read_text().replace("[standby]", f'[standby]\naddress = "127.0.0.1:{port}"\nwait_s = 30.0')
    )
    with (
        _process(
            "follow", "--state", second_dir, "--listen", f"127.0.0.1:{port}", "--overwrite", "--log-level", "error"
        ) as follower,
        _center(first_dir, is_made=True) as running,
    ):
        end_s = time.monotonic() + IN_STEP_WITHIN_S
        while json.loads(_tool("status", "--json", "--state", first_dir))["standby"] != "in step":
            if time.monotonic() > end_s:
                raise NoFigure("the standby did not get in step")
            time.sleep(0.5)
        yield running, follower


def _times_lost(state_dir: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"{(state_dir / DATABASE_NAME).as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM entry WHERE kind = ?", (LOST,)).fetchone()[0])


def _tool(*args: str | Path) -> str:
    return subprocess.run([BIN_DIR / "command-center", *args], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _process(*args: str | Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([BIN_DIR / "command-center", *args], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it is up
        yield process
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
