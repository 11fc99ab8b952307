"""libzmq ends the whole process on an assertion where heartbeats meet a connection whose input has stopped; no neighbor may bring that about.

``Assertion failed: !_io_error (src/stream_engine_base.cpp)``: libzmq 4.3.5, its issues 3937, 4364 and 4767. The listener runs as a program of its own,
because what is tested for kills it.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import pytest
import zmq
from zmq.utils import z85

from relay.identity import Identity
from relay.path import Lane
from tests.relay.path_end import LISTENER

STALLS_S: Final = 2.0
_LISTENER: Final = f"""
import asyncio, functools, time
from relay.paths.zeromq_sockets import ZeroMqTuning
from tests.relay import path_end
class Staller(path_end.Teller):
    def session_received(self, session, parcel):
        if parcel == b"stall":
            time.sleep({STALLS_S})  # as long as a machine with too much to do
        elif parcel != b"more":
            super().session_received(session, parcel)
path_end.Teller = Staller
often = ZeroMqTuning(heartbeat_interval_ms=(200, 200))  # if it had any, it would not take long
path_end.ZeroMqListen = functools.partial(path_end.ZeroMqListen, tuning=often)
asyncio.run(path_end.main())
"""


class Listening:
    """The program."""

    def __init__(self, process: "subprocess.Popen[str]", endpoint: str) -> None:
        self.process = process
        self.endpoint = endpoint


@pytest.fixture
def listening() -> Iterator[Listening]:
    with subprocess.Popen(
        [sys.executable, "-c", _LISTENER, "listen", "tcp://127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Listening(process, process.stdout.readline().split()[2])
        process.kill()


@contextlib.contextmanager
def neighbor(endpoint: str, routing_id: bytes, heartbeat_ms: int = 100) -> Iterator["zmq.Socket[bytes]"]:
    """Anybody with a key, and with routing ids and heartbeats of its own choice."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        key = Identity.generate()
        for option, value in (
            (zmq.LINGER, 0), (zmq.SNDHWM, 0), (zmq.RCVTIMEO, 20_000), (zmq.ROUTING_ID, routing_id), (zmq.HEARTBEAT_IVL, heartbeat_ms),
            (zmq.HEARTBEAT_TIMEOUT, 60_000), (zmq.CURVE_SERVERKEY, z85.encode(LISTENER.transport_key)),
            (zmq.CURVE_PUBLICKEY, z85.encode(key.transport_key)), (zmq.CURVE_SECRETKEY, z85.encode(key.transport_secret)),
        ):  # fmt: skip
            socket.setsockopt(option, value)
        socket.connect(endpoint)
        yield socket


def asked(socket: "zmq.Socket[bytes]") -> bytes:
    socket.send(b"URGENT")
    return socket.recv()


def is_well(listening: Listening) -> bool:
    """Whether it still answers somebody new."""
    with neighbor(listening.endpoint, bytes(16) + bytes([Lane.URGENT])) as socket:
        return asked(socket) == b"URGENT" and listening.process.poll() is None


def test_listener_survives_the_death_of_a_connection_whose_name_another_one_took(listening: Listening) -> None:
    name = b"x" * 16 + bytes([Lane.URGENT])
    with neighbor(listening.endpoint, name) as first:
        assert asked(first) == b"URGENT"
        with neighbor(listening.endpoint, name) as second:
            second.send(b"URGENT")
            for _ in range(200):  # libzmq reads them from the connection and finds nowhere to put them
                first.send(b"more")
                time.sleep(0.001)
    time.sleep(1.5)
    assert is_well(listening)


def test_listener_survives_the_death_of_a_neighbor_that_it_could_not_keep_up_with(listening: Listening) -> None:
    with neighbor(listening.endpoint, b"y" * 16 + bytes([Lane.URGENT])) as flooding:
        assert asked(flooding) == b"URGENT"
        flooding.send(b"stall")
        for _ in range(50):
            for _ in range(200):
                flooding.send(b"more")
            time.sleep(0.02)  # heartbeats go in between
    time.sleep(STALLS_S + 2.0)
    assert is_well(listening)
