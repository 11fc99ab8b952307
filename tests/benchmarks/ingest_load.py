"""A load of signed alerts over real ZeroMQ: many nodes, a window in flight each, until the receipts cover everything."""

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Final

import zmq
import zmq.asyncio
from zmq.utils import z85

from relay import envelope as envelopes
from relay import hop, receipt
from relay.clock import ClockQuality
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.kinds.alert import Alert, Rule
from relay.precedence import Precedence


@dataclass(slots=True)
class LoadNode:
    """One simulated node: real keys, a real passport, pre-signed alerts."""

    identity: Identity
    passport: bytes
    wires: list[bytes] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)
    acked: int = 0
    took_ms: list[float] = field(default_factory=list)
    series: int = field(default_factory=lambda: secrets.randbelow(1 << 31) + 1)

    def sign(self, count: int, authority_sealing_key: bytes) -> None:
        """Chain, seal and sign so many alerts; signing is not part of what is measured."""
        secret, link = self.identity.shared_secret(authority_sealing_key), bytes(8)
        start = len(self.wires)
        for number in range(start + 1, start + count + 1):
            body = Alert(
                label="handgun", camera="gate", zone="yard", confidence=0.9, rule=Rule.CLASS_OF_INTEREST
            ).encode()
            now_ms = time.time_ns() // 1_000_000
            header = Header(
                kind=Kind.ALERT, quality=ClockQuality.FREE_RUNNING, precedence=Precedence.FLASH, origin=self.identity.node_id,
                destination=AUTHORITY, series=self.series, boot=1, sequence=number, wall_ms=now_ms, monotonic_ms=number,
                ttl_s=0, link=link, body_sha256=hashlib.sha256(body).digest(),
            )  # fmt: skip
            sealed = envelopes.seal(header, body, signing=self.identity.signing, shared_secret=secret)
            link = sealed.id[:8]
            self.wires.append(sealed.wire)

    def take(self, parcel: bytes, came_s: float) -> None:
        """A parcel came back: what a receipt among them covers."""
        if not receipt.is_receipt(parcel):
            return
        upto = receipt.parse(parcel).upto
        self.took_ms += [
            (came_s - self.sent_s[number]) * 1000 for number in range(self.acked, min(upto, len(self.sent_s)))
        ]
        self.acked = max(self.acked, upto)


