"""From journal entries to deliveries: who is told what. Runs inside one transaction with the cursor.

Who is told of an incident: every receiver in use that takes its precedence, unless it is told only when called; whoever a response plan
calls; the receiver that bears an assigned unit's name. A body is made once and kept: every attempt sends the same bytes. It names
an incident as it was at that moment; what matters later is told by a later event.
"""

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from command_center import facts, journal, retractions
from command_center.api import queries
from command_center.api.shapes import Incident
from command_center.callbacks import answers, cap, cot, mail, store, webhook
from command_center.callbacks.kinds import ReceiverKind
from command_center.callbacks.store import Receiver
from command_center.callbacks.told import Earlier, Rendered, Told
from command_center.errors import NotFound
from command_center.facts import EnvelopeStored, UnitAnswer
from command_center.incidents import Quiet, State
from command_center.journal import Entry
from command_center.responses.facts import PlanStepSettled
from command_center.units import rows
from command_center.units.facts import UnitAssigned, UnitReleased, UnitStatusSet
from relay.precedence import Precedence

_EVENTS: Final = {
    "alert": "incident.opened",
    "incident-annunciated": "incident.opened",
    "incident-notified-again": "incident.notified_again",
    "acknowledgement-expired": "incident.notified_again",
    "incident-acknowledged": "incident.acknowledged",
    "retraction": "incident.retracted",
    "incident-merged": "incident.merged",
    "incident-closed": "incident.closed",
    "unit-answered": "incident.unit_answered",
    "unit-assigned": "incident.unit_assigned",
    "unit-released": "incident.unit_released",
    "unit-status": "incident.unit_status",
    "plan-step": "incident.opened",
}
_OF_UNITS: Final = frozenset({"unit-positioned", "unit-status", "unit-assigned", "unit-released", "unit-added"})
"""What moves a unit on a map."""
_ANSWERABLE: Final = {"incident.opened", "incident.notified_again"}
ANSWER_WITHIN_MS: Final = 12 * 3_600_000
_AT_ONCE: Final = 500
_FRESH_WITHIN_MS: Final = 60_000
RENDERERS: Final[dict[ReceiverKind, Callable[[Told], Rendered | None]]] = {
    ReceiverKind.WEBHOOK: webhook.render, ReceiverKind.TAK: cot.render, ReceiverKind.SMTP: mail.render,
    ReceiverKind.CAP: cap.render,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who tells: what stands in links and makes ids unique in the world."""

    base_url: str
    center: str
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What an entry says beside its incident."""

    unit: str = ""
    word: str = ""
    calls: str = ""
    """The receiver that this entry calls to the incident."""
    only_calls: bool = False
    """Nobody else is told by it."""


def set_up(connection: sqlite3.Connection) -> bytes:
    """Make the key and the cursor at the first start; returns the key's seed. What happened before is told to nobody."""
    connection.execute(
        "INSERT OR IGNORE INTO callback_state VALUES (1, ?, ?)", (journal.size(connection), secrets.token_bytes(32))
    )
    seed: bytes = connection.execute("SELECT signing_key FROM callback_state").fetchone()[0]
    return seed


def is_behind(connection: sqlite3.Connection) -> bool:
    """Whether there are entries to look at."""
    row = connection.execute("SELECT upto FROM callback_state").fetchone()
    return row is not None and row[0] < journal.size(connection)


def tells_anybody(connection: sqlite3.Connection) -> bool:
    """Whether there is a receiver in use."""
    return any(not receiver.disabled_why for receiver in store.receivers(connection))


def catch_up(connection: sqlite3.Connection, origin: Origin, *, now_ms: int) -> int:
    """Turn the next entries into deliveries; returns how many were made."""
    upto: int = connection.execute("SELECT upto FROM callback_state").fetchone()[0]
    told = [receiver for receiver in store.receivers(connection) if not receiver.disabled_why]
    writer = _Writer(connection, origin, told, now_ms)
    if told:
        for entry in journal.entries(connection, first=upto + 1, at_most=_AT_ONCE):
            upto = entry.id
            writer.write(entry)
    else:  # nobody to tell: nothing has to be read
        upto = journal.size(connection)
    connection.execute("UPDATE callback_state SET upto = ?", (upto,))
    return writer.made


class _Writer:
    """One turn of the cursor."""

    def __init__(self, connection: sqlite3.Connection, origin: Origin, told: list[Receiver], now_ms: int) -> None:
        self._connection = connection
        self._origin = origin
        self._told = told
        self._now_ms = now_ms
        self.made = 0

    def write(self, entry: Entry) -> None:
        """The deliveries of one entry."""
        if entry.kind in _OF_UNITS:
            self._write_unit(entry)
        if entry.kind not in _EVENTS or not entry.subject.startswith("incident:"):
            return
        incident_id = int(entry.subject.removeprefix("incident:"))
        if entry.kind != "alert" or self._opens(
            incident_id, entry.id
        ):  # most alerts join an incident that has been told
            self._write_incident(entry, incident_id)
        if entry.kind == "alert" and retractions.came_before(self._connection, entry.id):
            self._write_incident(replace(entry, kind="retraction"), incident_id)  # its own entry names no incident

    def _write_incident(self, entry: Entry, incident_id: int) -> None:
        try:
            incident = queries.incident(self._connection, incident_id)
        except NotFound:
            return
        said = _said(entry)
        if said is None or not self._is_told_of(entry, incident, said):
            return
        for receiver in self._told:
            self._tell(entry, incident, said, receiver)

    def _is_told_of(self, entry: Entry, incident: Incident, said: _Said) -> bool:
        if incident.quarantined:
            return False
        if entry.kind == "alert" and facts.decode(entry.payload, EnvelopeStored).quiet:
            return (
                False  # silent when it opened; the entry that annunciated it tells it, even where that is there already
            )
        is_opening = _EVENTS[entry.kind] == "incident.opened"
        is_heard = incident.quiet == Quiet.NO.value and incident.state != State.CLOSED.value
        return not is_opening or is_heard or bool(said.calls)

    def _opens(self, incident_id: int, entry_id: int) -> bool:
        first = self._connection.execute("SELECT MIN(entry) FROM alert WHERE incident = ?", (incident_id,)).fetchone()[
            0
        ]
        return bool(first == entry_id)

    def _tell(self, entry: Entry, incident: Incident, said: _Said, receiver: Receiver) -> None:
        is_called = said.calls == receiver.name
        if is_called:
            self._connection.execute("INSERT OR IGNORE INTO called VALUES (?, ?)", (incident.id, receiver.name))
        elif said.only_calls:
            return
        earlier = self._earlier(receiver, incident.id)
        event = _EVENTS[entry.kind]
        if event == "incident.opened" and earlier and not is_called:
            event = "incident.notified_again"  # it was told, fell silent on a shelf or in a flood, and sounds again
        if not is_called and not self._follows(receiver, incident, event, earlier):
            return
        if is_called and event == "incident.opened" and earlier:
            return  # it has been told already, as everybody is
        unit = rows.find(self._connection, said.unit) if said.unit else None
        told = Told(
            id=f"msg_{secrets.token_hex(16)}", event=event, at_ms=entry.at_ms, entry=entry.id, center=self._origin.center,
            agency=self._origin.agency, incident=incident, unit=unit, word=said.word, earlier=earlier,
            scene=rows.position_of(self._connection, node=incident.node.name, site=incident.node.site, camera=incident.camera),
            options_sender=receiver.options.sender, recipients=_recipients(receiver),
        )  # fmt: skip
        if event in _ANSWERABLE or (is_called and event == "incident.unit_assigned"):
            told = replace(told, answer_url=f"{self._origin.base_url}/u/{self._capability(receiver.name, incident.id)}")
        self._put(receiver, told, Precedence[incident.precedence])

    def _follows(self, receiver: Receiver, incident: Incident, event: str, earlier: tuple[Earlier, ...]) -> bool:
        if receiver.only_called:
            row = self._connection.execute(
                "SELECT 1 FROM called WHERE incident = ? AND receiver = ?", (incident.id, receiver.name)
            ).fetchone()
            return row is not None and event != "incident.opened"
        if receiver.only_flash and incident.precedence != Precedence.FLASH.name:
            return False
        # A webhook's receiver keeps its own records; a map, a feed or a reader would not know what this is about.
        return receiver.kind is ReceiverKind.WEBHOOK or event == "incident.opened" or bool(earlier)

    def _earlier(self, receiver: Receiver, incident_id: int) -> tuple[Earlier, ...]:
        found = self._connection.execute(
            "SELECT id, event, body FROM delivery WHERE incident = ? AND receiver = ? ORDER BY number",
            (incident_id, receiver.name),
        )
        return tuple(Earlier(id=row[0], event=row[1], body=row[2]) for row in found)

    def _write_unit(self, entry: Entry) -> None:
        name = _unit_in(entry)
        unit = rows.find(self._connection, name)
        for receiver in self._told:
            if unit is None or receiver.kind is not ReceiverKind.TAK or receiver.only_called or receiver.only_flash:
                continue
            told = Told(id=f"msg_{secrets.token_hex(16)}", event="unit.changed", at_ms=entry.at_ms, entry=entry.id,
                        center=self._origin.center, agency=self._origin.agency, incident=None, unit=unit)  # fmt: skip
            self._put(receiver, told, Precedence.ROUTINE, about=f"unit:{name}")

    def _put(self, receiver: Receiver, told: Told, precedence: Precedence, about: str = "") -> None:
        made = RENDERERS[receiver.kind](told)
        if made is None:
            return
        attempts, next_at_ms = self._supersede(receiver, about) if about else (0, self._now_ms)
        incident_id = 0 if told.incident is None else told.incident.id
        self._connection.execute(
            "INSERT INTO delivery (id, receiver, event, incident, precedence, body, created_at_ms, attempts, next_at_ms, "
            "media_type, about) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (told.id, receiver.name, told.event, incident_id, precedence, made.body, self._now_ms, attempts, next_at_ms,
             made.media_type, about),
        )  # fmt: skip
        self.made += 1

    def _supersede(self, receiver: Receiver, about: str) -> tuple[int, int]:
        """What waits about the same thing is out of date. Its ladder goes on, a minute apart at most: (attempts, next at)."""
        waited = self._connection.execute(
            "UPDATE delivery SET state = 'superseded', settled_at_ms = ? WHERE receiver = ? AND about = ? AND state = 'pending' "
            "RETURNING attempts, next_at_ms",
            (self._now_ms, receiver.name, about),
        ).fetchall()
        if not waited:
            return 0, self._now_ms
        return max(row[0] for row in waited), min(*(row[1] for row in waited), self._now_ms + _FRESH_WITHIN_MS)

    def _capability(self, receiver: str, incident_id: int) -> str:
        return answers.give(self._connection, receiver, incident_id, self._now_ms + ANSWER_WITHIN_MS)


