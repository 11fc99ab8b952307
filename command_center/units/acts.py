"""What people do with units, inside one transaction: check, write the journal entry, apply it, note the event.

Compare-and-set: whoever acts names the version of the unit (and, to assign, of the incident) that they saw. Called by ``board`` and
``dispatch``; the camera is told by whoever calls.
"""

import hashlib
import math
import re
import sqlite3
from typing import Final

from command_center import event_feed, incident_store, incidents
from command_center.errors import BadRequest, LostRace, NotPossible
from command_center.incidents import State
from command_center.units import rows
from command_center.units.appliers import record
from command_center.units.facts import (
    NoteWritten,
    PlaceSet,
    UnitAdded,
    UnitAssigned,
    UnitHeard,
    UnitPositioned,
    UnitReleased,
    UnitRetired,
    UnitStatusSet,
)
from command_center.units.nearest import Position, distance_m
from command_center.units.rows import Unit
from command_center.units.status import UnitStatus, require_step

_NAME: Final = re.compile(r"^(?=.{1,32}$)[A-Za-z0-9][A-Za-z0-9._-]*( [A-Za-z0-9._-]+)*$", re.ASCII)
_CAPABILITY: Final = re.compile(r"^[a-z0-9][a-z0-9_-]{0,31}$")
_PLACE: Final = re.compile(r"^[\w .:-]{1,64}(/[\w .:-]{1,64})?$")
MOST_TEXT: Final = 4000
KEPT_AFTER_M: Final = 25.0
KEPT_AFTER_MS: Final = 60_000
"""A position is journalled when it is this far from, or this much later than, the last one: a tracker speaks every second."""


def add(
    connection: sqlite3.Connection, *, name: str, agency: str, capabilities: tuple[str, ...], by: str, now: int
) -> None:
    """Put a unit on the board, out of service; or change what it can do.

    Raises:
        BadRequest: a name or capability that is not one.
    """
    if not _NAME.match(name):
        raise BadRequest(
            f"expected a unit's name such as M21 or Engine 5 (1 to 32 letters, digits, dots, dashes, single spaces between words), found {name[:60]!r}"
        )
    for capability in capabilities:
        if not _CAPABILITY.match(capability):
            raise BadRequest(f"expected a capability such as medic or k9 (a-z, 0-9, dashes), found {capability[:60]!r}")
    fact = UnitAdded(unit=name, agency=agency.strip()[:64], capabilities=tuple(sorted(set(capabilities))), by=by)
    record(connection, "unit-added", fact, actor=by, subject=f"unit:{name}", now=now)
    event_feed.note(connection, "unit", name)


def retire(connection: sqlite3.Connection, name: str, *, by: str, now: int) -> None:
    """Take a unit off the board.

    Raises:
        NotFound: it is not on it.
        NotPossible: it is at work.
    """
    unit = rows.load(connection, name)
    if unit.status.is_busy:
        raise NotPossible(f"{name} is {unit.status.words} at incident {unit.incident}: release it first")
    connection.execute("DELETE FROM capability WHERE receiver = ? AND incident = 0", (name,))
    record(connection, "unit-retired", UnitRetired(unit=name, by=by), actor=by, subject=f"unit:{name}", now=now)
    event_feed.note(connection, "unit", name)


def require_version(unit: Unit, version: int) -> None:
    """Refuse an act on a unit that has changed since it was seen.

    Raises:
        LostRace: it has; says how it is now and who did it.
    """
    if unit.version != version:
        where = f" at incident {unit.incident}" if unit.incident is not None else ""
        raise LostRace(
            f"expected version {version} of unit {unit.name}, found {unit.version} ({unit.status.words}{where}, by "
            f"{unit.status_by.partition(':')[2]}): somebody else was first, look at it again"
        )


