"""What journal entries say about units, their work, notes and places. Every row of those views follows from these."""

import msgspec


class UnitAdded(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A unit came to the board, or its agency or capabilities changed."""

    unit: str
    agency: str
    capabilities: tuple[str, ...]
    by: str


class UnitRetired(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A unit left the board. Its history stays."""

    unit: str
    by: str


class UnitStatusSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A unit is at another step now; ``source`` says how we know: console, link, page, close."""

    unit: str
    version: int
    """The version that was seen."""
    status: str
    by: str
    source: str
    incident: int = 0
    note: str = ""


class UnitPositioned(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a unit was."""

    unit: str
    lat: float
    lon: float
    accuracy_m: float
    measured_at_ms: int
    by: str
    source: str


class UnitAssigned(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A person sends a unit to an incident."""

    unit: str
    unit_version: int
    incident: int
    incident_version: int
    by: str
    role: str
    from_incident: int = 0
    """Where it was taken away from; 0: from nowhere."""
    note: str = ""


class UnitReleased(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A person took a unit off an incident: it is available again."""

    unit: str
    version: int
    incident: int
    by: str
    role: str
    reason: str = ""


class UnitHeard(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Somebody has heard a unit, by radio for instance: it is well."""

    unit: str
    incident: int
    by: str
    note: str = ""


class WelfareDue(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A unit at work was not heard for too long; ``level`` counts the reminders."""

    unit: str
    incident: int
    silent_s: int
    level: int


class NoteWritten(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Somebody wrote something down about an incident. Never changed, never taken away."""

    incident: int
    by: str
    role: str
    text: str
    key: str = ""
    """Made by the writer's client: the same key twice is one note."""


class PlaceSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a site, a node or one of its cameras stands. Without coordinates: not known any more."""

    name: str
    by: str
    lat: float | None = None
    lon: float | None = None
