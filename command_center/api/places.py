"""``/api/v1/places``: where sites, nodes and cameras stand, for maps and for who is nearest."""

from fastapi import APIRouter

from command_center.api import unit_queries
from command_center.api.access import Parts, UnitDispatcher, UnitReader
from command_center.api.shapes import Problem
from command_center.api.unit_shapes import PlaceAt, PlaceList
from command_center.errors import BadRequest, NotPossible
from command_center.units.nearest import Position

_ANSWERS: dict[int | str, dict[str, object]] = {403: {"model": Problem}, 422: {"model": Problem}}
router = APIRouter(prefix="/api/v1/places", tags=["places"], responses={401: {"model": Problem}})


@router.get("")
async def places(_: UnitReader, parts: Parts) -> PlaceList:
    """Everything that has coordinates."""
    return await parts.readers.run(unit_queries.places)


@router.put("/{name:path}", responses=_ANSWERS)
async def set_place(name: str, body: PlaceAt, person: UnitDispatcher, parts: Parts) -> PlaceList:
    """``name`` is a site, a node, or node/camera; the most exact one counts."""
    try:
        await parts.board.set_place(name, Position(lat=body.lat, lon=body.lon), person)
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return await parts.readers.run(unit_queries.places)


@router.delete("/{name:path}", responses=_ANSWERS)
async def forget_place(name: str, person: UnitDispatcher, parts: Parts) -> PlaceList:
    """Nobody knows any more where it stands."""
    try:
        await parts.board.set_place(name, None, person)
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return await parts.readers.run(unit_queries.places)
