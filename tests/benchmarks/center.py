"""The center's ingest: alerts a second that are verified, decrypted, journalled, made into incidents, durable, and receipted."""

import asyncio
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from command_center.demonstration.household import BIN_DIR, free_port
from relay import passport
from relay.identity import Identity
from relay.passport import Role
from tests.benchmarks import postgres_rows
from tests.benchmarks.figure import Figure, percentile
from tests.benchmarks.ingest_load import CONNECTIONS, Load, LoadNode
from tests.benchmarks.tls_load import TlsLoad

Running = tuple[str, Identity, Identity, "subprocess.Popen[bytes]"]
"""Endpoint, the server's keys, the authority's, the process."""
AnyLoad = Load | TlsLoad
BURST = 400
"""Alerts of each of the 20 connections in the full-speed run."""
ROUNDS = 5
RATE = 100
SLICE_S = 2
SLICES = 30
"""The run at a steady rate, in slices; PostgreSQL has its own between them, so that both meet the same moods of the disk. A hundredth of this
is sixty receipts: with fewer the figure was the disk's mood of one second."""
SETTLES_S = 0.5
"""From when one is let go on: all that was due meanwhile comes at once."""
SELDOM = 3
"""Every so many slices the others have one too."""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        with postgres_rows.cluster(CONNECTIONS) as rows:
            runs, postgres = asyncio.run(_by_turns(folder, rows))
    beside, bare, floor, over_zeromq, ours = runs
    made = [
        Figure(name="ingest at full speed over zeromq, 1,000 in flight", value=over_zeromq.per_s, unit="/s",
               peer="bare verify + SQLite group commit", peer_value=bare.per_s, target_ratio=0.8),
        Figure(name="ingest at full speed over zeromq, 1,000 in flight", value=over_zeromq.per_s, unit="/s",
               peer="bare, signatures in a process beside", peer_value=beside.per_s),
        Figure(name="ingest at full speed over tls, 1,000 in flight", value=ours.per_s, unit="/s", peer="bare, over zeromq",
               peer_value=bare.per_s, target_ratio=0.8),
        Figure(name="processor time an alert, zeromq", value=over_zeromq.cpu_us, unit="µs", peer="bare", peer_value=bare.cpu_us, is_more_better=False),
        Figure(name="processor time an alert, tls", value=ours.cpu_us, unit="µs", peer="bare", peer_value=bare.cpu_us, is_more_better=False),
        Figure(name=f"receipt at {RATE} alerts/s over zeromq, p50", value=percentile(over_zeromq.took_ms, 0.5), unit="ms", peer="bound",
               peer_value=10.0, target_ratio=1.0, is_more_better=False),
        Figure(name=f"receipt at {RATE} alerts/s over zeromq, p99", value=percentile(over_zeromq.took_ms, 0.99), unit="ms",
               peer="bare, over zeromq, p99", peer_value=percentile(bare.took_ms, 0.99), is_more_better=False),
        Figure(name=f"receipt at {RATE} alerts/s over tls, p50", value=percentile(ours.took_ms, 0.5), unit="ms", peer="bound",
               peer_value=10.0, target_ratio=1.0, is_more_better=False),
        Figure(name=f"receipt at {RATE} alerts/s over tls, p50", value=percentile(ours.took_ms, 0.5), unit="ms", peer="bare, p50",
               peer_value=percentile(bare.took_ms, 0.5), is_more_better=False),
        Figure(name=f"receipt at {RATE} alerts/s over tls, p99", value=percentile(ours.took_ms, 0.99), unit="ms", peer="bare, p99",
               peer_value=percentile(bare.took_ms, 0.99), is_more_better=False),
    ]  # fmt: skip
    made.append(Figure(name=f"receipt at {RATE} alerts/s over tls, p99", value=percentile(ours.took_ms, 0.99), unit="ms",
                       peer="the least process that checks, writes and signs, over tls, p99", peer_value=percentile(floor.took_ms, 0.99),
                       is_more_better=False))  # fmt: skip
    if postgres is not None:
        made += _beside_postgres(ours, over_zeromq, floor, postgres)
    return made


