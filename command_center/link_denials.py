"""Links that are good for nothing: counted each time, journalled once a minute and network, and a thousand times a minute at most.

Whoever guesses links must not fill the journal; whoever uses one that expired must be in it.
"""

import sqlite3
from typing import Final

from command_center import facts, journal
from command_center.facts import Remark
from command_center.metrics import Metrics
from command_center.networks import network_of
from relay.clock import Clock
from relay.database import Database

_AGAIN_AFTER_MS: Final = 60_000
_MOST: Final = 1000
"""In a minute: a thousand networks that guess are an entry each; beyond, they are counted."""


class LinkDenials:
    """Remembers which were noted lately."""

    def __init__(self, *, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._noted: dict[tuple[str, str], int] = {}

    def must_note(self, what: str, address: str) -> bool:
        """Count a denial; whether it is to be journalled."""
        self._metrics.count("denials")
        now, key = self._clock.monotonic_ms(), (what, network_of(address))
        if now - self._noted.get(key, -_AGAIN_AFTER_MS) < _AGAIN_AFTER_MS:
            return False
        if len(self._noted) >= _MOST:
            self._noted = {known: at for known, at in self._noted.items() if now - at < _AGAIN_AFTER_MS}
        if len(self._noted) >= _MOST:
            return False
        self._noted[key] = now
        return True

    async def note(self, what: str, why: str, address: str) -> None:
        """Count and, if it is time, journal."""
        if not self.must_note(what, address):
            return

        def work(connection: sqlite3.Connection) -> None:
            journal.append(connection, at_ms=self._clock.wall_ms(), kind="denied", actor="link:unknown", subject="link:unknown",
                           payload=facts.encode(Remark(what=what, detail=why[:200], address=address)))  # fmt: skip

        await self._database.run(work)
