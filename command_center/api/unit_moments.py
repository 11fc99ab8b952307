"""What the timeline of an incident says about units and notes: one line for each entry."""

from command_center.facts import decode
from command_center.journal import Entry
from command_center.units.facts import (
    NoteWritten,
    UnitAssigned,
    UnitHeard,
    UnitReleased,
    UnitStatusSet,
    WelfareDue,
)


def words(entry: Entry) -> str | None:
    """The detail of a line; None for entries of other kinds.

    Raises:
        JournalDamaged: the payload is not one of its kind.
    """
    match entry.kind:
        case "unit-assigned":
            assigned = decode(entry.payload, UnitAssigned)
            taken = f"taken from incident {assigned.from_incident}" if assigned.from_incident else ""
            return _joined(assigned.unit, taken, assigned.note)
        case "unit-status":
            step = decode(entry.payload, UnitStatusSet)
            return _joined(f"{step.unit} {step.status.replace('_', ' ')}", step.note)
        case "unit-released":
            released = decode(entry.payload, UnitReleased)
            return _joined(released.unit, released.reason)
        case "unit-heard":
            heard = decode(entry.payload, UnitHeard)
            return _joined(heard.unit, heard.note)
        case "welfare-due":
            due = decode(entry.payload, WelfareDue)
            return f"{due.unit} not heard for {due.silent_s // 60} min, reminder {due.level}"
        case "note-written":
            return decode(entry.payload, NoteWritten).text
    return None


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)