def _unit_in(entry: Entry) -> str:
    match entry.kind:
        case "unit-status":
            return facts.decode(entry.payload, UnitStatusSet).unit
        case "unit-assigned":
            return facts.decode(entry.payload, UnitAssigned).unit
        case "unit-released":
            return facts.decode(entry.payload, UnitReleased).unit
    return entry.subject.removeprefix("unit:")


def _said(entry: Entry) -> _Said | None:
    """What an entry says; None where nobody is told of it."""
    match entry.kind:
        case "unit-answered":
            answer = facts.decode(entry.payload, UnitAnswer)
            return _Said(unit=answer.unit, word=f"{answer.unit} {answer.state.replace('_', ' ')}")
        case "unit-assigned":
            assigned = facts.decode(entry.payload, UnitAssigned)
            return _Said(unit=assigned.unit, word=f"{assigned.unit} assigned", calls=assigned.unit)
        case "unit-released":
            released = facts.decode(entry.payload, UnitReleased)
            return _Said(unit=released.unit, word=f"{released.unit} released")
        case "unit-status":
            step = facts.decode(entry.payload, UnitStatusSet)
            if step.source in {"link", "unable"}:
                return None  # the unit's own word is told as its answer
            return _Said(unit=step.unit, word=f"{step.unit} {step.status.replace('_', ' ')}")
        case "plan-step":
            settled = facts.decode(entry.payload, PlanStepSettled)
            is_call = settled.kind == "tell" and settled.state == "done"
            return _Said(calls=settled.target, only_calls=True) if is_call else None
    return _Said()


def _recipients(receiver: Receiver) -> tuple[str, ...]:
    return (receiver.name,) if receiver.kind is ReceiverKind.CAP else receiver.options.recipients
