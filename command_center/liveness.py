"""Whether this center can do its work now: store durably, keep on storing, and say so to nodes. What ``/readyz`` asks.

Each answer is a fact of this moment, not of the last one that went well: a row is written and fsynced for it. Asked more often
than once a second, it repeats itself, so that whoever hammers at it does not use up the disk.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.clock import Clock
from relay.database import Database
from relay.errors import OperatorError

LEAST_FREE_BYTES: Final = 128 << 20
"""Below this, clips and then alerts will soon find no room."""
STUCK_AFTER_MS: Final = 10_000
_COMMIT_WITHIN_S: Final = 5.0
_ASKED_AGAIN_AFTER_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that must hold."""

    name: str
    is_good: bool
    detail: str


class Liveness:
    """Asks the parts that alerts go through."""

    def __init__(self, *, database: Database, clock: Clock, waiting: Callable[[], int], stored_at_ms: Callable[[], int],
                 free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free) -> None:  # fmt: skip
        """``waiting``: verified envelopes that are not stored yet. ``stored_at_ms``: when the last one was, monotonic."""
        self._database = database
        self._clock = clock
        self._waiting = waiting
        self._stored_at_ms = stored_at_ms
        self._free_bytes = free_bytes
        self._waiting_since_ms: int | None = None
        self._found: tuple[int, tuple[Finding, ...]] | None = None
        self._lock = asyncio.Lock()

    async def findings(self) -> tuple[Finding, ...]:
        """Journal, disk, receipts."""
        async with self._lock:
            now = self._clock.monotonic_ms()
            if self._found is not None and now - self._found[0] < _ASKED_AGAIN_AFTER_MS:
                return self._found[1]
            found = (await self._journal(), self._disk(), self._receipts(now))
            self._found = (now, found)
            return found

    async def _journal(self) -> Finding:
        mark = self._clock.monotonic_ms() % (1 << 31)
        try:
            async with asyncio.timeout(_COMMIT_WITHIN_S):
                # The file's own counter: a real page, written and fsynced like any entry, and nothing that grows.
                await self._database.run(
                    lambda connection: connection.execute(f"PRAGMA user_version = {mark}").fetchall()
                )
        except TimeoutError:
            return Finding(name="journal", is_good=False, detail=f"no commit within {_COMMIT_WITHIN_S:.0f} s")
        except OperatorError as error:
            return Finding(name="journal", is_good=False, detail=str(error))
        return Finding(name="journal", is_good=True, detail="written and fsynced")

    def _disk(self) -> Finding:
        folder = self._database.file.parent
        free = self._free_bytes(folder)
        return Finding(name="disk", is_good=free >= LEAST_FREE_BYTES, detail=f"{free >> 20} MiB free under {folder}")

    def _receipts(self, now_ms: int) -> Finding:
        """What was verified is stored, and then receipted in the same turn; so what waits for long says that neither happens."""
        waiting = self._waiting()
        if not waiting:
            self._waiting_since_ms = None
            return Finding(name="receipts", is_good=True, detail="nothing waits")
        since = self._waiting_since_ms = self._waiting_since_ms or now_ms
        stuck_ms = now_ms - max(since, self._stored_at_ms())
        return Finding(
            name="receipts", is_good=stuck_ms < STUCK_AFTER_MS, detail=f"{waiting} wait, none stored for {stuck_ms} ms"
        )
