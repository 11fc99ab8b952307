"""Incidents as a state machine: whatever people and time do in whatever order, stale clicks included, what must hold holds."""

import contextlib
import sqlite3
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from command_center import fleet, incident_acts, incident_store, view_schema
from command_center.alert_batch import AlertBatch
from command_center.errors import LostRace, NotPossible
from command_center.facts import EnvelopeStored, IncidentAct, IncidentStep, Merger
from command_center.incidents import Incident, State
from relay.kinds.alert import Alert, Rule
from tests.properties.test_groups import envelope

WHO = st.sampled_from(["alice", "bob"])
STALE = st.sampled_from([0, 0, 0, -1, 1])
"""Mostly the version that is there; now and then one that is not."""


class Incidents(RuleBasedStateMachine):
    """Acts go through the functions that live acts and replay use."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript("".join((*view_schema.SCHEMA, fleet.SCHEMA[0])))
        self.now, self.sequence = 1000, 0
        self.acts: dict[int, int] = {}
        """Acts of people that were taken, by incident: each raises the version by one, and nothing else does but an expiry."""
        self.closed: dict[int, Incident] = {}

    def teardown(self) -> None:
        self.connection.close()

    def _all(self) -> list[Incident]:
        return [
            incident_store.load(self.connection, row[0])
            for row in self.connection.execute("SELECT id FROM incident ORDER BY id")
        ]

    def _pick(self, data: st.DataObject) -> Incident:
        return data.draw(st.sampled_from(self._all()))

    def _count(self, incident_id: int) -> None:
        self.acts[incident_id] = self.acts.get(incident_id, 0) + 1

    @rule(camera=st.sampled_from(["gate", "yard"]), later_ms=st.sampled_from([10, 50_000]))
    def alert(self, camera: str, later_ms: int) -> None:
        self.now, self.sequence = self.now + later_ms, self.sequence + 1
        sent = envelope(1, self.sequence, at_ms=self.now)
        body = Alert(label="handgun", camera=camera, confidence=0.5, rule=Rule.CLASS_OF_INTEREST)
        stored = EnvelopeStored(wire=sent.wire, via=b"", path="p", received_wall_ms=self.now, received_monotonic_ms=self.now,
                                is_quarantined=False, is_fork=False)  # fmt: skip
        batch = AlertBatch(self.connection, 30_000)
        placed = batch.place(sent, body, stored)
        assert placed.is_new or placed.incident.state is not State.CLOSED, "nothing joins what is closed"
        batch.add(sent, body, stored, placed, self.sequence)
        batch.write()

    @precondition(lambda self: self.sequence)
    @rule(data=st.data(), who=WHO, stale=STALE)
    def acknowledge(self, data: st.DataObject, who: str, stale: int) -> None:
        incident = self._pick(data)
        act = IncidentAct(incident=incident.id, version=incident.version + stale, by=who, role="dispatcher")
        may = stale == 0 and incident.state is State.UNACKNOWLEDGED
        with self._expecting(may, LostRace):
            incident_acts.apply_acknowledge(self.connection, act, self.now)
            self._count(incident.id)

    @precondition(lambda self: self.sequence)
    @rule(data=st.data(), who=WHO, stale=STALE)
    def close(self, data: st.DataObject, who: str, stale: int) -> None:
        incident = self._pick(data)
        act = IncidentAct(
            incident=incident.id, version=incident.version + stale, by=who, role="dispatcher", disposition="handled"
        )
        with self._expecting(stale == 0 and incident.state is State.ACKNOWLEDGED, LostRace):
            incident_acts.apply_close(self.connection, act, self.now)
            self._count(incident.id)
            self.closed[incident.id] = incident_store.load(self.connection, incident.id)

    @precondition(lambda self: self.sequence)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        incident = self._pick(data)
        with self._expecting(incident.state is State.ACKNOWLEDGED, LostRace):
            incident_acts.apply_expiry(self.connection, IncidentStep(incident=incident.id), self.now)
            self._count(incident.id)

    @precondition(lambda self: self.sequence)
    @rule(data=st.data(), stale=STALE)
    def merge(self, data: st.DataObject, stale: int) -> None:
        one, into = self._pick(data), self._pick(data)
        may = (stale == 0 and one.id != into.id and State.CLOSED not in {one.state, into.state}
               and one.merged_into is None and into.merged_into is None)  # fmt: skip
        merger = Merger(incident=one.id, version=one.version + stale, into=into.id, by="alice", role="dispatcher")
        with self._expecting(may, LostRace, NotPossible):
            incident_acts.apply_merge(self.connection, merger)
            self._count(one.id)

    @precondition(lambda self: self.sequence)
    @rule(data=st.data(), stale=STALE)
    def unmerge(self, data: st.DataObject, stale: int) -> None:
        one = self._pick(data)
        merger = Merger(incident=one.id, version=one.version + stale, into=0, by="alice", role="dispatcher")
        with self._expecting(stale == 0 and one.merged_into is not None, LostRace):
            incident_acts.apply_unmerge(self.connection, merger)
            self._count(one.id)
            self.closed.pop(one.id, None)  # its version rises; it stays closed, see below

    @contextlib.contextmanager
    def _expecting(self, may: bool, *refusals: type[Exception]) -> Iterator[None]:
        before = [self.connection.execute("SELECT * FROM incident ORDER BY id").fetchall()]
        try:
            yield
        except refusals:
            assert not may, "an act that was possible was refused"
            assert before == [self.connection.execute("SELECT * FROM incident ORDER BY id").fetchall()], (
                "a refusal changes nothing"
            )
        else:
            assert may, "an act that was not possible was taken"

    @invariant()
    def what_must_hold(self) -> None:
        incidents = {incident.id: incident for incident in self._all()}
        assert sum(incident.alert_count for incident in incidents.values()) == self.sequence, (
            "no alert is lost or counted twice"
        )
        for incident in incidents.values():
            assert incident.version == 1 + self.acts.get(incident.id, 0)
            assert (incident.acknowledged_by is None) == (incident.state is State.UNACKNOWLEDGED)
            assert (incident.closed_by is None) == (incident.state is not State.CLOSED)
            if incident.merged_into is not None:
                assert incidents[incident.merged_into].merged_into is None, (
                    "what is merged is merged into one that is not"
                )
        for closed in self.closed.values():
            now = incidents[closed.id]
            assert (now.state, now.alert_count, now.disposition) == (
                State.CLOSED,
                closed.alert_count,
                closed.disposition,
            )


TestIncidents = Incidents.TestCase
TestIncidents.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
