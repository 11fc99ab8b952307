"""The four answers to each alert: spooled, relayed, heard, seen by a person. Kept in the station's own database.

A row is written in the transaction that spools its alert, so neither exists without the other. Answers come on the event
loop and are written in groups; an answer lost to a kill in between is found again at the next start, from the receipt.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec
import structlog

from relay import envelope as envelopes
from relay.clock import Clock
from relay.database import Database
from relay.emitter import EmitRequest
from relay.envelope import Envelope
from relay.header import Kind
from relay.identity import Identity
from relay.ids import AUTHORITY, EnvelopeId
from relay.kinds import alert as alerts
from relay.kinds.acknowledgement import Acknowledgement, AnswerState, furthest
from relay.kinds.alert import Alert, Rule
from relay.precedence import Precedence
from relay.schema_steps import steps_in
from relay.spool import Spool, Spooled
from relay.station import Answer, AnswerLevel

_log = structlog.get_logger("camera_node.answered")
PART: Final = "answers"
_KEPT: Final = 20_000
"""Rows kept; the oldest that were heard go first."""

SCHEMA: Final = steps_in(files("camera_node").joinpath("schema", "answers"))


class AlertAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """One alert and how far it got. None: not yet."""

    alert_id: str
    sequence: int
    boot_id: str
    label: str
    camera: str
    zone: str
    rule: int
    track: int
    confidence: float
    precedence: int
    clip_time_ms: int
    sighted_monotonic_ms: int
    sighted_wall_ms: int
    header_monotonic_ms: int
    header_wall_ms: int
    spooled_monotonic_ms: int | None
    spooled_wall_ms: int | None
    relayed_monotonic_ms: int | None
    relayed_wall_ms: int | None
    relayed_by: str | None
    heard_monotonic_ms: int | None
    heard_wall_ms: int | None
    heard_by: str | None
    seen_monotonic_ms: int | None
    seen_wall_ms: int | None
    seen_by: str | None
    seen_state: int | None
    acted_wall_ms: int | None
    fallback: str
    fallback_wall_ms: int | None
    fallback_detail: str

    @property
    def level(self) -> str:
        """The furthest answer, in one word."""
        if self.seen_wall_ms is not None:
            return "seen"
        if self.heard_wall_ms is not None:
            return "heard"
        return "relayed" if self.relayed_wall_ms is not None else "spooled"

    @property
    def sighting_to_spooled_ms(self) -> int | None:
        """From the frame's capture to the fsynced commit; both ends on the monotonic clock of one boot."""
        return None if self.spooled_monotonic_ms is None else self.spooled_monotonic_ms - self.sighted_monotonic_ms

    @property
    def rule_name(self) -> str:
        """The rule in words."""
        return Rule(self.rule).name.lower()

    @property
    def precedence_name(self) -> str:
        """The precedence in words."""
        return Precedence(self.precedence).name


_COLUMNS: Final = tuple(AlertAnswers.__struct_fields__)


def read(connection: sqlite3.Connection, *, at_most: int, only_undecided: bool = False) -> list[AlertAnswers]:
    """The newest alerts first; ``only_undecided``: unheard, and nothing done about it. For any connection."""
    which = "WHERE heard_wall_ms IS NULL AND fallback = ''" if only_undecided else ""
    columns = ", ".join("lower(hex(alert_id))" if name == "alert_id" else name for name in _COLUMNS)
    # Only names from this file go into the statement.
    query = f"SELECT {columns} FROM answer {which} ORDER BY number DESC LIMIT ?"  # noqa: S608
    return [msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), AlertAnswers)
            for row in connection.execute(query, (at_most,))]  # fmt: skip


