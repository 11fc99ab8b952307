"""The listening side of a TAK server, read by pytak's own reader."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

import pytak

from tests.command_center.test_ingest import until


class _Reader(pytak.RXWorker):  # type: ignore[misc]
    """pytak's own reading of the streaming protocol."""

    async def handle_data(self, data: bytes) -> None:
        raise AssertionError("only the framing is used: nothing is handed on")


@dataclass(kw_only=True)
class Listener:
    """A TAK server's listening side: what pytak read from each connection."""

    port: int
    events: list[ET.Element] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        return [event.get("type", "") for event in self.events]


@contextlib.asynccontextmanager
async def tak_listener(context: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    found = Listener(port=0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = _Reader(asyncio.Queue(), {}, reader)
        try:
            while data := await worker.readcot():
                found.events.append(ET.fromstring(data))
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


async def seen_by(listener: Listener, count: int) -> None:
    async def holds() -> bool:
        return len(listener.events) >= count

    await until(holds)
