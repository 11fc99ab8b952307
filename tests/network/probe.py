"""What a link really does, measured from outside: ICMP echo through the kernels at both ends, and a flood of UDP."""

import contextlib
import math
import os
import select
import socket
import struct
import time
from dataclasses import dataclass

from tests.network.namespaces import entered


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoes:
    """Answers to a number of pings."""

    sent: int
    rtt_ms: tuple[float, ...]
    """Of each answer, in the order in which they came."""
    numbers: tuple[int, ...]
    """Which pings they answer."""

    @property
    def loss_pct(self) -> float:
        """Pings without an answer."""
        return 100 * (1 - len(set(self.numbers)) / self.sent)


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _echo_request(identifier: int, number: int) -> bytes:
    payload = struct.pack(">d", time.monotonic()) + bytes(48)
    bare = struct.pack(">BBHHH", 8, 0, 0, identifier, number) + payload
    return struct.pack(">BBHHH", 8, 0, _checksum(bare), identifier, number) + payload


def ping(
    namespace: str, address: str, *, count: int, gap_s: float, wait_s: float = 1.0, is_waiting_for_doubles: bool = False
) -> Echoes:
    """Echo requests at a steady pace; the far kernel answers them. Waits at the end only if answers are missing."""
    enough = math.inf if is_waiting_for_doubles else count
    identifier = os.getpid() & 0xFFFF
    rtt_ms: list[float] = []
    numbers: list[int] = []
    with entered(namespace):
        icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with contextlib.closing(icmp):
        started_s, sent = time.monotonic(), 0
        ends_s = started_s + count * gap_s + wait_s
        while (now_s := time.monotonic()) < ends_s and len(numbers) < enough:
            if sent < count and now_s >= started_s + sent * gap_s:
                icmp.sendto(_echo_request(identifier, sent), (address, 0))
                sent += 1
                continue
            next_s = started_s + sent * gap_s if sent < count else ends_s
            if not select.select([icmp], (), (), max(0.0, next_s - now_s))[0]:
                continue
            packet = icmp.recv(2048)
            kind, _, _, found, number = struct.unpack(">BBHHH", packet[20:28])
            if kind == 0 and found == identifier:
                rtt_ms.append((time.monotonic() - struct.unpack(">d", packet[28:36])[0]) * 1000)
                numbers.append(number)
    return Echoes(sent=count, rtt_ms=tuple(rtt_ms), numbers=tuple(numbers))


def flood_kbit(sender: str, receiver: str, address: str, *, offered_kbit: float, for_s: float) -> float:
    """UDP goodput with IP and UDP headers, of datagrams that fill a packet of 1,428 bytes, once the queue is full."""
    with entered(receiver):
        taking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taking.bind((address, 9_000))
        taking.setblocking(False)
    with entered(sender):
        giving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.closing(taking), contextlib.closing(giving):
        gap_s = 1428 * 8 / (offered_kbit * 1000)
        started_s, sent = time.monotonic(), 0
        came_s: list[float] = []
        while (now_s := time.monotonic()) < started_s + for_s:
            for _ in range(min(50, math.floor((now_s - started_s) / gap_s) - sent)):
                giving.sendto(bytes(1400), (address, 9_000))
                sent += 1
            select.select([taking], (), (), gap_s)
            with contextlib.suppress(BlockingIOError):
                while taking.recv(2048):
                    came_s.append(time.monotonic())
        steady = [at_s for at_s in came_s if at_s > started_s + for_s / 4]
        return (len(steady) - 1) * 1428 * 8 / 1000 / (steady[-1] - steady[0])
