"""``/api/v1/incidents``: the queue, one incident, and what people do with it."""

import sqlite3
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from command_center import event_feed
from command_center.accounts import SignedIn
from command_center.api import queries, stale_clicks
from command_center.api.access import Dispatcher, Parts, Person
from command_center.api.shapes import (
    Acknowledge,
    Close,
    Conflict,
    Incident,
    IncidentDetail,
    IncidentList,
    Merge,
    Problem,
    Unmerge,
)
from command_center.errors import LostRace
from command_center.incidents import Disposition
from command_center.services import Services

_ACT_ANSWERS: Final[dict[int | str, dict[str, object]]] = {
    403: {"model": Problem}, 404: {"model": Problem}, 409: {"model": Conflict}, 422: {"model": Problem},
}  # fmt: skip
_LARGEST: Final = (1 << 63) - 1
router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"], responses={401: {"model": Problem}})


@router.get("", response_model=IncidentList, responses={422: {"model": Problem}})
async def queue(
    _: Person, parts: Parts, state: Literal["open", "all"] = "open", limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    after: Annotated[str | None, Query(max_length=80, pattern=r"^-?\d{1,19}(\.-?\d{1,19}){0,3}$")] = None,
) -> Response:  # fmt: skip
    """A page of the queue, as it is now; ``next`` is what to give as ``after`` for the page behind it."""
    begins = None if after is None else tuple(max(-_LARGEST, min(int(key), _LARGEST)) for key in after.split("."))

    def read(connection: sqlite3.Connection) -> str:
        watermark = event_feed.watermark(connection)
        found, cursor, total = queries.incident_page(connection, only_open=state == "open", limit=limit, after=begins)
        following = None if cursor is None else ".".join(map(str, cursor))
        newest = connection.execute("SELECT COALESCE(MAX(id), 0) FROM incident").fetchone()[0]
        listed = IncidentList(watermark=watermark, incidents=found, next=following, total=total, newest=newest)
        return listed.model_dump_json()

    # Made on the reader's thread and sent as it is: a page of a thousand must not hold up the event loop.
    return Response(await parts.readers.run(read), media_type="application/json")


@router.get("/{incident_id}", responses={404: {"model": Problem}})
async def detail(incident_id: int, person: Person, parts: Parts) -> IncidentDetail:
    """One incident with its alerts and its timeline. Looking at it is journalled."""
    found = await parts.readers.run(lambda connection: queries.incident_detail(connection, incident_id))
    await parts.viewings.note(person, f"incident:{incident_id}")
    return found


@router.post("/{incident_id}/acknowledge", response_model=Incident,
             responses={403: {"model": Problem}, 404: {"model": Problem}, 409: {"model": Conflict}})  # fmt: skip
async def acknowledge(incident_id: int, body: Acknowledge, person: Dispatcher, parts: Parts) -> Response:
    """A person has seen it; the camera is told."""
    try:
        await parts.dispatch.acknowledge(incident_id, body.version, person)
    except LostRace as error:
        return await _conflict(parts, person, incident_id, error)
    return await _as_it_is(parts, incident_id)


@router.post("/{incident_id}/close", response_model=Incident, responses=_ACT_ANSWERS)
async def close(incident_id: int, body: Close, person: Dispatcher, parts: Parts) -> Response:
    """It is over."""
    try:
        await parts.dispatch.close(incident_id, body.version, person, Disposition(body.disposition), body.note[:1000],
                                   release_units=body.release_units)  # fmt: skip
    except LostRace as error:
        return await _conflict(parts, person, incident_id, error)
    return await _as_it_is(parts, incident_id)


@router.post("/{incident_id}/merge", response_model=Incident, responses=_ACT_ANSWERS)
async def merge(incident_id: int, body: Merge, person: Dispatcher, parts: Parts) -> Response:
    """It is part of another; it can be taken out again."""
    try:
        await parts.dispatch.merge(incident_id, body.version, body.into, person)
    except LostRace as error:
        return await _conflict(parts, person, incident_id, error)
    return await _as_it_is(parts, incident_id)


@router.post("/{incident_id}/unmerge", response_model=Incident, responses=_ACT_ANSWERS)
async def unmerge(incident_id: int, body: Unmerge, person: Dispatcher, parts: Parts) -> Response:
    """It is an incident of its own after all."""
    try:
        await parts.dispatch.unmerge(incident_id, body.version, person)
    except LostRace as error:
        return await _conflict(parts, person, incident_id, error)
    return await _as_it_is(parts, incident_id)


async def _as_it_is(parts: Services, incident_id: int) -> Response:
    found = await parts.readers.run(lambda connection: queries.incident(connection, incident_id))
    return Response(found.model_dump_json(), media_type="application/json")


async def _conflict(parts: Services, person: SignedIn, incident_id: int, error: LostRace) -> Response:
    await stale_clicks.note(parts, person, f"incident:{incident_id}", error)
    found = await parts.readers.run(lambda connection: queries.incident(connection, incident_id))
    conflict = Conflict(detail=str(error), incident=found)
    return JSONResponse(conflict.model_dump(mode="json"), status_code=409)