def set_status(connection: sqlite3.Connection, name: str, wanted: UnitStatus, *, version: int | None, by: str, source: str,
               note: str, now: int) -> int | None:  # fmt: skip
    """A unit is at another step; returns the incident whose camera may want to know.

    ``version`` None: the unit speaks for itself. Said twice is said once.

    Raises:
        NotFound, LostRace: no such unit, or it changed meanwhile.
        NotPossible: the step does not follow.
    """
    unit = rows.load(connection, name)
    if unit.status is wanted and (
        version is None or (unit.status_by == by and version in {unit.version, unit.version - 1})
    ):
        return None
    if version is not None:
        require_version(unit, version)
    if wanted is UnitStatus.ASSIGNED:
        raise NotPossible(f"{name} becomes assigned by being given an incident, not by its status")
    require_step(name, unit.status, wanted)
    subject = f"unit:{name}" if unit.incident is None else f"incident:{unit.incident}"
    fact = UnitStatusSet(unit=name, version=unit.version, status=wanted.value, by=by, source=source,
                         incident=unit.incident or 0, note=note)  # fmt: skip
    record(connection, "unit-status", fact, actor=by, subject=subject, now=now)
    _note_events(connection, name, unit.incident)
    return unit.incident


def assign(connection: sqlite3.Connection, name: str, incident_id: int, *, unit_version: int, incident_version: int,
           by: str, role: str, note: str, now: int) -> None:  # fmt: skip
    """Send a unit to an incident that somebody has in hand; takes it away from another where it is busy.

    Raises:
        NotFound: no such unit or incident.
        LostRace: one of the two changed since it was seen.
        NotPossible: the unit can't go, or the incident is part of another.
    """
    unit = rows.load(connection, name)
    require_version(unit, unit_version)
    incident = incident_store.load(connection, incident_id)
    if incident.merged_into is not None:
        raise NotPossible(f"incident {incident_id} is part of {incident.merged_into}: send {name} there")
    incidents.dispatched(incident, version=incident_version)
    if unit.incident == incident_id:
        raise NotPossible(f"{name} is {unit.status.words} at incident {incident_id} already")
    require_step(name, unit.status, UnitStatus.ASSIGNED)
    fact = UnitAssigned(unit=name, unit_version=unit_version, incident=incident_id, incident_version=incident_version,
                        by=by, role=role, from_incident=unit.incident or 0, note=note)  # fmt: skip
    record(connection, "unit-assigned", fact, actor=by, subject=f"incident:{incident_id}", now=now)
    _note_events(connection, name, incident_id, unit.incident)


def release(connection: sqlite3.Connection, name: str, incident_id: int, *, version: int, by: str, role: str, reason: str,
            now: int) -> None:  # fmt: skip
    """Take a unit off an incident: it is available again.

    Raises:
        NotFound, LostRace: no such unit, or it changed since it was seen.
        NotPossible: it is not at this incident.
    """
    unit = rows.load(connection, name)
    require_version(unit, version)
    if unit.incident != incident_id:
        raise NotPossible(f"{name} is {unit.status.words} and not at incident {incident_id}")
    fact = UnitReleased(unit=name, version=version, incident=incident_id, by=by, role=role, reason=reason)
    record(connection, "unit-released", fact, actor=by, subject=f"incident:{incident_id}", now=now)
    _note_events(connection, name, incident_id)


def position(connection: sqlite3.Connection, name: str, here: Position, *, accuracy_m: float, measured_at_ms: int, by: str,
             source: str, now: int) -> bool:  # fmt: skip
    """Where a unit is; returns whether that was news worth keeping.

    Raises:
        NotFound: no such unit.
        NotPossible: no such place, or measured in the future.
    """
    unit = rows.load(connection, name)
    if not here.is_possible or not (math.isfinite(accuracy_m) and accuracy_m >= 0):
        raise NotPossible(
            f"expected latitude, longitude and accuracy of a place on Earth, found {here.lat}, {here.lon}"
        )
    if unit.position is not None and unit.position_at_ms is not None:
        is_later = measured_at_ms - unit.position_at_ms >= KEPT_AFTER_MS
        if not is_later and distance_m(unit.position, here) < KEPT_AFTER_M:
            return False
        if measured_at_ms < unit.position_at_ms <= now:
            return False  # an older fix that comes later proves nothing
    fact = UnitPositioned(unit=name, lat=here.lat, lon=here.lon, accuracy_m=accuracy_m,
                          measured_at_ms=min(measured_at_ms, now), by=by, source=source)  # fmt: skip
    record(connection, "unit-positioned", fact, actor=by, subject=f"unit:{name}", now=now)
    event_feed.note(connection, "unit", name)
    return True


