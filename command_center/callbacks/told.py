"""What is told, before it is put into any receiver's words. Made by ``writer``, rendered by ``webhook``, ``cot``, ``cap`` and ``mail``."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from command_center.api.shapes import Incident
from command_center.units.nearest import Position
from command_center.units.rows import Unit

OVER: Final = frozenset({"incident.closed", "incident.merged"})
"""After these nobody needs to do anything about this incident any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Something about the same incident that was made for the same receiver before."""

    id: str
    event: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event for one receiver."""

    id: str
    """Of the delivery: the webhook-id, the CAP identifier, the Message-ID."""
    event: str
    at_ms: int
    entry: int
    center: str
    """This center's id in hexadecimal: what makes ids unique in the world."""
    agency: str
    incident: Incident | None
    unit: Unit | None = None
    word: str = ""
    """What a unit said, or what was done with it."""
    scene: Position | None = None
    answer_url: str = ""
    earlier: tuple[Earlier, ...] = ()
    options_sender: str = ""
    recipients: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether this ends what was told before: closed, part of another, or taken back whole."""
        return self.event in OVER or (
            self.event == "incident.retracted" and self.incident is not None and self.incident.returned
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The exact bytes that every attempt sends."""

    media_type: str
    body: bytes


def iso(at_ms: int) -> str:
    """UTC with milliseconds and Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(text: str, most: int = 1000) -> str:
    """One line that XML and mail headers can hold: no control or unassigned characters, whatever a node or person wrote."""
    kept = "".join(char if char.isprintable() else " " for char in text[: most * 2])
    return " ".join(kept.encode("utf-8", "replace").decode("utf-8").split())[:most]


def headline(told: Told) -> str:
    """One line for people: what, where, how urgent; and first of all whether it was taken back."""
    if told.incident is None:
        return plain(told.word)
    found = told.incident
    where = ", ".join(part for part in (found.node.site, found.camera, found.zone) if part)
    said = {
        "incident.retracted": "TAKEN BACK: " if found.returned else "partly taken back: ",
        "incident.closed": f"closed ({(found.disposition or '').replace('_', ' ')}): ",
        "incident.merged": f"now part of {found.merged_into}: ", "incident.acknowledged": "acknowledged: ",
        "incident.notified_again": "STILL UNANSWERED: ",
    }.get(told.event, f"{told.word}: " if told.word else "")  # fmt: skip
    return plain(f"{said}{found.precedence} {found.label} at {where} ({found.number})")
