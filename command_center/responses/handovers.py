"""The handover of a shift: what is open is written down by those who go, and read and taken over by somebody who stays.

The summary is made by the center, kept in the journal as it was shown, and can't be left out. Whoever gave it can't take it.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from command_center import event_feed
from command_center.accounts import SignedIn
from command_center.errors import LostRace, NotFound, NotPossible
from command_center.incident_store import number_of
from command_center.responses.appliers import record
from command_center.responses.facts import HandoverGiven, HandoverTaken
from relay.clock import Clock
from relay.database import Database
from relay.precedence import Precedence

MOST_NOTE: Final = 4000
_MOST_ROWS: Final = 500
_FIRST_LOOK_BACK_MS: Final = 12 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One handover; ``taken_by`` is None until somebody has taken over."""

    id: int
    by: str
    role: str
    note: str
    summary: bytes
    at_ms: int
    taken_by: str | None
    taken_at_ms: int | None
    taken_note: str


class Handovers:
    """What people do at the end and at the start of a shift."""

    def __init__(self, *, database: Database, clock: Clock, after_commit: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._after_commit = after_commit

    async def give(self, note: str, person: SignedIn) -> int:
        """Write down what is open now; returns the handover's number.

        Raises:
            NotPossible: the note is too long, or the last handover was not taken over yet.
        """
        if len(note) > MOST_NOTE:
            raise NotPossible(f"expected a note of at most {MOST_NOTE} characters, found {len(note)}")

        def work(connection: sqlite3.Connection) -> int:
            now, by = self._clock.wall_ms(), f"user:{person.username}"
            waiting = latest(connection)
            if waiting is not None and waiting.taken_by is None:
                raise NotPossible(
                    f"handover {waiting.id} by {waiting.by.partition(':')[2]} was not taken over yet: take it, or let them"
                )
            fact = HandoverGiven(
                by=by, role=person.role.value, note=note.strip(), summary=summary_json(connection, now)
            )
            number = record(connection, "handover-given", fact, actor=by, subject="shift", now=now)
            event_feed.note(connection, "handover", number)
            return number

        number = await self._database.run(work)
        self._after_commit()
        return number

    async def take(self, number: int, note: str, person: SignedIn) -> None:
        """Somebody has read it and takes over. Said twice by the same person is said once.

        Raises:
            NotFound: there is no such handover.
            NotPossible: it is one's own.
            LostRace: somebody else has taken over.
        """

        def work(connection: sqlite3.Connection) -> None:
            now, by = self._clock.wall_ms(), f"user:{person.username}"
            found = find(connection, number)
            if found is None:
                raise NotFound(f"there is no handover {number}")
            if found.taken_by == by:
                return
            if found.taken_by is not None:
                raise LostRace(f"{found.taken_by.partition(':')[2]} has taken over already")
            if found.by == by:
                raise NotPossible(
                    "expected somebody of the next shift, found the one who gave it: ask them to sign in and take it"
                )
            fact = HandoverTaken(handover=number, by=by, role=person.role.value, note=note.strip()[:MOST_NOTE])
            record(connection, "handover-taken", fact, actor=by, subject="shift", now=now)
            event_feed.note(connection, "handover", number)

        await self._database.run(work)
        self._after_commit()


_COLUMNS: Final = "id, by, role, note, summary, at_ms, taken_by, taken_at_ms, taken_note"


def latest(connection: sqlite3.Connection) -> Handover | None:
    """The last handover; None where there was none."""
    return _one(connection.execute(f"SELECT {_COLUMNS} FROM handover ORDER BY id DESC LIMIT 1").fetchone())  # noqa: S608  a constant


def find(connection: sqlite3.Connection, number: int) -> Handover | None:
    """One handover."""
    return _one(connection.execute(f"SELECT {_COLUMNS} FROM handover WHERE id = ?", (number,)).fetchone())  # noqa: S608  a constant


def _one(row: tuple[int, str, str, str, bytes, int, str | None, int | None, str] | None) -> Handover | None:
    if row is None:
        return None
    return Handover(id=row[0], by=row[1], role=row[2], note=row[3], summary=row[4], at_ms=row[5], taken_by=row[6],
                    taken_at_ms=row[7], taken_note=row[8])  # fmt: skip


def summary_json(connection: sqlite3.Connection, now_ms: int) -> bytes:
    """What the next shift must know, as JSON: ``api.response_shapes.HandoverSummary`` is its shape."""
    last = latest(connection)
    since_ms = last.at_ms if last is not None else now_ms - _FIRST_LOOK_BACK_MS
    summary = {
        "made_at_ms": now_ms, "since_ms": since_ms, "incidents": _incidents(connection), "units": _units(connection),
        "shelves": _shelves(connection), "dead_callbacks": _dead(connection), "notes": _notes(connection, since_ms),
        "plan_steps": _steps(connection), "shares": _shares(connection),
    }  # fmt: skip
    return json.dumps(summary, separators=(",", ":"), ensure_ascii=False).encode()


def _incidents(connection: sqlite3.Connection) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT i.id, i.first_alert_at_ms, i.state, i.precedence, i.label, COALESCE(n.site, ''), COALESCE(n.name, ''), "
        "i.camera, i.quiet, i.acknowledged_by, i.retracted_count >= i.alert_count FROM incident i LEFT JOIN node n ON n.id = i.node "
        "WHERE i.state <> 'closed' AND i.merged_into IS NULL AND i.is_quarantined = 0 ORDER BY i.precedence, i.id LIMIT ?",
        (_MOST_ROWS,),
    )
    return [{"id": r[0], "number": number_of(r[0], r[1]), "state": r[2], "precedence": Precedence(r[3]).name, "label": r[4],
             "site": r[5], "node": r[6], "camera": r[7], "quiet": r[8], "acknowledged_by": r[9], "returned": bool(r[10]),
             "first_alert_at_ms": r[1]} for r in rows]  # fmt: skip


