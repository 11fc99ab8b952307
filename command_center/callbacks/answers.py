"""What a unit answers, by the link that its callback carried: journalled, shown, and told to the camera.

The link is a capability: whoever has it may answer for that unit and incident, and nothing else, until it expires. Only
its hash is kept. Opening the link changes nothing, so that a messenger's preview does not accept a job.
"""

import enum
import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import event_feed, facts, incident_store, journal
from command_center.errors import NotFound, NotPossible
from command_center.facts import UnitAnswer
from command_center.incidents import Incident, State
from command_center.units import rows
from command_center.units.status import UnitStatus
from relay.kinds.acknowledgement import AnswerState

MOST_MS: Final = 24 * 3_600_000
"""What any link may last. One that ends later than that from now was given by a clock that has been set back since."""
_KEPT: Final = 10_000


class UnitState(enum.Enum):
    """What a unit may say."""

    ACCEPTED = "accepted"
    EN_ROUTE = "en_route"
    ON_SCENE = "on_scene"
    CLEAR = "clear"
    UNABLE = "unable"

    @property
    def status(self) -> UnitStatus:
        """Its step on the board; who is unable is out of service until somebody says otherwise."""
        return UnitStatus.OUT_OF_SERVICE if self is UnitState.UNABLE else UnitStatus(self.value)

    @property
    def for_camera(self) -> AnswerState | None:
        """What the camera's node is told; None: nothing that changes how far the people have got."""
        return None if self is UnitState.UNABLE else self.status.for_camera


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link is good for."""

    receiver: str
    incident: Incident | None
    """None: a unit's own link, while it is assigned to nothing."""


def link_of(connection: sqlite3.Connection, token: str, now_ms: int) -> Link:
    """What this link is good for.

    Raises:
        NotFound: for nothing: never given, expired, or its receiver was removed.
    """
    row = connection.execute(
        "SELECT receiver, incident FROM capability WHERE token_sha256 = ? AND expires_at_ms > ? AND expires_at_ms <= ?",
        (hashlib.sha256(token.encode()).digest(), now_ms, now_ms + MOST_MS),
    ).fetchone()
    if row is None:
        raise NotFound("this link is not good, or no longer: ask the command center for the incident")
    return (
        Link(receiver=row[0], incident=incident_store.load(connection, row[1]))
        if row[1]
        else of_unit(connection, row[0])
    )


def of_unit(connection: sqlite3.Connection, name: str) -> Link:
    """What a unit may speak about by itself: whatever it is assigned to.

    Raises:
        NotFound: it is not on the board.
    """
    unit = rows.load(connection, name)
    return Link(
        receiver=name, incident=None if unit.incident is None else incident_store.load(connection, unit.incident)
    )


def give(connection: sqlite3.Connection, receiver: str, incident_id: int, until_ms: int) -> str:
    """Make a link's token; ``incident_id`` 0: for whatever this unit is assigned to. Only its hash is kept."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO capability VALUES (?, ?, ?, ?)",
        (hashlib.sha256(token.encode()).digest(), receiver, incident_id, until_ms),
    )
    return token


def forget_old(connection: sqlite3.Connection, now_ms: int) -> None:
    """Drop links that have expired, once they are many: a clock that is wrong for a minute must not end a shift's links for good."""
    connection.execute(
        "DELETE FROM capability WHERE expires_at_ms < ? AND (SELECT COUNT(*) FROM capability) > ?", (now_ms, _KEPT)
    )


def answer(
    connection: sqlite3.Connection, unit: str, incident: Incident, state: UnitState, note: str, now_ms: int
) -> None:
    """Write down what the unit says. The caller tells the camera, in the same transaction.

    Raises:
        NotPossible: the incident is closed.
    """
    if incident.state is State.CLOSED:
        raise NotPossible(f"incident {incident.id} is closed: there is nothing to answer any more")
    fact = UnitAnswer(incident=incident.id, unit=unit, state=state.value, note=note)
    journal.append(connection, at_ms=now_ms, kind="unit-answered", actor=f"unit:{unit}",
                   subject=f"incident:{incident.id}", payload=facts.encode(fact))  # fmt: skip
    event_feed.note(connection, "incident", incident.id)


def latest(connection: sqlite3.Connection, incident_id: int) -> list[tuple[str, str, int]]:
    """(unit, what it said last, when) of everybody who answered about an incident, in order of their first word."""
    said: dict[str, tuple[str, int]] = {}
    rows = connection.execute(
        "SELECT payload, at_ms FROM entry WHERE subject = ? AND kind = 'unit-answered' ORDER BY id",
        (f"incident:{incident_id}",),
    )
    for payload, at_ms in rows:
        fact = facts.decode(payload, UnitAnswer)
        said[fact.unit] = (fact.state, at_ms)
    return [(unit, state, at_ms) for unit, (state, at_ms) in said.items()]
