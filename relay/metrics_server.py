"""``GET /metrics`` on this machine's loopback, for a Prometheus agent that runs beside the station, and a station's own pages.

It tells counts and names of paths and neighbors, so it listens on the loopback only; whoever wants it from elsewhere puts an agent
or a proxy with its own access control in front. A plain asyncio server with bounds: a relay has no web framework.
"""

import asyncio
import ipaddress
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog

from relay.errors import ConfigError, EndpointInUse, HeardError
from relay.exposition import CONTENT_TYPE, text_of
from relay.station import Station

_log = structlog.get_logger("relay.metrics_server")

_HEAD_BYTES: Final = 8_192
_HEAD_S: Final = 5.0
_AT_ONCE: Final = 8

Page = Callable[[], Awaitable[str]]


@asynccontextmanager
async def serving(
    station: Station, listen: str, more: Mapping[str, tuple[str, Page]] | None = None
) -> AsyncIterator[str]:
    """Serve while inside; gives the address, with the real port. An empty ``listen`` serves nothing.

    ``more``: further pages by path, each with its media type.

    Raises:
        ConfigError: not ``host:port`` of the loopback.
        EndpointInUse: somebody else listens there.
    """
    if not listen:
        yield ""
        return
    host, port = address_of(listen)

    async def page() -> str:
        return text_of(await station.status(), station.latencies)

    door = _Door({"/metrics": (CONTENT_TYPE, page), **(more or {})})
    try:
        server = await asyncio.start_server(door.answer, host, port, limit=_HEAD_BYTES)
    except OSError as error:
        raise EndpointInUse(
            f"metrics: can't listen on {listen}: {error.strerror or error}; stop what uses it (`ss -ltnp` names it), or choose "
            "another port in [metrics]"
        ) from error
    try:
        bound = server.sockets[0].getsockname()[1]
        yield f"http://{'[' + host + ']' if ':' in host else host}:{bound}/metrics"
    finally:
        server.close()
        door.hang_up()


def address_of(listen: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        ConfigError: not ``host:port``, or not of the loopback.
    """
    try:
        parts = urllib.parse.urlsplit(f"//{listen}")
        host, port = parts.hostname or "", parts.port
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback, port = False, None
    if not is_loopback or port is None:
        raise ConfigError(
            f"[metrics] listen: expected an address of the loopback like 127.0.0.1:9464, found {listen!r}; to be asked from "
            "elsewhere, run an agent or a proxy on this machine"
        )
    return host, port


class _Door:
    """Answers requests, a few at a time."""

    def __init__(self, pages: Mapping[str, tuple[str, Page]]) -> None:
        self._pages = pages
        self._writers: set[asyncio.StreamWriter] = set()

    def hang_up(self) -> None:
        """End what is open."""
        for writer in self._writers:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, then hang up."""
        if len(self._writers) >= _AT_ONCE:
            writer.close()
            return
        self._writers.add(writer)
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = await self._answer_to(head)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
                f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n".encode()
                + body
            )
            async with asyncio.timeout(_HEAD_S):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            _log.debug("metrics request not answered", error=str(error) or type(error).__name__)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer_to(self, head: bytes) -> tuple[str, str, bytes]:
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        host = next((line[5:].strip() for line in lines[1:] if line.lower().startswith("host:")), "")
        if not _is_ours(host):  # a web page that a browser on this machine shows, under a name that leads here
            return "403 Forbidden", "text/plain", b"asked for under a foreign name\n"
        if len(words) != 3 or words[0] not in {"GET", "HEAD"}:
            return "405 Method Not Allowed", "text/plain", b"GET /metrics\n"
        wanted = self._pages.get(words[1].partition("?")[0])
        if wanted is None:
            return "404 Not Found", "text/plain", "".join(f"GET {path}\n" for path in self._pages).encode()
        kind, page = wanted
        try:
            body = (await page()).encode()
        except HeardError as error:
            return "503 Service Unavailable", "text/plain", f"{error}\n".encode()
        return "200 OK", kind, b"" if words[0] == "HEAD" else body


def _is_ours(host: str) -> bool:
    if not host:
        return True  # HTTP/1.0
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
