"""The centre's ingest: alerts a second that are verified, decrypted, journalled, made into incidents, durable, and receipted."""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from command_center.demonstration.household import BIN_DIR, free_port
from relay import passport
from relay.identity import Identity
from relay.passport import Role
from tests.benchmarks.figure import Figure, percentile
from tests.benchmarks.ingest_load import CONNECTIONS, Load, LoadNode

BURST = 400
"""Alerts of each of the 20 connections in the full-speed run."""
ROUNDS = 3


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        figures = {what: asyncio.run(_measure(folder, what)) for what in ("center", "bare")}
    ours, bare = figures["center"], figures["bare"]
    return [
        Figure(name="ingest at full speed, 1,000 in flight", value=ours[0], unit="/s",
               peer="bare verify + SQLite group commit", peer_value=bare[0]),
        Figure(name="receipt at 100 alerts/s, p50", value=percentile(ours[1], 0.5), unit="ms", peer="bare, p50",
               peer_value=percentile(bare[1], 0.5), is_more_better=False),
        Figure(name="receipt at 100 alerts/s, p99", value=percentile(ours[1], 0.99), unit="ms", peer="bare, p99",
               peer_value=percentile(bare[1], 0.99), is_more_better=False),
    ]  # fmt: skip


def _nodes(authority: Identity) -> list[LoadNode]:
    made: list[LoadNode] = []
    for number in range(CONNECTIONS):
        identity = Identity.generate()
        keys = (identity.signing_key, identity.sealing_key, identity.transport_key)
        signed = passport.issue(authority.signing, role=Role.CAMERA, name=f"load-{number}", site="yard", agency="bench", keys=keys,
                                not_before_ms=0, not_after_ms=1 << 47, serial=1000 + number)  # fmt: skip
        made.append(LoadNode(identity=identity, passport=signed.wire))
    return made


async def _measure(folder: Path, what: str) -> tuple[float, list[float]]:
    with _center(folder) if what == "center" else _bare(folder) as (endpoint, server, authority):
        nodes = _nodes(authority)
        load = Load(endpoint, server.transport_key, nodes)
        await load.connect()
        speeds: list[float] = []
        for _ in range(ROUNDS):
            for node in nodes:
                node.sign(BURST, authority.sealing_key)
            speed, _ = await load.run(window=50)
            speeds.append(speed)
        for node in nodes:
            node.sign(30, authority.sealing_key)
        _, took_ms = await load.run(window=50, rate_per_s=100)
        load.close()
        return sorted(speeds)[len(speeds) // 2], took_ms


@contextlib.contextmanager
def _center(folder: Path) -> Iterator[tuple[str, Identity, Identity]]:
    state_dir = folder / "center"
    subprocess.run(
        [BIN_DIR / "command-center", "init", "--state", str(state_dir)], check=True, stdout=subprocess.DEVNULL
    )
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    http = f"127.0.0.1:{free_port()}"
    with _process([BIN_DIR / "command-center", "run", "--state", str(state_dir), "--listen", endpoint, "--http", http,
                   "--log-level", "warning"]):  # fmt: skip
        time.sleep(3)
        yield endpoint, Identity.load(state_dir / "identity.key"), Identity.load(state_dir / "authority.key")


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[tuple[str, Identity, Identity]]:
    server, authority = Identity.generate(), Identity.generate()
    server.save(folder / "bare.key")
    port_file = folder / "bare.port"
    with _process([sys.executable, "-m", "tests.benchmarks.bare_ingest", str(folder / "bare.key"), str(port_file),
                   str(folder / "bare.sqlite")]):  # fmt: skip
        while not port_file.exists() or not port_file.read_text():
            time.sleep(0.05)
        yield f"tcp://127.0.0.1:{port_file.read_text()}", server, authority


@contextlib.contextmanager
def _process(command: list[str | Path]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
