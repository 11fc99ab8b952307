"""Words for what units, plans and other agencies did about an incident: for the timeline and the reports."""

from collections.abc import Callable
from typing import Final

from command_center.evidence.selection import utc
from command_center.facts import decode
from command_center.responses.facts import PlanMatched, PlanStepSettled, Shared, ShareEnded, ShareOpened, Suppressed
from command_center.units.facts import NoteWritten, UnitAssigned, UnitHeard, UnitReleased, UnitStatusSet, WelfareDue


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _assigned(payload: bytes) -> str:
    fact = decode(payload, UnitAssigned)
    return _joined(
        f"{fact.unit}, as {fact.role}",
        f"taken from incident {fact.from_incident}" if fact.from_incident else "",
        fact.note,
    )


def _released(payload: bytes) -> str:
    fact = decode(payload, UnitReleased)
    return _joined(f"{fact.unit}, as {fact.role}", fact.reason)


def _status(payload: bytes) -> str:
    fact = decode(payload, UnitStatusSet)
    return _joined(f"{fact.unit} {fact.status.replace('_', ' ')} (by {fact.source})", fact.note)


def _heard(payload: bytes) -> str:
    fact = decode(payload, UnitHeard)
    return _joined(f"{fact.unit} is well", fact.note)


def _welfare(payload: bytes) -> str:
    fact = decode(payload, WelfareDue)
    return f"{fact.unit} not heard for {fact.silent_s} s"


def _note(payload: bytes) -> str:
    fact = decode(payload, NoteWritten)
    return f"as {fact.role}: {fact.text}"


def _matched(payload: bytes) -> str:
    fact = decode(payload, PlanMatched)
    return f"plan {fact.plan}, {len(fact.steps)} steps; file {fact.file_sha256.hex()[:16]}"


def _settled(payload: bytes) -> str:
    fact = decode(payload, PlanStepSettled)
    return _joined(
        f"step {fact.number} ({fact.kind} {fact.target}) {fact.state}",
        f"as {fact.role}" if fact.role else "",
        fact.note,
    )


def _shared(payload: bytes) -> str:
    fact = decode(payload, Shared)
    return f"with {fact.agency} until {utc(fact.until_ms)}, as {fact.role}: {fact.reason}"


def _opened(payload: bytes) -> str:
    return f"share {decode(payload, ShareOpened).share}, taken by a browser"


def _ended(payload: bytes) -> str:
    fact = decode(payload, ShareEnded)
    return f"share {fact.share}: {fact.reason}"


def _suppressed(payload: bytes) -> str:
    fact = decode(payload, Suppressed)
    what = f"{fact.label} at camera {fact.camera} of {fact.node.hex()}, incident {fact.incident}, as {fact.role}"
    return f"{what}: not told until {utc(fact.until_ms)}: {fact.reason}" if fact.until_ms else f"{what}: told again"


WORDS: Final[dict[str, Callable[[bytes], str]]] = {
    "unit-assigned": _assigned, "unit-released": _released, "unit-status": _status, "unit-heard": _heard, "welfare-due": _welfare,
    "note-written": _note, "plan-matched": _matched, "plan-step": _settled, "incident-shared": _shared, "share-opened": _opened,
    "share-ended": _ended, "alarm-suppressed": _suppressed, "alarm-unsuppressed": _suppressed,
}  # fmt: skip
"""The journal's kind → its payload in words."""
