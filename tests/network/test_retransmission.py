"""An urgent connection that lives through a silent outage tries again within two seconds, where TCP by itself waits ever longer."""

import contextlib
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from relay.retransmission import AGAIN_WITHIN_MS, RTO_MAX_MS, hasten
from tests.network import namespaces
from tests.network.emulator import Ask, Change, End, LinkPlan, Plan, tell
from tests.network.namespaces import entered

NEAR, FAR, PORT = "10.73.1.2", "10.73.1.1", 5707


def _knows_the_bound() -> bool:
    with contextlib.closing(socket.socket()) as asked:
        try:
            asked.setsockopt(socket.IPPROTO_TCP, RTO_MAX_MS, AGAIN_WITHIN_MS)
        except OSError:
            return False
    return True


def _wait_ms(connection: socket.socket) -> float:
    """How long the kernel waits for the next try now (``tcpi_rto``)."""
    data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return float(struct.unpack_from("=I", data, 8)[0]) / 1000


def _tries(connection: socket.socket) -> int:
    """In a row and in vain (``tcpi_retransmits``)."""
    return int(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[2])


@pytest.mark.skipif(not _knows_the_bound(), reason="needs Linux 6.15: TCP_RTO_MAX_MS")
def test_in_a_silent_outage_an_urgent_connection_tries_every_two_seconds_and_another_ever_more_rarely(
    tmp_path: Path,
) -> None:
    if not namespaces.can_make():
        pytest.skip("needs root, `ip` and /dev/net/tun")
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(namespaces.made(["near", "far"]))
        plan = Plan(socket=str(tmp_path / "orders"), seed=1, links=(LinkPlan(
            name="wire", near=End(namespace=names["near"], device="near0", address=NEAR),
            far=End(namespace=names["far"], device="far0", address=FAR)),))  # fmt: skip
        (tmp_path / "plan.json").write_bytes(msgspec.json.encode(plan))
        command = [sys.executable, "-m", "tests.network.emulator", str(tmp_path / "plan.json")]
        emulator = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        stack.callback(emulator.kill)
        assert emulator.stdout is not None
        assert emulator.stdout.readline() == b"ready\n"
        with entered(names["far"]):
            listening = stack.enter_context(socket.create_server((FAR, PORT)))

        def call() -> tuple[socket.socket, socket.socket]:
            with entered(names["near"]):
                near = stack.enter_context(socket.create_connection((FAR, PORT), timeout=20))
            far = stack.enter_context(listening.accept()[0])
            far.settimeout(60)
            near.sendall(b"before")
            assert far.recv(6) == b"before"
            return near, far

        (urgent, urgent_far), (usual, usual_far) = call(), call()
        hasten(urgent)
        tell(tmp_path / "orders", Change(link="wire", to={"is_blackhole": True}))
        urgent.sendall(b"an alert")
        usual.sendall(b"an alert")
        deadline_s = time.monotonic() + 40
        while _wait_ms(usual) <= 1.5 * AGAIN_WITHIN_MS and time.monotonic() < deadline_s:
            assert _wait_ms(urgent) <= AGAIN_WITHIN_MS
            time.sleep(0.05)
        assert _wait_ms(usual) > 1.5 * AGAIN_WITHIN_MS, "by itself it doubles"
        assert _wait_ms(urgent) <= AGAIN_WITHIN_MS
        assert _tries(urgent) >= 3
        assert tell(tmp_path / "orders", Ask()).up["wire"].swallowed >= 6, "the outage was met"
        tell(tmp_path / "orders", Change(link="wire", to={"is_blackhole": False}))
        assert urgent_far.recv(8) == b"an alert"
        assert usual_far.recv(8) == b"an alert"
