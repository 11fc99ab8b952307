"""A modem that speaks AT commands (ITU-T V.250): one command at a time, its answer, and what it says unasked.

Shared by ``short_burst`` and ``sms``. A modem is not trusted to speak sense: lines are bounded, what answers no question is handed on as
unasked or counted and forgotten, and every command has a deadline after which the path is down and begins again.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from relay.counters import Counters
from relay.errors import PathDown
from relay.paths import serial_port
from relay.paths.serial_port import SerialPort

MAX_LINE_BYTES: Final = 1024
_MOST_LINES: Final = 600
"""In one answer: AT+CMGL lists up to 255 messages of two lines."""
_IN_AN_ANSWER: Final = re.compile(r"\+.*|[0-9A-Fa-f]+")
"""What the commands here are answered with before the end: lines with a name, numbers, PDUs."""
_FINAL: Final = ("OK", "ERROR", "NO CARRIER", "+CMS ERROR:", "+CME ERROR:")
_LINE_END: Final = int.from_bytes(b"\r\n", "big")
ANSWER_S: Final = 5.0
UNASKED_DEPTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a modem answered: the lines before the final one, and the final one."""

    lines: tuple[str, ...]
    final: str

    @property
    def is_ok(self) -> bool:
        """Whether it did as it was told."""
        return self.final == "OK"

    def line(self, prefix: str) -> str | None:
        """The rest of the first line that starts so."""
        return next((line[len(prefix) :].strip() for line in self.lines if line.startswith(prefix)), None)


def is_final(line: str) -> bool:
    """Whether a line ends an answer."""
    return line.startswith(_FINAL) and (line in _FINAL or line.startswith("+"))


class LineReader:
    """Cuts a modem's bytes into lines, and hands out counted bytes when a command's answer has any. Never raises."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.too_long = 0

    def feed(self, data: bytes) -> None:
        """Take what came; what can't be a line any more is forgotten."""
        self._buffer += data
        while len(self._buffer) > MAX_LINE_BYTES and b"\r" not in self._buffer and b"\n" not in self._buffer:
            del self._buffer[:MAX_LINE_BYTES]
            self.too_long += 1

    def line(self) -> str | None:
        """The next line that is not empty; None if none is complete."""
        while True:
            ends = [at for at in (self._buffer.find(b"\r"), self._buffer.find(b"\n")) if at >= 0]
            if not ends:
                return None
            end = min(ends)
            raw = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if len(raw) > MAX_LINE_BYTES:
                self.too_long += 1
                continue
            text = raw.decode("ascii", errors="replace").strip("\x00 ")
            if text:
                return text

    def prompt(self) -> bool:
        """Whether the modem asks for a text: ``> `` at the start of a line. Taken if so."""
        waiting = bytes(self._buffer).lstrip(b"\r\n")
        if not waiting.startswith(b">"):
            return False
        self._buffer = bytearray(waiting[1:].removeprefix(b" "))
        return True

    def exactly(self, count: int) -> bytes | None:
        """That many bytes, whatever they are; None if they are not there yet."""
        if len(self._buffer) < count:
            return None
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def skip_line_end(self) -> None:
        """Forget line ends at the front."""
        self._buffer = self._buffer.lstrip(b"\r\n")

    def forget(self) -> None:
        """Forget what came: nobody waits for it any more."""
        self._buffer.clear()


