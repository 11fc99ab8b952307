"""False alarms fed back: a person tells a node not to tell a false alarm again, at that place and with that look, for a while.

Only of an incident that was closed as a false alarm, only by whoever may (a supervisor), with a reason and an end. The order is a signed
instruction to the node that raised it; the node knows what its alert looked like (``camera_node/suppression``). What is in force is read
from the journal; what the node answered to each order stands beside it (``suppression_order``, a view).
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from command_center import event_feed, facts, incident_store
from command_center.accounts import SignedIn
from command_center.dispatch import Dispatch
from command_center.errors import NotFound, NotPossible
from command_center.incidents import Disposition, State
from command_center.responses.appliers import record
from command_center.responses.facts import Suppressed
from relay.clock import Clock
from relay.database import Database
from relay.kinds.instruction import Suppress, Unsuppress
from relay.spool import Spooled

LEAST_S: Final = 60
MOST_S: Final = 90 * 86_400
OutcomeName = Literal["", "done", "under_way", "refused"]
_SUPPRESSED: Final = "alarm-suppressed"
_RESTORED: Final = "alarm-unsuppressed"
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """One that is in force as far as the center knows, or one that was ended and whose node has not said so."""

    fact: Suppressed
    at_ms: int
    outcome: OutcomeName
    """What its node answered to this order: done, under_way, refused; empty: nothing yet."""
    outcome_detail: str


class Suppressing:
    """What supervisors do."""

    def __init__(self, *, database: Database, clock: Clock, dispatch: Dispatch, announce: Callable[[Sequence[Spooled]], None],
                 after_commit: Callable[[], None]) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._dispatch = dispatch
        self._announce = announce
        self._after_commit = after_commit

    async def suppress(self, incident_id: int, *, for_s: int, reason: str, person: SignedIn) -> None:
        """Tell the node of an incident's last alert not to tell it again for a while.

        Raises:
            NotFound: no such incident.
            NotPossible: not closed as a false alarm, no reason, a time outside the bounds, or a node that can't be told.
        """
        if not LEAST_S <= for_s <= MOST_S:
            raise NotPossible(
                f"expected {LEAST_S} s to {MOST_S // 86_400} days, found {for_s} s: a suppression ends by itself"
            )
        if len(reason.strip()) < 3:
            raise NotPossible("expected a reason: whoever looks at this camera next must know why it is silent here")

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            incident = incident_store.load(connection, incident_id)
            if incident.state is not State.CLOSED or incident.disposition is not Disposition.FALSE_ALARM:
                raise NotPossible("close it as a false alarm first: only what people have called false is suppressed")
            alert_id = incident_store.alert_ids(connection, incident_id)[-1]
            order = Suppress(alert_id=alert_id, for_s=for_s, by=person.username[:48], reason=reason.strip()[:200])
            spooled = self._dispatch.instruct(connection, incident_id, [order])
            if not spooled:
                raise NotPossible("its node was revoked: nobody would take this to it")
            now = self._clock.wall_ms()
            fact = Suppressed(
                incident=incident_id, alert_id=alert_id, node=incident.place.node, camera=incident.place.camera,
                label=incident.place.label, by=person.username, role=person.role.value, reason=order.reason,
                until_ms=now + for_s * 1000, instruction_id=spooled[0].envelope.id,
            )  # fmt: skip
            self._note(connection, _SUPPRESSED, fact, now)
            return spooled

        self._announce(await self._database.run(work))
        self._after_commit()

    async def end(self, alert_id: bytes, person: SignedIn) -> None:
        """Have it told again.

        Raises:
            NotFound: none is in force for this alert.
        """

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            now = self._clock.wall_ms()
            known = next((one.fact for one in in_force(connection, now) if one.fact.alert_id == alert_id), None)
            if known is None:
                raise NotFound("no suppression is in force for this alert: it ended by itself, or was ended")
            order = Unsuppress(alert_id=alert_id, by=person.username[:48])
            spooled = self._dispatch.instruct(connection, known.incident, [order])
            fact = msgspec.structs.replace(
                known, by=person.username, role=person.role.value, reason="", until_ms=0,
                instruction_id=spooled[0].envelope.id if spooled else b"",
            )  # fmt: skip
            self._note(connection, _RESTORED, fact, now)
            return spooled

        self._announce(await self._database.run(work))
        self._after_commit()

    def _note(self, connection: sqlite3.Connection, kind: str, fact: Suppressed, now: int) -> None:
        record(connection, kind, fact, actor=f"user:{fact.by}", subject=f"suppression:{fact.alert_id.hex()}", now=now)
        event_feed.note(connection, "incident", fact.incident)


def in_force(connection: sqlite3.Connection, now_ms: int) -> list[InForce]:
    """Those that have not ended, the newest first."""
    return [one for one in _newest(connection) if one.fact.until_ms > now_ms]


def ending(connection: sqlite3.Connection, now_ms: int) -> list[InForce]:
    """Those that a person ended before their time, and whose node has not said that it did, the newest first."""
    return [
        one
        for one in _newest(connection)
        if not one.fact.until_ms and one.outcome != "done" and one.at_ms > now_ms - MOST_S * 1000
    ]


def _newest(connection: sqlite3.Connection) -> list[InForce]:
    """The last word about each, the newest first."""
    rows = connection.execute(
        "SELECT at_ms, payload FROM entry WHERE subject >= 'suppression:' AND subject < 'suppression;' ORDER BY id DESC LIMIT ?",
        (4 * _SHOWN,),
    )
    newest: dict[bytes, tuple[Suppressed, int]] = {}
    for at_ms, payload in rows:
        fact = facts.decode(payload, Suppressed)
        newest.setdefault(fact.alert_id, (fact, at_ms))
    found: list[InForce] = []
    for fact, at_ms in list(newest.values())[:_SHOWN]:
        row: tuple[OutcomeName, str] | None = connection.execute(
            "SELECT outcome, outcome_detail FROM suppression_order WHERE instruction_id = ?", (fact.instruction_id,)
        ).fetchone()
        outcome, detail = row or ("", "")
        found.append(InForce(fact=fact, at_ms=at_ms, outcome=outcome, outcome_detail=detail))
    return found
