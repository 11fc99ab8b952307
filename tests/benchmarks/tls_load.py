"""The load of ``ingest_load`` over the TLS path: the same nodes and alerts, the same moments, one thread that blocks in ``poll``."""

import contextlib
import secrets
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Final
from urllib.parse import urlsplit

from relay import hop, receipt
from relay.identity import Identity
from relay.path import Lane
from relay.paths import tls_proof
from tests.benchmarks.ingest_load import LoadNode

_LENGTH: Final = struct.Struct(">I")
_CONNECT_S: Final = 20.0


@dataclass(eq=False, slots=True)
class _Line:
    """A node's connection."""

    node: LoadNode
    socket: ssl.SSLSocket
    came: bytearray = field(default_factory=bytearray)

    def send(self, parcels: Sequence[bytes]) -> None:
        """What is in flight of a node fits the kernel's buffer."""
        self.socket.sendall(b"".join(_LENGTH.pack(len(parcel)) + parcel for parcel in parcels))

    def parcels(self) -> Iterator[bytes]:
        """What has come, without waiting."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                data = self.socket.recv(65_536)
                if not data:
                    raise ConnectionError("the center hung up")
                self.came += data
        at = 0
        while len(self.came) >= at + _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self.came, at)
            if len(self.came) < at + _LENGTH.size + size:
                break
            yield bytes(self.came[at + _LENGTH.size : at + _LENGTH.size + size])
            at += _LENGTH.size + size
        del self.came[:at]


class TlsLoad:
    """All nodes, each on a connection of its own."""

    def __init__(self, endpoint: str, server: Identity, nodes: Sequence[LoadNode]) -> None:
        self._endpoint = urlsplit(endpoint)
        self._server = server
        self._nodes = nodes
        self._lines: dict[int, _Line] = {}
        self._poll = select.poll()

    async def connect(self) -> None:
        """Dial and be introduced."""
        context = tls_proof.calling_context()
        for node in self._nodes:
            plain = socket.create_connection((self._endpoint.hostname, self._endpoint.port), _CONNECT_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = _Line(node, context.wrap_socket(plain))
            shown = tls_proof.require_issued_by(line.socket.getpeercert(binary_form=True), self._server.signing_key)
            attempt = secrets.token_bytes(tls_proof.ATTEMPT_BYTES)
            said = tls_proof.opening(attempt, Lane.URGENT, identity=node.identity, listener_transport_key=self._server.transport_key,
                                     certificate_sha256=shown)  # fmt: skip
            line.send([said, hop.encode(hop.Hello(node.passport, 0, bytes(16)))])
            line.socket.setblocking(False)
            descriptor = line.socket.fileno()
            self._lines[descriptor] = line
            self._poll.register(descriptor, select.POLLIN)
            self._await_welcome(line)

    def _await_welcome(self, line: _Line) -> None:
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
        for line in self._lines.values():
            self._fill(line, window)
        while left:
            ready = self._poll.poll(20_000)
            if not ready:
                raise TimeoutError("no receipt for 20 s, and not everything was acknowledged")
            for descriptor, _ in ready:
                line = self._lines[descriptor]
                node = line.node
                before = node.acked
                for parcel in line.parcels():
                    if receipt.is_receipt(parcel):
                        node.acked = max(node.acked, receipt.parse(parcel).upto)
                left -= before < len(node.wires) <= node.acked
                self._fill(line, window)
        elapsed = time.perf_counter() - started
        return (sum(node.acked for node in self._nodes) - begin) / elapsed

    @staticmethod
    def _fill(line: _Line, window: int) -> None:
        node, now_s = line.node, time.perf_counter()
        wires = node.wires[len(node.sent_s) : node.acked + window]
        if wires:
            line.send(wires)
            node.sent_s += [now_s] * len(wires)

    def run_steady(self, *, rate_per_s: float, count: int, seed: int) -> list[float]:
        """As ``ingest_load.Load.run_steady``."""
        random = Random(seed)
        lines = list(self._lines.values())
        turns = [number % len(lines) for number in range(count)]
        random.shuffle(turns)
        due_s = time.perf_counter()
        deadline_s = due_s + 2 * count / rate_per_s + 30
        while turns or any(node.acked < len(node.sent_s) for node in self._nodes):
            now_s = time.perf_counter()
            if now_s > deadline_s:
                raise TimeoutError("not everything was acknowledged")
            if turns and now_s >= due_s:
                line = lines[turns.pop()]
                due_s += random.expovariate(rate_per_s)
                line.node.sent_s.append(time.perf_counter())
                line.send([line.node.wires[len(line.node.sent_s) - 1]])
                continue
            for descriptor, _ in self._poll.poll(max(1, ceil((due_s - now_s) * 1000)) if turns else 100):
                line = self._lines[descriptor]
                for parcel in line.parcels():
                    line.node.take(parcel, time.perf_counter())
        took_ms = [ms for node in self._nodes for ms in node.took_ms]
        for node in self._nodes:
            node.took_ms = []
        return took_ms

    def close(self) -> None:
        """Close the sockets."""
        for line in self._lines.values():
            line.socket.close()
