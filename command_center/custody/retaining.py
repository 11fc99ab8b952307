"""Retention by itself: once in a while, and never because a clock was wrong.

What is deleted can't be had back, and a time service that lies, or a battery that is empty, sets a clock forward by years in a moment. So after a clock
was set forward, nothing is deleted until the center has run for a week: time to notice, and to set it right. A center that was away for more than
a day can't tell its absence from such a leap, and waits as well. Somebody who orders ``retain`` has looked at the clock, and is not kept waiting.
"""

import sqlite3
from typing import Final

import structlog

from command_center.blobs import BlobStore
from command_center.custody import retention
from command_center.metrics import Metrics
from relay.clock import Clock
from relay.database import Database

RESTS_MS: Final = 7 * 86_400_000
LEAPT_MS: Final = 3_600_000
"""Below it, an hour in days changes little."""
AWAY_MS: Final = 86_400_000
_log = structlog.get_logger("command_center.custody")


class Retaining:
    """Takes its turns on a thread of its own; blocking."""

    def __init__(self, *, database: Database, blobs: BlobStore, clock: Clock, metrics: Metrics, days: float) -> None:
        """``days``: how long pictures and clips are kept after their incident was closed; 0: for good."""
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._metrics = metrics
        self._days = days
        self._turned_ms: int | None = None
        """Monotonic."""

    def turn(self) -> None:
        """Delete what retention says, and the files of what was marked before."""
        retention.unlink(self._database, self._blobs)
        if not self._days or self._database.run_blocking(self._rests):
            return
        gone = retention.keep(
            self._database, self._blobs, days=self._days, now_ms=self._clock.wall_ms(), actor="center"
        )
        self._metrics.count("objects_erased", len(gone))

    def _rests(self, connection: sqlite3.Connection) -> bool:
        """Note that time has passed; whether retention waits for a clock to be believed."""
        now, now_ms = self._clock.wall_ms(), self._clock.monotonic_ms()
        ran_ms, most_ms = (0, AWAY_MS) if self._turned_ms is None else (now_ms - self._turned_ms, LEAPT_MS)
        seen_at_ms, rests_ms = connection.execute("SELECT seen_at_ms, rests_ms FROM retention_clock").fetchone() or (
            now,
            0,
        )
        leapt_ms = now - seen_at_ms - ran_ms
        rests_ms = RESTS_MS if leapt_ms > most_ms else max(0, rests_ms - ran_ms)
        connection.execute("INSERT OR REPLACE INTO retention_clock VALUES (1, ?, ?)", (now, rests_ms))
        self._turned_ms = now_ms
        if leapt_ms > most_ms:
            self._metrics.count("retention_rests")
            _log.warning("retention rests: the clock was set forward, or nothing ran for long", leapt_s=leapt_ms // 1000,
                         rests_days=RESTS_MS // 86_400_000)  # fmt: skip
        return rests_ms > 0
