"""Connections that strangers open and leave: none of them holds a file for long, and all of them together leave nodes theirs."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from command_center import web_server
from command_center.api.hardening import LARGE
from command_center.certificates import Tls
from command_center.config import TlsConfig
from command_center.metrics import Metrics
from command_center.networks import place_of
from command_center.web_connections import Connections, Listener
from relay.clock import SimulatedClock
from tests.command_center.test_ingest import until

REQUEST_S: Final = 12_345.0
STALLED_S: Final = 54_321.0
LARGE_BYTES: Final = 32 << 20
UPLOAD: Final = next(iter(LARGE))


class Timers:
    """The event loop's timers of two lengths, which run out when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._later = self._loop.call_later
        self._made: list[tuple[float, asyncio.TimerHandle]] = []
        monkeypatch.setattr(self._loop, "call_later", self._call_later)

    def _call_later(self, delay: float, callback: Callable[..., object], *given: object, **named: Any) -> asyncio.TimerHandle:  # fmt: skip
        made = self._later(delay, callback, *given, **named)
        if delay in {REQUEST_S, STALLED_S}:
            self._made.append((delay, made))
        return made

    def running(self, delay: float) -> list[asyncio.TimerHandle]:
        return [made for length, made in self._made if length == delay and not made.cancelled()]

    def run_out(self, delay: float) -> int:
        """Time passes; returns how many were running."""
        due = self.running(delay)
        self._made = [item for item in self._made if item[1] not in due]
        for made in due:
            made._run()
            made.cancel()
        return len(due)


def app(taken: list[int]) -> FastAPI:
    made = FastAPI()

    @made.get("/")
    async def small() -> Response:
        return Response(b"ok")

    @made.get("/large")
    async def large() -> Response:
        return Response(bytes(LARGE_BYTES))

    @made.get("/never")
    async def never() -> Response:
        taken.append(0)
        await asyncio.Event().wait()
        raise AssertionError

    @made.post("/small")
    @made.post(UPLOAD)
    async def upload(request: Request) -> Response:
        async for piece in request.stream():
            taken.append(len(piece))  # noqa: PERF401  each as it comes
        return Response(b"ok")

    return made


