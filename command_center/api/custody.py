"""``/api/v1/holds`` and ``/api/v1/redactions``: what may not go, and what is not given away. Supervisors and administrators decide."""

import asyncio
import sqlite3
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from command_center import event_feed
from command_center.api.access import EvidenceExporter, EvidenceHolder, Parts
from command_center.api.evidence_shapes import (
    Hold,
    HoldOrder,
    Holds,
    RedactionOrder,
    RedactionRow,
    Redactions,
    RedactionSubject,
)
from command_center.api.shapes import Problem
from command_center.custody import holds, redactions
from command_center.errors import NotFound
from command_center.pictures import size_px
from command_center.services import Services

_ANSWERS: dict[int | str, dict[str, object]] = {code: {"model": Problem} for code in (401, 403, 404, 422)}
router = APIRouter(prefix="/api/v1", tags=["evidence"], responses=_ANSWERS)


Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@router.get("/holds")
async def all_holds(_: EvidenceExporter, parts: Parts) -> Holds:
    """What is on hold, and whether the nodes know."""
    found = await parts.readers.run(holds.views)
    return Holds(holds=[Hold(incident=h.incident, number=h.number, by=h.by, reason=h.reason, at_ms=h.at_ms, told=h.told,
                             gone=h.gone, waiting=h.waiting) for h in found])  # fmt: skip


@router.post("/holds", status_code=201)
async def place(body: HoldOrder, person: EvidenceHolder, parts: Parts) -> Holds:
    """Put an incident on legal hold."""
    now = parts.clock.wall_ms()

    def work(connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT 1 FROM incident WHERE id = ?", (body.incident,)).fetchone() is None:
            raise NotFound(f"there is no incident {body.incident}")
        holds.place(
            connection, body.incident, by=person.username, role=person.role.value, reason=body.reason, at_ms=now
        )
        event_feed.note(connection, "incident", body.incident)

    await parts.database.run(work)
    parts.ring()
    return await all_holds(person, parts)


@router.delete("/holds/{incident}")
async def release(
    incident: int, person: EvidenceHolder, parts: Parts, reason: Annotated[str, Query(max_length=500)] = ""
) -> Holds:
    """End a legal hold; ``reason`` says who decided it."""
    now = parts.clock.wall_ms()

    def work(connection: sqlite3.Connection) -> None:
        holds.release(connection, incident, by=person.username, role=person.role.value, reason=reason, at_ms=now)
        event_feed.note(connection, "incident", incident)

    await parts.database.run(work)
    parts.ring()
    return await all_holds(person, parts)


@router.get("/redactions")
async def all_redactions(_: EvidenceExporter, parts: Parts) -> Redactions:
    """How pictures are given away."""
    found = await parts.readers.run(redactions.views)
    return Redactions(redactions=[RedactionRow(sha256=r.sha256.hex(), mode=r.mode, regions_px=list(r.regions_px), by=r.by,
                                               reason=r.reason, at_ms=r.at_ms, entry=r.entry, incidents=list(r.incidents))
                                  for r in found])  # fmt: skip


@router.get("/redactions/{sha256}")
async def redaction_subject(sha256: Sha256, _: EvidenceExporter, parts: Parts) -> RedactionSubject:
    """What a redaction of this would be about: its kind, and the size in whose pixels regions are given."""
    found = await parts.readers.run(lambda connection: redactions.subject_of(connection, bytes.fromhex(sha256)))
    width_px, height_px = await _size_of(parts, sha256) or (found.width_px, found.height_px)
    return RedactionSubject(sha256=sha256, media_type=found.media_type, width_px=width_px, height_px=height_px,
                            is_here=found.is_here)  # fmt: skip


async def _size_of(parts: Services, sha256: str) -> tuple[int, int] | None:
    """A node's word for a picture's size is a stranger's: regions on a size that it has not would mask something else."""
    return await asyncio.to_thread(size_px, parts.blobs.file_of(bytes.fromhex(sha256)))


@router.put("/redactions/{sha256}")
async def redact(sha256: Sha256, body: RedactionOrder, person: EvidenceHolder, parts: Parts) -> Redactions:
    """Say what of a picture is not given away; exports follow it from now on."""
    size = await _size_of(parts, sha256)
    await parts.database.run(
        lambda connection: redactions.set_one(
            connection, bytes.fromhex(sha256), mode=body.mode, regions_px=tuple(body.regions_px), by=person.username,
            reason=body.reason, at_ms=parts.clock.wall_ms(), size_px=size,
        )
    )  # fmt: skip
    return await all_redactions(person, parts)


@router.delete("/redactions/{sha256}", status_code=204)
async def unredact(
    sha256: Sha256, person: EvidenceHolder, parts: Parts, reason: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """Give it away as it is again."""
    await parts.database.run(
        lambda connection: redactions.set_one(connection, bytes.fromhex(sha256), mode="", regions_px=(), by=person.username,
                                              reason=reason, at_ms=parts.clock.wall_ms())
    )  # fmt: skip
    return Response(status_code=204)