def _beside_postgres(ours: "Run", over_zeromq: "Run", floor: "Run", postgres: "Commits") -> list[Figure]:
    peers = (
        ("PostgreSQL, one row a transaction, psycopg as it comes", postgres.program_ms),
        ("PostgreSQL, the same with autocommit", postgres.autocommit_ms),
        ("PostgreSQL, no transaction, no driver: libpq's own calls from Python", postgres.least_ms),
    )
    made = [
        Figure(name=f"receipt at {RATE} alerts/s over {name}, p99", value=percentile(run.took_ms, 0.99), unit="ms", peer=f"{peer}, p99",
               peer_value=percentile(took_ms, 0.99), target_ratio=1.2 if run is ours and took_ms is postgres.least_ms else None, is_more_better=False)
        for peer, took_ms in peers for name, run in (("tls", ours), ("zeromq", over_zeromq))
    ]  # fmt: skip
    made.append(Figure(name="the least process that checks, writes and signs, over tls, p99", value=percentile(floor.took_ms, 0.99), unit="ms",
                       peer=f"{peers[-1][0]}, p99", peer_value=percentile(postgres.least_ms, 0.99), is_more_better=False))  # fmt: skip
    made.append(Figure(name=f"receipt at {RATE} alerts/s over tls, p50", value=percentile(ours.took_ms, 0.5), unit="ms", peer=f"{peers[0][0]}, p50",
                       peer_value=percentile(postgres.program_ms, 0.5), is_more_better=False))  # fmt: skip
    return made


@dataclass(frozen=True, slots=True)
class Commits:
    """What PostgreSQL's took, ms."""

    program_ms: list[float] = field(default_factory=list)
    autocommit_ms: list[float] = field(default_factory=list)
    least_ms: list[float] = field(default_factory=list)


async def _by_turns(folder: Path, rows: postgres_rows.Cluster | None) -> "tuple[list[Run], Commits | None]":
    """Who does not have its turn stands still."""
    commits = Commits()
    async with contextlib.AsyncExitStack() as stack:
        places = [stack.enter_context(_bare(folder, what)) for what in ("bare beside", "bare")]
        places.append(stack.enter_context(_least(folder)))
        receivers = [Receiver(place) for place in (*places, *stack.enter_context(_center(folder)))]
        for receiver in receivers:
            await receiver.load.connect()
        if rows is not None:
            least = stack.enter_context(contextlib.closing(rows.load()))
            program, autocommit = [
                await stack.enter_async_context(contextlib.aclosing(await rows.program(autocommit=yes)))
                for yes in (False, True)
            ]
        for receiver in receivers:
            receiver.send(signal.SIGSTOP)
        beside, bare, floor, *ways = receivers
        for _ in range(ROUNDS):
            for receiver in (beside, bare, *ways):
                with receiver.going_on():
                    receiver.run_flat_out()
        for number in range(SLICES):
            for receiver in (*ways, *((bare,) if number % SELDOM == 0 else (floor,) if number % SELDOM == 1 else ())):
                with receiver.going_on():
                    receiver.run_steady(number)
            if rows is not None:
                asked = {"rate_per_s": RATE, "count": SLICE_S * RATE, "seed": number}
                commits.least_ms.extend(least.run_steady(**asked))
                commits.program_ms.extend(await program.run_steady(**asked))
                if number % SELDOM == 2:
                    commits.autocommit_ms.extend(await autocommit.run_steady(**asked))
        for receiver in receivers:
            receiver.send(signal.SIGCONT)
        return [receiver.close() for receiver in receivers], None if rows is None else commits


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one receiver did."""

    per_s: float
    cpu_us: float
    """Of its process, an alert, at full speed: the figure that a busy machine disturbs least."""
    took_ms: list[float]


def _nodes(authority: Identity, first: int = 0) -> list[LoadNode]:
    made: list[LoadNode] = []
    for number in range(first, first + CONNECTIONS):
        identity = Identity.generate()
        keys = (identity.signing_key, identity.sealing_key, identity.transport_key)
        signed = passport.issue(authority.signing, role=Role.CAMERA, name=f"load-{number}", site="yard", agency="bench", keys=keys,
                                not_before_ms=0, not_after_ms=1 << 47, serial=1000 + number)  # fmt: skip
        made.append(LoadNode(identity=identity, passport=signed.wire))
    return made


class Receiver:
    """One that is measured, with a load of its own."""

    def __init__(self, running: Running) -> None:
        endpoint, server, authority, process = running
        self._used = psutil.Process(process.pid)
        self._sealing_key = authority.sealing_key
        is_tls = endpoint.startswith("tls:")
        self._nodes = _nodes(authority, CONNECTIONS if is_tls else 0)
        self.load: AnyLoad = (
            TlsLoad(endpoint, server, self._nodes) if is_tls else Load(endpoint, server.transport_key, self._nodes)
        )
        self._speeds = list[float]()
        self._costs_us = list[float]()
        self._took_ms = list[float]()

    def send(self, number: signal.Signals) -> None:
        """Stop it or let it go on, with the processes that it started: what a center does after a burst is not taken from who has the next turn."""
        for process in (self._used, *self._used.children(recursive=True)):
            process.send_signal(number)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Its turn."""
        self.send(signal.SIGCONT)
        time.sleep(SETTLES_S)
        try:
            yield
        finally:
            self.send(signal.SIGSTOP)

    def run_flat_out(self) -> None:
        """A round at full speed."""
        self._sign(BURST)
        before_s = _used_s(self._used)
        self._speeds.append(self.load.run_flat_out(window=50))
        self._costs_us.append((_used_s(self._used) - before_s) * 1e6 / (BURST * CONNECTIONS))

    def run_steady(self, number: int) -> None:
        """A slice at the steady rate."""
        self._sign(SLICE_S * RATE // CONNECTIONS)
        self._took_ms += self.load.run_steady(rate_per_s=RATE, count=SLICE_S * RATE, seed=number)

    def _sign(self, count: int) -> None:
        for node in self._nodes:
            node.sign(count, self._sealing_key)

    def close(self) -> Run:
        """Close the load; what was found."""
        self.load.close()
        return Run(
            per_s=statistics.median(self._speeds or [0.0]),
            cpu_us=statistics.median(self._costs_us or [0.0]),
            took_ms=self._took_ms,
        )


def _used_s(process: psutil.Process) -> float:
    """Processor time of a process and of those that it started and that still run."""
    return float(sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True))))


