"""Each peer with one of three paths silently dead: ``measure`` gives what its messages needed, and the bytes they cost."""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from tests.network import emulator, namespaces, topology
from tests.network.emulator import Ask, Change, Forget, Standing
from tests.network.peers import exchange, mosquitto, nats
from tests.network.peers.exchange import Go, Heard, Ready, Sent
from tests.network.scenario import Scenario

PEERS: Final = {
    "dealer": "plain ZeroMQ DEALER",
    "mosquitto": "Mosquitto bridge",
    "nats": "NATS leaf node",
    "mptcp": "kernel MPTCP",
}
BEFORE_CUT_S: Final = 4.0
_GRACE_S: Final = 5.0
"""After its own patience; then a node's end that hangs is ended."""
_told = msgspec.json.Decoder(exchange.Told)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one peer's messages, those sent after the cut."""

    took_ms: tuple[float, ...]
    """Handed over to acknowledged; those that were never acknowledged are not in it."""
    lost: int
    sent: int
    bytes_by_link: dict[str, int]
    """Both ways, whole run."""
    whole_run: int
    """Messages of the whole run."""


def is_possible(peer: str) -> bool:
    """Whether this peer is installed here."""
    if peer == "mptcp":
        return Path("/proc/sys/net/mptcp/enabled").exists()
    return {"mosquitto": mosquitto.is_here, "nats": nats.is_here}.get(peer, lambda: True)()


def run(
    peer: str,
    scenario: Scenario,
    cut: str,
    seed: int,
    *,
    messages_per_s: float,
    seconds: float,
    patience_s: float = 30.0,
    fault: Change | Forget | None = None,
) -> Outcome:
    """One run: all paths up, then ``cut`` turns into a black hole, or what ``fault`` says happens to it.

    Raises:
        AssertionError: an end did not come up, or the cut swallowed nothing.
    """
    with tempfile.TemporaryDirectory(prefix="heard-peer-") as folder, namespaces.made(scenario.places()) as names:
        state_dir = Path(folder)
        with _links(scenario, seed, state_dir, names) as socket_file, contextlib.ExitStack() as stack:
            addresses = [f"10.71.{number}.1" for number in range(1, len(scenario.link) + 1)]
            if peer == "mptcp":
                _allow_subflows(scenario, names)
            center = stack.enter_context(_end(peer, "center", state_dir, names["center"], addresses))
            node = stack.enter_context(_end(peer, "node", state_dir, names["node"], addresses))
            before = emulator.tell(socket_file, Ask())
            _order(node, Go(messages_per_s=messages_per_s, seconds=BEFORE_CUT_S + seconds, patience_s=patience_s))
            time.sleep(BEFORE_CUT_S)
            cut_s = time.monotonic()
            emulator.tell(socket_file, fault or Change(link=cut, to={"is_blackhole": True}))
            # A stream whose connection was forgotten may block its sender for good: what it has not heard by then is lost.
            overdue = threading.Timer(seconds + patience_s + _GRACE_S, node.kill)
            overdue.start()
            lines = _output(node).readlines()
            overdue.cancel()
            standing = emulator.tell(socket_file, Ask())
            assert center.poll() is None, f"{peer}: the center's end died"
            assert standing.up[cut].swallowed, f"{peer}: the cut swallowed nothing"
    return _summed_up(lines, cut_s, before, standing)


def _summed_up(lines: Sequence[bytes], cut_s: float, before: Standing, after: Standing) -> Outcome:
    told = [_told.decode(line) for line in lines]
    sent = {item.number: item.at_s for item in told if isinstance(item, Sent)}
    heard = {item.number: item.at_s for item in told if isinstance(item, Heard)}
    counted = {number for number, at_s in sent.items() if at_s >= cut_s}
    return Outcome(
        took_ms=tuple((heard[number] - sent[number]) * 1000 for number in sorted(counted & heard.keys())),
        lost=len(counted - heard.keys()), sent=len(counted), whole_run=len(sent),
        bytes_by_link={name: after.up[name].passed_bytes + after.down[name].passed_bytes - before.up[name].passed_bytes
                       - before.down[name].passed_bytes for name in after.up},
    )  # fmt: skip


@contextlib.contextmanager
def _links(scenario: Scenario, seed: int, state_dir: Path, names: dict[str, str]) -> Iterator[Path]:
    topology.give_service_addresses(names)
    socket_file, plan_file = state_dir / "orders", state_dir / "plan.json"
    plan = emulator.Plan(socket=str(socket_file), seed=seed, links=topology.link_plans(scenario, names))
    plan_file.write_bytes(msgspec.json.encode(plan))
    emulating = [sys.executable, "-m", "tests.network.emulator", str(plan_file)]
    with subprocess.Popen(emulating, stdout=subprocess.PIPE) as process:
        try:
            assert _output(process).readline() == b"ready\n"
            topology.route(scenario, names)
            yield socket_file
        finally:
            process.kill()


@contextlib.contextmanager
def _end(
    peer: str, end: exchange.End, state_dir: Path, namespace: str, addresses: list[str]
) -> Iterator["subprocess.Popen[bytes]"]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-m", "tests.network.peers.exchange", peer, end]
    command += [str(state_dir), *addresses]
    log_file = state_dir / f"{end}.log"
    pipe = subprocess.PIPE
    with log_file.open("wb") as log, subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log) as process:
        try:
            line = _output(process).readline()
            assert line, f"{peer} {end}: {log_file.read_text(encoding='utf-8')}"
            assert isinstance(_told.decode(line), Ready)
            yield process
        finally:
            # Its broker too: whatever lives in the namespace.
            found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
            subprocess.run(["kill", "-9", *found.stdout.split()], capture_output=True, check=False)


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _order(process: "subprocess.Popen[bytes]", order: Go) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()


def _allow_subflows(scenario: Scenario, names: dict[str, str]) -> None:
    for place in ("node", "center"):
        namespaces.ip("mptcp", "limits", "set", "subflow", "8", "add_addr_accepted", "8", inside=names[place])
    for number, link in enumerate(scenario.link[1:], start=2):
        namespaces.ip("mptcp", "endpoint", "add", f"10.71.{number}.2", "dev", topology.device_of(link), "subflow",
                      inside=names["node"])  # fmt: skip
