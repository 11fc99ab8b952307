"""Alerts and clips carry different DiffServ code points, on every carrier: read from the packets themselves, on the loopback."""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from relay.header import Kind
from relay.kinds.alert import Alert, Rule
from relay.marking import STANDARD, CodePoint, Marking
from relay.passport import Role
from relay.path import Lane
from relay.precedence import Precedence
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until

_ETH_P_IP = 0x0800
_ECN = 0b11


class Wire:
    """Bytes of TCP payload by direction and marking, of one port."""

    def __init__(self, sniffing: socket.socket, port: int) -> None:
        self._sniffing = sniffing
        self._port = port
        self.to_port: Counter[int] = Counter()
        self.from_port: Counter[int] = Counter()

    def read(self) -> None:
        while True:
            try:
                packet = self._sniffing.recv(65_600)[14:]
            except BlockingIOError:
                return
            if len(packet) < 40 or packet[9] != socket.IPPROTO_TCP:
                continue
            head = (packet[0] & 0xF) * 4
            source, target = struct.unpack_from(">HH", packet, head)
            payload = struct.unpack_from(">H", packet, 2)[0] - head - (packet[head + 12] >> 4) * 4
            dscp = (packet[1] & ~_ECN) >> 2
            if target == self._port and payload > 0:
                self.to_port[dscp] += payload
            elif source == self._port and payload > 0:
                self.from_port[dscp] += payload


@contextlib.contextmanager
def sniffed(port: int) -> Iterator[Wire]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP)) as sniffing:
        sniffing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sniffing.bind(("lo", _ETH_P_IP))
        sniffing.setblocking(False)
        wire = Wire(sniffing, port)
        loop = asyncio.get_running_loop()
        loop.add_reader(sniffing, wire.read)
        try:
            yield wire
        finally:
            loop.remove_reader(sniffing)


@pytest.fixture(autouse=True)
def _may_sniff() -> None:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP)).close()
    except (PermissionError, AttributeError):
        pytest.skip("needs CAP_NET_RAW, to read packets from the loopback")


@pytest.mark.parametrize(
    "marking", [STANDARD, Marking(urgent=CodePoint.CS5, bulk=CodePoint.LE)], ids=["standard", "own"]
)
@pytest.mark.parametrize("name", ["zeromq", "tls", "http", "mqtt"])
async def test_each_lane_is_marked_as_configured_in_both_directions(
    name: str, marking: Marking, tmp_path: Path
) -> None:
    house = House(tmp_path / "house")
    house.enroll("center", Role.CENTER)
    house.enroll("gate-camera", Role.CAMERA)
    house.settle()
    inbox = Kept()
    urgent, bulk = marking.urgent.dscp, marking.bulk.dscp
    async with carrier(name, tmp_path) as way:
        listening = msgspec.structs.replace(way.listening, marking=marking)
        async with house.station("center", listen=listening, inbox=inbox) as center:
            endpoint = center.listening_on[0]
            with sniffed(urlsplit(endpoint).port or 0) as wire:
                to_center = msgspec.structs.replace(way.path_to("center", endpoint), marking=marking)
                async with house.station("gate-camera", to=[to_center]) as node:
                    await until(lambda: node.path_health()[0].is_up, "the path")
                    said = Alert(label="handgun", camera="gate", confidence=0.9, rule=Rule.CLASS_OF_INTEREST)
                    await node.put(node.draft_up(Kind.ALERT, Precedence.FLASH, said.encode()))
                    await until(lambda: len(inbox.arrivals) == 1, "the alert")
                    assert set(wire.to_port) <= {urgent, bulk}, wire.to_port  # greetings of the bulk connection
                    before = Counter(wire.to_port)
                    pieces = [node.draft_up(Kind.CHUNK, Precedence.BULK, bytes([n]) * 16_000) for n in range(20)]
                    await node.put_all(pieces)
                    await until(lambda: len(inbox.arrivals) == 21, "the chunks", timeout_s=40)
    assert before[urgent] > 200
    assert wire.to_port[bulk] - before[bulk] > 20 * 16_000
    assert wire.to_port[urgent] - before[urgent] < 16_000, "a chunk went in the alerts' class"
    assert set(wire.to_port) == {urgent, bulk}, wire.to_port
    if name != "mqtt":  # there a broker answers, whose marking is its own affair
        assert wire.from_port[urgent] > 200
        assert set(wire.from_port) <= {urgent, bulk}, wire.from_port


def test_a_lane_s_byte_leaves_the_congestion_bits_alone() -> None:
    assert STANDARD.tos_of(Lane.URGENT) == 0xB8
    assert STANDARD.tos_of(Lane.BULK) == 0x28
    assert all(Marking(urgent=point).tos_of(Lane.URGENT) & _ECN == 0 for point in CodePoint)
