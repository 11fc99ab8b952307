"""A real Mosquitto for a test, on a free port, with its own configuration and nothing kept between starts."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

_SEARCHED = os.environ.get("PATH", "") + ":/usr/sbin"


def program() -> str:
    """Mosquitto, or the test is skipped."""
    found = shutil.which("mosquitto", path=_SEARCHED)
    if found is None:
        pytest.skip("no mosquitto on this machine: apt-get install mosquitto")
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Mosquitto:
    """A broker that can be stopped and started at the same port."""

    def __init__(self, folder_dir: Path, *, extra: str = "", password_for: dict[str, str] | None = None) -> None:
        self._program = program()
        self.port = free_port()
        self._config_file = folder_dir / f"mosquitto-{self.port}.conf"
        self.log_file = folder_dir / f"mosquitto-{self.port}.log"
        login = "allow_anonymous true"
        if password_for:
            passwords_file = folder_dir / f"passwords-{self.port}"
            passwords_file.touch(mode=0o600)
            for user, password in password_for.items():
                subprocess.run(
                    ["mosquitto_passwd", "-b", passwords_file, user, password], check=True, capture_output=True
                )
            login = f"allow_anonymous false\npassword_file {passwords_file}"
        user = "user root\n" if os.geteuid() == 0 else ""  # or it gives up its rights to read the files of this test
        self._config_file.write_text(f"listener {self.port} 127.0.0.1\n{user}persistence false\n{login}\n{extra}\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._process = self._begin()
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self._process.poll() is None, self.log_file.read_text()
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen([self._program, "-c", self._config_file], stdout=log, stderr=log)

    def stop(self) -> None:
        """Kill it: no farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Connected, and doing nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Mosquitto"]:
        await self.start()
        try:
            yield self
        finally:
            self.stop()
