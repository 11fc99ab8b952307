"""What browsers see of units, notes and places. Times are ms since 1970 UTC; positions are degrees, WGS 84."""

from typing import Annotated, Literal

from pydantic import Field

from command_center.api.shapes import Incident, Shape

Status = Literal["available", "accepted", "en_route", "on_scene", "clear", "out_of_service"]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class UnitPosition(Shape):
    """Where a unit was last."""

    lat: float
    lon: float
    accuracy_m: float | None
    at_ms: int
    source: str


class Unit(Shape):
    """One row of the board. ``version`` is for compare-and-set."""

    name: str
    version: int
    agency: str
    capabilities: list[str]
    status: str
    """available, assigned, accepted, en_route, on_scene, clear or out_of_service."""
    status_at_ms: int
    status_by: str
    status_source: str
    note: str
    incident: int | None
    position: UnitPosition | None
    heard_at_ms: int
    welfare_level: int
    """Reminders since it was last heard; 0: none."""
    steps: list[str]
    """What its status may become by ``POST …/status``."""


class UnitList(Shape):
    """The board at one moment; events after ``watermark`` continue from it."""

    watermark: int
    units: list[Unit]


class UnitNew(Shape):
    """A unit for the board; one that is there gets this agency and these capabilities."""

    name: str
    agency: str = ""
    capabilities: Annotated[tuple[str, ...], Field(max_length=32)] = ()


class UnitStep(Shape):
    """Compare-and-set: the version that the person saw, and the step."""

    version: int
    status: Status
    note: Annotated[str, Field(max_length=1000)] = ""


class UnitAt(Shape):
    """Where a unit is."""

    lat: Latitude
    lon: Longitude
    accuracy_m: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    measured_at_ms: Annotated[int, Field(ge=0, lt=1 << 52)] | None = None
    """Null: now."""


class UnitWasHeard(Shape):
    """It is well."""

    note: Annotated[str, Field(max_length=1000)] = ""


class UnitLink(Shape):
    """The small page of a unit, for its phone. Shown once; a new one ends the old one."""

    url: str


class UnitLinkNew(Shape):
    """For how long."""

    hours: Annotated[float, Field(gt=0, le=24)] = 12.0


class Assign(Shape):
    """Compare-and-set on both: the versions of incident and unit that the person saw."""

    version: int
    unit: str
    unit_version: int
    note: Annotated[str, Field(max_length=1000)] = ""


class Release(Shape):
    """Compare-and-set on the unit."""

    unit_version: int
    reason: Annotated[str, Field(max_length=1000)] = ""


class Assigned(Shape):
    """How both are now."""

    incident: Incident
    unit: Unit


class UnitConflict(Shape):
    """Somebody else was first; this is how it is now. ``incident`` is null where only the unit was asked about."""

    detail: str
    incident: Incident | None
    unit: Unit | None


class AssignmentRow(Shape):
    """One unit's work at an incident, with the times that a dispatch record keeps."""

    unit: str
    assigned_by: str
    assigned_at_ms: int
    accepted_at_ms: int | None
    en_route_at_ms: int | None
    on_scene_at_ms: int | None
    ended_at_ms: int | None
    ended_as: str


class RecommendationRow(Shape):
    """One unit and why it stands at this place of the list. ``version`` is for assigning it from here."""

    unit: str
    version: int
    status: str
    is_free: bool
    distance_m: float | None
    lacks: list[str]
    reasons: list[str]


class Recommendations(Shape):
    """Every unit of the board, who should go first in front. ``scene`` is null where nobody has said where the camera stands."""

    scene: "Place | None"
    wanted: list[str]
    units: list[RecommendationRow]


class Place(Shape):
    """Where something stands: a site, a node, or node/camera."""

    name: str
    lat: float
    lon: float
    by: str = ""
    at_ms: int = 0


class PlaceAt(Shape):
    """Coordinates to keep."""

    lat: Latitude
    lon: Longitude


class PlaceList(Shape):
    """Everything that has coordinates."""

    places: list[Place]


class NoteNew(Shape):
    """A note; ``key`` is the client's own mark of it, so that a second submit is the same note."""

    text: Annotated[str, Field(min_length=1, max_length=4000)]
    key: Annotated[str, Field(max_length=64)] = ""


class Note(Shape):
    """A note as it was written; it never changes."""

    id: int
    by: str
    role: str
    text: str
    at_ms: int


class NoteList(Shape):
    """An incident's notes, the first one first."""

    notes: list[Note]


Recommendations.model_rebuild()
