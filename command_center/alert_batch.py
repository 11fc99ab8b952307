"""Alerts become rows, a group at a time: correlated in memory, written together. Live ingest and replay run the same code.

What a group makes of the tables is what its alerts one by one would make of them: incidents are read once, change in memory
(the rules are in ``incidents``), and each is written once, however many alerts joined it. A new incident's row is written at
once, because flood control counts rows. Nothing else may write these tables between the first ``place`` and ``write``.
"""

import sqlite3
from dataclasses import dataclass

import msgspec

from command_center import exhibits, incident_store, incidents, retractions
from command_center.facts import EnvelopeStored
from command_center.incidents import Incident, Place, Quiet, Sighting
from relay.envelope import Envelope
from relay.kinds.alert import Alert, Rule

_IDS_IN_ONE_QUERY = 500
_RULE_NAMES = {rule: rule.name.lower() for rule in Rule}
_Row = tuple[object, ...]


class Placed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an alert goes."""

    incident: Incident
    is_new: bool


@dataclass(slots=True, kw_only=True)
class _Moved:
    """What a group's alerts make of an incident that was there before."""

    incident: Incident
    confidence: float
    box_xyxy: tuple[float, float, float, float]


class AlertBatch:
    """One group. Inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, window_ms: int) -> None:
        self._connection = connection
        self._window_ms = window_ms
        self._open: dict[tuple[bytes, str, str, bool], list[Incident]] = {}
        self._moved: dict[int, _Moved] = {}
        self._rows: list[_Row] = []

    def place(self, envelope: Envelope, alert: Alert, stored: EnvelopeStored) -> Placed:
        """Decide which incident an alert belongs to; changes nothing."""
        header = envelope.header
        place = Place(node=header.origin, camera=alert.camera, label=alert.label, is_quarantined=stored.is_quarantined)
        sighting = Sighting(series=header.series, boot=header.boot, monotonic_ms=max(0, header.monotonic_ms - alert.age_ms),
                            received_at_ms=stored.received_wall_ms)  # fmt: skip
        for incident in self._candidates(place):
            if incidents.joins(incident, place, header.precedence, sighting, self._window_ms):
                return Placed(incident=incidents.joined(incident, sighting), is_new=False)
        next_id = incident_store.next_id(self._connection)
        opened = incidents.opened(next_id, place, header.precedence, sighting, Quiet(stored.quiet))
        return Placed(incident=opened, is_new=True)

    def add(self, envelope: Envelope, alert: Alert, stored: EnvelopeStored, placed: Placed, entry_id: int) -> None:
        """Take an alert where ``place`` put it."""
        header, incident, place = envelope.header, placed.incident, placed.incident.place
        known = self._open[place.node, place.camera, place.label, place.is_quarantined]
        if placed.is_new:
            incident_store.insert(self._connection, envelope, alert, incident)
            known.insert(0, incident)
        else:
            known[next(at for at, one in enumerate(known) if one.id == incident.id)] = incident
            self._move(incident, alert)
        self._rows.append(
            (envelope.id, entry_id, incident.id, header.origin, alert.label, alert.camera, alert.zone, int(header.precedence),
             alert.confidence, _RULE_NAMES[alert.rule], alert.track, *alert.box_xyxy, alert.model_sha256_prefix,
             alert.age_ms, int(header.quality), header.series, header.boot, header.sequence, header.wall_ms,
             header.monotonic_ms, stored.received_wall_ms, stored.received_monotonic_ms, stored.via, stored.path, None, "")
        )  # fmt: skip

    def write(self) -> int:
        """Write what is not written yet, and forget what was read. Returns how many of these alerts had been taken back before."""
        taken_back = 0
        if self._moved:
            incident_store.update(
                self._connection, [(m.incident, m.confidence, m.box_xyxy) for m in self._moved.values()]
            )
        if self._rows:
            incident_store.insert_alerts(self._connection, self._rows)
            ids = [row[0] for row in self._rows]
            self._show_pictures(ids)
            taken_back = retractions.apply_early(self._connection, ids)
        self._open, self._moved, self._rows = {}, {}, []
        return taken_back

    def _candidates(self, place: Place) -> list[Incident]:
        key = (place.node, place.camera, place.label, place.is_quarantined)
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = incident_store.open_at(self._connection, place)
        return found

    def _move(self, incident: Incident, alert: Alert) -> None:
        moved = self._moved.get(incident.id)
        if moved is None:
            self._moved[incident.id] = _Moved(incident=incident, confidence=alert.confidence, box_xyxy=alert.box_xyxy)
            return
        moved.incident = incident
        if alert.confidence > moved.confidence:
            moved.confidence, moved.box_xyxy = alert.confidence, alert.box_xyxy

    def _show_pictures(self, ids: list[object]) -> None:
        """Pictures that came before their alerts."""
        for at in range(0, len(ids), _IDS_IN_ONE_QUERY):
            some = ids[at : at + _IDS_IN_ONE_QUERY]
            marks = ", ".join("?" * len(some))
            query = f"SELECT DISTINCT alert_id FROM exhibit_item WHERE alert_id IN ({marks})"  # noqa: S608  question marks
            rows = self._connection.execute(query, some)
            early = {row[0] for row in rows}
            for alert_id in some:
                if alert_id in early:
                    assert isinstance(alert_id, bytes)
                    exhibits.show_picture(self._connection, alert_id)
