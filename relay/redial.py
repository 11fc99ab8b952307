"""When a path that is down dials again: at the back-off's pace, or at once when its interface comes back or an alert is stranded.

Owns the loop around a dialing path's attempts. The back-off never gives up; what ``interfaces`` reports, and a FLASH alert that
finds no path up, only cut a wait short; an interface's return also ends an attempt that was begun into nothing and would wait for its
deadline. Used by the dialing carriers in ``relay/paths``; nudged by ``upkeep`` and ``station``.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, Protocol, runtime_checkable

from relay.backoff import Backoff

SPREAD_S: Final = 0.3
LEAST_BETWEEN_NUDGES_S: Final = 1.0
"""Where interfaces come and go all the time, such as containers' do, that must not become a dialing storm."""


HURRIED_S: Final = 3.0
"""Longest wait of who has no other path. A thousand such nodes are 600 attempts a second at a centre that is back."""


def _never() -> bool:
    return False


class Redial:
    """Paces the attempts of one path."""

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.is_cut_off: Callable[[], bool] = _never
        """Whether no path of this machine is up: then the wait is short, whatever the back-off has come to."""
        self._nudged = asyncio.Event()
        self._is_stale = asyncio.Event()
        self._last_nudge_s = float("-inf")

    async def keep(self, attempt: Callable[[], Awaitable[None]]) -> NoReturn:
        """Make an attempt, wait, make the next, until cancelled. ``attempt`` serves for as long as its session lasts.

        Raises:
            Whatever ``attempt`` raises: it keeps to itself what only means "not now".
        """
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            self._is_stale.clear()
            await self._attempt_unless_stale(attempt)
            self.backoff.succeeded_for(loop.time() - started_s)
            await self._pause()

    async def _attempt_unless_stale(self, attempt: Callable[[], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(attempt())
        stale = asyncio.ensure_future(self._is_stale.wait())
        try:
            await asyncio.wait({work, stale}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stale.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        if not work.cancelled():
            work.result()

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._delay_s()):
                await self._nudged.wait()
                soonest_s = max(loop.time(), self._last_nudge_s + LEAST_BETWEEN_NUDGES_S)
                # Spread: a cell that comes back wakes all its nodes in the same moment.
                await asyncio.sleep(soonest_s - loop.time() + random.uniform(0, SPREAD_S))  # noqa: S311  not a secret
        if self._nudged.is_set():
            self._nudged.clear()
            self._last_nudge_s = loop.time()

    def _delay_s(self) -> float:
        return self.backoff.next_delay_s(at_most_s=HURRIED_S) if self.is_cut_off() else self.backoff.next_delay_s()

    def nudge(self) -> None:
        """Something changed that may help: don't wait any longer. An attempt under way goes on."""
        self._nudged.set()

    def start_over(self) -> None:
        """The path's own interface has just come up: also an attempt under way was begun into nothing. Only without a session."""
        self._is_stale.set()
        self._nudged.set()


@runtime_checkable
class Redials(Protocol):
    """A path that can be told to dial now."""

    redial: Redial
