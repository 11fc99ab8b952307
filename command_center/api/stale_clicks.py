"""Somebody else was first: who lost, and against what, is kept. Nothing was changed by the click."""

import sqlite3

import structlog

from command_center import facts, journal
from command_center.accounts import SignedIn
from command_center.errors import LostRace
from command_center.facts import Remark
from command_center.services import Services
from relay.errors import OperatorError

_log = structlog.get_logger("command_center.stale_clicks")


async def note(parts: Services, person: SignedIn, subject: str, error: LostRace) -> None:
    """Count it, and journal it."""
    parts.metrics.count("lost_races")

    def work(connection: sqlite3.Connection) -> None:
        journal.append(connection, at_ms=parts.clock.wall_ms(), kind="stale-click", actor=f"user:{person.username}",
                       subject=subject, payload=facts.encode(Remark(what="stale click", detail=str(error)[:500])))  # fmt: skip

    try:
        await parts.database.run(work)
    except OperatorError as problem:  # a full disk: the person must still learn that they were second
        parts.metrics.count("stale_clicks_not_journalled")
        _log.error("stale click not journalled", who=person.username, subject=subject, error=str(problem))