def heard(connection: sqlite3.Connection, name: str, *, by: str, note: str, now: int) -> None:
    """Somebody has heard a unit: its welfare timer begins anew.

    Raises:
        NotFound: no such unit.
    """
    unit = rows.load(connection, name)
    fact = UnitHeard(unit=name, incident=unit.incident or 0, by=by, note=note)
    subject = f"unit:{name}" if unit.incident is None else f"incident:{unit.incident}"
    record(connection, "unit-heard", fact, actor=by, subject=subject, now=now)
    _note_events(connection, name, unit.incident)


def write_note(
    connection: sqlite3.Connection, incident_id: int, text: str, *, by: str, role: str, key: str, now: int
) -> int:
    """Add a note to an incident; returns its number. The same words under the same key of the same writer are one note.

    Other words under a key that was used are another note: a page that somebody went back to keeps its key, and nothing that a person wrote may be lost.

    Raises:
        NotFound: no such incident.
        NotPossible: nothing in it, or too much.
    """
    incident_store.load(connection, incident_id)
    said = text.strip()
    if not said or len(said) > MOST_TEXT:
        raise NotPossible(f"expected a note of 1 to {MOST_TEXT} characters, found {len(said)}")
    found = _note_under(connection, incident_id, by, key)
    if found is not None and found[1] != said:
        key = f"{key} {hashlib.sha256(said.encode()).hexdigest()[:16]}"
        found = _note_under(connection, incident_id, by, key)
    if found is not None:
        return found[0]
    fact = NoteWritten(incident=incident_id, by=by, role=role, text=said, key=key)
    number = record(connection, "note-written", fact, actor=by, subject=f"incident:{incident_id}", now=now)
    event_feed.note(connection, "incident", incident_id)
    return number


def _note_under(connection: sqlite3.Connection, incident_id: int, by: str, key: str) -> tuple[int, str] | None:
    """(number, words) of the note that a writer's key stands for."""
    row: tuple[int, str] | None = connection.execute(
        "SELECT id, text FROM incident_note WHERE incident = ? AND by = ? AND key = ? AND key <> ''",
        (incident_id, by, key),
    ).fetchone()
    return row


def set_place(connection: sqlite3.Connection, name: str, here: Position | None, *, by: str, now: int) -> None:
    """Say where a site, a node or a camera (``node/camera``) stands; None: nobody knows any more.

    Raises:
        BadRequest: not a name, or no such place on Earth.
    """
    if not _PLACE.match(name):
        raise BadRequest(f"expected the name of a site, a node, or node/camera, found {name[:80]!r}")
    if here is not None and not here.is_possible:
        raise BadRequest(f"expected degrees of latitude (±90) and longitude (±180), found {here.lat} and {here.lon}")
    fact = PlaceSet(name=name, by=by, lat=here.lat if here else None, lon=here.lon if here else None)
    record(connection, "place-set", fact, actor=by, subject=f"place:{name}", now=now)
    event_feed.note(connection, "places", "")


def open_assignments(connection: sqlite3.Connection, incident_id: int) -> list[Unit]:
    """Who is at an incident, or at a part of it, now."""
    found = connection.execute(
        "SELECT u.name FROM unit u JOIN incident i ON i.id = u.incident WHERE i.id = ?1 OR i.merged_into = ?1 ORDER BY u.name",
        (incident_id,),
    ).fetchall()
    return [rows.load(connection, row[0]) for row in found]


def require_open(connection: sqlite3.Connection, incident_id: int) -> None:
    """Refuse what makes no sense for an incident that is over.

    Raises:
        NotFound: no such incident.
        NotPossible: it is closed.
    """
    if incident_store.load(connection, incident_id).state is State.CLOSED:
        raise NotPossible(f"incident {incident_id} is closed")


def _note_events(connection: sqlite3.Connection, unit: str, *incident_ids: int | None) -> None:
    event_feed.note(connection, "unit", unit)
    for incident_id in incident_ids:
        if incident_id is not None:
            event_feed.note(connection, "incident", incident_id)
