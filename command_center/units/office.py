"""What an administrator does with units and places. Called by ``administration``."""

import sqlite3

import msgspec

from command_center.callbacks import unit_links
from command_center.commands import Outcome
from command_center.errors import BadRequest
from command_center.units import acts, rows
from command_center.units.commands import PlaceSet, PlaceShow, UnitAdd, UnitCommand, UnitLink, UnitRetire, UnitShow
from command_center.units.nearest import Position


def perform(connection: sqlite3.Connection, command: UnitCommand, *, by: str, url: str, now_ms: int) -> Outcome:
    """Do it, journalled. ``url`` is where people reach this center.

    Raises:
        BadRequest, NotFound, NotPossible: it can't be done, and why.
    """
    match command:
        case UnitAdd():
            acts.add(connection, name=command.name, agency=command.agency, capabilities=command.capabilities, by=by,
                     now=now_ms)  # fmt: skip
            return Outcome(lines=(f"{command.name} is on the board, out of service until somebody says otherwise",))
        case UnitRetire():
            acts.retire(connection, command.name, by=by, now=now_ms)
            return Outcome(lines=(f"{command.name} is off the board; its history stays",))
        case UnitShow():
            return _units(connection)
        case UnitLink():
            token = unit_links.give(connection, command.name, command.hours, by=by, now=now_ms)
            link = f"{url.rstrip('/')}/u/{token}"
            return Outcome(lines=(link,), data=msgspec.Raw(msgspec.json.encode({"url": link})))
        case PlaceSet():
            return _set_place(connection, command, by, now_ms)
        case PlaceShow():
            return _places(connection)


def _units(connection: sqlite3.Connection) -> Outcome:
    found = rows.units(connection)
    lines = [
        f"{unit.name:<20} {unit.status.words:<15} {unit.agency:<16} {', '.join(unit.capabilities)}"
        + (f"  at incident {unit.incident}" if unit.incident is not None else "")
        for unit in found
    ]
    data = [{"name": unit.name, "status": unit.status.value, "agency": unit.agency, "incident": unit.incident,
             "capabilities": list(unit.capabilities)} for unit in found]  # fmt: skip
    return Outcome(lines=tuple(lines or ["nobody is on the board: command-center unit add NAME"]),
                   data=msgspec.Raw(msgspec.json.encode(data)))  # fmt: skip


def _set_place(connection: sqlite3.Connection, command: PlaceSet, by: str, now_ms: int) -> Outcome:
    if (command.lat is None) != (command.lon is None):
        raise BadRequest("expected latitude and longitude, or neither")
    here = None if command.lat is None or command.lon is None else Position(lat=command.lat, lon=command.lon)
    acts.set_place(connection, command.name, here, by=by, now=now_ms)
    said = "is not known any more" if here is None else f"is {here.lat:.6f}, {here.lon:.6f}"
    return Outcome(lines=(f"where {command.name} stands {said}",))


def _places(connection: sqlite3.Connection) -> Outcome:
    found = connection.execute("SELECT name, lat, lon FROM place ORDER BY name").fetchall()
    lines = [f"{name:<32} {lat:.6f}, {lon:.6f}" for name, lat, lon in found]
    data = [{"name": name, "lat": lat, "lon": lon} for name, lat, lon in found]
    return Outcome(lines=tuple(lines or ["nothing has coordinates: command-center place set SITE LATITUDE LONGITUDE"]),
                   data=msgspec.Raw(msgspec.json.encode(data)))  # fmt: skip
