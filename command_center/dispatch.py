"""People's acts on incidents: one transaction each, journalled, and answered to the node that raised the alert.

An acknowledgement for the node is put into the station's spool in the same transaction that marks the incident, so there
is no moment at which a person has seen an alert and the system may forget to tell the camera.
"""

import sqlite3
from collections.abc import Callable, Sequence

from command_center import event_feed, facts, fleet, incident_acts, incident_store, journal, timings
from command_center.accounts import SignedIn
from command_center.callbacks import store as callback_store
from command_center.errors import AccessDenied, NotPossible
from command_center.facts import IncidentAct, Merger
from command_center.fleet import Standing
from command_center.incidents import Disposition, Incident, State
from command_center.units import acts as unit_acts
from command_center.units.status import UnitStatus
from relay.clock import Clock
from relay.database import Database
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds import body as bodies
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.instruction import Instruction, Order
from relay.precedence import Precedence
from relay.spool import Draft, Spool, Spooled

_IDS_IN_ONE = 256


class Dispatch:
    """What dispatchers do."""

    def __init__(self, *, database: Database, spool: Spool, clock: Clock, announce: Callable[[Sequence[Spooled]], None],
                 after_commit: Callable[[], None]) -> None:  # fmt: skip
        self._database = database
        self._spool = spool
        self._clock = clock
        self._announce = announce
        self._after_commit = after_commit

    async def acknowledge(self, incident_id: int, version: int, person: SignedIn) -> None:
        """A person has seen an incident, with every alert that is in it now.

        Raises:
            NotFound, LostRace: see ``incidents.acknowledge``; nothing was changed.
        """

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            now = self._clock.wall_ms()
            spooled = self.acknowledge_in(connection, incident_id, version, person, now)
            for part in self._parts(connection, incident_id):
                if part.state is State.UNACKNOWLEDGED:
                    spooled += self.acknowledge_in(connection, part.id, part.version, person, now)
            return spooled

        spooled = await self._database.run(work)
        self._announce(spooled)
        self._after_commit()

    def acknowledge_in(
        self, connection: sqlite3.Connection, incident_id: int, version: int, person: SignedIn, now: int
    ) -> list[Spooled]:
        """The same inside somebody's transaction, without its parts.

        Raises:
            NotFound, LostRace: see ``incidents.acknowledge``.
        """
        alert_ids = incident_store.alert_ids(connection, incident_id)
        act = IncidentAct(incident=incident_id, version=version, by=person.username, role=person.role.value,
                          alert_ids=tuple(alert_ids))  # fmt: skip
        incident = incident_acts.apply_acknowledge(connection, act, now)
        self._journal(connection, "incident-acknowledged", act, now)
        return self._put(connection, incident, alert_ids, person.role.value, now)

    @staticmethod
    def _parts(connection: sqlite3.Connection, incident_id: int) -> list[Incident]:
        """The open incidents that people say are part of this one."""
        parts = [incident_store.load(connection, part) for part in incident_acts.merged_in(connection, incident_id)]
        return [part for part in parts if part.state is not State.CLOSED]

    async def close(
        self, incident_id: int, version: int, person: SignedIn, disposition: Disposition, note: str,
        *, release_units: bool = False,
    ) -> None:  # fmt: skip
        """An incident is over, with everything that is part of it; its cameras are told.

        Raises:
            NotFound, LostRace: see ``incidents.close``; nothing was changed.
            NotPossible: units are still at work there, and ``release_units`` does not say that they are clear.
        """

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            now = self._clock.wall_ms()
            spooled: list[Spooled] = []
            self._clear_units(connection, incident_id, person, is_meant=release_units, now=now)
            wanted = [(incident_id, version)]
            for part in self._parts(connection, incident_id):
                if part.state is State.UNACKNOWLEDGED:  # an alert that came since: it is seen together with the rest
                    spooled += self.acknowledge_in(connection, part.id, part.version, person, now)
                wanted.append((part.id, incident_store.load(connection, part.id).version))
            for number, seen in wanted:
                act = IncidentAct(incident=number, version=seen, by=person.username, role=person.role.value,
                                  disposition=disposition.value, note=note)  # fmt: skip
                incident_acts.apply_close(connection, act, now)
                self._journal(connection, "incident-closed", act, now)
            return spooled + self.tell_camera(connection, incident_id, AnswerState.CLOSED, person.role.value, now)

        self._announce(await self._database.run(work))
        self._after_commit()

    @staticmethod
    def _clear_units(
        connection: sqlite3.Connection, incident_id: int, person: SignedIn, *, is_meant: bool, now: int
    ) -> None:
        at_work = unit_acts.open_assignments(connection, incident_id)
        if at_work and not is_meant:
            names = ", ".join(f"{unit.name} ({unit.status.words})" for unit in at_work)
            raise NotPossible(
                f"{names} still at incident {incident_id}: clear them first, or close it with release_units"
            )
        for unit in at_work:
            unit_acts.set_status(connection, unit.name, UnitStatus.CLEAR, version=unit.version, source="close", now=now,
                                 by=f"user:{person.username}", note=f"incident {incident_id} was closed")  # fmt: skip

    async def merge(self, incident_id: int, version: int, into: int, person: SignedIn) -> None:
        """People say that an incident is part of another.

        Merged into one that somebody has in hand, it is acknowledged by that: nothing falls silent by a merge without its camera
        learning that a person has seen it.

        Raises:
            NotFound, LostRace, NotPossible: see ``incidents.merge``; nothing was changed.
        """

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            now, seen, spooled = self._clock.wall_ms(), version, list[Spooled]()
            if incident_store.load(connection, into).state is State.ACKNOWLEDGED:
                if incident_store.load(connection, incident_id).state is State.UNACKNOWLEDGED:
                    spooled += self.acknowledge_in(connection, incident_id, seen, person, now)
                    seen += 1
                for part in self._parts(connection, incident_id):
                    if part.state is State.UNACKNOWLEDGED:
                        spooled += self.acknowledge_in(connection, part.id, part.version, person, now)
            merger = Merger(incident=incident_id, version=seen, into=into, by=person.username, role=person.role.value)
            incident_acts.apply_merge(connection, merger)
            self._journal_merger(connection, "incident-merged", merger)
            return spooled

        self._announce(await self._database.run(work))
        self._after_commit()

    async def unmerge(self, incident_id: int, version: int, person: SignedIn) -> None:
        """It is an incident of its own after all.

        Raises:
            NotFound, LostRace: see ``incidents.unmerge``; nothing was changed.
        """

        def work(connection: sqlite3.Connection) -> None:
            was_in = incident_store.load(connection, incident_id).merged_into or 0
            merger = Merger(
                incident=incident_id, version=version, into=was_in, by=person.username, role=person.role.value
            )
            incident_acts.apply_unmerge(connection, merger)
            self._journal_merger(connection, "incident-unmerged", merger)

        await self._database.run(work)
        self._after_commit()

    @staticmethod
    def owes(connection: sqlite3.Connection) -> bool:
        """Whether alerts joined incidents which a person has in hand already."""
        return connection.execute("SELECT 1 FROM owed LIMIT 1").fetchone() is not None

    async def pay_owed(self) -> None:
        """Acknowledge those alerts."""

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            rows = connection.execute(
                "SELECT id, incident, alert_id FROM owed WHERE kind = 'acknowledgement' ORDER BY id LIMIT 1000"
            ).fetchall()
            by_incident: dict[int, list[bytes]] = {}
            for _, incident_id, alert_id in rows:
                by_incident.setdefault(incident_id, []).append(alert_id)
            spooled: list[Spooled] = []
            for incident_id, alert_ids in by_incident.items():
                role = connection.execute(
                    "SELECT COALESCE(acknowledged_role, '') FROM incident WHERE id = ?", (incident_id,)
                ).fetchone()[0]
                incident = incident_store.load(connection, incident_id)
                spooled += self._put(connection, incident, alert_ids, role, self._clock.wall_ms())
            connection.executemany("DELETE FROM owed WHERE id = ?", [(row[0],) for row in rows])
            return spooled

        self._announce(await self._database.run(work))

    async def resend_callback(self, delivery_id: str, person: SignedIn) -> None:
        """Try a dead callback again, now.

        Raises:
            AccessDenied: an auditor only looks.
            NotFound, NotPossible: there is none, or it is not dead.
        """
        if not person.role.may_act:
            raise AccessDenied(f"a {person.role.value} may look, not act", status=403)

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock.wall_ms()
            callback_store.resend(connection, delivery_id, now)
            journal.append(connection, at_ms=now, kind="callback-resent", actor=f"user:{person.username}",
                           subject=f"delivery:{delivery_id}")  # fmt: skip

        await self._database.run(work)
        self._after_commit()

    def tell_camera(
        self, connection: sqlite3.Connection, incident_id: int, state: AnswerState, role: str, now: int
    ) -> list[Spooled]:
        """Tell the nodes of an incident, and of its parts, how far people have got; inside a transaction."""
        spooled: list[Spooled] = []
        for number in (incident_id, *incident_acts.merged_in(connection, incident_id)):
            alert_ids = incident_store.alert_ids(connection, number)
            spooled += self._put(connection, incident_store.load(connection, number), alert_ids, role, now, state)
        return spooled

    def instruct(self, connection: sqlite3.Connection, incident_id: int, orders: Sequence[Order]) -> list[Spooled]:
        """Ask the node of an incident for something; inside a transaction. A revoked node is asked for nothing."""
        node = next(fleet.nodes(connection, self._clock, incident_store.load(connection, incident_id).place.node))
        if node.standing is Standing.REVOKED:
            return []
        return [
            self._spool.put(connection, Draft(
                kind=Kind.INSTRUCTION, precedence=Precedence.PRIORITY, body=bodies.encode(Instruction(order=order)),
                destination=NodeId(node.id), peer_sealing_key=node.passport.sealing_key,
            ))
            for order in orders
        ]  # fmt: skip

    def _put(
        self, connection: sqlite3.Connection, incident: Incident, alert_ids: Sequence[bytes], role: str, now: int,
        state: AnswerState = AnswerState.SEEN,
    ) -> list[Spooled]:  # fmt: skip
        node = next(fleet.nodes(connection, self._clock, incident.place.node))
        if node.standing is Standing.REVOKED:
            return []  # it has no passport under which anybody would carry this to it
        is_flash = incident.precedence is Precedence.FLASH
        spooled: list[Spooled] = []
        for at in range(0, len(alert_ids), _IDS_IN_ONE):
            body = Acknowledgement(alert_ids=tuple(alert_ids[at : at + _IDS_IN_ONE]), state=state, role=role,
                                   acted_at_wall_ms=now)  # fmt: skip
            draft = Draft(
                kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH if is_flash else Precedence.IMMEDIATE,
                body=bodies.encode(body), destination=NodeId(node.id), peer_sealing_key=node.passport.sealing_key,
            )  # fmt: skip
            spooled.append(self._spool.put(connection, draft))
            timings.note_sent(connection, spooled[-1], incident.id, self._clock)
        return spooled

    def _journal_merger(self, connection: sqlite3.Connection, kind: str, merger: Merger) -> None:
        journal.append(connection, at_ms=self._clock.wall_ms(), kind=kind, actor=f"user:{merger.by}",
                       subject=f"incident:{merger.incident}", payload=facts.encode(merger))  # fmt: skip
        event_feed.note(connection, "incident", merger.incident)
        event_feed.note(connection, "incident", merger.into)

    def _journal(self, connection: sqlite3.Connection, kind: str, act: IncidentAct, now: int) -> None:
        journal.append(connection, at_ms=now, kind=kind, actor=f"user:{act.by}", subject=f"incident:{act.incident}",
                       payload=facts.encode(act))  # fmt: skip
        event_feed.note(connection, "incident", act.incident)
