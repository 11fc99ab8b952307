"""``/api/v1/exports`` and ``/api/v1/verifications``: evidence for supervisors, administrators and auditors.

Every order, its end, and each fetching of the file is an entry of the journal under the person's name.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from command_center import facts, journal
from command_center.accounts import Permission, UserRole
from command_center.api.access import EvidenceExporter, Parts
from command_center.api.evidence_shapes import ExportJob, ExportJobs, ExportOrder, Verification
from command_center.api.shapes import Problem
from command_center.custody import fetching
from command_center.errors import AccessDenied, BadRequest, NotPossible
from command_center.evidence.export_office import JobView
from command_center.evidence.progress import Progress
from command_center.evidence.selection import Selection, find, selection_of
from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier.errors import Wrong
from command_center.evidence.verifier.main import claims
from command_center.facts import Remark
from command_center.services import Services

router = APIRouter(prefix="/api/v1", tags=["evidence"], responses={401: {"model": Problem}, 403: {"model": Problem}})
_RESERVE_BYTES: Final = 256 << 20
"""What an upload leaves free on the disk."""


@router.post("/exports", status_code=202, responses={404: {"model": Problem}, 422: {"model": Problem}})
async def order(body: ExportOrder, person: EvidenceExporter, parts: Parts) -> ExportJob:
    """Begin an export; ask for it again until its state is done."""
    try:
        chosen = selection_of(
            body.incidents, is_all=body.everything, since=body.since, until=body.until, camera=body.camera
        )
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    if body.unredacted and not person.may(Permission.EVIDENCE_HOLD):
        raise AccessDenied("originals of what is redacted are exported by supervisors and administrators", status=403)
    chosen = replace(chosen, is_unredacted=body.unredacted)
    prepare = _fetch_first(parts, chosen, person.username, body) if body.fetch else None
    identifier = parts.exports.order(chosen, person.username, prepare=prepare)
    return _shape(parts.exports.view(identifier))


@router.get("/exports")
async def jobs(_: EvidenceExporter, parts: Parts) -> ExportJobs:
    """Those on their way, and those that are kept."""
    return ExportJobs(exports=[_shape(view) for view in parts.exports.views()])


@router.get("/exports/{identifier}", responses={404: {"model": Problem}})
async def job(identifier: str, _: EvidenceExporter, parts: Parts) -> ExportJob:
    """How far it is, or what came of it."""
    return _shape(parts.exports.view(identifier))


@router.get("/exports/{identifier}/file", response_class=FileResponse,
            responses={404: {"model": Problem}, 206: {"description": "A range."}, 416: {"description": "No such range."}})  # fmt: skip
async def file(identifier: str, person: EvidenceExporter, parts: Parts) -> Response:
    """The ZIP, whole or in ranges: a download that was cut off goes on where it was. Fetching it is journalled."""
    found = parts.exports.file_of(identifier)
    view = parts.exports.view(identifier)
    await parts.viewings.note(person, f"export:{identifier}", kind="export-fetched")
    headers = {"ETag": f'"{view.outcome.tag_manifest_sha256}"', "Cache-Control": "private, no-transform"}
    return FileResponse(found, media_type="application/zip", filename=f"evidence-{identifier}.zip", headers=headers)


@router.delete("/exports/{identifier}", status_code=204, responses={404: {"model": Problem}})
async def stop(identifier: str, person: EvidenceExporter, parts: Parts) -> Response:
    """Stop it, or delete the file of one that is done; the journal keeps what happened.

    An auditor's reach ends at what auditors ordered themselves.
    """
    by = parts.exports.view(identifier).outcome.by
    if person.role is UserRole.AUDITOR and by != person.username:
        raise AccessDenied("an auditor may stop or delete only exports of their own", status=403)
    parts.exports.stop(identifier, person.username)
    return Response(status_code=204)


@router.post("/verifications", responses={422: {"model": Problem}}, openapi_extra={
    "requestBody": {"required": True, "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}})  # fmt: skip
async def verify(
    request: Request, person: EvidenceExporter, parts: Parts, name: Annotated[str, Query(max_length=200)] = "bag.zip",
    authority: Annotated[str, Query(max_length=100)] = "",
) -> Verification:  # fmt: skip
    """Check a bag: the request's body is the ZIP as it was exported. Nothing of it is unpacked or kept; the outcome is journalled."""
    with tempfile.TemporaryDirectory(prefix="verify-", dir=parts.exports.folder_dir) as scratch:
        bag_file = Path(scratch) / "bag.zip"
        await _receive(request, bag_file)
        found = await asyncio.to_thread(_check, bag_file, authority)
    passed, lines, problem = found
    result = Verification(name=name, passed=passed, claims=lines, problem=problem)
    remark = Remark(what="bag-verified", detail=f"{name}: {problem or 'as exported'}"[:500])
    await parts.database.run(
        lambda connection: journal.append(
            connection, at_ms=parts.clock.wall_ms(), kind="bag-verified", actor=f"user:{person.username}",
            subject="verification", payload=facts.encode(remark),
        )
    )  # fmt: skip
    return result


def _fetch_first(parts: Services, chosen: Selection, by: str, body: ExportOrder) -> Callable[[Progress], None]:
    """Has nodes asked, and waits, from the export's thread."""
    loop = asyncio.get_running_loop()

    async def work(progress: Progress) -> None:
        incidents = await parts.readers.run(lambda connection: find(connection, chosen))
        alerts = await parts.database.run(
            lambda connection: fetching.begin(connection, incidents, actor=f"user:{by}", at_ms=parts.clock.wall_ms())
        )
        parts.ring()
        try:
            await fetching.wait_for(
                lambda: parts.readers.run(lambda c: fetching.look(c, parts.clock, alerts)),
                progress,
                answer_within_s=body.fetch_within_s,
            )
        except fetching.StillAtNode:
            if not body.partial:
                raise

    def prepare(progress: Progress) -> None:
        asyncio.run_coroutine_threadsafe(work(progress), loop).result()

    return prepare


async def _receive(request: Request, bag_file: Path) -> None:
    """The body into a file, as long as the disk has room."""
    with bag_file.open("wb") as stream:
        since_look = _RESERVE_BYTES
        async for piece in request.stream():
            since_look += len(piece)
            if since_look > 64 << 20:
                since_look = 0
                if (await asyncio.to_thread(shutil.disk_usage, bag_file.parent)).free < _RESERVE_BYTES:
                    raise NotPossible(
                        "the disk of the center has no room for this bag: check it with command-center verify"
                    )
            await asyncio.to_thread(stream.write, piece)


def _check(bag_file: Path, authority: str) -> tuple[bool, list[str], str]:
    lines: list[str] = []
    try:
        for line in claims(bag_file, authority=authority, check_signature=is_signature):
            lines.append(line)  # noqa: PERF402  what was proven before it fails stays
    except Wrong as error:
        return False, lines, str(error)
    return True, lines, ""


def _shape(view: JobView) -> ExportJob:
    done = view.outcome
    is_done = done.state == "done"
    return ExportJob(
        id=done.id, by=done.by, selection=done.selection, state=done.state, phase=view.phase, done_bytes=view.done_bytes,
        total_bytes=view.total_bytes, created_at_ms=done.created_at_ms, finished_at_ms=done.finished_at_ms or None,
        size_bytes=done.size_bytes, tag_manifest_sha256=done.tag_manifest_sha256 or None, authority=done.authority or None,
        missing=list(done.missing), problem=done.problem, timestamp=done.timestamp, file_url=f"/api/v1/exports/{done.id}/file" if is_done else None,
    )  # fmt: skip
