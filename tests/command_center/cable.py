"""The line between a browser and a center, which a test cuts and mends: what went through is gone, what comes is refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Cable:
    """A TCP relay on a free port of the loopback."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._is_whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self.cut_count = 0
        """Connections that were cut: a test of an outage asserts that there was one."""
        self.url = ""

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Cable"]:
        """Carries until the block ends."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            self.cut()
            server.close()
            await server.wait_closed()

    def cut(self) -> None:
        """Every connection ends, and none is made, until it is mended."""
        self._is_whole = False
        self.cut_count += len(self._open)
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """It carries again."""
        self._is_whole = True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.close()


async def _pour(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65_536):
            into.write(data)
            await into.drain()
    into.close()
