"""Each carrier's urgent connections try again soon what got lost, at both ends; its bulk connections as TCP sees fit."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay.header import Kind
from relay.passport import Role
from relay.precedence import Precedence
from relay.retransmission import AGAIN_WITHIN_MS, RTO_MAX_MS, THIN_LINEAR_TIMEOUTS, hasten
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until


def _connections_with(port: int) -> Iterator[tuple[bool, bool]]:
    """This process' ends of TCP connections with a port: whether it is the calling end, and whether it is hastened."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as connection:
            is_hasty = connection.getsockopt(socket.IPPROTO_TCP, THIN_LINEAR_TIMEOUTS) == 1
            far = connection.getpeername()[1]
            if port in {far, connection.getsockname()[1]}:
                yield far == port, is_hasty


@pytest.mark.parametrize("name", ["zeromq", "tls", "http", "mqtt"])
async def test_urgent_connections_are_hastened_at_both_ends_and_bulk_is_not(name: str, tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    inbox = Kept()
    async with (
        carrier(name, tmp_path) as way,
        house.station("center", listen=way.listening, inbox=inbox) as center,
        house.station("gate", to=[way.path_to("center", center.listening_on[0])]) as gate,
    ):
        port = urlsplit(center.listening_on[0]).port or 0
        await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
        await gate.put(gate.draft_up(Kind.CHUNK, Precedence.BULK, bytes(4_000)))
        await until(lambda: len(inbox.arrivals) == 2, "both", 30)
        found = list(_connections_with(port))
        calling = [is_hasty for is_calling, is_hasty in found if is_calling]
        called = [is_hasty for is_calling, is_hasty in found if not is_calling]
        assert True in calling, "the urgent one"
        assert False in calling, "the bulk one"
        if name != "mqtt":  # there a broker answers
            assert True in called
            assert False in called


def test_a_kernel_that_knows_no_bound_leaves_the_connection_usable() -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as no_tcp:
        hasten(no_tcp)  # refuses every option, as an older kernel does


def test_an_alert_waits_for_no_probing_of_the_round_trip_where_a_system_s_pace_is_bbr() -> None:
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").split()
    if not {"bbr", "cubic"} <= set(known):
        pytest.skip(f"needs bbr and cubic, this kernel has {', '.join(known)}")
    with contextlib.closing(socket.socket()) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        hasten(connection)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"cubic"


def test_the_bound_is_set_where_the_kernel_has_one() -> None:
    with contextlib.closing(socket.socket()) as connection:
        hasten(connection)
        assert connection.getsockopt(socket.IPPROTO_TCP, THIN_LINEAR_TIMEOUTS) == 1
        try:
            told_ms = connection.getsockopt(socket.IPPROTO_TCP, RTO_MAX_MS)
        except OSError:
            pytest.skip("needs Linux 6.15: TCP_RTO_MAX_MS")
        assert told_ms == AGAIN_WITHIN_MS
