"""Only who holds the center's keys is let in at a standby, and what is said amiss harms nothing."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from command_center.standby.channel import Channel
from command_center.standby.line import Called, Doorkeeper, Line, LineLost
from command_center.standby.messages import Beat, Log
from relay.clock import SimulatedClock
from relay.identity import Identity
from relay.path import Lane
from relay.paths import tls_proof
from tests.command_center.standby_here import (
    follower_here,
    make,
)


def test_only_who_holds_the_centers_keys_is_let_in(tmp_path: Path) -> None:
    identity, stranger = Identity.generate(), Identity.generate()
    called = list[Called]()
    door = Doorkeeper("127.0.0.1", 0, identity, called.append)
    try:
        with pytest.raises(LineLost, match="somebody else answers"):  # it sees that it is not its own center
            Line.dial("127.0.0.1", door.port, stranger, wait_s=2)
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"", bytes(200)):
            with socket.create_connection(("127.0.0.1", door.port), timeout=10) as plain:
                plain.sendall(first)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):
                    pass
        assert not called
        line = Line.dial("127.0.0.1", door.port, identity, wait_s=2)
        deadline_s = time.monotonic() + 10
        while not called:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        line.close()
    finally:
        door.close()
        for one in called:
            one.close()


def test_a_caller_with_another_key_is_refused_though_it_knows_whom_it_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, stranger = Identity.generate(), Identity.generate()
    called = list[Called]()
    door = Doorkeeper("127.0.0.1", 0, identity, called.append)

    class Forged:
        signing_key = identity.signing_key
        transport_key = identity.transport_key
        transport_secret = stranger.transport_secret

    try:
        line = Line.dial("127.0.0.1", door.port, Forged(), wait_s=2)  # type: ignore[arg-type]
        with pytest.raises(LineLost):
            line.answered(line.ask(Beat), 5)
        assert door.refused == 1
        assert not called
    finally:
        door.close()


def test_a_node_that_proves_its_own_key_is_not_the_center(tmp_path: Path) -> None:
    identity, node = Identity.generate(), Identity.generate()
    called = list[Called]()
    door = Doorkeeper("127.0.0.1", 0, identity, called.append)
    try:
        plain = socket.create_connection(("127.0.0.1", door.port), timeout=5)
        channel = Channel(plain, tls_proof.calling_context(), server_side=False)
        shown = tls_proof.require_issued_by(channel.certificate(), identity.signing_key)
        channel.send(tls_proof.opening(bytes(16), Lane.URGENT, identity=node, listener_transport_key=identity.transport_key,
                                       certificate_sha256=shown))  # fmt: skip
        with pytest.raises(OSError, match=r"hung up|reset"):
            channel.receive(1)
        channel.close()
        assert (door.refused, called) == (1, [])
    finally:
        door.close()


def test_strangers_who_say_nothing_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command_center.standby.line.OPENED_WITHIN_S", 1.0)
    identity = Identity.generate()
    called = threading.Event()

    def note(line: Called) -> None:
        called.set()
        line.close()

    door = Doorkeeper("127.0.0.1", 0, identity, note)
    silent = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(40)]
    try:
        for _ in range(50):
            with contextlib.suppress(LineLost):
                Line.dial("127.0.0.1", door.port, identity, wait_s=2).close()
            if called.wait(0.2):
                break
        assert called.is_set()
        assert door.refused >= 24, "more strangers than may wait"
    finally:
        for one in silent:
            one.close()
        door.close()


async def test_what_a_leader_says_amiss_ends_its_line_and_harms_nothing(tmp_path: Path) -> None:
    clock = SimulatedClock()
    _, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (follower, port):
        log = (b_dir / "intake.log").read_bytes()
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        with pytest.raises(LineLost, match="past the intake log's end"):
            line.answered(line.ask(Log, at=1 << 40, data=b"x"), 5)
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        with pytest.raises(LineLost, match="hung up"):  # numbers are not bytes
            line.answered(line.ask(Log, at="here", data=b"x"), 5)
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        line._channel.send(b"\xff\xff\xff\xff")
        with pytest.raises(LineLost):
            line.answered(line.ask(Beat), 5)
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        line.answered(line.ask(Beat), 5)
        line.close()
        assert (b_dir / "intake.log").read_bytes() == log
        assert not follower.pages.is_whole


def test_a_door_that_could_not_take_a_caller_takes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    identity, called, failed, came = Identity.generate(), list[Called](), threading.Event(), threading.Event()
    accept = socket.socket.accept

    def no_descriptor_once(listener: socket.socket) -> object:
        if not failed.is_set():
            failed.set()
            raise OSError(24, "Too many open files")
        return accept(listener)

    def note(line: Called) -> None:
        called.append(line)
        came.set()

    monkeypatch.setattr(socket.socket, "accept", no_descriptor_once)
    door = Doorkeeper("127.0.0.1", 0, identity, note)
    try:
        Line.dial("127.0.0.1", door.port, identity, wait_s=5).close()
        assert came.wait(10)
        assert failed.is_set()
    finally:
        door.close()
        for one in called:
            one.close()
