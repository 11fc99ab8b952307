"""An address translator between two stations that forgets its connections, or stands still: what cellular networks do to TCP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Translator:
    """Forwards TCP to one port. What it has forgotten is swallowed, silently and both ways, and stays open; new connections work."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.swallowed_bytes = 0
        self.stalled_bytes = 0
        self.connections = 0
        """Ever made."""
        self._target_port = target_port
        self._forgotten_before = 0
        self._moves = asyncio.Event()
        self._moves.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Translator"]:
        """Listen for the block."""
        async with asyncio.TaskGroup() as group:
            tasks: set[asyncio.Task[None]] = set()

            def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                tasks.add(group.create_task(self._serve(reader, writer)))

            server = await asyncio.start_server(accepted, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                server.close()
                for task in tasks:
                    task.cancel()

    def forget(self) -> None:
        """Every connection that there is now goes nowhere from here on."""
        self._forgotten_before = self.connections

    def stall(self) -> None:
        """Keep everything back, new connections' bytes as well."""
        self._moves.clear()

    def move(self) -> None:
        """Let go what was kept back."""
        self._moves.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_on(number, reader, far_writer))
                    group.create_task(self._pass_on(number, far_reader, writer))
            finally:
                for end in (writer, far_writer):
                    end.close()

    async def _pass_on(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not self._moves.is_set():
                    self.stalled_bytes += len(data)
                    await self._moves.wait()
                if number < self._forgotten_before:
                    self.swallowed_bytes += len(data)
                    continue
                writer.write(data)
                await writer.drain()
            if number >= self._forgotten_before:
                writer.close()
