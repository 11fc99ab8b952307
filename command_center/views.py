"""From journal entries to views, one way only: live ingest and ``replay`` run the same code.

Called inside a transaction, after (live) or while (replay) the entry is read from the journal.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from command_center import exhibits, fleet, incident_acts, journal, journeys, retractions, view_schema
from command_center.alert_batch import AlertBatch
from command_center.alert_by_id import entry_of
from command_center.custody import appliers as custody_appliers
from command_center.custody import schema as custody_schema
from command_center.errors import ActionRefused, JournalDamaged
from command_center.facts import (
    EnvelopeStored,
    IncidentAct,
    IncidentStep,
    Merger,
    NodeChange,
    ObjectStored,
    Remark,
    Shelving,
)
from command_center.facts import decode as decode_fact
from command_center.fleet import Standing
from command_center.journal import Entry
from command_center.responses import appliers as response_appliers
from command_center.responses import schema as response_schema
from command_center.units import appliers as unit_appliers
from command_center.units import schema as unit_schema
from relay import envelope as envelopes
from relay import passport as passports
from relay.envelope import Envelope
from relay.errors import HeardError
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import alert as alerts
from relay.kinds import exhibit as exhibit_kind
from relay.kinds.alert import Alert
from relay.kinds.answer import Answer, Followed
from relay.kinds.body import decode as decode_body
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.chunk import Chunk
from relay.kinds.exhibit import Exhibit
from relay.kinds.heartbeat import Heartbeat
from relay.kinds.pulse import Pulse
from relay.kinds.retraction import Retraction
from relay.kinds.trace import Trace

_CACHE_KIB: Final = 64 * 1024
"""Of a replay: a million alerts make some 500 MB of views, which need not be memory."""
_WRITTEN_TOGETHER: Final = 1000
"""Alerts of a replay that follow each other: as many as wait in memory."""
Body = Alert | Retraction | Exhibit | Chunk | Heartbeat | Pulse | Trace | Answer | SubmittedCheckpoint | None
"""None: a kind that the center only keeps."""


class BodyOpener:
    """Opens bodies with the authority's key; one shared secret for each node is kept."""

    def __init__(self, authority: Identity) -> None:
        self._authority = authority
        self._secrets: dict[bytes, bytes] = {}

    def open(self, envelope: Envelope, sealing_key: bytes) -> Body:
        """The typed body.

        Raises:
            SenderError: it does not open, or is not what its kind says.
        """
        secret = self._secrets.get(sealing_key)
        if secret is None:
            secret = self._secrets[sealing_key] = self._authority.shared_secret(sealing_key)
        return decode(envelope.header.kind, envelopes.open_body(envelope, secret))


_STRUCTS: Final[
    dict[
        Kind,
        type[Retraction]
        | type[Chunk]
        | type[Heartbeat]
        | type[Pulse]
        | type[Trace]
        | type[Answer]
        | type[SubmittedCheckpoint],
    ]
] = {
    Kind.ANSWER: Answer,
    Kind.CHECKPOINT: SubmittedCheckpoint,
    Kind.RETRACTION: Retraction,
    Kind.CHUNK: Chunk,
    Kind.HEARTBEAT: Heartbeat,
    Kind.PULSE: Pulse,
    Kind.TRACE: Trace,
}


