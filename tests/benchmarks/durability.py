"""Durable alerts a second beside the disk's own limit and beside other systems, on the same disk in the same run.

Ours is numbered, sealed, signed, verified and receipted, by a node and a center in a process each; the peers' 1 KiB messages are stored and
acknowledged (``durable_peers``). All of them run side by side and are asked in turn, round by round: disks have moods. Medians.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
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
from tests.benchmarks.durable_peers import TOGETHER, Peer, peers
from tests.benchmarks.figure import Figure
from tests.benchmarks.relay import _alert_body, _spool_puts
from tests.relay.house import House
from tests.relay.mosquitto import free_port

SECONDS: Final = 2
ROUNDS: Final = 3
RECEIPT: Final = "put to the center's receipt"
FEWER: Final = f"{RECEIPT}, {TOGETHER} in flight"
REAL: Final = f"{RECEIPT}, the real center's"
DISK: Final = "the disk's fdatasyncs"


def measure() -> list[Figure]:
    """The disk, ours and each peer that is installed."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        disk = _fdatasyncs(folder)
        puts: dict[int, list[float]] = {1: [], TOGETHER: []}
        ours: dict[str, list[Passage]] = {RECEIPT: [], FEWER: [], REAL: []}
        rates: dict[str, list[float]] = {}
        with peers(folder) as others, _bare_center(folder) as bare, _real_center(folder) as real:
            for number in range(ROUNDS):
                for together, found in puts.items():
                    found.append(
                        asyncio.run(_spool_puts(folder / f"puts {number}", together=together, seconds=SECONDS))[0]
                    )
                ours[RECEIPT].append(asyncio.run(_end_to_end(bare, in_flight=4 * TOGETHER)))
                for peer in others:
                    rates.setdefault(peer.name, []).append(peer.run(SECONDS))
                ours[FEWER].append(asyncio.run(_end_to_end(bare, in_flight=TOGETHER)))
                ours[REAL].append(asyncio.run(_end_to_end(real, in_flight=4 * TOGETHER)))
        passages = {what: _median(each) for what, each in ours.items()}
        own, at_real = passages[RECEIPT], passages[REAL]
        alone, grouped = (statistics.median(found) for found in puts.values())
        return [
            Figure(name="fdatasync of 4 KiB, appended", value=disk, unit="/s"),
            Figure(name="spool put, one caller", value=alone, unit="/s", peer=DISK, peer_value=disk),
            Figure(name=f"spool put, {TOGETHER} callers", value=grouped, unit="/s", peer=DISK, peer_value=disk),
            Figure(name=RECEIPT, value=own.per_s, unit="/s", peer=DISK, peer_value=disk),
            Figure(name="the node's processor time an alert", value=own.node_us, unit="µs", peer="the center's",
                   peer_value=own.center_us, is_more_better=False),
            Figure(name="the node's processor time an alert", value=at_real.node_us, unit="µs",
                   peer="the real center's, with its journal", peer_value=at_real.center_us, is_more_better=False),
            *(figure for peer in others for figure in _beside(peer, statistics.median(rates[peer.name]), passages, alone, grouped)),
        ]  # fmt: skip


def _beside(peer: Peer, rate: float, passages: "dict[str, Passage]", alone: float, grouped: float) -> Iterator[Figure]:
    """Ours beside every peer; the rest where the peer's promise is ours. A put is what a caller waits for, as for a peer's acknowledgement."""
    if peer.at_once > 1:
        yield Figure(name=f"spool put, {TOGETHER} callers", value=grouped, unit="/s", peer=peer.name, peer_value=rate,
                     target_ratio=1.0 if peer.is_to_beat else None)  # fmt: skip
    else:
        yield Figure(name="spool put, one caller", value=alone, unit="/s", peer=peer.name, peer_value=rate)
    for what, passage in passages.items():
        if what == RECEIPT or peer.is_to_beat:
            yield Figure(name=what, value=passage.per_s, unit="/s", peer=peer.name, peer_value=rate,
                         target_ratio=1.0 if what == RECEIPT and peer.is_to_beat else None)  # fmt: skip


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


def _median(passages: Sequence[Passage]) -> Passage:
    return Passage(per_s=statistics.median(item.per_s for item in passages),
                   node_us=statistics.median(item.node_us for item in passages),
                   center_us=statistics.median(item.center_us for item in passages))  # fmt: skip


Center = tuple[House, str, str, "subprocess.Popen[bytes]"]
"""The house that the node is enrolled in, the center's name there, its endpoint, its process."""


async def _end_to_end(center: Center, *, in_flight: int) -> Passage:
    """A node in this process and a center in its own, a disk's file each, both on this disk; the window is the node's own."""
    house, name, endpoint, process = center
    async with house.station("gate", to=[(name, endpoint)]) as gate:
        draft = gate.draft_up(Kind.ALERT, Precedence.FLASH, _alert_body())
        await _raise(gate, draft, in_flight, until_s=time.monotonic() + 1.0)  # warm
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
