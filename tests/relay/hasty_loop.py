"""An event loop in which waiting takes no time: where nothing else can happen, its clock leaps to the next timer.

For state machines that wait for minutes. Sockets and threads are not waited for: it is for coroutines that only sleep.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _LeapingSelector(selectors.SelectSelector):
    """Looks once, and instead of waiting lets the clock leap."""

    leapt_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.leapt_s += timeout
        return ready


class HastyLoop(asyncio.SelectorEventLoop):
    """``time()`` is what the timers have leapt, s."""

    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._leaping.leapt_s


def run_hasty(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in no time."""
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        return runner.run(work)
