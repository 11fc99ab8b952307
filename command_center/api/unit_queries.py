"""From the rows of units, notes and places to what browsers see. Reads only."""

import sqlite3

from command_center.api.unit_shapes import (
    Note,
    Place,
    PlaceList,
    RecommendationRow,
    Recommendations,
    Unit,
    UnitPosition,
)
from command_center.errors import NotFound
from command_center.units import nearest, rows
from command_center.units.status import FOLLOWS, UnitStatus


def unit(connection: sqlite3.Connection, name: str) -> Unit:
    """One row of the board.

    Raises:
        NotFound: it is not on it.
    """
    return unit_shape(rows.load(connection, name))


def unit_if_there(connection: sqlite3.Connection, name: str) -> Unit | None:
    """One row of the board; None where it left."""
    found = rows.find(connection, name)
    return None if found is None else unit_shape(found)


def units(connection: sqlite3.Connection) -> list[Unit]:
    """The whole board, by name."""
    return [unit_shape(item) for item in rows.units(connection)]


def unit_shape(item: rows.Unit) -> Unit:
    """The browser's shape of a unit."""
    position = None
    if item.position is not None:
        position = UnitPosition(lat=item.position.lat, lon=item.position.lon, accuracy_m=item.accuracy_m,
                                at_ms=item.position_at_ms or 0, source=item.position_source)  # fmt: skip
    steps = sorted(step.value for step in FOLLOWS[item.status] if step is not UnitStatus.ASSIGNED)
    return Unit(
        name=item.name, version=item.version, agency=item.agency, capabilities=list(item.capabilities),
        status=item.status.value, status_at_ms=item.status_at_ms, status_by=item.status_by,
        status_source=item.status_source, note=item.note, incident=item.incident, position=position,
        heard_at_ms=item.heard_at_ms, welfare_level=item.welfare_level, steps=steps,
    )  # fmt: skip


def recommendations(
    connection: sqlite3.Connection, incident_id: int, wanted: list[str], now_ms: int
) -> Recommendations:
    """Who should go to an incident.

    Raises:
        NotFound: there is no such incident.
    """
    scene = scene_of(connection, incident_id)
    board = {item.name: item for item in rows.units(connection)}
    at = None if scene is None else nearest.Position(lat=scene.lat, lon=scene.lon)
    found = nearest.ranked(list(board.values()), at, wanted, now_ms)
    return Recommendations(scene=scene, wanted=wanted, units=[
        RecommendationRow(unit=item.unit, version=board[item.unit].version, status=board[item.unit].status.value,
                          is_free=item.is_free, lacks=list(item.lacks), reasons=list(item.reasons),
                          distance_m=None if item.distance_m is None else round(item.distance_m, 1))
        for item in found
    ])  # fmt: skip


def scene_of(connection: sqlite3.Connection, incident_id: int) -> Place | None:
    """Where an incident is, as far as anybody has said.

    Raises:
        NotFound: there is no such incident.
    """
    row = connection.execute(
        "SELECT COALESCE(n.name, ''), COALESCE(n.site, ''), i.camera FROM incident i LEFT JOIN node n ON n.id = i.node "
        "WHERE i.id = ?",
        (incident_id,),
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no incident {incident_id}")
    found = rows.position_of(connection, node=row[0], site=row[1], camera=row[2])
    return None if found is None else Place(name=f"{row[1]} {row[0]}/{row[2]}", lat=found.lat, lon=found.lon)


def notes(connection: sqlite3.Connection, incident_id: int) -> list[Note]:
    """An incident's notes and those of its parts, the first one first."""
    found = connection.execute(
        "SELECT id, by, role, text, at_ms FROM incident_note WHERE incident = ?1 OR incident IN "
        "(SELECT id FROM incident WHERE merged_into = ?1) ORDER BY id LIMIT 1000",
        (incident_id,),
    )
    return [Note(id=r[0], by=r[1], role=r[2], text=r[3], at_ms=r[4]) for r in found]


def places(connection: sqlite3.Connection) -> PlaceList:
    """Everything that has coordinates."""
    found = connection.execute("SELECT name, lat, lon, by, at_ms FROM place ORDER BY name")
    return PlaceList(places=[Place(name=r[0], lat=r[1], lon=r[2], by=r[3], at_ms=r[4]) for r in found])