def _units(connection: sqlite3.Connection) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT name, status, status_at_ms, incident, heard_at_ms, welfare_level FROM unit "
        "WHERE NOT is_retired AND status <> 'available' ORDER BY name"
    )
    return [{"name": r[0], "status": r[1], "status_at_ms": r[2], "incident": r[3], "heard_at_ms": r[4],
             "welfare_level": r[5]} for r in rows]  # fmt: skip


def _shelves(connection: sqlite3.Connection) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT s.id, COALESCE(n.name, ''), s.camera, s.label, s.reason, s.by, s.until_ms FROM shelf s "
        "LEFT JOIN node n ON n.id = s.node WHERE s.ended_at_ms IS NULL ORDER BY s.until_ms"
    )
    return [{"id": r[0], "node": r[1], "camera": r[2], "label": r[3], "reason": r[4], "by": r[5], "until_ms": r[6]}
            for r in rows]  # fmt: skip


def _dead(connection: sqlite3.Connection) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT id, receiver, event, incident, last_answer FROM delivery WHERE state = 'dead' ORDER BY number DESC LIMIT ?",
        (_MOST_ROWS,),
    )
    return [{"id": r[0], "receiver": r[1], "event": r[2], "incident": r[3], "last_answer": r[4]} for r in rows]


def _notes(connection: sqlite3.Connection, since_ms: int) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT id, incident, by, text, at_ms FROM incident_note WHERE at_ms >= ? ORDER BY id LIMIT ?",
        (since_ms, _MOST_ROWS),
    )
    return [{"id": r[0], "incident": r[1], "by": r[2], "text": r[3], "at_ms": r[4]} for r in rows]


def _steps(connection: sqlite3.Connection) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT p.incident, p.number, p.plan, p.kind, p.target FROM plan_step p JOIN incident i ON i.id = p.incident "
        "WHERE p.state = 'proposed' AND i.state <> 'closed' ORDER BY p.incident, p.number LIMIT ?",
        (_MOST_ROWS,),
    )
    return [{"incident": r[0], "number": r[1], "plan": r[2], "kind": r[3], "target": r[4]} for r in rows]


def _shares(connection: sqlite3.Connection) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT id, incident, agency, until_ms FROM share WHERE ended_at_ms IS NULL ORDER BY until_ms"
    )
    return [{"id": r[0], "incident": r[1], "agency": r[2], "until_ms": r[3]} for r in rows]
