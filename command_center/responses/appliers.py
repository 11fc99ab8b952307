"""What facts make of the rows of plans, handovers and shares. Live and replay run the same functions."""

import sqlite3
from typing import Final

from command_center.facts import decode
from command_center.journal import Entry
from command_center.recording import Apply, recorder
from command_center.responses.facts import (
    HandoverGiven,
    HandoverTaken,
    PlanMatched,
    PlanStepSettled,
    Shared,
    ShareEnded,
    ShareOpened,
    Suppressed,
)
from relay.kinds.answer import Followed


def _matched(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, PlanMatched)
    connection.execute(
        "INSERT INTO plan_match VALUES (?, ?, ?, ?, ?, ?)",
        (fact.incident, fact.plan, fact.instructions, fact.units, ",".join(fact.capabilities), entry.at_ms),
    )
    used = connection.execute(
        "SELECT COALESCE(MAX(number), 0) FROM plan_step WHERE incident = ?", (fact.incident,)
    ).fetchone()[0]
    connection.executemany(
        "INSERT INTO plan_step (incident, number, plan, kind, target, for_s, state, at_ms) VALUES (?, ?, ?, ?, ?, ?, 'proposed', ?)",
        [(fact.incident, number, fact.plan, step.kind, step.target, step.for_s, entry.at_ms)
         for number, step in enumerate(fact.steps, start=used + 1)],
    )  # fmt: skip


def _settled(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, PlanStepSettled)
    connection.execute(
        "UPDATE plan_step SET state = ?, by = ?, at_ms = ?, note = ?, instruction_id = ? WHERE incident = ? AND number = ?",
        (fact.state, fact.by, entry.at_ms, fact.note, fact.instruction_id, fact.incident, fact.number),
    )


def apply_answer(connection: sqlite3.Connection, node: bytes, word: Followed) -> int | None:
    """A node says what became of an order; returns the incident, None where it is no such order to this node."""
    row = connection.execute(
        "UPDATE plan_step SET outcome = ?, outcome_detail = ? WHERE instruction_id = ? AND instruction_id <> x'' "
        "AND incident IN (SELECT id FROM incident WHERE node = ?) RETURNING incident",
        (word.outcome.name.lower(), word.detail, word.instruction_id, node),
    ).fetchone()
    if row is None:
        row = connection.execute(
            "UPDATE suppression_order SET outcome = ?, outcome_detail = ? WHERE instruction_id = ? AND node = ? RETURNING incident",
            (word.outcome.name.lower(), word.detail, word.instruction_id, node),
        ).fetchone()
    return None if row is None else int(row[0])


def _suppressed(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, Suppressed)
    if fact.instruction_id:
        connection.execute(
            "INSERT INTO suppression_order (instruction_id, incident, node) VALUES (?, ?, ?)",
            (fact.instruction_id, fact.incident, fact.node),
        )


def _given(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, HandoverGiven)
    connection.execute(
        "INSERT INTO handover (id, by, role, note, summary, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.id, fact.by, fact.role, fact.note, fact.summary, entry.at_ms),
    )


def _taken(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, HandoverTaken)
    connection.execute(
        "UPDATE handover SET taken_by = ?, taken_at_ms = ?, taken_note = ? WHERE id = ?",
        (fact.by, entry.at_ms, fact.note, fact.handover),
    )


def _shared(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, Shared)
    connection.execute(
        "INSERT INTO share (id, incident, agency, reason, by, at_ms, until_ms, token_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.id, fact.incident, fact.agency, fact.reason, fact.by, entry.at_ms, fact.until_ms, fact.token_sha256),
    )


def _opened(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, ShareOpened)
    connection.execute(
        "UPDATE share SET seat_sha256 = ?, opened_at_ms = ? WHERE id = ?", (fact.seat_sha256, entry.at_ms, fact.share)
    )


def _ended(connection: sqlite3.Connection, entry: Entry) -> None:
    fact = decode(entry.payload, ShareEnded)
    connection.execute(
        "UPDATE share SET ended_at_ms = ?, ended_by = ?, ended_why = ? WHERE id = ?",
        (entry.at_ms, fact.by, fact.reason, fact.share),
    )


APPLIERS: Final[dict[str, Apply]] = {
    "plan-matched": _matched,
    "plan-step": _settled,
    "handover-given": _given,
    "handover-taken": _taken,
    "incident-shared": _shared,
    "share-opened": _opened,
    "share-ended": _ended,
    "alarm-suppressed": _suppressed,
    "alarm-unsuppressed": _suppressed,
}
record: Final = recorder(APPLIERS)
