"""The end of a serial cable that a modem would be at: a pseudo-terminal, and the AT commands that come over it, one by one."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator
from typing import ClassVar


class PseudoModem:
    """Subclasses answer in ``command``. Keeps what was said to it in ``heard``; garbles, stays silent or dies when told to."""

    UNTIL: ClassVar[bytes] = b"\r"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.device = ""
        self.is_silent = False
        self.garbage_before: list[bytes] = []
        """Said in front of the next answers, one each."""
        self._master = -1
        self._slave = -1
        self._buffer = bytearray()
        self._wanted = 0
        self._expected = 0
        self._text_end = b""

    @contextlib.asynccontextmanager
    async def plugged_in(self) -> AsyncIterator["PseudoModem"]:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        try:
            yield self
        finally:
            self.unplug()

    def unplug(self) -> None:
        """Pull the cable: whoever has the port open sees it go."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def say(self, *lines: str) -> None:
        for line in lines:
            self.write(f"\r\n{line}\r\n".encode())

    def write(self, data: bytes) -> None:
        if self._master < 0 or self.is_silent:
            return
        if self.garbage_before:
            data = self.garbage_before.pop(0) + data
        with contextlib.suppress(OSError):
            os.write(self._master, data)

    def expect_bytes(self, count: int) -> None:
        """The next bytes are data, handed to ``data``; if they don't come, ``gave_up`` (after 60 s on a real one)."""
        self._wanted = count
        self._expected = self._expected + 1
        asyncio.get_running_loop().call_later(0.4, self._give_up, self._expected)

    def _give_up(self, which: int) -> None:
        if self._wanted and which == self._expected:
            self._wanted = 0
            self._buffer.clear()
            self.gave_up()

    def gave_up(self) -> None:
        """The announced bytes did not come."""

    def expect_text(self, end: bytes) -> None:
        """What comes up to ``end`` is a text, handed to ``data``."""
        self._text_end = end

    def command(self, line: str) -> None:
        """One AT command, without its end."""
        raise AssertionError(f"a modem without commands was sent {line!r}")

    def data(self, data: bytes) -> None:
        """The bytes or the text that were announced."""
        raise AssertionError(f"a modem that announces nothing was sent {data!r}")

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self._buffer += os.read(self._master, 4096)
        while self._buffer:
            if self._wanted:
                if len(self._buffer) < self._wanted:
                    return
                data, self._buffer = bytes(self._buffer[: self._wanted]), self._buffer[self._wanted :]
                self._wanted = 0
                self.data(data)
            elif self._text_end and b"\x1b" in self._buffer:  # escape: never mind
                self._buffer, self._text_end = self._buffer[self._buffer.index(b"\x1b") + 1 :], b""
                self.say("OK")
            elif self._text_end:
                if self._text_end not in self._buffer:
                    return
                text, _, rest = bytes(self._buffer).partition(self._text_end)
                self._buffer, self._text_end = bytearray(rest), b""
                self.data(text)
            elif b"\r" in self._buffer:
                line, _, rest = bytes(self._buffer).partition(b"\r")
                self._buffer = bytearray(rest)
                self.heard.append(line.decode("latin-1").strip())
                self.command(self.heard[-1])
            else:
                return
