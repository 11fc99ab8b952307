"""``/api/v1/map``: what the console's map lies on, where the operator gave a file. Nothing is ever fetched from elsewhere."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from command_center.api.access import Parts, Person
from command_center.api.shapes import Problem, Shape
from command_center.errors import NotFound

router = APIRouter(prefix="/api/v1/map", tags=["map"], responses={401: {"model": Problem}})
_PICTURES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
"""Nothing in which a script could stand."""
_CACHE: Final = {"Cache-Control": "private, no-cache"}


class Plan(Shape):
    """A picture of the site and where it lies; degrees, WGS 84."""

    url: str
    south: float
    west: float
    north: float
    east: float


class MapGround(Shape):
    """What is there; both null: a grid."""

    base_url: str | None
    """A PMTiles archive, read in ranges."""
    plan: Plan | None


@router.get("")
async def ground(_: Person, parts: Parts) -> MapGround:
    """What the map lies on."""
    config = parts.config.map
    plan = None
    if config.plan_corners and _is_there(config.plan_file):
        (south, west), (north, east) = config.plan_corners
        plan = Plan(url="/api/v1/map/plan", south=south, west=west, north=north, east=east)
    return MapGround(base_url="/api/v1/map/base.pmtiles" if _is_there(config.base_file) else None, plan=plan)


@router.get("/base.pmtiles", response_class=FileResponse,
            responses={404: {"model": Problem}, 206: {"description": "A range."}, 416: {"description": "No such range."}})  # fmt: skip
async def base(_: Person, parts: Parts) -> Response:
    """The archive, in ranges."""
    return _file(parts.config.map.base_file, "application/octet-stream")


@router.get("/plan", response_class=FileResponse, responses={404: {"model": Problem}})
async def plan(_: Person, parts: Parts) -> Response:
    """The site's picture."""
    file = parts.config.map.plan_file
    media_type = _PICTURES.get(Path(file).suffix.lower())
    if media_type is None:
        raise NotFound(f"expected the plan as {', '.join(_PICTURES)}, found {file or 'none'}")
    return _file(file, media_type)


def _is_there(file: str) -> bool:
    return file != "" and Path(file).is_file()


def _file(file: str, media_type: str) -> Response:
    if not _is_there(file):
        raise NotFound("no such file is configured, or it is not there: see [map] in center.toml")
    return FileResponse(file, media_type=media_type, headers=_CACHE)
