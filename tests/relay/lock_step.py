"""A link on which time passes by half round trips: what both ends say is held until neither says more, then all of it crosses at once.

So how many trips something takes is counted, and not read from a clock: a busy machine makes it slower and no longer. A connection is made
at the other end when what was said first gets there; what a kernel's own handshake takes is added (``TCP_TRIPS``). TLS is said in the connection, and counted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from relay.crew import crew

QUIET_S: Final = 0.12
"""So long without a word, and both ends have said all that they had to say."""
TCP_TRIPS: Final = 1.0
_LOOK_S: Final = 0.01


@dataclass(eq=False, kw_only=True)
class _Connection:
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    is_over: bool = False


class LockStep:
    """Made by ``lock_step``."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: list[_Connection] = []
        self._last_word_s = 0.0
        self.half_trips = 0
        """Since the first connection."""
        self.port = 0

    @property
    def trips(self) -> float:
        """Round trips until now, from the call."""
        return TCP_TRIPS + self.half_trips / 2

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody calls."""
        connection = _Connection(near=writer)
        self._connections.append(connection)
        await self._hear(reader, connection, connection.up)

    async def _hear(self, reader: asyncio.StreamReader, connection: _Connection, said: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                said += data
                self._last_word_s = asyncio.get_running_loop().time()
        connection.is_over = True

    async def run(self) -> None:
        """Let time pass, as long as somebody says something."""
        loop = asyncio.get_running_loop()
        async with crew() as members:
            while True:
                await asyncio.sleep(_LOOK_S)
                speaking = [item for item in self._connections if item.up or item.down]
                if not speaking or loop.time() - self._last_word_s < QUIET_S:
                    continue
                self.half_trips += 1
                self._last_word_s = loop.time()
                for item in speaking:
                    up, down = bytes(item.up), bytes(item.down)
                    item.up.clear()
                    item.down.clear()
                    if item.far is None:
                        reader, item.far = await asyncio.open_connection("127.0.0.1", self._port)
                        members.start(self._hear(reader, item, item.down), "far end")
                    item.far.write(up)
                    item.near.write(down)

    def close(self) -> None:
        """Cut everything."""
        for item in self._connections:
            item.near.close()
            if item.far is not None:
                item.far.close()


@contextlib.asynccontextmanager
async def lock_step(far_port: int) -> AsyncIterator[LockStep]:
    """A link to a port of this machine, for as long as it lasts."""
    link = LockStep(far_port)
    server = await asyncio.start_server(link.accept, "127.0.0.1", 0)
    link.port = server.sockets[0].getsockname()[1]
    async with crew() as members:
        members.start(link.run(), "lock step")
        try:
            yield link
        finally:
            link.close()
            server.close()
