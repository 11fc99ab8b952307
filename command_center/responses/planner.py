"""Puts response plans to incidents that are annunciated, and carries out the steps that people confirm.

A cursor walks the journal, as callbacks do; a plan is put to an incident once, whatever crashes. A step that a plan may do by itself is
done only while the incident is fresh: after an outage, or when plans are switched on, old ones are proposed and nothing goes
off by surprise.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from command_center import event_feed, fleet, incident_store, journal
from command_center.accounts import SignedIn
from command_center.dispatch import Dispatch
from command_center.errors import LostRace, NotFound, NotPossible
from command_center.fleet import Standing
from command_center.incidents import Incident, State
from command_center.metrics import Metrics
from command_center.responses.appliers import record
from command_center.responses.facts import PlanMatched, PlanStep, PlanStepSettled
from command_center.responses.plan_file import Plan, Plans, Seen
from relay.clock import Clock
from relay.database import Database
from relay.kinds.instruction import Act, HoldClip, SendClip
from relay.spool import Spooled

AUTOMATIC_WITHIN_MS: Final = 10 * 60 * 1000
_OPENING: Final = frozenset({"alert", "incident-annunciated", "source-unshelved", "acknowledgement-expired"})
_AT_ONCE: Final = 2000
_CURSOR_EVERY: Final = 5000
_ACTOR: Final = "center"


class Planner:
    """Owns the cursor. ``is_due`` reads, ``act`` writes."""

    def __init__(self, *, plans: Plans, clock: Clock, dispatch: Dispatch, database: Database, metrics: Metrics,
                 announce: Callable[[Sequence[Spooled]], None], after_commit: Callable[[], None]) -> None:  # fmt: skip
        self._plans = plans
        self._clock = clock
        self._dispatch = dispatch
        self._database = database
        self._metrics = metrics
        self._announce = announce
        self._after_commit = after_commit
        self._upto = 0

    def set_up(self, connection: sqlite3.Connection) -> None:
        """Find the cursor at start. Where there are no plans, it stands at the end: what happens until there are some is over."""
        size = journal.size(connection)
        if not self._plans.plans:
            connection.execute("INSERT OR REPLACE INTO plan_cursor VALUES (1, ?)", (size,))
        connection.execute("INSERT OR IGNORE INTO plan_cursor VALUES (1, ?)", (size,))
        self._upto = connection.execute("SELECT upto FROM plan_cursor").fetchone()[0]

    def is_due(self, connection: sqlite3.Connection) -> bool:
        """Whether ``act`` has anything to do. Moves on past entries that no plan cares for."""
        if not self._plans.plans:
            return False
        kept = self._upto
        while True:
            rows = connection.execute(
                "SELECT id, kind FROM entry WHERE id > ? ORDER BY id LIMIT ?", (self._upto, _AT_ONCE)
            ).fetchall()
            for number, kind in rows:
                if kind in _OPENING:
                    return True
                self._upto = number
            if len(rows) < _AT_ONCE:
                return self._upto - kept > _CURSOR_EVERY

    async def act(self) -> None:
        """Match the next entries."""

        def work(connection: sqlite3.Connection) -> tuple[int, list[Spooled]]:
            spooled: list[Spooled] = []
            touched: list[int] = []
            upto = self._upto
            for entry in journal.entries(connection, first=upto + 1, at_most=_AT_ONCE):
                if entry.kind in _OPENING:
                    touched += self._touched(connection, entry.subject)
                upto = entry.id
            for incident_id in dict.fromkeys(touched):
                spooled += self._match(connection, incident_id)
            connection.execute("UPDATE plan_cursor SET upto = ?", (upto,))
            return upto, spooled

        self._upto, spooled = await self._database.run(
            work
        )  # a commit that fails moves nothing: it is all looked at again
        self._announce(spooled)
        self._after_commit()

    @staticmethod
    def _touched(connection: sqlite3.Connection, subject: str) -> list[int]:
        kind, _, name = subject.partition(":")
        if kind == "incident":
            return [int(name)]
        rows = connection.execute(
            "SELECT i.id FROM incident i JOIN shelf s ON s.node = i.node AND s.camera = i.camera AND s.label IN ('', i.label) "
            "WHERE s.id = ? AND i.state <> 'closed'",
            (int(name) if name.isdigit() else 0,),
        )
        return [row[0] for row in rows]

    def _match(self, connection: sqlite3.Connection, incident_id: int) -> list[Spooled]:
        incident = incident_store.load(connection, incident_id)
        if incident.state is State.CLOSED or incident.quiet.value or incident.place.is_quarantined:
            return []
        row = connection.execute(
            "SELECT COALESCE(n.site, ''), COALESCE(n.name, ''), i.first_alert_at_ms FROM incident i "
            "LEFT JOIN node n ON n.id = i.node WHERE i.id = ?",
            (incident_id,),
        ).fetchone()
        seen = Seen(site=row[0], node=row[1], camera=incident.place.camera, label=incident.place.label,
                    precedence=incident.precedence.name, at_ms=row[2])  # fmt: skip
        there = {
            name for (name,) in connection.execute("SELECT plan FROM plan_match WHERE incident = ?", (incident_id,))
        }
        spooled: list[Spooled] = []
        for plan in self._plans.fitting(seen):
            if plan.name not in there:
                spooled += self._put(connection, incident, plan, is_fresh=self._is_fresh(row[2]))
        return spooled

    def _is_fresh(self, first_alert_at_ms: int) -> bool:
        return abs(self._clock.wall_ms() - first_alert_at_ms) <= AUTOMATIC_WITHIN_MS

    def _put(self, connection: sqlite3.Connection, incident: Incident, plan: Plan, *, is_fresh: bool) -> list[Spooled]:
        now = self._clock.wall_ms()
        steps = [PlanStep(kind="tell", target=item.receiver, is_automatic=item.automatic) for item in plan.tell]
        steps += [PlanStep(kind=item.action, target=item.name, is_automatic=item.automatic, for_s=item.for_s)
                  for item in plan.trigger]  # fmt: skip
        used = connection.execute(
            "SELECT COALESCE(MAX(number), 0) FROM plan_step WHERE incident = ?", (incident.id,)
        ).fetchone()[0]
        fact = PlanMatched(incident=incident.id, plan=plan.name, file_sha256=self._plans.sha256, steps=tuple(steps),
                           instructions=plan.instructions, units=plan.send.units, capabilities=plan.send.capabilities)  # fmt: skip
        record(connection, "plan-matched", fact, actor=_ACTOR, subject=f"incident:{incident.id}", now=now)
        self._metrics.count("plans_matched")
        event_feed.note(connection, "incident", incident.id)
        spooled: list[Spooled] = []
        for number, step in enumerate(steps, start=used + 1):
            if step.is_automatic and is_fresh and not _why_not(connection, incident.id, step.kind, step.target):
                settled = PlanStepSettled(incident=incident.id, number=number, state="done", by="plan", role="",
                                          kind=step.kind, target=step.target, note=f"by itself, after {plan.name}")  # fmt: skip
                spooled += self._settle(connection, settled, _ACTOR, now)
        return spooled

    async def settle(self, incident_id: int, number: int, *, is_done: bool, note: str, person: SignedIn) -> bool:
        """A person confirms or declines a step. False: the same click came before.

        Raises:
            NotFound: there is no such step.
            LostRace: somebody else has settled it.
            NotPossible: the incident is closed.
        """
        state = "done" if is_done else "declined"

        def work(connection: sqlite3.Connection) -> tuple[bool, list[Spooled]]:
            row = connection.execute(
                "SELECT kind, target, state, by FROM plan_step WHERE incident = ? AND number = ?", (incident_id, number)
            ).fetchone()
            if row is None:
                raise NotFound(f"there is no step {number} at incident {incident_id}")
            by = f"user:{person.username}"
            if row[2] != "proposed":
                if (row[2], row[3]) == (state, by):
                    return False, []
                raise LostRace(
                    f"step {number} of incident {incident_id} is {row[2]} already, by {row[3].partition(':')[2] or row[3]}"
                )
            if incident_store.load(connection, incident_id).state is State.CLOSED:
                raise NotPossible(f"incident {incident_id} is closed")
            if is_done and (why := _why_not(connection, incident_id, row[0], row[1])):
                raise NotPossible(why)
            fact = PlanStepSettled(incident=incident_id, number=number, state=state, by=by, role=person.role.value,
                                   kind=row[0], target=row[1], note=note)  # fmt: skip
            return True, self._settle(connection, fact, by, self._clock.wall_ms())

        is_new, spooled = await self._database.run(work)
        self._announce(spooled)
        self._after_commit()
        return is_new

    def _settle(self, connection: sqlite3.Connection, fact: PlanStepSettled, actor: str, now: int) -> list[Spooled]:
        """Write it down, with what the node is sent; a receiver is called by the callbacks' own cursor at this entry."""
        spooled = [] if fact.state != "done" or fact.kind == "tell" else self._order(connection, fact)
        if spooled:
            fact = msgspec.structs.replace(fact, instruction_id=spooled[0].envelope.id)
        record(connection, "plan-step", fact, actor=actor, subject=f"incident:{fact.incident}", now=now)
        event_feed.note(connection, "incident", fact.incident)
        self._metrics.count(f"plan_steps_{fact.state}")
        return spooled

    def _order(self, connection: sqlite3.Connection, fact: PlanStepSettled) -> list[Spooled]:
        """Ask the node for what a step wants of it."""
        reason = f"response plan, incident {fact.incident}"
        if fact.kind == "act":
            (for_s,) = connection.execute(
                "SELECT for_s FROM plan_step WHERE incident = ? AND number = ?", (fact.incident, fact.number)
            ).fetchone()
            act = Act(action=fact.target, for_s=for_s, by=fact.role or "plan", reason=reason)
            return self._dispatch.instruct(connection, fact.incident, [act])
        alert_ids = incident_store.alert_ids(connection, fact.incident)
        shape = SendClip if fact.kind == "send_clip" else HoldClip
        orders = [shape(alert_id=alert_id, reason=reason) for alert_id in alert_ids[:1]]
        return self._dispatch.instruct(connection, fact.incident, orders)


def _why_not(connection: sqlite3.Connection, incident_id: int, kind: str, target: str) -> str:
    """Why a step can't be carried out; empty if it can. What reaches nobody must not look done."""
    if kind != "tell":
        node = incident_store.load(connection, incident_id).place.node
        if fleet.standing_of(connection, node) is Standing.REVOKED:
            return "the node of this camera was revoked: nobody carries an order to it"
        return ""
    row = connection.execute("SELECT disabled_why FROM receiver WHERE name = ?", (target,)).fetchone()
    if row is None:
        return f"there is no receiver {target}: tell them yourself, and add it with command-center callback add"
    return f"the receiver {target} is disabled ({row[0]}): tell them yourself" if row[0] else ""
