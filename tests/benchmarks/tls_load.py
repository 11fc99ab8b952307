"""The load of ``ingest_load`` over the TLS path: the same nodes and alerts, the same moments, one thread that blocks in ``poll``."""

import secrets
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Final
from urllib.parse import urlsplit

from relay import hop, receipt
from relay.identity import Identity
from relay.path import Lane
from relay.paths import tls_proof
from tests.benchmarks.ingest_load import LoadNode
from tests.benchmarks.tls_line import TlsLine

_CONNECT_S: Final = 20.0


@dataclass(eq=False, slots=True)
class _Caller:
    """A node, and its connection."""

    node: LoadNode
    line: TlsLine


class TlsLoad:
    """All nodes, each on a connection of its own."""

    def __init__(self, endpoint: str, server: Identity, nodes: Sequence[LoadNode]) -> None:
        self._endpoint = urlsplit(endpoint)
        self._server = server
        self._nodes = nodes
        self._callers: dict[int, _Caller] = {}
        self._poll = select.poll()

    async def connect(self) -> None:
        """Dial and be introduced."""
        context = tls_proof.calling_context()
        for node in self._nodes:
            plain = socket.create_connection((self._endpoint.hostname, self._endpoint.port), _CONNECT_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = TlsLine(context.wrap_socket(plain))
            shown = tls_proof.require_issued_by(line.socket.getpeercert(binary_form=True), self._server.signing_key)
            attempt = secrets.token_bytes(tls_proof.ATTEMPT_BYTES)
            said = tls_proof.opening(attempt, Lane.URGENT, identity=node.identity, listener_transport_key=self._server.transport_key,
                                     certificate_sha256=shown)  # fmt: skip
            line.send(said, hop.encode(hop.Hello(node.passport, 0, bytes(16))))
            line.socket.setblocking(False)
            descriptor = line.socket.fileno()
            self._callers[descriptor] = _Caller(node, line)
            self._poll.register(descriptor, select.POLLIN)
            self._await_welcome(line)

    def _await_welcome(self, line: TlsLine) -> None:
        deadline_s = time.monotonic() + _CONNECT_S
        while time.monotonic() < deadline_s:
            self._poll.poll(100)
            if any(hop.is_note(parcel) and isinstance(hop.decode(parcel), hop.Welcome) for parcel in line.parcels()):
                return
        raise TimeoutError("no welcome")

    def run_flat_out(self, *, window: int) -> float:
        """As ``ingest_load.Load.run_flat_out``."""
        begin = sum(node.acked for node in self._nodes)
        started = time.perf_counter()
        left = len(self._nodes)
        for caller in self._callers.values():
            self._fill(caller, window)
        while left:
            ready = self._poll.poll(20_000)
            if not ready:
                raise TimeoutError("no receipt for 20 s, and not everything was acknowledged")
            for descriptor, _ in ready:
                caller = self._callers[descriptor]
                node = caller.node
                before = node.acked
                for parcel in caller.line.parcels():
                    if receipt.is_receipt(parcel):
                        node.acked = max(node.acked, receipt.parse(parcel).upto)
                left -= before < len(node.wires) <= node.acked
                self._fill(caller, window)
        elapsed = time.perf_counter() - started
        return (sum(node.acked for node in self._nodes) - begin) / elapsed

    @staticmethod
    def _fill(caller: _Caller, window: int) -> None:
        node, now_s = caller.node, time.perf_counter()
        wires = node.wires[len(node.sent_s) : node.acked + window]
        if wires:
            caller.line.send(*wires)
            node.sent_s += [now_s] * len(wires)

    def run_steady(self, *, rate_per_s: float, count: int, seed: int) -> list[float]:
        """As ``ingest_load.Load.run_steady``."""
        random = Random(seed)
        callers = list(self._callers.values())
        turns = [number % len(callers) for number in range(count)]
        random.shuffle(turns)
        due_s = time.perf_counter()
        deadline_s = due_s + 2 * count / rate_per_s + 30
        while turns or any(node.acked < len(node.sent_s) for node in self._nodes):
            now_s = time.perf_counter()
            if now_s > deadline_s:
                raise TimeoutError("not everything was acknowledged")
            if turns and now_s >= due_s:
                caller = callers[turns.pop()]
                due_s += random.expovariate(rate_per_s)
                caller.node.sent_s.append(time.perf_counter())
                caller.line.send(caller.node.wires[len(caller.node.sent_s) - 1])
                continue
            for descriptor, _ in self._poll.poll(max(1, ceil((due_s - now_s) * 1000)) if turns else 100):
                caller = self._callers[descriptor]
                for parcel in caller.line.parcels():
                    caller.node.take(parcel, time.perf_counter())
        took_ms = [ms for node in self._nodes for ms in node.took_ms]
        for node in self._nodes:
            node.took_ms = []
        return took_ms

    def close(self) -> None:
        """Close the sockets."""
        for caller in self._callers.values():
            caller.line.socket.close()