class Served:
    """A server with few places."""

    def __init__(self, listener: Listener, metrics: Metrics, taken: list[int]) -> None:
        self.port = listener.getsockname()[1]
        self.connections = listener.connections
        self.metrics = metrics
        self.taken = taken

    async def connect(self, said: bytes = b"", **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **more)
        writer.write(said)
        return reader, writer

    async def ask(self, said: bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") -> bytes:
        reader, writer = await self.connect(said)
        try:
            return await until_end(reader)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def served(*, most: int = 100, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    metrics, taken = Metrics(), list[int]()
    listener = web_server.bind("127.0.0.1:0", metrics)
    listener.connections = Connections(metrics, most=most, request_within_s=REQUEST_S, stalled_s=STALLED_S)
    async with web_server.serve(app(taken), listener, tls):
        yield Served(listener, metrics, taken)


async def until_end(reader: asyncio.StreamReader) -> bytes:
    """Everything up to the end of the connection; an end by reset is one, too."""
    said = bytearray()
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                said += piece
    return bytes(said)


@pytest.mark.parametrize("said", [
    b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123",
    b"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n123",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /",
])  # fmt: skip
async def test_a_request_that_is_never_finished_ends_with_its_connection(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    timers = Timers(monkeypatch)
    async with served() as server:
        reader, writer = await server.connect(said)
        if said.startswith(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") or b"elsewhere" in said:
            await reader.readuntil(b"\r\n\r\n")  # the first one is answered
        elif said.startswith(b"POST"):

            async def is_heard() -> bool:
                return bool(server.taken)

            await until(is_heard)

        async def is_timed() -> bool:
            return len(timers.running(REQUEST_S)) == 1

        await until(is_timed)
        assert timers.run_out(REQUEST_S) == 1
        await until_end(reader)
        assert server.metrics["requests_not_finished"] == 1
        writer.close()


async def test_a_bag_that_goes_on_is_taken_however_long_it_is_and_one_that_does_not_ends(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    timers = Timers(monkeypatch)
    async with served() as server:
        reader, writer = await server.connect(
            f"POST {UPLOAD} HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n".encode()
        )
        timed = list[asyncio.TimerHandle]()
        for piece in range(1, 4):
            writer.write(bytes(5))

            async def is_heard(piece: int = piece) -> bool:
                return sum(server.taken) == 5 * piece

            await until(is_heard)
            timed += [one for one in timers.running(REQUEST_S) if one not in timed]
        assert len(timed) >= 3, "each piece begins the time anew"
        assert timers.run_out(REQUEST_S) == 1
        await until_end(reader)
        writer.close()


async def test_what_is_complete_is_not_timed_while_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers(monkeypatch)
    async with served() as server:
        _, writer = await server.connect(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")

        async def is_asked() -> bool:
            return bool(server.taken)

        await until(is_asked)
        assert timers.running(REQUEST_S) == []
        writer.close()


async def test_an_answer_that_nobody_takes_ends_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers(monkeypatch)
    async with served() as server:
        reader, writer = await server.connect(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", limit=1024)

        async def is_stalled() -> bool:
            return len(timers.running(STALLED_S)) == 1

        await until(is_stalled)
        assert timers.run_out(STALLED_S) == 1
        assert len(await until_end(reader)) < LARGE_BYTES
        assert server.metrics["answers_not_taken"] == 1
        writer.close()


async def test_a_whole_answer_that_is_taken_is_not_timed_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers(monkeypatch)
    async with served() as server:
        said = await server.ask(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert len(said) > LARGE_BYTES
        assert timers.running(STALLED_S) == []


async def test_the_newest_displaces_who_has_waited_longest_without_a_request() -> None:
    async with served(most=4) as server:
        silent = [await server.connect() for _ in range(4)]
        assert b"200 OK" in await server.ask()
        assert await until_end(silent[0][0]) == b""
        assert server.metrics["connections_displaced"] == 1
        for _, writer in silent:
            writer.close()


async def test_where_all_are_at_work_another_is_refused_and_let_in_when_one_has_gone() -> None:
    async with served(most=3) as server:
        asked = [await server.connect(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(3)]

        async def are_asked() -> bool:
            return len(server.taken) == 3

        await until(are_asked)
        assert await server.ask() == b""
        assert server.metrics["connections_refused"] == 1
        for _, writer in asked:
            writer.close()

        async def is_let_in() -> bool:
            return b"200 OK" in await server.ask()

        await until(is_let_in)


async def test_who_never_finishes_the_handshake_is_counted_and_leaves_no_trace(tmp_path: Path) -> None:
    tls = Tls(TlsConfig(mode="own"), tmp_path / "tls", "127.0.0.1", SimulatedClock())
    async with served(most=1, tls=tls.context) as server:
        _, writer = await server.connect()

        async def is_counted() -> bool:
            return not server.connections.has_room("")

        await until(is_counted)
        writer.close()

        async def is_gone() -> bool:
            return server.connections.has_room("")

        await until(is_gone)


def test_one_place_gets_half_of_all() -> None:
    connections = Connections(Metrics(), most=6)
    for _ in range(3):
        assert connections.has_room("192.0.2.1")
        connections.opened("192.0.2.1")
    assert not connections.has_room("192.0.2.1")
    assert connections.has_room("192.0.2.2")
    assert connections.has_room(""), "behind a proxy on this machine is everybody"
    connections.closed("192.0.2.1")
    assert connections.has_room("192.0.2.1")


def test_an_ipv6_network_is_one_place() -> None:
    assert place_of("2001:db8:1:2::1") == place_of("2001:db8:1:2:ffff::9") != place_of("2001:db8:1:3::1")
    assert place_of("::ffff:192.0.2.1") == place_of("192.0.2.1") == "192.0.2.1"
    assert place_of("fe80::1%eth0") == place_of("fe80::2")
    assert place_of("127.0.0.1") == place_of("::1") == place_of("::ffff:127.0.0.9") == ""


async def test_what_is_no_http_is_counted_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as server:
        for said in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"GET\r\n\r\n", b"x" * 200_000):
            assert b"400 Bad Request" in await server.ask(said)
        assert b"200 OK" in await server.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"
        )
        assert server.metrics["requests_malformed"] == 3
    assert [record for record in caplog.records if record.name.startswith("uvicorn") and record.levelno >= logging.WARNING] == []  # fmt: skip