def decode(kind: Kind, body: bytes) -> Body:
    """A body by its kind.

    Raises:
        Malformed: it is not one.
    """
    if kind is Kind.ALERT:
        return alerts.decode(body)
    if kind is Kind.EXHIBIT:
        return exhibit_kind.decode(body)
    shape = _STRUCTS.get(kind)
    return None if shape is None else decode_body(body, shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that does not follow from the journal."""

    table: str
    text: str


def write_envelope(connection: sqlite3.Connection, envelope: Envelope, body: Body) -> list[int]:
    """What an envelope that is no alert and no retraction makes of the views; returns the incidents that it touched."""
    if isinstance(body, Trace):
        return journeys.write(connection, envelope, body)
    if isinstance(body, Answer):
        return _write_answer(connection, envelope, body)
    if isinstance(body, Exhibit):
        node = envelope.header.origin
        exhibits.announce(connection, node, body)
        exhibits.show_picture(connection, body.alert_id)
        row = connection.execute(
            f"SELECT incident FROM alert WHERE entry = {entry_of('?')} AND node = ?",  # noqa: S608  a constant
            (body.alert_id, node),
        ).fetchone()
        return [row[0]] if row else []
    return []


def _write_answer(connection: sqlite3.Connection, envelope: Envelope, body: Answer) -> list[int]:
    if not isinstance(body.word, Followed):
        return []
    touched = response_appliers.apply_answer(connection, envelope.header.origin, body.word)
    return [] if touched is None else [touched]


class Replay:
    """Rebuilds the views in a database of its own, entry by entry, and compares."""

    TABLES: Final = {
        "incident": "id", "alert": "id", "exhibit_item": "alert_id, node, sha256", "stored_object": "sha256", "node": "id",
        "shelf": "id", "early_retraction": "alert_id, node", **unit_schema.TABLES, **response_schema.TABLES, **journeys.TABLES, **custody_schema.TABLES,
    }  # fmt: skip

    def __init__(self, opener: BodyOpener) -> None:
        self._opener = opener
        self.rebuilt = sqlite3.connect("", isolation_level=None)  # a temporary file, gone with the connection
        self.rebuilt.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.rebuilt.executescript(
            "".join(
                (
                    *view_schema.SCHEMA,
                    *fleet.SCHEMA,
                    *unit_schema.SCHEMA,
                    *response_schema.SCHEMA,
                    *journeys.SCHEMA,
                    *custody_schema.SCHEMA,
                )
            )
        )
        self._alerts = AlertBatch(self.rebuilt, 30_000)

    def run(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Yields one line for each thing that does not follow; the first wrong entry first."""
        problems = list(self.play(connection))
        yield from problems
        if not problems:
            yield from self.differences(connection)

    def differences(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Yields one line for each view that is not as it was rebuilt."""
        for table, key in self.TABLES.items():
            yield from self._compare(connection, table, key)

    def write_to(self, connection: sqlite3.Connection) -> None:
        """Put the rebuilt rows in the place of the views'; inside a transaction, after ``play`` found nothing wrong."""
        for table in self.TABLES:
            rows = self.rebuilt.execute(f"SELECT * FROM {table}")  # noqa: S608  names from the table above
            marks = ", ".join("?" * len(rows.description))
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  the same
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  the same

    def play(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Apply every entry; yields a line where one can't be, and ends there."""
        for entry in journal.entries(connection):
            try:
                if entry.kind != "alert" or entry.id % _WRITTEN_TOGETHER == 0:
                    self._alerts.write()
                self._apply(entry)
            except (HeardError, ActionRefused, sqlite3.Error, ValueError) as error:
                yield f"entry {entry.id} ({entry.kind}, {entry.subject}) can't be applied to the views: {error}"
                return
        self._alerts.write()

    def close(self) -> None:
        """Let go of the rebuilt rows."""
        self.rebuilt.close()

    def _apply(self, entry: Entry) -> None:
        if entry.kind in _ENVELOPE_KINDS:
            self._apply_envelope(entry)
            return
        apply = _APPLIERS.get(entry.kind)
        if apply is not None:
            apply(self.rebuilt, entry)
        elif entry.kind == "configured":
            remark = decode_fact(entry.payload, Remark)
            if remark.what == "window_ms":
                self._alerts = AlertBatch(self.rebuilt, int(remark.detail))

    def _apply_envelope(self, entry: Entry) -> None:
        stored = decode_fact(entry.payload, EnvelopeStored)
        envelope = envelopes.parse(stored.wire)
        row = self.rebuilt.execute("SELECT passport FROM node WHERE id = ?", (envelope.header.origin,)).fetchone()
        if row is None:
            raise JournalDamaged(f"no entry before it admits the node {envelope.header.origin.hex()}")
        passport = msgspec.msgpack.decode(
            msgspec.msgpack.decode(row[0], type=tuple[bytes, bytes])[0], type=passports.Passport
        )
        envelopes.verify(envelope, passport.signing_key)
        body = self._opener.open(envelope, passport.sealing_key)
        if isinstance(body, Alert):
            placed = self._alerts.place(envelope, body, stored)
            if entry.subject != f"incident:{placed.incident.id}":
                raise JournalDamaged(f"it should belong to incident {placed.incident.id}")
            self._alerts.add(envelope, body, stored, placed, entry.id)
        elif isinstance(body, Retraction):
            retractions.apply(self.rebuilt, envelope, body, stored, entry.id)
        else:
            write_envelope(self.rebuilt, envelope, body)

    def _compare(self, connection: sqlite3.Connection, table: str, key: str) -> Iterator[str]:
        query = f"SELECT * FROM {table} ORDER BY {key}"  # noqa: S608  names from the table above
        expected, found = self.rebuilt.execute(query), connection.execute(query)
        columns = [column[0] for column in expected.description]
        while True:
            left, right = expected.fetchone(), found.fetchone()
            if left == right:
                if left is None:
                    return
                continue
            if left is None or right is None or left[0] != right[0]:
                yield f"view {table}: expected the row {_name(left)}, found {_name(right)}"
            else:
                wrong = [name for name, one, other in zip(columns, left, right, strict=True) if one != other]
                yield f"view {table}, row {_name(left)}: {', '.join(wrong)} do not follow from the journal"
            return


def _name(row: tuple[object, ...] | None) -> str:
    if row is None:
        return "none"
    return row[0].hex() if isinstance(row[0], bytes) else str(row[0])


_ENVELOPE_KINDS: Final = frozenset(
    {"alert", "exhibit", "retraction", "answer", "heartbeat", "pulse", "trace", "checkpoint"}
)


def _incident_applier(kind: str) -> Callable[[sqlite3.Connection, Entry], None]:
    """How replay carries out an act on incidents."""

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        payload, at_ms = entry.payload, entry.at_ms
        match kind:
            case "incident-acknowledged":
                incident_acts.apply_acknowledge(connection, decode_fact(payload, IncidentAct), at_ms)
            case "incident-closed":
                incident_acts.apply_close(connection, decode_fact(payload, IncidentAct), at_ms)
            case "acknowledgement-expired":
                incident_acts.apply_expiry(connection, decode_fact(payload, IncidentStep), at_ms)
            case "incident-notified-again":
                incident_acts.apply_notified(connection, decode_fact(payload, IncidentStep), at_ms)
            case "incident-annunciated":
                incident_acts.apply_annunciated(connection, decode_fact(payload, IncidentStep), at_ms)
            case "incident-merged":
                incident_acts.apply_merge(connection, decode_fact(payload, Merger))
            case "incident-unmerged":
                incident_acts.apply_unmerge(connection, decode_fact(payload, Merger))
            case "source-shelved":
                incident_acts.apply_shelved(connection, entry.id, decode_fact(payload, Shelving), at_ms)
            case "shelving-agreed":
                incident_acts.apply_agreed(connection, decode_fact(payload, Shelving))
            case _:
                incident_acts.apply_unshelved(connection, decode_fact(payload, Shelving), at_ms)

    return apply


def apply_object(connection: sqlite3.Connection, entry: Entry) -> None:
    """An object was stored."""
    fact = decode_fact(entry.payload, ObjectStored)
    exhibits.note_stored(connection, fact.sha256, fact.size_bytes, fact.media_type, entry.at_ms)


def apply_node(connection: sqlite3.Connection, entry: Entry) -> None:
    """A node was admitted, or its standing changed."""
    fact = decode_fact(entry.payload, NodeChange)
    if fact.passport:
        statement, signature = msgspec.msgpack.decode(fact.passport, type=tuple[bytes, bytes])
        del signature  # checked before it was journalled
        passport = msgspec.msgpack.decode(statement, type=passports.Passport)
        fleet.admit(connection, passports.SignedPassport(passport=passport, wire=fact.passport))
    else:
        fleet.set_standing(connection, fact.node, Standing(fact.status), fact.reason)


_APPLIERS: Final[dict[str, Callable[[sqlite3.Connection, Entry], None]]] = {
    **{
        kind: _incident_applier(kind)
        for kind in (
            "incident-acknowledged",
            "incident-closed",
            "acknowledgement-expired",
            "incident-notified-again",
            "incident-annunciated",
            "incident-merged",
            "incident-unmerged",
            "source-shelved",
            "shelving-agreed",
            "source-unshelved",
        )
    },
    "object-stored": apply_object,
    "node-admitted": apply_node,
    "node-standing": apply_node,
    **unit_appliers.APPLIERS,
    **custody_appliers.APPLIERS,
    **response_appliers.APPLIERS,
}
