"""What was annunciated in the last ten minutes: what flood control counts.

On this process's monotonic clock, because a wall clock that leaps must neither open the gate to a second flood nor shut it for a year.
After a restart it begins with what the rows say, read against the wall clock once. An annunciation whose transaction failed is counted
until its time is over: that holds something back for a while, and never lets more through. Used by ``ingest`` and ``watch`` on the database's
thread, and by ``watch`` on a reader's.
"""

import sqlite3
import threading
from collections import deque

from command_center import annunciation, incident_acts
from relay.clock import Clock

Source = tuple[bytes, str]
"""Node and camera."""


class AnnunciatedLately:
    """Incidents below FLASH; FLASH takes no room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: deque[tuple[int, Source]] | None = None
        """(monotonic ms, source), the oldest first; None: not read yet."""

    def sources(self, connection: sqlite3.Connection) -> list[Source]:
        """Where they came from, each as often as it was annunciated."""
        now_ms = self._clock.monotonic_ms()
        with self._lock:
            known = self._read(connection, now_ms)
            while known and now_ms - known[0][0] > annunciation.WINDOW_MS:
                known.popleft()
            return [source for _, source in known]

    def note(self, connection: sqlite3.Connection, source: Source) -> None:
        """One more, now."""
        now_ms = self._clock.monotonic_ms()
        with self._lock:
            self._read(connection, now_ms).append((now_ms, source))

    def _read(self, connection: sqlite3.Connection, now_ms: int) -> deque[tuple[int, Source]]:
        if self._known is None:
            rows = incident_acts.annunciated_lately(connection, self._clock.wall_ms(), annunciation.WINDOW_MS)
            self._known = deque((now_ms - age_ms, source) for age_ms, source in rows)
        return self._known
