"""Processes that check signatures beside the event loop, so that a flow uses more than one core.

A signature is two thirds of what an envelope costs a receiver. Checked on a thread, each of them gives the interpreter's lock up and
waits for it again beside the thread of the database; checked in a process, a hundred at a time, they cost this one a write and a read.

What a process is given (a public key, a signature, the signed header) everybody on the way has seen; it holds no key and sees no
body. Its yes is believed, as it is this program under this account; anything else, a process that dies included, only means that the caller
checks by itself. Nothing is started before the first flow, and what was lost is started again.
"""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from relay.counters import Counters
from relay.verifier_process import READY, batch_of

_log = structlog.get_logger("relay.verifiers")
BATCHES_EACH: Final = 2
"""One that is checked and one that waits, so that a process never does."""
_STUCK_AFTER_S: Final = 5.0
_STARTED_AGAIN_AFTER_S: Final = 5.0
_ENDS_WITHIN_S: Final = 2.0

_MOST_WORTH: Final = 2
"""Two check more than one database stores."""

Claim = tuple[bytes, bytes, bytes]
"""(public key, signature, header): that this key signed this header."""
OnVerdicts = Callable[[bytes], None]
"""Told a byte for each claim, in order: 1, it is so; anything else, check it yourself."""


def worth_having() -> int:
    """How many processes are of use on this machine: one on two cores, none on a single one."""
    return min(_MOST_WORTH, len(os.sched_getaffinity(0)) - 1)


@dataclass(slots=True, eq=False, kw_only=True)
class _Batch:
    count: int
    on_verdicts: OnVerdicts
    verdicts: bytes | None = None
    alarm: asyncio.TimerHandle | None = None


class _Process(asyncio.SubprocessProtocol):
    """One process, as this end sees it."""

    def __init__(self, on_answer: Callable[[], None], on_end: Callable[["_Process"], None]) -> None:
        self._on_answer = on_answer
        self._on_end = on_end
        self._heard = bytearray()
        self._transport: asyncio.SubprocessTransport | None = None
        self.asked: deque[_Batch] = deque()
        self.is_ready = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def ask(self, claims: Sequence[Claim], batch: _Batch) -> None:
        """Hand a batch over."""
        assert self._transport is not None
        pipe = self._transport.get_pipe_transport(0)
        assert isinstance(pipe, asyncio.WriteTransport)
        batch.alarm = asyncio.get_running_loop().call_later(_STUCK_AFTER_S, self.kill)
        self.asked.append(batch)
        pipe.write(batch_of(claims))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd  # only the standard output is read
        self._heard += data
        if not self.is_ready and self._heard.startswith(READY):
            del self._heard[: len(READY)]
            self.is_ready = not self.ended.done()
        while self.asked and len(self._heard) >= self.asked[0].count:
            self._settle(self.asked.popleft())
        self._on_answer()

    def _settle(self, batch: _Batch) -> None:
        """With what was heard; what is missing counts as no."""
        batch.verdicts = bytes(self._heard[: batch.count]).ljust(batch.count, b"\0")
        del self._heard[: batch.count]
        if batch.alarm is not None:
            batch.alarm.cancel()

    def process_exited(self) -> None:
        self.is_ready = False
        self._heard.clear()
        if self._transport is not None:
            self._transport.close()
        while self.asked:
            self._settle(self.asked.popleft())
        if not self.ended.done():
            self.ended.set_result(None)
        self._on_end(self)
        self._on_answer()

    def kill(self) -> None:
        """It does not answer."""
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()

    async def close(self) -> None:
        """End it: its input ends, and if that does not help, by force."""
        if self._transport is None:
            return
        pipe = self._transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await asyncio.shield(self.ended)
        except TimeoutError:
            self.kill()
            await self.ended


class Verifiers:
    """All of them. Used on the event loop only."""

    def __init__(self, processes: int, counters: Counters) -> None:
        self._most = processes
        self._counters = counters
        self._processes: list[_Process] = []
        self._outstanding: deque[_Batch] = deque()
        """In the order of asking, which is the order of telling."""
        self._wanted = asyncio.Event()
        self._is_closing = False

    @property
    def is_up(self) -> bool:
        """Whether any process can be asked; asked for the first time, or again after a loss, they are started."""
        if len(self._processes) < self._most:
            self._wanted.set()
        return any(process.is_ready for process in self._processes)

    @property
    def has_room(self) -> bool:
        """Whether a batch would be begun soon."""
        return any(process.is_ready and len(process.asked) < BATCHES_EACH for process in self._processes)

    @property
    def is_idle(self) -> bool:
        """Whether every verdict was told."""
        return not self._outstanding

    def ask(self, claims: Sequence[Claim], on_verdicts: OnVerdicts) -> None:
        """Have a batch checked; needs ``has_room``. Verdicts of all batches are told in the order of asking."""
        process = min((one for one in self._processes if one.is_ready), key=lambda one: len(one.asked))
        batch = _Batch(count=len(claims), on_verdicts=on_verdicts)
        self._outstanding.append(batch)
        self._counters.count("signatures_checked_beside", len(claims))
        process.ask(claims, batch)

    def tell_in_turn(self, on_verdicts: OnVerdicts) -> None:
        """Have ``on_verdicts`` called when all that was asked before is told; at once where nothing is."""
        self._outstanding.append(_Batch(count=0, on_verdicts=on_verdicts, verdicts=b""))
        self._tell()

    async def run(self) -> None:
        """Start processes when they are wanted, until cancelled; then end them."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while len(self._processes) < self._most and await self._start():
                    pass
                await asyncio.sleep(_STARTED_AGAIN_AFTER_S)
        finally:
            self._is_closing = True
            for process in list(self._processes):
                await process.close()

    async def _start(self) -> bool:
        process = _Process(self._tell, self._ended)
        self._processes.append(process)
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: process, sys.executable, "-P", "-m", "relay.verifier_process", stderr=None
            )
        except OSError as error:  # no memory, no room in the process table: checking here goes on
            self._processes.remove(process)
            self._counters.count("verifiers_not_started")
            _log.error("no process to check signatures beside: they are checked here", error=str(error))
            return False
        self._counters.count("verifiers_started")
        return True

    def _ended(self, process: _Process) -> None:
        self._processes.remove(process)
        if not self._is_closing:
            self._counters.count("verifiers_lost")
            _log.error("a process that checked signatures ended: they are checked here until there is another")

    def _tell(self) -> None:
        """Tell what is due, in order."""
        while self._outstanding and (verdicts := self._outstanding[0].verdicts) is not None:
            self._outstanding.popleft().on_verdicts(verdicts)
