"""``/api/v1/audit``: the journal in words, searched; and who looked at what. Reads only; for supervisors, administrators, auditors."""

import sqlite3
from collections.abc import Iterator
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field

from command_center import journal
from command_center.api.access import JournalReader, Parts
from command_center.api.evidence_shapes import AuditEntries, AuditEntry, Look, Looks
from command_center.api.shapes import Problem, Shape
from command_center.evidence.tables import moment
from command_center.journal import Entry

router = APIRouter(
    prefix="/api/v1/audit", tags=["evidence"], responses={401: {"model": Problem}, 403: {"model": Problem}}
)

LOOKS: Final = (
    "viewed",
    "live-opened",
    "live-ended",
    "share-viewed",
    "original-unsealed",
    "journal-read",
    "export-started",
    "export-finished",
    "export-fetched",
)
"""Kinds that say that somebody saw something, or took a copy."""
_SCANNED: Final = 20_000
"""Entries that one request looks at: what is further back comes with the next page."""


_OF_KINDS: Final = "id IN (SELECT id FROM entry WHERE kind IN ({}) AND id < ?1 ORDER BY id DESC LIMIT {})"
"""The ids of several kinds, from the index alone; of one kind SQLite reads them in order by itself."""


class Wanted(Shape):
    """Which entries."""

    text: str = Field(default="", max_length=200)
    """Anywhere in kind, actor, subject or detail; case doesn't matter."""
    kind: str = Field(default="", max_length=80)
    actor: str = Field(default="", max_length=80)
    """``user:NAME``, ``node:ID`` or ``center``."""
    subject: str = Field(default="", max_length=200)
    incident: int | None = Field(default=None, ge=1)
    """This incident, its pictures and its clips."""
    from_ms: int | None = Field(default=None, ge=0)
    until_ms: int | None = Field(default=None, ge=0)
    before: int | None = Field(default=None, ge=1)
    limit: int = Field(default=100, ge=1, le=500)


@router.get("/entries")
async def entries(person: JournalReader, parts: Parts, wanted: Annotated[Wanted, Query()]) -> AuditEntries:
    """Search the journal, the newest first. That somebody reads in it is an entry, too."""
    await parts.viewings.note(person, _read_about(wanted), kind="journal-read")
    kinds = (wanted.kind,) if wanted.kind else ()
    found, next_before = await parts.readers.run(lambda connection: _Pages(connection, wanted, kinds).page())
    shown = [AuditEntry(id=entry.id, at_ms=entry.at_ms, kind=entry.kind, actor=entry.actor, subject=entry.subject,
                        detail=detail) for entry, detail in found]  # fmt: skip
    return AuditEntries(entries=shown, next_before=next_before)


@router.get("/looks")
async def looks(person: JournalReader, parts: Parts, wanted: Annotated[Wanted, Query()]) -> Looks:
    """Who watched, viewed, exported and fetched what."""
    await parts.viewings.note(person, _read_about(wanted), kind="journal-read")
    kinds = (wanted.kind,) if wanted.kind in LOOKS else LOOKS
    found, next_before = await parts.readers.run(lambda connection: _Pages(connection, wanted, kinds).page())
    shown = [Look(id=entry.id, at_ms=entry.at_ms, who=entry.actor, what=entry.kind, subject=entry.subject, detail=detail)
             for entry, detail in found]  # fmt: skip
    return Looks(looks=shown, next_before=next_before)


def _read_about(wanted: Wanted) -> str:
    return "journal" if wanted.incident is None else f"incident:{wanted.incident}"


def _subjects(connection: sqlite3.Connection, incident: int | None, subject: str) -> tuple[str, ...]:
    if incident is None:
        return (subject,) if subject else ()
    rows = connection.execute(
        "SELECT DISTINCT e.sha256 FROM alert a JOIN exhibit_item e ON e.alert_id = a.id AND e.node = a.node WHERE a.incident = ? LIMIT 5000",
        (incident,),
    )
    alerts = connection.execute("SELECT id FROM alert WHERE incident = ? LIMIT 5000", (incident,))
    found = (
        f"incident:{incident}",
        *(f"object:{row[0].hex()}" for row in rows),
        *(f"alert:{row[0].hex()}" for row in alerts),
    )
    return tuple(name for name in found if not subject or name == subject) or ("none",)


class _Pages:
    """Walks the journal backwards, a bounded stretch at a time."""

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted, kinds: tuple[str, ...]) -> None:
        self._connection = connection
        self._wanted = wanted
        self._text = wanted.text.casefold()
        conditions, values = ["id < ?1"], list[object]()
        subjects = _subjects(connection, wanted.incident, wanted.subject)
        for column, names in (("kind", kinds), ("subject", subjects)):
            if names:
                marks = ", ".join("?" * len(names))
                is_merged = column == "kind" and len(names) > 1 and not subjects
                conditions.append(_OF_KINDS.format(marks, _SCANNED) if is_merged else f"{column} IN ({marks})")
                values += names
        self._where, self._values = " AND ".join(conditions), values

    def page(self) -> tuple[list[tuple[Entry, str]], int | None]:
        """Up to ``limit`` entries with their words, and where the next page begins."""
        found: list[tuple[Entry, str]] = []
        scanned, last = 0, 0
        for entry in self._rows(self._wanted.before or journal.size(self._connection) + 1):
            scanned, last = scanned + 1, entry.id
            if (shown := self._match(entry)) is not None:
                found.append((entry, shown))
            if len(found) == self._wanted.limit or scanned == _SCANNED:
                return found, last if last > 1 else None
        return found, None

    def _rows(self, before: int) -> Iterator[Entry]:
        query = f"SELECT id, at_ms, kind, actor, subject, payload, leaf FROM entry WHERE {self._where} ORDER BY id DESC"  # noqa: S608  columns and question marks
        for row in self._connection.execute(query, (before, *self._values)):
            yield Entry(id=row[0], at_ms=row[1], kind=row[2], actor=row[3], subject=row[4], payload=row[5], leaf=row[6])

    def _match(self, entry: Entry) -> str | None:
        """The entry in words; None where it is not meant."""
        wanted = self._wanted
        if wanted.actor and entry.actor != wanted.actor:
            return None
        if wanted.from_ms is not None and entry.at_ms < wanted.from_ms:
            return None
        if wanted.until_ms is not None and entry.at_ms >= wanted.until_ms:
            return None
        detail = moment(entry).detail
        if self._text and self._text not in f"{entry.kind} {entry.actor} {entry.subject} {detail}".casefold():
            return None
        return detail