class AtModem:
    """One modem. Commands come from one task; ``unasked`` holds the lines that no command asked for."""

    def __init__(self, counters: Counters, is_unasked: Callable[[str], bool]) -> None:
        self._counters = counters
        self._is_unasked = is_unasked
        self._reader = LineReader()
        self._came = asyncio.Event()
        self._stirred = asyncio.Event()
        self._port: SerialPort | None = None
        self.unasked: asyncio.Queue[str] = asyncio.Queue(UNASKED_DEPTH)

    @contextlib.asynccontextmanager
    async def on(self, device: str, baud: int) -> AsyncIterator["AtModem"]:
        """Have the port for the block.

        Raises:
            PathDown: the port can't be opened.
        """
        async with serial_port.opened(device, baud, self._received) as port:
            self._port = port
            yield self

    async def lost(self) -> str:
        """Return when the port is gone, and why."""
        assert self._port is not None
        return await self._port.lost()

    async def ask(self, command: str, *, within_s: float | None = None) -> Reply:
        """Say a command and wait for its answer, which may be an error.

        Raises:
            PathDown: no answer in time, or the port is gone.
        """
        async with self._deadline(command, within_s or ANSWER_S):
            await self._say(command.encode("ascii") + b"\r")
            return await self._reply(command)

    async def need(self, command: str, *, within_s: float | None = None) -> Reply:
        """The same, where anything but OK means that the modem can't be used.

        Raises:
            PathDown: it did not say OK.
        """
        reply = await self.ask(command, within_s=within_s)
        if not reply.is_ok:
            raise PathDown(f"the modem answers {reply.final} to {command}")
        return reply

    async def ask_with_text(self, command: str, text: bytes, *, within_s: float) -> Reply:
        """Say a command, wait for the ``>``, say the text. The answer may be an error instead of the ``>``."""
        async with self._deadline(command, within_s or ANSWER_S):
            await self._say(command.encode("ascii") + b"\r")
            while not self._reader.prompt():
                line = self._reader.line()
                if line is None:
                    await self._more()
                elif is_final(line):
                    return Reply(lines=(), final=line)
                else:
                    self._stray(line, command)
            self._write(text)
            return await self._reply(command)

    async def ask_with_bytes(self, command: str, ready: str, data: bytes, *, within_s: float) -> Reply:
        """Say a command, wait for the line that invites the bytes, say them."""
        async with self._deadline(command, within_s or ANSWER_S):
            await self._say(command.encode("ascii") + b"\r")
            while (line := await self._next_line()) != ready:
                if is_final(line):
                    return Reply(lines=(), final=line)
                self._stray(line, command)
            self._write(data)
            return await self._reply(command)

    async def ask_for_bytes(self, command: str, *, most: int, tail_bytes: int, within_s: float) -> bytes:
        """Say a command whose answer is two bytes of length, that many bytes, and a tail; then OK.

        Raises:
            PathDown: the modem says something else, or a length over the bound.
        """
        async with self._deadline(command, within_s or ANSWER_S):
            await self._say(command.encode("ascii") + b"\r")
            size = await self._length()
            while size == _LINE_END and most < _LINE_END:  # it rings just now: a line, where two bytes were due
                self._stray(await self._next_line(), command)
                self._reader.skip_line_end()
                size = await self._length()
            # An echo that could not be switched off would be read as a length.
            if size > most:
                self._reader.forget()
                raise PathDown(f"expected at most {most} bytes in the answer to {command}, the modem announces {size}")
            while (rest := self._reader.exactly(size + tail_bytes)) is None:
                await self._more()
            await self._reply(command)
            return rest

    async def _length(self) -> int:
        while (told := self._reader.exactly(2)) is None:
            await self._more()
        return int.from_bytes(told, "big")

    # ------------------------------------------------------------------ reading and writing

    def _received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._came.set()
        self._stirred.set()

    async def _say(self, data: bytes) -> None:
        """Say something new: whatever still lies there was not asked for."""
        await asyncio.sleep(0)
        while (line := self._reader.line()) is not None:
            self._stray(line, "")
        self._reader.forget()
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert self._port is not None
        self._port.write(data)

    async def _reply(self, command: str) -> Reply:
        lines: list[str] = []
        while not is_final(line := await self._next_line()):
            if line == command:
                continue  # echo
            if self._is_unasked(line):
                self._stray(line, command)
                continue
            if not _IN_AN_ANSWER.fullmatch(line):
                self._counters.refused("modem_line")  # and kept: it may stand where a line that was garbled should
            if len(lines) < _MOST_LINES:
                lines.append(line)
        return Reply(lines=tuple(lines), final=line)

    async def _next_line(self) -> str:
        while (line := self._reader.line()) is None:
            await self._more()
        return line

    async def _more(self) -> None:
        self._came.clear()
        await self._came.wait()

    async def stirred(self) -> None:
        """Return when the modem has said anything since the last time, to whomever. For one task."""
        await self._stirred.wait()
        self._stirred.clear()

    async def listen(self) -> None:
        """Collect what the modem says unasked while no command is under way, for one wait."""
        self.collect()
        if self.unasked.empty():
            await self._more()
            self.collect()

    def collect(self) -> None:
        """Sort the lines that lie there."""
        while (line := self._reader.line()) is not None:
            self._stray(line, "")

    def _stray(self, line: str, command: str) -> None:
        if line == command:
            return
        if self._is_unasked(line) and not self.unasked.full():
            self.unasked.put_nowait(line)
        else:
            self._counters.refused("modem_line")

    @contextlib.asynccontextmanager
    async def _deadline(self, command: str, within_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(within_s):
                yield
        except TimeoutError:
            self._reader.forget()
            raise PathDown(f"the modem does not answer {command} within {within_s:g} s") from None
