"""``/api/v1/audit``: the journal in words, searched; and who looked at what. Reads only; for supervisors, administrators, auditors."""

import sqlite3
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field

from command_center.accounts import SignedIn
from command_center.api.access import JournalReader, Parts
from command_center.api.evidence_shapes import AuditEntries, AuditEntry, AuditKind, AuditKinds, IndexLag, Look, Looks
from command_center.api.shapes import Problem, Shape
from command_center.audit import names, pages, wording
from command_center.audit.index import Indexed, Lag, lag_of
from command_center.audit.names import Names
from command_center.audit.pages import Page, Search, Walk
from command_center.services import Services

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


class Wanted(Shape):
    """Which entries."""

    text: str = Field(default="", max_length=200)
    """Anywhere in kind, actor, subject or detail, or in the words that kinds and nodes are shown in; case doesn't matter."""
    kind: str = Field(default="", max_length=80)
    """``incident-acknowledged``, or as it is shown: ``incident acknowledged``."""
    actor: str = Field(default="", max_length=80)
    """``user:NAME``, ``node:ID``, ``center``; or as it is shown: a person's, a node's or a unit's name."""
    subject: str = Field(default="", max_length=200)
    """``node:ID``, ``object:SHA256``; or as it is shown: ``INC-2026-000012``, a node's name."""
    incident: int | None = Field(default=None, ge=1)
    """This incident, its pictures and its clips."""
    from_ms: int | None = Field(default=None, ge=0)
    until_ms: int | None = Field(default=None, ge=0)
    before: int | None = Field(default=None, ge=1)
    limit: int = Field(default=100, ge=1, le=500)


@router.get("/entries")
async def entries(person: JournalReader, parts: Parts, wanted: Annotated[Wanted, Query()]) -> AuditEntries:
    """Search the journal, the newest first. That somebody reads in it is an entry, too.

    A page may hold nothing and yet have a next one: a search that takes long is answered in pieces.
    """
    kind = wording.kind_meant(wanted.kind)
    found = await _read(person, parts, wanted, (kind,) if kind else ())
    shown = [AuditEntry(id=entry.id, at_ms=entry.at_ms, kind=entry.kind, said=wording.said(entry.kind), actor=entry.actor,
                        by=found.names.who(entry), subject=entry.subject, about=found.names.about(entry), detail=detail)
             for entry, detail in found.page.found]  # fmt: skip
    return AuditEntries(entries=shown, next_before=found.page.next_before, not_indexed=_shown(found.lag))


@router.get("/looks")
async def looks(person: JournalReader, parts: Parts, wanted: Annotated[Wanted, Query()]) -> Looks:
    """Who watched, viewed, exported and fetched what."""
    kind = wording.kind_meant(wanted.kind)
    found = await _read(person, parts, wanted, (kind,) if kind in LOOKS else LOOKS)
    shown = [Look(id=entry.id, at_ms=entry.at_ms, who=entry.actor, by=found.names.who(entry), what=entry.kind,
                  said=wording.said(entry.kind), subject=entry.subject, about=found.names.about(entry), detail=detail)
             for entry, detail in found.page.found]  # fmt: skip
    return Looks(looks=shown, next_before=found.page.next_before, not_indexed=_shown(found.lag))


@router.get("/kinds")
async def kinds(_: JournalReader) -> AuditKinds:
    """What entries may be of, in words."""
    shown = [AuditKind(kind=kind, said=words, is_look=kind in LOOKS) for kind, words in wording.SAID.items()]
    return AuditKinds(kinds=sorted(shown, key=lambda one: one.said.casefold()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    page: Page
    lag: Lag
    names: Names


async def _read(person: SignedIn, parts: Services, wanted: Wanted, kinds: tuple[str, ...]) -> _Found:
    about = "journal" if wanted.incident is None else f"incident:{wanted.incident}"
    await parts.viewings.note(person, about, kind="journal-read")

    def work(connection: sqlite3.Connection) -> _Found:
        search = Search(
            kinds=kinds, subjects=_subjects(connection, wanted.incident, wanted.subject), text=wanted.text,
            text_kinds=wording.kinds_saying(wanted.text), text_names=names.named_like(connection, wanted.text),
            actors=names.meant(connection, wanted.actor), from_ms=wanted.from_ms, until_ms=wanted.until_ms,
        )  # fmt: skip

        def ask(indexed: Indexed | None) -> _Found:
            page = Walk(connection, indexed, search, budget_s=pages.BUDGET_S).page(
                before=wanted.before, limit=wanted.limit
            )
            named = Names(connection, [entry for entry, _ in page.found])
            return _Found(page=page, lag=lag_of(connection, indexed), names=named)

        return parts.audit_index.search(ask)

    return await parts.readers.run(work)


def _shown(lag: Lag) -> IndexLag:
    return IndexLag(entries=lag.entries, until_ms=lag.until_ms)


def _subjects(connection: sqlite3.Connection, incident: int | None, subject: str) -> tuple[str, ...]:
    meant = names.meant(connection, subject) if subject else ()
    if incident is None:
        return meant
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
    return tuple(name for name in found if not subject or name in meant) or ("none",)
