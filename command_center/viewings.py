"""Who looked at what: journalled, once for each session and thing within ten minutes."""

import sqlite3
from collections import OrderedDict
from typing import Final

import structlog

from command_center import facts, journal
from command_center.accounts import SignedIn
from command_center.facts import Remark
from command_center.metrics import Metrics
from relay.clock import Clock
from relay.database import Database
from relay.errors import OperatorError

_log = structlog.get_logger("command_center.viewings")
AGAIN_AFTER_MS: Final = 10 * 60 * 1000
_REMEMBERED: Final = 10_000


class Viewings:
    """Notes looks before what was looked at is handed out."""

    def __init__(self, *, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._noted: OrderedDict[tuple[bytes, str, str], int] = OrderedDict()

    async def note(self, person: SignedIn, subject: str, *, kind: str = "viewed") -> None:
        """Journal that a person looks at something, or takes a copy of it."""
        key, now = (person.token_sha256, kind, subject), self._clock.monotonic_ms()
        if now - self._noted.get(key, -AGAIN_AFTER_MS) < AGAIN_AFTER_MS:
            return
        self._noted[key] = now
        while len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)  # the worst that follows is a second entry

        def work(connection: sqlite3.Connection) -> None:
            journal.append(
                connection, at_ms=self._clock.wall_ms(), kind=kind, actor=f"user:{person.username}",
                subject=subject, payload=facts.encode(Remark(what=kind, detail=person.role.value)),
            )  # fmt: skip

        try:
            await self._database.run(work)
        except OperatorError as error:
            # A full disk must not blind a dispatcher: the look is counted and logged instead.
            self._metrics.count("viewings_not_journalled")
            _log.error("look not journalled", who=person.username, subject=subject, error=str(error))
