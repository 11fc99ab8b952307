"""Shelving: people keep a source silent for a while, with a reason and an end.

It is an attack's best friend, so:

* everything is still stored, listed and counted; an alarm that is more urgent than what was shelved breaks out;
* FLASH falls silent only when a second person agrees, and that person is a supervisor or an administrator;
* it ends by itself, and what waits is annunciated then: FLASH at once, the rest as flood control has room. All is in the journal.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from command_center import event_feed, facts, incident_acts, incident_store, journal
from command_center.accounts import Permission, SignedIn
from command_center.errors import LostRace, NotFound, NotPossible
from command_center.facts import IncidentStep, Shelving
from command_center.incidents import Quiet
from relay.clock import Clock
from relay.database import Database
from relay.precedence import Precedence


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A source that is silent now."""

    id: int
    node: bytes
    camera: str
    label: str
    """Empty: everything that the camera sees."""
    reason: str
    by: str
    at_ms: int
    until_ms: int
    covers_flash: bool
    agreed_by: str | None


_COLUMNS = "id, node, camera, label, reason, by, at_ms, until_ms, covers_flash, agreed_by"


def open_shelves(connection: sqlite3.Connection) -> list[Shelf]:
    """All of them, the one that ends first in front."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM shelf WHERE ended_at_ms IS NULL ORDER BY until_ms, id"  # noqa: S608  a constant
    )
    return [Shelf(id=r[0], node=r[1], camera=r[2], label=r[3], reason=r[4], by=r[5], at_ms=r[6], until_ms=r[7],
                  covers_flash=bool(r[8]), agreed_by=r[9]) for r in rows]  # fmt: skip


class Shelves:
    """What people do with the shelf."""

    def __init__(self, *, database: Database, clock: Clock, most_ms: int, after_commit: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._most_ms = most_ms
        self._after_commit = after_commit
        self._over_ms: dict[tuple[int, int], int] = {}
        """Monotonic ms by shelf and its end: when its time is over, whatever becomes of the wall clock."""

    async def shelve(
        self, *, node: bytes, camera: str, label: str, reason: str, minutes: float, covers_flash: bool, person: SignedIn
    ) -> int:
        """Keep a source silent; returns the shelf's number.

        Raises:
            NotFound: the node is not known here.
            NotPossible: no reason, too long, or it is on the shelf already.
        """
        lasts_ms = round(minutes * 60_000)
        if not reason.strip():
            raise NotPossible("expected a reason for shelving, found none: say why nobody needs to hear this source")
        if not 0 < lasts_ms <= self._most_ms:
            raise NotPossible(
                f"expected at most {self._most_ms / 3_600_000:g} hours on the shelf, found {minutes:g} minutes: "
                "choose a shorter time, it can be shelved again"
            )

        def work(connection: sqlite3.Connection) -> int:
            now = self._clock.wall_ms()
            if connection.execute("SELECT 1 FROM node WHERE id = ?", (node,)).fetchone() is None:
                raise NotFound(f"there is no node {node.hex()}")
            there = connection.execute(
                "SELECT id FROM shelf WHERE node = ? AND camera = ? AND label = ? AND ended_at_ms IS NULL",
                (node, camera, label),
            ).fetchone()
            if there is not None:
                raise NotPossible(f"this source is on the shelf already, as number {there[0]}: end that one first")
            fact = Shelving(shelf=0, by=person.username, role=person.role.value, node=node, camera=camera, label=label,
                            reason=reason.strip(), until_ms=now + lasts_ms, covers_flash=covers_flash)  # fmt: skip
            entry_id = self._journal(connection, "source-shelved", fact, now)
            _note(connection, incident_acts.apply_shelved(connection, entry_id, fact, now))
            self._over_ms[entry_id, fact.until_ms] = self._clock.monotonic_ms() + lasts_ms
            return entry_id

        shelf_id = await self._database.run(work)
        self._after_commit()
        return shelf_id

    async def agree(self, shelf_id: int, person: SignedIn) -> None:
        """A second person lets FLASH be shelved, too.

        Raises:
            NotFound: it is not on the shelf.
            NotPossible: the same person, the wrong role, or nobody asked for FLASH.
            LostRace: somebody has agreed already.
        """

        def work(connection: sqlite3.Connection) -> None:
            shelf = _shelf(connection, shelf_id)
            if not shelf.covers_flash:
                raise NotPossible(f"shelf {shelf_id} does not ask for FLASH: there is nothing to agree to")
            if shelf.agreed_by is not None:
                raise LostRace(f"{shelf.agreed_by} has agreed to shelf {shelf_id} already")
            if shelf.by == person.username:
                raise NotPossible("expected a second person, found the one who shelved it: ask a supervisor")
            if not person.may(Permission.FLASH_SHELVE_AGREE):
                raise NotPossible(f"expected a supervisor or an administrator, found a {person.role.value}: ask one")
            fact = Shelving(shelf=shelf_id, by=person.username, role=person.role.value)
            self._journal(connection, "shelving-agreed", fact, self._clock.wall_ms())
            _note(connection, incident_acts.apply_agreed(connection, fact))

        await self._database.run(work)
        self._after_commit()

    async def unshelve(self, shelf_id: int, person: SignedIn) -> None:
        """End it before its time; what waits is annunciated: FLASH now, the rest as there is room.

        Raises:
            NotFound: it is not on the shelf.
        """

        def work(connection: sqlite3.Connection) -> None:
            _shelf(connection, shelf_id)
            self._end(connection, shelf_id, by=person.username, role=person.role.value, reason="taken off the shelf")

        await self._database.run(work)
        self._after_commit()

    def end_due(self, connection: sqlite3.Connection) -> int:
        """End those whose time is over; returns how many. Inside a transaction."""
        due = self.due(connection)
        for shelf_id in due:
            self._end(connection, shelf_id, by="", role="", reason="its time was over")
        return len(due)

    def due(self, connection: sqlite3.Connection) -> Sequence[int]:
        """Shelves whose time is over by either clock: a source is sooner heard too early than silent too long.

        The monotonic one counts from when this process first saw the shelf. A wall clock that leapt back before that lengthens none beyond
        what any may last.
        """
        now, now_ms = self._clock.wall_ms(), self._clock.monotonic_ms()
        rows = connection.execute("SELECT id, until_ms FROM shelf WHERE ended_at_ms IS NULL").fetchall()
        self._over_ms = {key: self._over_ms.get(key, now_ms + min(max(0, key[1] - now), self._most_ms)) for key in rows}
        return [shelf for shelf, until_ms in rows
                if not now < until_ms <= now + self._most_ms or self._over_ms[shelf, until_ms] <= now_ms]  # fmt: skip

    def _end(self, connection: sqlite3.Connection, shelf_id: int, *, by: str, role: str, reason: str) -> None:
        fact = Shelving(shelf=shelf_id, by=by, role=role, reason=reason, is_by_turns=True)
        now = self._clock.wall_ms()
        self._journal(connection, "source-unshelved", fact, now)
        touched = incident_acts.apply_unshelved(connection, fact, now)
        for incident_id in touched:
            incident = incident_store.load(connection, incident_id)
            if incident.precedence is Precedence.FLASH and incident.quiet is Quiet.FLOOD:
                step = IncidentStep(incident=incident_id, reason="off the shelf")
                incident_acts.apply_annunciated(connection, step, now)
                journal.append(connection, at_ms=now, kind="incident-annunciated", actor="center",
                               subject=f"incident:{incident_id}", payload=facts.encode(step))  # fmt: skip
        _note(connection, touched)

    def _journal(self, connection: sqlite3.Connection, kind: str, fact: Shelving, now: int) -> int:
        entry = journal.append(connection, at_ms=now, kind=kind, actor=f"user:{fact.by}" if fact.by else "center",
                               subject=f"shelf:{fact.shelf}" if fact.shelf else f"node:{fact.node.hex()}",
                               payload=facts.encode(fact))  # fmt: skip
        event_feed.note(connection, "shelves", "")
        return entry.id


def _shelf(connection: sqlite3.Connection, shelf_id: int) -> Shelf:
    found = next((shelf for shelf in open_shelves(connection) if shelf.id == shelf_id), None)
    if found is None:
        raise NotFound(f"there is no shelf {shelf_id}, or it has ended")
    return found


def _note(connection: sqlite3.Connection, touched: Sequence[int]) -> None:
    for incident_id in touched:
        event_feed.note(connection, "incident", incident_id)
