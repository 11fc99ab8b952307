"""When a path that is down dials again: at the back-off's pace, or at once when its interface comes back or an alert is stranded.

Owns the loop around a dialing path's attempts. The back-off never gives up; what ``interfaces`` reports, and a FLASH alert that
finds no path up, only cut a wait short; an interface's return also ends an attempt that was begun into nothing and would wait for its
deadline. A session that owes an answer gets a second attempt beside it (``spare``): it is ended only where that one succeeds. Used by the dialing carriers in ``relay/paths``; nudged by ``upkeep`` and ``station``.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

from relay.backoff import Backoff

SPREAD_S: Final = 0.3
LEAST_BETWEEN_NUDGES_S: Final = 1.0
"""Where interfaces come and go all the time, such as containers' do, that must not become a dialing storm."""


SPARES_S: Final = (2.0, 120.0)
"""Least and longest time between two spare attempts of one path, with decorrelated jitter: a thousand nodes that suspect an
overloaded neighbor must not become its end."""
HURRIED_S: Final = 3.0
"""Longest wait of who has no other path. A thousand such nodes are 600 attempts a second at a center that is back."""


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
        self._wants_spare = asyncio.Event()
        self._last_nudge_s = float("-inf")
        self._spares = Backoff(least_s=SPARES_S[0], most_s=SPARES_S[1], stable_s=SPARES_S[1])
        self._last_spare_s = self._next_spare_s = float("-inf")
        self._late_spare: asyncio.TimerHandle | None = None

    async def keep(self, attempt: Callable[[], Awaitable[None]]) -> NoReturn:
        """Make an attempt, wait, make the next, until cancelled. ``attempt`` serves for as long as its session lasts.

        Only a session that stood for a stable while (``standing``) makes the waits short again: an attempt may fail as slowly as it likes.

        Raises:
            Whatever ``attempt`` raises: it keeps to itself what only means "not now".
        """
        while True:
            self._is_stale.clear()
            self._wants_spare.clear()
            await self._serve(attempt)
            await self._pause()

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Around a session, from its opening to its end. The carrier's attempt holds it; nothing else is a success."""
        loop = asyncio.get_running_loop()
        opened_s = loop.time()
        try:
            yield
        finally:
            self.backoff.succeeded_for(loop.time() - opened_s)

    async def _serve(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """One attempt, and a spare one beside it when that is wanted, until both have ended or they are stale."""
        running = {asyncio.ensure_future(attempt())}
        try:
            while running and not self._is_stale.is_set():
                await self._until_something_happens(running)
                for work in [work for work in running if work.done()]:
                    running.discard(work)
                    work.result()
                if self._wants_spare.is_set() and len(running) == 1:
                    running.add(asyncio.ensure_future(_spread(attempt)))
                self._wants_spare.clear()
        finally:
            for work in running:
                work.cancel()
            if running:
                await asyncio.wait(running)
        for work in running:
            if not work.cancelled():
                work.result()

    async def _until_something_happens(self, running: "set[asyncio.Task[None]]") -> None:
        signs = [asyncio.ensure_future(sign.wait()) for sign in (self._is_stale, self._wants_spare)]
        awaited: list[asyncio.Task[Any]] = [*running, *signs]
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sign in signs:
                sign.cancel()

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

    def spare(self, is_wanted_still: Callable[[], bool] = _never) -> None:
        """The session owes an answer: dial beside it, and leave it alone. Not too often: else later, if it is wanted still."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if now_s < self._next_spare_s:
            if self._late_spare is None:
                self._late_spare = loop.call_at(self._next_spare_s, self._spare_late, is_wanted_still)
            return
        self._spares.succeeded_for(now_s - self._last_spare_s)
        self._last_spare_s, self._next_spare_s = now_s, now_s + self._spares.next_delay_s()
        self._wants_spare.set()

    def _spare_late(self, is_wanted_still: Callable[[], bool]) -> None:
        self._late_spare = None
        if is_wanted_still():
            self.spare(is_wanted_still)

    def start_over(self) -> None:
        """The path's own interface has just come up: also an attempt under way was begun into nothing. Only without a session."""
        self._is_stale.set()
        self._nudged.set()


async def _spread(attempt: Callable[[], Awaitable[None]]) -> None:
    """Not in step with everybody else who lost the same neighbor."""
    await asyncio.sleep(random.uniform(0, SPREAD_S))  # noqa: S311  not a secret
    await attempt()


@runtime_checkable
class Redials(Protocol):
    """A path that can be told to dial now."""

    redial: Redial
