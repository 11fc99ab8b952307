"""``/api/v1/incidents/…``: who goes there, who should, and what people wrote down."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from command_center.api import queries, response_queries, stale_clicks, unit_queries
from command_center.api.access import Dispatcher, Parts, Person, Sharer, UnitDispatcher
from command_center.api.response_shapes import (
    PlanCard,
    PlanSettle,
    ShareMade,
    ShareNew,
    ShareRevoke,
    ShareRow,
)
from command_center.api.response_shapes import Response as IncidentResponse
from command_center.api.shapes import Problem
from command_center.api.unit_shapes import (
    Assign,
    Assigned,
    NoteList,
    NoteNew,
    Recommendations,
    Release,
    UnitConflict,
)
from command_center.api.units import conflict
from command_center.errors import LostRace
from command_center.responses import mutual_aid
from command_center.services import Services

_ANSWERS: dict[int | str, dict[str, object]] = {
    403: {"model": Problem}, 404: {"model": Problem}, 409: {"model": UnitConflict}, 422: {"model": Problem},
}  # fmt: skip
router = APIRouter(prefix="/api/v1/incidents/{incident_id}", tags=["dispatch"], responses={401: {"model": Problem}})


@router.get("/response", responses={404: {"model": Problem}})
async def response(incident_id: int, _: Person, parts: Parts) -> IncidentResponse:
    """Everything that people do about it."""
    return await parts.readers.run(lambda c: response_queries.response(c, incident_id))


@router.get("/recommendations", responses={404: {"model": Problem}})
async def recommendations(
    incident_id: int, _: Person, parts: Parts, wanted: Annotated[list[str] | None, Query(max_length=16)] = None
) -> Recommendations:
    """Who should go, with the reasons; ``wanted`` are capabilities: without any, those that the incident's plans ask for."""
    now = parts.clock.wall_ms()
    return await parts.readers.run(
        lambda c: unit_queries.recommendations(c, incident_id, wanted or response_queries.wanted(c, incident_id), now)
    )


@router.post("/units", response_model=Assigned, responses=_ANSWERS)
async def assign(incident_id: int, body: Assign, person: UnitDispatcher, parts: Parts) -> Response:
    """Send a unit; one that is at another incident is taken away from there. The camera is told."""
    try:
        await parts.board.assign(body.unit, body.unit_version, incident_id, body.version, body.note, person)
    except LostRace as error:
        return await conflict(parts, person, error, body.unit, incident_id)
    return await _both(parts, incident_id, body.unit)


@router.post("/units/{unit}/release", response_model=Assigned, responses=_ANSWERS)
async def release(incident_id: int, unit: str, body: Release, person: UnitDispatcher, parts: Parts) -> Response:
    """Take a unit off: it is available again."""
    try:
        await parts.board.release(unit, body.unit_version, incident_id, body.reason, person)
    except LostRace as error:
        return await conflict(parts, person, error, unit, incident_id)
    return await _both(parts, incident_id, unit)


@router.get("/notes", responses={404: {"model": Problem}})
async def notes(incident_id: int, _: Person, parts: Parts) -> NoteList:
    """What people wrote down about it."""
    return await parts.readers.run(lambda c: NoteList(notes=response_queries.response(c, incident_id).notes))


@router.post("/notes", status_code=201, responses=_ANSWERS)
async def write_note(incident_id: int, body: NoteNew, person: Dispatcher, parts: Parts) -> NoteList:
    """Add a note. Notes are never changed or taken away."""
    await parts.board.write_note(incident_id, body.text, body.key, person)
    return await parts.readers.run(lambda c: NoteList(notes=unit_queries.notes(c, incident_id)))


@router.post("/plan/{number}", responses=_ANSWERS)
async def settle_step(
    incident_id: int, number: int, body: PlanSettle, person: Dispatcher, parts: Parts
) -> list[PlanCard]:
    """Confirm a step of a response plan, or decline it. Confirmed, it is carried out."""
    try:
        await parts.planner.settle(incident_id, number, is_done=body.state == "done", note=body.note, person=person)
    except LostRace as error:
        await stale_clicks.note(parts, person, f"incident:{incident_id}", error)
        raise
    return await parts.readers.run(lambda c: response_queries.plan_cards(c, incident_id))


@router.post("/shares", status_code=201, responses=_ANSWERS)
async def share(incident_id: int, body: ShareNew, person: Sharer, parts: Parts) -> ShareMade:
    """Show it to another agency for a while: a link that works in one browser, is shown once and can be revoked."""
    number, token = await parts.mutual_aid.share(incident_id, body.agency, body.minutes, body.reason, person)
    found = await parts.readers.run(lambda c: mutual_aid.shares(c, incident_id))
    made = next(item for item in found if item.id == number)
    return ShareMade(url=f"{parts.postman.base_url}/aid/{token}", share=response_queries.share_shape(made))


@router.post("/shares/{number}/revoke", responses=_ANSWERS)
async def revoke_share(
    incident_id: int, number: int, body: ShareRevoke, person: Sharer, parts: Parts
) -> list[ShareRow]:
    """End it at once."""
    await parts.mutual_aid.revoke(incident_id, number, body.reason, person)
    found = await parts.readers.run(lambda c: mutual_aid.shares(c, incident_id))
    return [response_queries.share_shape(item) for item in found]


async def _both(parts: Services, incident_id: int, unit: str) -> Response:
    found = await parts.readers.run(
        lambda c: Assigned(incident=queries.incident(c, incident_id), unit=unit_queries.unit(c, unit))
    )
    return Response(found.model_dump_json(), media_type="application/json")
