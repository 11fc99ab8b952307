"""Waiting for something to become true, with a deadline."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, within_s: float = 40.0, what: str = "") -> None:
    """Returns as soon as it holds; fails when it does not in time."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110  conditions here are of other processes and of databases
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"did not happen within {within_s} s: {what or condition}") from None