class AnswerBook:
    """Writes the answers. ``run`` owns the writing of those that come on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[str, tuple[object, ...]]] = []
        self._wake = asyncio.Event()
        self.changed = asyncio.Event()
        """Set whenever a row changed; who waits for it clears it."""

    def record(self, connection: sqlite3.Connection, *, spooled: Spooled, alert: Alert, sighted_monotonic_ms: int,
               sighted_wall_ms: int, clip_time_ms: int) -> None:  # fmt: skip
        """Begin an alert's row: on the database thread, in the transaction that spools it."""
        header = spooled.envelope.header
        values: Mapping[str, object] = {
            "alert_id": spooled.envelope.id, "sequence": header.sequence, "boot_id": self._clock.boot_id,
            "label": alert.label, "camera": alert.camera, "zone": alert.zone, "rule": int(alert.rule),
            "track": alert.track, "confidence": alert.confidence, "precedence": int(header.precedence),
            "clip_time_ms": clip_time_ms, "sighted_monotonic_ms": sighted_monotonic_ms,
            "sighted_wall_ms": sighted_wall_ms, "header_monotonic_ms": header.monotonic_ms,
            "header_wall_ms": header.wall_ms,
        }  # fmt: skip
        marks = ", ".join("?" * len(values))
        # Only names from this file go into the statement.
        connection.execute(f"INSERT INTO answer ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))  # noqa: S608

    def emitted(self, connection: sqlite3.Connection, spooled: Spooled, request: EmitRequest) -> None:
        """Another program raised an alert through the door: begin its row, in the transaction that spools it."""
        self._adopt(connection, spooled.envelope, Alert(
            label=request.label, camera=request.camera, zone=request.zone, confidence=request.confidence,
            rule=Rule.EMITTED, age_ms=request.age_ms,
        ))  # fmt: skip

    def _adopt(self, connection: sqlite3.Connection, envelope: Envelope, alert: Alert) -> None:
        header = envelope.header
        connection.execute(
            "INSERT OR IGNORE INTO answer (alert_id, sequence, boot_id, label, camera, zone, rule, track, confidence, "
            "precedence, clip_time_ms, sighted_monotonic_ms, sighted_wall_ms, header_monotonic_ms, header_wall_ms, "
            "spooled_monotonic_ms, spooled_wall_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
            (envelope.id, header.sequence, self._clock.boot_id, alert.label, alert.camera, alert.zone,
             int(alert.rule), alert.track, alert.confidence, int(header.precedence),
             max(0, header.monotonic_ms - alert.age_ms), max(0, header.wall_ms - alert.age_ms), header.monotonic_ms,
             header.wall_ms, header.monotonic_ms, header.wall_ms),
        )  # fmt: skip

    def spooled(self, alert_id: EnvelopeId) -> None:
        """The alert's commit was fsynced just now."""
        self._note("UPDATE answer SET spooled_monotonic_ms = ?, spooled_wall_ms = ? WHERE alert_id = ?",
                   (self._clock.monotonic_ms(), self._clock.wall_ms(), alert_id))  # fmt: skip

    def answered(self, answer: Answer) -> None:
        """For ``Station.on_answer``."""
        if answer.kind != Kind.ALERT:
            return
        if answer.level == AnswerLevel.RELAYED:
            self._note(
                "UPDATE answer SET relayed_monotonic_ms = ?, relayed_wall_ms = ?, relayed_by = ? "
                "WHERE alert_id = ? AND relayed_wall_ms IS NULL",
                (answer.at_monotonic_ms, answer.at_wall_ms, answer.by, answer.envelope_id),
            )
        elif answer.level == AnswerLevel.HEARD:
            self._note(
                # Who has stored it for good holds it, too: over a direct link there is no other word than the receipt.
                "UPDATE answer SET heard_monotonic_ms = ?1, heard_wall_ms = ?2, heard_by = ?3, "
                "relayed_monotonic_ms = COALESCE(relayed_monotonic_ms, ?1), "
                "relayed_wall_ms = COALESCE(relayed_wall_ms, ?2), relayed_by = COALESCE(relayed_by, ?3) "
                "WHERE alert_id = ?4 AND heard_wall_ms IS NULL",
                (answer.at_monotonic_ms, answer.at_wall_ms, answer.by, answer.envelope_id),
            )
        _log.info("alert answered", alert=answer.envelope_id.hex(), answer=answer.level.name.lower(), by=answer.by)

    def seen(self, connection: sqlite3.Connection, acknowledgement: Acknowledgement, *, monotonic_ms: int,
             wall_ms: int) -> None:  # fmt: skip
        """A person acted: on the database thread, in the transaction that takes the acknowledgement in.

        The first sight's time is kept; the state only rises. What a person has seen was heard, whether or not the
        receipt has come back yet.
        """
        for alert_id in acknowledgement.alert_ids:
            row = connection.execute("SELECT seen_state FROM answer WHERE alert_id = ?", (alert_id,)).fetchone()
            state = acknowledgement.state
            if row is not None and row[0] is not None:
                state = furthest(AnswerState(row[0]), state)
            connection.execute(
                "UPDATE answer SET seen_monotonic_ms = COALESCE(seen_monotonic_ms, ?), "
                "seen_wall_ms = COALESCE(seen_wall_ms, ?), seen_by = COALESCE(seen_by, ?), "
                "acted_wall_ms = COALESCE(acted_wall_ms, ?), seen_state = ?, "
                "heard_monotonic_ms = COALESCE(heard_monotonic_ms, ?), heard_wall_ms = COALESCE(heard_wall_ms, ?), "
                "heard_by = COALESCE(heard_by, ?) WHERE alert_id = ?",
                (monotonic_ms, wall_ms, acknowledgement.role, acknowledgement.acted_at_wall_ms,
                 int(state), monotonic_ms, wall_ms, acknowledgement.role, alert_id),
            )  # fmt: skip

    def reconcile(
        self, connection: sqlite3.Connection, identity: Identity, authority_sealing_key: bytes, spool: Spool
    ) -> int:
        """Find what happened while nobody wrote it down; how many. At start, before anything is sent.

        Alerts that another program put into the spool while the node was off get their row; answers that a kill took
        away are found again from the receipt. Only a receipt counts: that an alert is not in the spool any more may have
        another reason, such as a repair.
        """
        secret = identity.shared_secret(authority_sealing_key)
        orphans = connection.execute(
            "SELECT wire FROM envelope WHERE origin = ? AND kind = ? AND NOT EXISTS "
            "(SELECT 1 FROM answer WHERE alert_id = id)",
            (identity.node_id, int(Kind.ALERT)),
        ).fetchall()
        for (wire,) in orphans:
            envelope = envelopes.parse(wire)
            self._adopt(connection, envelope, alerts.decode(envelopes.open_body(envelope, secret)))
        return len(orphans) + self._find_heard(connection, spool)

    def _find_heard(self, connection: sqlite3.Connection, spool: Spool) -> int:
        (series,) = connection.execute("SELECT series FROM stream WHERE destination = ?", (AUTHORITY,)).fetchone() or (
            0,
        )
        missing = connection.execute(
            "SELECT alert_id, sequence FROM answer WHERE heard_wall_ms IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM envelope WHERE id = alert_id)"
        ).fetchall()
        heard = [alert_id for alert_id, sequence in missing if spool.was_receipted(connection, series, sequence)]
        connection.executemany(
            "UPDATE answer SET heard_monotonic_ms = ?, heard_wall_ms = ?, heard_by = 'receipt' WHERE alert_id = ?",
            [(self._clock.monotonic_ms(), self._clock.wall_ms(), alert_id) for alert_id in heard],
        )
        return len(heard)

    async def run(self, database: Database) -> None:
        """Write what was noted, until cancelled; what is waiting then is written first."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._flush(database)
        finally:
            await asyncio.shield(self._flush(database))

    async def _flush(self, database: Database) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return

        def write(connection: sqlite3.Connection) -> None:
            for statement, values in group:
                connection.execute(statement, values)
            connection.execute(
                "DELETE FROM answer WHERE heard_wall_ms IS NOT NULL AND number <= (SELECT MAX(number) FROM answer) - ?",
                (_KEPT,),
            )

        await database.run(write)
        self.changed.set()

    def _note(self, statement: str, values: tuple[object, ...]) -> None:
        self._waiting.append((statement, values))
        self._wake.set()


def state_name(state: int | None) -> str:
    """An answer's state in words."""
    return "" if state is None else AnswerState(state).name.lower().replace("_", " ")
