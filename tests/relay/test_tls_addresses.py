"""A name with several addresses: one that is silent, as where IPv6 is announced and leads nowhere, keeps no TLS path down."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from relay.counters import Counters
from relay.crew import crew
from relay.path import Lane
from relay.paths.tls import TlsDial
from relay.paths.tls_connection import TlsTuning
from relay.paths.tls_listen import TlsListen
from tests.relay.house import until
from tests.relay.path_end import DIALER, FACTS, LISTENER, PEER
from tests.relay.test_zeromq import Heard

_SILENT, _ANSWERING = "127.0.0.2", "127.0.0.1"


@contextlib.contextmanager
def silent_at(port: int) -> Iterator[None]:
    """An address that answers no call: its queue is full, so that the kernel drops what comes on top."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((_SILENT, port))
        listening.listen(0)
        for _ in range(8):
            calling = stack.enter_context(socket.socket())
            calling.settimeout(0.3)
            try:
                calling.connect((_SILENT, port))
            except TimeoutError:
                break
        else:
            pytest.fail("the address answers all calls")
        yield


async def test_silent_address_of_a_name_leaves_the_others_their_turn_and_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = TlsListen(facts=FACTS, endpoint=f"tls://{_ANSWERING}:0", identity=LISTENER, counters=Counters())
    loop, asked = asyncio.get_running_loop(), []
    connect = loop.sock_connect

    async def sock_connect(calling: socket.socket, address: Any) -> None:
        asked.append(address[0])
        await connect(calling, address)

    def found(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert host == "center.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in (_SILENT, _ANSWERING)]

    async with crew() as members:
        heard, dialed = Heard(), Heard()
        members.start(listener.run(heard), "listen")
        await asyncio.wait_for(listener.listening(), 10)
        port = int(listener.endpoint.rsplit(":", 1)[1])
        with silent_at(port):
            monkeypatch.setattr(loop, "sock_connect", sock_connect)
            monkeypatch.setattr(socket, "getaddrinfo", found)
            dial = TlsDial(facts=FACTS, endpoint=f"tls://center.example:{port}", peer=PEER, identity=DIALER, counters=Counters(),
                           tuning=TlsTuning(connect_s=1.0, least_delay_s=0.01))  # fmt: skip
            members.start(dial.run(dialed), "dial")
            for _ in range(2):
                await until(lambda: bool(dialed.sessions), "a session")
                session = dialed.sessions[0]
                await until(lambda session=session: session.send(b"clip", Lane.BULK), "its bulk lane")  # type: ignore[misc]
                session.drop("once more")
                await until(lambda session=session: session not in dialed.sessions, "its end")  # type: ignore[misc]
    assert asked[:2] == [_SILENT, _ANSWERING], "the fault happened"
    assert _SILENT not in asked[1:], "whoever took the last call is asked first"
