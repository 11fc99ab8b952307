"""A real NATS server for a test, on a free port; can be stopped and started there."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.relay.mosquitto import free_port


class NatsProcess:
    """A server without JetStream."""

    def __init__(self, folder_dir: Path, *options: str) -> None:
        found = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if found is None:
            pytest.skip("no nats-server on this machine: apt-get install nats-server")
        self.port = free_port()
        self._command = [
            found,
            "-a",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-l",
            str(folder_dir / f"nats-{self.port}.log"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def _begin(self) -> None:
        self._process = subprocess.Popen(self._command)

    async def start(self) -> None:
        self._begin()
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["NatsProcess"]:
        await self.start()
        try:
            yield self
        finally:
            self.stop()
