"""What arrives for the center: opened, journalled and shown, in the transaction that its receipt waits for.

Implements the station's ``Inbox``. Bad content never stops it: what can't be read is kept as an ``unreadable`` entry,
what comes from a quarantined node is kept and marked and never annunciated, and each is counted.

The steps for each new arrival, in the database's transaction:

1. Admit the sender if it is new here: its passport proves itself, and replay needs it.
2. A fork (a number used twice) quarantines the node: somebody else has its key, or its disk was copied.
3. Open the body; decode it by its kind.
4. Correlate an alert; append the journal entry with the exact wire bytes; write the views; note the events.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from command_center import (
    annunciation,
    event_feed,
    exhibits,
    facts,
    fleet,
    incident_acts,
    journal,
    retractions,
    views,
)
from command_center.alert_batch import AlertBatch
from command_center.annunciated_lately import AnnunciatedLately
from command_center.config import IncidentConfig
from command_center.custody import clip_orders, holds
from command_center.facts import EnvelopeStored, NodeChange
from command_center.fleet import Standing
from command_center.incidents import Incident, Quiet, State
from command_center.metrics import Metrics
from command_center.timings import Placed, Timings
from command_center.views import Body, BodyOpener
from command_center.witness import correspondence
from relay.arrival import Arrival
from relay.clock import Clock
from relay.errors import SenderError
from relay.header import Kind
from relay.ids import EnvelopeId, NodeId
from relay.kinds.alert import Alert
from relay.kinds.answer import Answer, Followed, Still, Word
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.chunk import Chunk
from relay.kinds.exhibit import Exhibit
from relay.kinds.heartbeat import Heartbeat
from relay.kinds.pulse import Pulse
from relay.kinds.retraction import Retraction
from relay.kinds.trace import Trace
from relay.ledger import Ledger
from relay.passport import SignedPassport
from relay.precedence import Precedence

_log = structlog.get_logger("command_center.ingest")
_MOST_PLACED = 4_000


class AfterCommit(Protocol):
    """Who is told that something arrived."""

    def __call__(self, *, leaves_work: bool) -> None:
        """``leaves_work``: somebody has to act on what was stored; a plain alert is only shown."""


class Ingest:
    """The center's inbox."""

    def __init__(self, *, opener: BodyOpener, clock: Clock, metrics: Metrics, timings: Timings,
                 limits: IncidentConfig, lately: AnnunciatedLately | None = None,
                 passport_wire: Callable[[bytes], bytes | None], after_commit: AfterCommit,
                 on_word: Callable[[NodeId, Word], None] = lambda _, __: None) -> None:  # fmt: skip
        """``passport_wire`` gives a node's passport as signed; the last two are called on the event loop, after the commit."""
        self._on_word = on_word
        self._words: dict[EnvelopeId, Word] = {}
        self._placed: dict[EnvelopeId, Placed] = {}
        self._leaves_work: set[EnvelopeId] = set()
        """Alerts that somebody has to act on: their incident is in a person's hands, or on hold."""
        self._opener = opener
        self._clock = clock
        self._metrics = metrics
        self._timings = timings
        self._limits = limits
        self._lately = lately or AnnunciatedLately(clock)
        self._passport_wire = passport_wire
        self._after_commit = after_commit
        self._ledger = Ledger()
        self.stored_at_ms = 0
        """When the last arrivals became durable, this machine's monotonic clock."""

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        """Store new arrivals: on the database thread, inside the transaction. Runs of ordinary alerts go together."""
        if len(self._placed) > _MOST_PLACED:  # of transactions that failed: a lost measurement is only that
            self._placed.clear()
            self._leaves_work.clear()
        group = _AlertGroup(connection, self._limits.window_s * 1000)
        heard: dict[bytes, tuple[int, int]] = {}
        changes: list[tuple[str, str]] = []
        for arrival in arrivals:
            header = arrival.envelope.header
            heard[header.origin] = (arrival.received_wall_ms, arrival.received_monotonic_ms)
            if header.kind is Kind.ALERT and not arrival.is_fork and (standing := group.standing_of(header.origin)):
                self._take_alert(group, arrival, standing)
            else:
                changes += self._write(group)
                self._take(connection, arrival)
                group.renew()
        changes += self._write(group)
        fleet.hear_alerts(connection, self._clock.boot_id, heard)
        event_feed.note_changes(connection, [*changes, *[("node", node_id.hex()) for node_id in heard]])

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        """They are durable: measure, and tell consoles and workers."""
        kinds = Counter(arrival.envelope.header.kind for arrival in arrivals)
        for kind, count in kinds.items():
            self._metrics.count(f"stored_{kind.name.lower()}", count)
        for arrival in arrivals if self._words else ():
            word = self._words.pop(arrival.envelope.id, None)
            if word is not None:
                self._on_word(arrival.envelope.header.origin, word)
        self.stored_at_ms = self._clock.monotonic_ms()
        placed = [self._placed.pop(arrival.envelope.id, None) for arrival in arrivals] if self._placed else []
        self._timings.committed([one for one in placed if one is not None])
        leaves_work = kinds[Kind.ALERT] < len(arrivals)
        if self._leaves_work:
            ids = {arrival.envelope.id for arrival in arrivals}
            leaves_work |= not self._leaves_work.isdisjoint(ids)
            self._leaves_work -= ids
        self._after_commit(leaves_work=leaves_work)

    # ------------------------------------------------------------------ one arrival

    def _take(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        envelope = arrival.envelope
        is_quarantined = self._is_quarantined(connection, arrival)
        reason = ""
        body: Body = None
        try:
            body = self._opener.open(envelope, arrival.passport.sealing_key)
        except SenderError as error:
            reason = f"{error.reason}: {error}"
        says_something_new = fleet.hear(
            connection, envelope.header.origin, self._clock, received_wall_ms=arrival.received_wall_ms,
            received_monotonic_ms=arrival.received_monotonic_ms,
            heartbeat=body if isinstance(body, Heartbeat | Pulse) else None,
        )  # fmt: skip
        stored = _stored(arrival, is_quarantined=is_quarantined, reason=reason)
        if reason:
            self._note_unreadable(arrival, reason)
            self._journal(connection, arrival, "unreadable", stored)
        elif isinstance(body, Heartbeat):
            self._take_heartbeat(connection, arrival, body, stored if says_something_new else None)
        elif isinstance(body, Pulse):
            if says_something_new:
                self._journal(connection, arrival, "pulse", stored)
        else:
            self._take_body(connection, arrival, body, stored)

    def _take_body(self, connection: sqlite3.Connection, arrival: Arrival, body: Body, stored: EnvelopeStored) -> None:
        envelope = arrival.envelope
        if isinstance(body, Alert):  # of a node that is new here, or that forks: by itself
            group = _AlertGroup(connection, self._limits.window_s * 1000)
            self._add_alert(group, arrival, body, stored)
            event_feed.note_changes(connection, self._write(group))
        elif isinstance(body, Retraction):
            subject = incident_acts.subject_of_alert(connection, body.alert_id, envelope.header.origin)
            entry = self._journal(connection, arrival, "retraction", stored, subject=subject)
            touched = retractions.apply(connection, envelope, body, stored, entry)
            if touched is not None:
                event_feed.note(connection, "incident", touched)
                self._metrics.count("alerts_retracted")
        elif isinstance(body, Exhibit):
            self._journal(connection, arrival, "exhibit", stored)
            exhibits.expect(connection, envelope.header.origin, body)
            for incident in views.write_envelope(connection, envelope, body):
                event_feed.note(connection, "incident", incident)
        elif isinstance(body, Trace):
            self._journal(connection, arrival, "trace", stored)
            for incident in views.write_envelope(connection, envelope, body):
                event_feed.note(connection, "incident", incident)
        elif isinstance(body, SubmittedCheckpoint):
            self._journal(connection, arrival, "checkpoint", stored)
            correspondence.note_due(connection, envelope.id, envelope.header.origin, body)
        elif isinstance(body, Chunk):
            self._metrics.count(exhibits.keep_piece(connection, envelope.header.origin, body))
        elif isinstance(body, Answer):
            self._take_answer(connection, arrival, body, stored)
        else:
            self._journal(connection, arrival, envelope.header.kind.name.lower(), stored)

    def _take_answer(
        self, connection: sqlite3.Connection, arrival: Arrival, body: Answer, stored: EnvelopeStored
    ) -> None:
        self._words[arrival.envelope.id] = body.word
        if not isinstance(body.word, Still):  # what a viewer saw passes; that they watched is in the journal
            self._journal(connection, arrival, "answer", stored)
        if isinstance(body.word, Followed):
            node = arrival.envelope.header.origin
            touched = views.write_envelope(connection, arrival.envelope, body)
            for incident in touched:
                event_feed.note(connection, "incident", incident)
            is_ours = bool(touched) or clip_orders.note_answer(connection, node, body.word, arrival.received_wall_ms)
            self._metrics.count("answers" if is_ours else "answers_unasked")

    def _is_quarantined(self, connection: sqlite3.Connection, arrival: Arrival) -> bool:
        node_id = arrival.envelope.header.origin
        standing = fleet.standing_of(connection, node_id)
        if standing is None:
            self._admit(connection, arrival)
            standing = Standing.APPROVED
        if arrival.is_fork:
            self._metrics.count("forks")
            if standing is Standing.APPROVED:
                header = arrival.envelope.header
                reason = (
                    f"fork: number {header.sequence} of series {header.series} came twice with different contents; "
                    "somebody else has this node's key, or its disk was copied"
                )
                _log.error("node quarantined", node=node_id.hex(), reason=reason)
                change_standing(connection, node_id, Standing.QUARANTINED, reason, actor="center",
                                at_ms=self._clock.wall_ms())  # fmt: skip
                standing = Standing.QUARANTINED
        if standing is not Standing.APPROVED:
            self._metrics.count(f"from_{standing.value}")
        return standing is not Standing.APPROVED

    def _admit(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        wire = self._passport_wire(arrival.envelope.header.origin)
        if wire is None:
            raise LookupError(f"the station verified {arrival.passport.name} and holds no passport of it")
        admit_node(connection, SignedPassport(passport=arrival.passport, wire=wire), actor="center",
                   at_ms=self._clock.wall_ms())  # fmt: skip

    def _take_alert(self, group: "_AlertGroup", arrival: Arrival, standing: Standing) -> None:
        """An alert of a node that is known."""
        body: Body = None
        reason = ""
        try:
            body = self._opener.open(arrival.envelope, arrival.passport.sealing_key)
        except SenderError as error:
            reason = f"{error.reason}: {error}"
        is_quarantined = standing is not Standing.APPROVED
        if is_quarantined:
            self._metrics.count(f"from_{standing.value}")
        stored = _stored(arrival, is_quarantined=is_quarantined, reason=reason)
        if isinstance(body, Alert):
            self._add_alert(group, arrival, body, stored)
        else:
            self._note_unreadable(arrival, reason)
            self._journal(group.journal, arrival, "unreadable", stored)

    def _add_alert(self, group: "_AlertGroup", arrival: Arrival, alert: Alert, stored: EnvelopeStored) -> None:
        envelope = arrival.envelope
        group.ages_ms.append(alert.age_ms)
        placed = group.alerts.place(envelope, alert, stored)
        if placed.is_new and not stored.is_quarantined:
            quiet = self._quiet(group.connection, placed.incident)
            if quiet is Quiet.NO and placed.incident.precedence is not Precedence.FLASH:
                self._lately.note(group.connection, (placed.incident.place.node, placed.incident.place.camera))
            if quiet is not Quiet.NO:
                self._metrics.count(f"held_back_{quiet.value}")
                stored = msgspec.structs.replace(stored, quiet=quiet.value)
                placed = group.alerts.place(envelope, alert, stored)
        incident = placed.incident
        if not placed.is_new and group.is_held(incident.id):
            holds.alert_joined(
                group.connection, incident.id, envelope.header.origin, envelope.id, stored.received_wall_ms
            )
            self._leaves_work.add(envelope.id)
        entry = self._journal(group.journal, arrival, "alert", stored, subject=f"incident:{incident.id}")
        group.alerts.add(envelope, alert, stored, placed, entry)
        self._placed[envelope.id] = Placed(envelope.header, entry, incident.id, arrival.ahead)
        group.touched[incident.merged_into or incident.id] = None
        if incident.state is State.ACKNOWLEDGED:
            # A person has this incident in hand already: the node must know that its new alert is seen, too.
            group.owed.append((incident.id, envelope.id))
            self._leaves_work.add(envelope.id)

    def _write(self, group: "_AlertGroup") -> list[tuple[str, str]]:
        """Write a run of alerts: what comes next may read and append. Returns what consoles are to be told."""
        group.journal.write()
        if taken_back := group.alerts.write():
            self._metrics.count("alerts_retracted", taken_back)
        if group.ages_ms:
            self._metrics.observe_all_ms("sighting_to_spooled", group.ages_ms)
        if group.owed:
            group.connection.executemany(
                "INSERT INTO owed (kind, incident, alert_id) VALUES ('acknowledgement', ?, ?)", group.owed
            )
        touched = [("incident", str(incident)) for incident in group.touched]
        group.renew()
        return touched

    def _note_unreadable(self, arrival: Arrival, reason: str) -> None:
        self._metrics.count("unreadable")
        _log.warning("unreadable body kept", node=arrival.envelope.header.origin.hex(), reason=reason)

    def _quiet(self, connection: sqlite3.Connection, incident: Incident) -> Quiet:
        """Whether a new incident is held back: shelved by people, or one too many of a flood."""
        place, precedence = incident.place, incident.precedence
        if incident_acts.shelf_over(connection, place.node, place.camera, place.label, precedence) is not None:
            return Quiet.SHELVED
        is_flood = annunciation.is_flood(precedence, self._lately.sources(connection), (place.node, place.camera), most=self._limits.flood_most,
                                         most_of_one=self._limits.flood_most_of_one)  # fmt: skip
        return Quiet.FLOOD if is_flood else Quiet.NO

    def _take_heartbeat(
        self, connection: sqlite3.Connection, arrival: Arrival, heartbeat: Heartbeat, stored: EnvelopeStored | None
    ) -> None:
        header = arrival.envelope.header
        ranges = [(first, last) for first, last in heartbeat.forgone if 1 <= first <= last < 1 << 32]
        if len(ranges) != len(heartbeat.forgone):
            self._metrics.count("forgone_ranges_refused", len(heartbeat.forgone) - len(ranges))
        self._ledger.forgo(connection, header.origin, header.series, ranges)
        if stored is not None:
            self._journal(connection, arrival, "heartbeat", stored)

    def _journal(self, into: sqlite3.Connection | journal.Batch, arrival: Arrival, kind: str, stored: EnvelopeStored,
                 subject: str = "") -> int:  # fmt: skip
        node = f"node:{arrival.envelope.header.origin.hex()}"
        at_ms, payload = self._clock.wall_ms(), facts.encode(stored)
        if isinstance(into, journal.Batch):
            return into.add(at_ms=at_ms, kind=kind, actor=node, subject=subject or node, payload=payload)
        return journal.append(into, at_ms=at_ms, kind=kind, actor=node, subject=subject or node, payload=payload).id


class _AlertGroup:
    """A run of alerts that are stored together."""

    def __init__(self, connection: sqlite3.Connection, window_ms: int) -> None:
        self.connection = connection
        self._window_ms = window_ms
        self.renew()

    def renew(self) -> None:
        """Begin anew: what was read before may have changed."""
        self.journal = journal.Batch(self.connection)
        self.alerts = AlertBatch(self.connection, self._window_ms)
        self.ages_ms: list[int] = []
        self.touched: dict[int, None] = {}
        self.owed: list[tuple[int, bytes]] = []
        self._standings: dict[bytes, Standing | None] = {}
        self._held: dict[int, bool] = {}

    def standing_of(self, node_id: bytes) -> Standing | None:
        """None: not known here yet."""
        if node_id not in self._standings:
            self._standings[node_id] = fleet.standing_of(self.connection, node_id)
        return self._standings[node_id]

    def is_held(self, incident_id: int) -> bool:
        """Whether an incident is on legal hold."""
        if incident_id not in self._held:
            self._held[incident_id] = holds.is_held(self.connection, incident_id)
        return self._held[incident_id]


def _stored(arrival: Arrival, *, is_quarantined: bool, reason: str) -> EnvelopeStored:
    return EnvelopeStored(
        wire=arrival.envelope.wire, via=arrival.via, path=arrival.path, received_wall_ms=arrival.received_wall_ms,
        received_monotonic_ms=arrival.received_monotonic_ms, is_quarantined=is_quarantined, is_fork=arrival.is_fork,
        reason=reason,
    )  # fmt: skip


def admit_node(connection: sqlite3.Connection, signed: SignedPassport, *, actor: str, at_ms: int) -> None:
    """Journal and note an approved node."""
    node_id = signed.passport.node_id
    fact = NodeChange(node=node_id, status=Standing.APPROVED.value, passport=signed.wire)
    entry = journal.append(connection, at_ms=at_ms, kind="node-admitted", actor=actor, subject=f"node:{node_id.hex()}",
                           payload=facts.encode(fact))  # fmt: skip
    views.apply_node(connection, entry)
    event_feed.note(connection, "node", node_id.hex())


def change_standing(connection: sqlite3.Connection, node_id: bytes, standing: Standing, reason: str, *, actor: str,
                    at_ms: int) -> None:  # fmt: skip
    """Journal and note what is made of a node."""
    fact = NodeChange(node=node_id, status=standing.value, reason=reason)
    entry = journal.append(connection, at_ms=at_ms, kind="node-standing", actor=actor, subject=f"node:{node_id.hex()}",
                           payload=facts.encode(fact))  # fmt: skip
    views.apply_node(connection, entry)
    event_feed.note(connection, "node", node_id.hex())
