"""What the journal says of an export: that it began, and how it ended.

The first entry is written before anything is read, so that it is itself part of what is exported, and so that nobody
exports unseen; the last one names the digest that the whole bag hangs on.
"""

import sqlite3
from typing import Final, Literal

import msgspec

from command_center import facts, journal
from command_center.facts import Remark

ACTOR: Final = "user:local-administrator"
STARTED: Final = "export-started"
FINISHED: Final = "export-finished"
FAILED: Final = "export-failed"
TIMESTAMPED: Final = "export-timestamped"
Step = Literal["export-started", "export-finished", "export-failed", "export-timestamped"]


class EvidenceExport(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Journal a step of an export. A command of the running center's door."""

    step: Step
    export: str
    detail: str


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """The entry that was written."""

    entry: int
    at_ms: int


def note(connection: sqlite3.Connection, command: EvidenceExport, at_ms: int, actor: str = ACTOR) -> Noted:
    """Write the entry, in the caller's transaction."""
    fact = Remark(what=command.step, detail=command.detail)
    entry = journal.append(
        connection,
        at_ms=at_ms,
        kind=command.step,
        actor=actor,
        subject=f"export:{command.export}",
        payload=facts.encode(fact),
    )
    return Noted(entry=entry.id, at_ms=at_ms)