@contextlib.contextmanager
def _center(folder: Path) -> Iterator[tuple[Running, Running]]:
    """One center: over ZeroMQ, over TLS."""
    state_dir = folder / "center"
    subprocess.run(
        [BIN_DIR / "command-center", "init", "--state", str(state_dir)], check=True, stdout=subprocess.DEVNULL
    )
    endpoints = [f"{scheme}://127.0.0.1:{free_port()}" for scheme in ("tcp", "tls")]
    http = f"127.0.0.1:{free_port()}"
    with _process([BIN_DIR / "command-center", "run", "--state", str(state_dir), "--listen", endpoints[0], "--listen", endpoints[1],
                   "--http", http, "--log-level", "warning"]) as process:  # fmt: skip
        time.sleep(3)
        server, authority = Identity.load(state_dir / "identity.key"), Identity.load(state_dir / "authority.key")
        yield (endpoints[0], server, authority, process), (endpoints[1], server, authority, process)


@contextlib.contextmanager
def _bare(folder: Path, what: str) -> Iterator[Running]:
    server, authority = Identity.generate(), Identity.generate()
    server.save(folder / f"{what}.key")
    port_file = folder / f"{what}.port"
    with _process([sys.executable, "-m", "tests.benchmarks.bare_ingest", str(folder / f"{what}.key"), str(port_file),
                   str(folder / f"{what}.sqlite"), *what.split()[1:]]) as process:  # fmt: skip
        _await_port(port_file)
        yield f"tcp://127.0.0.1:{port_file.read_text()}", server, authority, process


@contextlib.contextmanager
def _least(folder: Path) -> Iterator[Running]:
    server, authority = Identity.generate(), Identity.generate()
    server.save(folder / "least.key")
    port_file = folder / "least.port"
    with _process([sys.executable, "-m", "tests.benchmarks.bare_receipts", folder / "least.key", port_file, folder / "least.log"]) as process:  # fmt: skip
        _await_port(port_file)
        yield f"tls://127.0.0.1:{port_file.read_text()}", server, authority, process


def _await_port(port_file: Path) -> None:
    while not port_file.exists() or not port_file.read_text():
        time.sleep(0.05)


@contextlib.contextmanager
def _process(command: list[str | Path]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
