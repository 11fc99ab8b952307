"""``/api/v1/units``: the status board."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from command_center import event_feed
from command_center.accounts import SignedIn
from command_center.api import queries, stale_clicks, unit_queries
from command_center.api.access import Parts, UnitDispatcher, UnitReader
from command_center.api.shapes import Problem
from command_center.api.unit_shapes import (
    Unit,
    UnitAt,
    UnitConflict,
    UnitLink,
    UnitLinkNew,
    UnitList,
    UnitNew,
    UnitStep,
    UnitWasHeard,
)
from command_center.errors import BadRequest, LostRace, NotFound, NotPossible
from command_center.services import Services
from command_center.units.nearest import Position
from command_center.units.status import UnitStatus

_ANSWERS: dict[int | str, dict[str, object]] = {
    403: {"model": Problem}, 404: {"model": Problem}, 409: {"model": UnitConflict}, 422: {"model": Problem},
}  # fmt: skip
router = APIRouter(prefix="/api/v1/units", tags=["units"], responses={401: {"model": Problem}})


@router.get("")
async def board(_: UnitReader, parts: Parts) -> UnitList:
    """Everybody, at one moment."""
    return await parts.readers.run(
        lambda c: UnitList(watermark=event_feed.watermark(c), units=unit_queries.units(c))
    )  # fmt: skip


@router.post("", status_code=201, response_model=Unit, responses=_ANSWERS)
async def add(body: UnitNew, person: UnitDispatcher, parts: Parts) -> Response:
    """Put a unit on the board, out of service; or change what a unit can do."""
    try:
        await parts.board.add(body.name, body.agency, body.capabilities, person)
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return await as_it_is(parts, body.name, status=201)


@router.get("/{name}", response_model=Unit, responses={404: {"model": Problem}})
async def one(name: str, _: UnitReader, parts: Parts) -> Unit:
    """One row of the board."""
    return await parts.readers.run(lambda c: unit_queries.unit(c, name))


@router.delete("/{name}", status_code=204, responses=_ANSWERS)
async def retire(name: str, person: UnitDispatcher, parts: Parts) -> Response:
    """Take a unit off the board; its history stays."""
    await parts.board.retire(name, person)
    return Response(status_code=204)


@router.post("/{name}/status", response_model=Unit, responses=_ANSWERS)
async def set_status(name: str, body: UnitStep, person: UnitDispatcher, parts: Parts) -> Response:
    """A dispatcher heard how far it is."""
    try:
        await parts.board.set_status(name, UnitStatus(body.status), body.version, body.note, person)
    except LostRace as error:
        return await conflict(parts, person, error, name)
    return await as_it_is(parts, name)


@router.post("/{name}/position", response_model=Unit, responses=_ANSWERS)
async def position(name: str, body: UnitAt, person: UnitDispatcher, parts: Parts) -> Response:
    """Where it is. What is no news is counted and not kept."""
    await parts.board.position(name, Position(lat=body.lat, lon=body.lon), accuracy_m=body.accuracy_m, source="console",
                               measured_at_ms=body.measured_at_ms, by=f"user:{person.username}")  # fmt: skip
    return await as_it_is(parts, name)


@router.post("/{name}/heard", response_model=Unit, responses=_ANSWERS)
async def heard(name: str, body: UnitWasHeard, person: UnitDispatcher, parts: Parts) -> Response:
    """Somebody heard it: its welfare timer begins anew."""
    await parts.board.heard(name, body.note, person)
    return await as_it_is(parts, name)


@router.post("/{name}/link", status_code=201, responses=_ANSWERS)
async def give_link(name: str, body: UnitLinkNew, person: UnitDispatcher, parts: Parts) -> UnitLink:
    """A link for the unit's phone: its small page for a shift, whatever it is assigned to."""
    token = await parts.board.give_link(name, body.hours, person)
    return UnitLink(url=f"{parts.postman.base_url}/u/{token}")


async def as_it_is(parts: Services, name: str, status: int = 200) -> Response:
    """A unit as it is now."""
    found = await parts.readers.run(lambda c: unit_queries.unit(c, name))
    return Response(found.model_dump_json(), media_type="application/json", status_code=status)


async def conflict(
    parts: Services, person: SignedIn, error: LostRace, name: str, incident_id: int | None = None
) -> Response:
    """Somebody else was first: how it is now."""
    subject = f"unit:{name[:64]}" if incident_id is None else f"incident:{incident_id}"
    await stale_clicks.note(parts, person, subject, error)
    unit = await parts.readers.run(lambda c: unit_queries.unit_if_there(c, name))
    incident = None
    if incident_id is not None:
        try:
            incident = await parts.readers.run(lambda c: queries.incident(c, incident_id))
        except NotFound:
            incident = None
    body = UnitConflict(detail=str(error), incident=incident, unit=unit)
    return JSONResponse(body.model_dump(mode="json"), status_code=409)
