"""Tasks that belong together: started with a name, stopped together, and one failure ends them all.

A thin layer over ``asyncio.TaskGroup``: leaving the block cancels what still runs (loops that run for ever are the rule
here), and a single operator's error comes out as itself instead of wrapped in a group.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from relay.errors import HeardError


class Crew:
    """Starts tasks inside a group and remembers them."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_dismissed = False

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` until it ends, fails (and ends the whole crew), or the crew is dismissed; after that it is not begun."""
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._is_dismissed:  # a parcel that came while the others stopped: nobody would ever stop what it starts
            task.cancel()
        return task

    def dismiss(self) -> None:
        """Cancel what still runs, and what is started from now on."""
        self._is_dismissed = True
        for task in list(self._tasks):
            task.cancel()


@contextlib.asynccontextmanager
async def crew() -> AsyncIterator[Crew]:
    """A crew for the block; when the block ends, or one of the crew fails, all stop."""
    try:
        async with asyncio.TaskGroup() as group:
            members = Crew(group)
            try:
                yield members
            finally:
                members.dismiss()
    except BaseExceptionGroup as failures:
        raise _the_one_to_tell(failures) from failures


def _the_one_to_tell(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of ours in a group, else the only error, else the group."""
    flat: list[BaseException] = []

    def flatten(group: BaseExceptionGroup[BaseException]) -> None:
        for error in group.exceptions:
            if isinstance(error, BaseExceptionGroup):
                flatten(error)
            else:
                flat.append(error)

    flatten(failures)
    ours = [error for error in flat if isinstance(error, HeardError)]
    if ours:
        return ours[0]
    return flat[0] if len(flat) == 1 else failures