class Load:
    """All nodes, each on a connection of its own, with CURVE as in production."""

    def __init__(self, endpoint: str, server_key: bytes, nodes: Sequence[LoadNode]) -> None:
        self._endpoint = endpoint
        self._server_key = server_key
        self._nodes = nodes
        self._context = zmq.asyncio.Context()
        self._sockets: list[zmq.asyncio.Socket] = []

    async def connect(self) -> None:
        """Dial and be introduced."""
        for node in self._nodes:
            socket = self._context.socket(zmq.DEALER)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.ROUTING_ID, secrets.token_bytes(16) + b"\0")
            socket.setsockopt(zmq.CURVE_SERVERKEY, z85.encode(self._server_key))
            socket.setsockopt(zmq.CURVE_PUBLICKEY, z85.encode(node.identity.transport_key))
            socket.setsockopt(zmq.CURVE_SECRETKEY, z85.encode(node.identity.transport_secret))
            socket.connect(self._endpoint)
            self._sockets.append(socket)
            await socket.send(hop.encode(hop.Hello(node.passport, 0, bytes(16))))
            async with asyncio.timeout(20):
                while not (hop.is_note(parcel := await socket.recv()) and isinstance(hop.decode(parcel), hop.Welcome)):
                    pass

    def run_flat_out(self, *, window: int) -> float:
        """Send everything that is signed and not sent yet, ``window`` of each node in flight; acknowledged alerts a second.

        One thread without an event loop: whatever the load costs is taken from the cores that it shares with what it measures.
        After this the sockets are not for ``run`` any more.
        """
        begin = sum(node.acked for node in self._nodes)
        poller, of_socket = zmq.Poller(), dict[zmq.Socket[bytes], LoadNode]()
        for shared, node in zip(self._sockets, self._nodes, strict=True):
            socket: zmq.Socket[bytes] = zmq.Socket.shadow(shared)
            poller.register(socket, zmq.POLLIN)
            of_socket[socket] = node
        started = time.perf_counter()
        for socket, node in of_socket.items():
            self._fill(socket, node, window)
        left = len(self._nodes)
        while left:
            ready = poller.poll(20_000)
            if not ready:
                raise TimeoutError("no receipt for 20 s, and not everything was acknowledged")
            for socket, _ in ready:
                node, parcels = of_socket[socket], list[bytes]()
                with contextlib.suppress(zmq.Again):
                    while True:
                        parcels.append(socket.recv(zmq.NOBLOCK))
                before = node.acked
                for parcel in parcels:
                    if receipt.is_receipt(parcel):
                        node.acked = max(node.acked, receipt.parse(parcel).upto)
                left -= before < len(node.wires) <= node.acked
                self._fill(socket, node, window)
        elapsed = time.perf_counter() - started
        return (sum(node.acked for node in self._nodes) - begin) / elapsed

    @staticmethod
    def _fill(socket: "zmq.Socket[bytes]", node: LoadNode, window: int) -> None:
        first, now_s = len(node.sent_s), time.perf_counter()
        wires = node.wires[first : node.acked + window]
        for wire in wires:
            socket.send(wire, zmq.NOBLOCK)
        node.sent_s += [now_s] * len(wires)

    async def run(self, *, window: int) -> float:
        """``run_flat_out`` on the event loop, for tests that do something beside it."""
        begin = sum(node.acked for node in self._nodes)
        started = time.perf_counter()
        await asyncio.gather(
            *(self._drive(socket, node, window) for socket, node in zip(self._sockets, self._nodes, strict=True))
        )
        elapsed = time.perf_counter() - started
        for node in self._nodes:
            node.took_ms = []
        return (sum(node.acked for node in self._nodes) - begin) / elapsed

    async def _drive(self, socket: zmq.asyncio.Socket, node: LoadNode, window: int) -> None:
        deadline = time.perf_counter() + 120
        while node.acked < len(node.wires):
            while len(node.sent_s) < len(node.wires) and len(node.sent_s) - node.acked < window:
                node.sent_s.append(time.perf_counter())
                await socket.send(node.wires[len(node.sent_s) - 1])
            if await socket.poll(timeout=200):
                node.take(await socket.recv(), time.perf_counter())
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{node.acked} of {len(node.wires)} acknowledged after 120 s")

    def run_steady(self, *, rate_per_s: float, count: int, seed: int) -> list[float]:
        """Send so many signed alerts of nodes by turns, at moments of their own as a Poisson process has them; ms to each receipt.

        One thread that blocks in ``poll``: an event loop with a task for each node took longer over a receipt than a center does.
        After this the sockets are not for ``run`` any more.
        """
        random = Random(seed)
        sockets: list[zmq.Socket[bytes]] = [zmq.Socket.shadow(socket) for socket in self._sockets]
        poller = zmq.Poller()
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        turns = [number % len(self._nodes) for number in range(count)]
        random.shuffle(turns)
        due_s = time.perf_counter()
        deadline_s = due_s + 2 * count / rate_per_s + 30
        while turns or any(node.acked < len(node.sent_s) for node in self._nodes):
            now_s = time.perf_counter()
            if now_s > deadline_s:
                raise TimeoutError("not everything was acknowledged")
            if turns and now_s >= due_s:
                node, socket = self._nodes[turns[-1]], sockets[turns.pop()]
                due_s += random.expovariate(rate_per_s)
                node.sent_s.append(time.perf_counter())
                socket.send(node.wires[len(node.sent_s) - 1])
                continue
            ready = dict(poller.poll(max(1, ceil((due_s - now_s) * 1000)) if turns else 100))
            for node, socket in zip(self._nodes, sockets, strict=True):
                while socket in ready:
                    try:
                        parcel = socket.recv(zmq.NOBLOCK)
                    except zmq.Again:
                        break
                    node.take(parcel, time.perf_counter())
        took_ms = [ms for node in self._nodes for ms in node.took_ms]
        for node in self._nodes:
            node.took_ms = []
        return took_ms

    def close(self) -> None:
        """Close the sockets."""
        self._context.destroy(linger=0)


CONNECTIONS: Final = 20
