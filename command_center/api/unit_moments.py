"""What the timeline of an incident says about units, notes, plans and shares: one line for each entry."""

from collections.abc import Callable
from typing import Final

from command_center.facts import Remark, decode
from command_center.journal import Entry
from command_center.responses.facts import PlanMatched, PlanStepSettled, Shared, ShareEnded
from command_center.units.facts import NoteWritten, UnitAssigned, UnitHeard, UnitReleased, UnitStatusSet, WelfareDue


def words(entry: Entry) -> str | None:
    """The detail of a line; None for entries of other kinds.

    Raises:
        JournalDamaged: the payload is not one of its kind.
    """
    say = _SAY.get(entry.kind)
    return None if say is None else say(entry.payload)


def _assigned(payload: bytes) -> str:
    fact = decode(payload, UnitAssigned)
    return _joined(fact.unit, f"taken from incident {fact.from_incident}" if fact.from_incident else "", fact.note)


def _status(payload: bytes) -> str:
    fact = decode(payload, UnitStatusSet)
    return _joined(f"{fact.unit} {fact.status.replace('_', ' ')}", fact.note)


def _released(payload: bytes) -> str:
    fact = decode(payload, UnitReleased)
    return _joined(fact.unit, fact.reason)


def _heard(payload: bytes) -> str:
    fact = decode(payload, UnitHeard)
    return _joined(fact.unit, fact.note)


def _welfare(payload: bytes) -> str:
    fact = decode(payload, WelfareDue)
    return f"{fact.unit} not heard for {fact.silent_s // 60} min, reminder {fact.level}"


def _step(payload: bytes) -> str:
    fact = decode(payload, PlanStepSettled)
    return _joined(f"{fact.state}: {fact.kind.replace('_', ' ')} {fact.target}".strip(), fact.note)


def _shared(payload: bytes) -> str:
    fact = decode(payload, Shared)
    return _joined(f"with {fact.agency}", fact.reason)


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)


_SAY: Final[dict[str, Callable[[bytes], str]]] = {
    "unit-assigned": _assigned,
    "unit-status": _status,
    "unit-released": _released,
    "unit-heard": _heard,
    "welfare-due": _welfare,
    "note-written": lambda payload: decode(payload, NoteWritten).text,
    "plan-matched": lambda payload: decode(payload, PlanMatched).plan,
    "plan-step": _step,
    "incident-shared": _shared,
    "share-ended": lambda payload: decode(payload, ShareEnded).reason,
    "stale-click": lambda payload: decode(payload, Remark).detail,
    "share-viewed": lambda payload: decode(payload, Remark).what,
}
