"""The status board: what people and units do with it, one transaction each, and the camera's node is told in the same one."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from command_center import incident_store
from command_center.accounts import SignedIn
from command_center.callbacks import answers, unit_links
from command_center.callbacks.answers import Link, UnitState
from command_center.dispatch import Dispatch
from command_center.errors import NotPossible
from command_center.incidents import State
from command_center.metrics import Metrics
from command_center.units import acts, rows
from command_center.units.nearest import Position
from command_center.units.status import UnitStatus
from relay.clock import Clock
from relay.database import Database
from relay.spool import Spooled

FindLink = Callable[[sqlite3.Connection, int], Link]
"""Who speaks, and about which incident; inside the transaction, at a wall time."""
_WORDS_OF_ITS_OWN: Final = frozenset({UnitStatus.AVAILABLE.value, UnitStatus.OUT_OF_SERVICE.value})


class Board:
    """Everything that changes a unit."""

    def __init__(self, *, database: Database, clock: Clock, dispatch: Dispatch, metrics: Metrics,
                 announce: Callable[[Sequence[Spooled]], None], after_commit: Callable[[], None]) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._dispatch = dispatch
        self._metrics = metrics
        self._announce = announce
        self._after_commit = after_commit

    async def add(self, name: str, agency: str, capabilities: tuple[str, ...], person: SignedIn) -> None:
        """Put a unit on the board, or change what it can do.

        Raises:
            BadRequest: see ``acts.add``.
        """
        await self._run(lambda c: acts.add(c, name=name, agency=agency, capabilities=capabilities, by=_actor(person),
                                           now=self._clock.wall_ms()))  # fmt: skip

    async def retire(self, name: str, person: SignedIn) -> None:
        """Take it off the board.

        Raises:
            NotFound, NotPossible: see ``acts.retire``.
        """
        await self._run(lambda c: acts.retire(c, name, by=_actor(person), now=self._clock.wall_ms()))

    async def set_status(self, name: str, status: UnitStatus, version: int, note: str, person: SignedIn) -> None:
        """A dispatcher heard by radio how far a unit is.

        Raises:
            NotFound, LostRace, NotPossible: see ``acts.set_status``; nothing was changed.
        """

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            now = self._clock.wall_ms()
            incident = acts.set_status(connection, name, status, version=version, by=_actor(person), source="console",
                                       note=note, now=now)  # fmt: skip
            if incident is None or status.for_camera is None:
                return []
            return self._dispatch.tell_camera(connection, incident, status.for_camera, person.role.value, now)

        await self._carry_out(work)

    async def assign(self, name: str, unit_version: int, incident_id: int, incident_version: int, note: str,
                     person: SignedIn) -> bool:  # fmt: skip
        """Send a unit; an incident that nobody had acknowledged is acknowledged by that. False: the same click came before.

        Raises:
            NotFound, LostRace, NotPossible: see ``acts.assign``; nothing was changed.
        """

        def work(connection: sqlite3.Connection) -> tuple[bool, list[Spooled]]:
            now, by, version = self._clock.wall_ms(), _actor(person), incident_version
            if self._is_repeated(connection, name, unit_version, incident_id, by):
                return False, []
            spooled: list[Spooled] = []
            incident = incident_store.load(connection, incident_id)
            if incident.state is State.UNACKNOWLEDGED and incident.merged_into is None:
                spooled += self._dispatch.acknowledge_in(connection, incident_id, version, person, now)
                version += 1
            acts.assign(connection, name, incident_id, unit_version=unit_version, incident_version=version, by=by,
                        role=person.role.value, note=note, now=now)  # fmt: skip
            told = UnitStatus.ASSIGNED.for_camera
            assert told is not None
            spooled += self._dispatch.tell_camera(connection, incident_id, told, person.role.value, now)
            return True, spooled

        is_new, spooled = await self._database.run(work)
        self._announce(spooled)
        self._after_commit()
        self._metrics.count("units_assigned" if is_new else "double_submits")
        return is_new

    @staticmethod
    def _is_repeated(connection: sqlite3.Connection, name: str, version: int, incident_id: int, by: str) -> bool:
        row = connection.execute("SELECT version, incident, status_by FROM unit WHERE name = ?", (name,)).fetchone()
        return row is not None and (row[0], row[1], row[2]) == (version + 1, incident_id, by)

    async def release(self, name: str, version: int, incident_id: int, reason: str, person: SignedIn) -> None:
        """Take it off an incident.

        Raises:
            NotFound, LostRace, NotPossible: see ``acts.release``; nothing was changed.
        """
        await self._run(lambda c: acts.release(c, name, incident_id, version=version, by=_actor(person),
                                               role=person.role.value, reason=reason, now=self._clock.wall_ms()))  # fmt: skip

    async def position(self, name: str, here: Position, *, accuracy_m: float, measured_at_ms: int | None, by: str,
                       source: str) -> bool:  # fmt: skip
        """Where it is; False where that is no news.

        Raises:
            NotFound, NotPossible: see ``acts.position``.
        """

        def work(connection: sqlite3.Connection) -> bool:
            now = self._clock.wall_ms()
            return acts.position(connection, name, here, accuracy_m=accuracy_m, by=by, source=source, now=now,
                                 measured_at_ms=now if measured_at_ms is None else measured_at_ms)  # fmt: skip

        is_kept = await self._database.run(work)
        self._metrics.count("positions_kept" if is_kept else "positions_thinned")
        self._after_commit()
        return is_kept

    async def unit_says(self, find: FindLink, word: str, note: str) -> None:
        """A unit says how far it is: its step on the board, its word at the incident, and the camera is told.

        Raises:
            NotFound: the link is good for nothing.
            NotPossible: not a word that it may say now.
        """

        def work(connection: sqlite3.Connection) -> list[Spooled]:
            now = self._clock.wall_ms()
            link = find(connection, now)
            unit = rows.find(connection, link.receiver)
            if word in _WORDS_OF_ITS_OWN:
                acts.set_status(connection, link.receiver, UnitStatus(word), version=None, by=f"unit:{link.receiver}",
                                source="page", note=note, now=now)  # fmt: skip
                return []
            state = UnitState(word)
            if link.incident is None:
                raise NotPossible(f"{link.receiver} is not assigned to an incident: there is nothing to answer")
            if unit is not None and unit.incident == link.incident.id:
                if unit.status is state.status:
                    return []  # said twice is said once
                acts.set_status(connection, unit.name, state.status, version=None, by=f"unit:{unit.name}", note=note,
                                source="unable" if state is UnitState.UNABLE else "link", now=now)  # fmt: skip
            answers.answer(connection, link.receiver, link.incident, state, note, now)
            if state.for_camera is None:
                return []
            return self._dispatch.tell_camera(connection, link.incident.id, state.for_camera, "field unit", now)

        await self._carry_out(work)

    async def unit_writes(self, find: FindLink, text: str, key: str) -> None:
        """A unit adds a note to the incident of its link.

        Raises:
            NotFound: the link is good for nothing.
            NotPossible: no incident, or nothing in the note.
        """

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock.wall_ms()
            link = find(connection, now)
            if link.incident is None:
                raise NotPossible(f"{link.receiver} is not assigned to an incident: there is nothing to note")
            by = f"unit:{link.receiver}"
            if rows.find(connection, link.receiver) is not None:
                acts.heard(connection, link.receiver, by=by, note="wrote a note", now=now)
            acts.write_note(connection, link.incident.id, text, by=by, role="field unit", key=key, now=now)

        await self._run(work)

    async def unit_is_at(self, find: FindLink, here: Position, accuracy_m: float) -> None:
        """A unit tells where it is.

        Raises:
            NotFound: the link is good for nothing, or belongs to nobody on the board.
            NotPossible: no such place.
        """
        link = await self._database.run(lambda c: find(c, self._clock.wall_ms()))
        await self.position(link.receiver, here, accuracy_m=accuracy_m, measured_at_ms=None, by=f"unit:{link.receiver}",
                            source="page")  # fmt: skip

    async def give_link(self, name: str, hours: float, person: SignedIn) -> str:
        """A link of its own for a unit, for a shift; returns the token, which is kept nowhere.

        Raises:
            NotFound, NotPossible: no such unit, or for too long.
        """
        return await self._database.run(
            lambda c: unit_links.give(c, name, hours, by=_actor(person), now=self._clock.wall_ms())
        )

    async def heard(self, name: str, note: str, person: SignedIn) -> None:
        """Somebody heard it: it is well.

        Raises:
            NotFound: no such unit.
        """
        await self._run(lambda c: acts.heard(c, name, by=_actor(person), note=note, now=self._clock.wall_ms()))

    async def write_note(self, incident_id: int, text: str, key: str, person: SignedIn) -> int:
        """Add a note to an incident; returns its number.

        Raises:
            NotFound, NotPossible: see ``acts.write_note``.
        """
        number = await self._database.run(
            lambda c: acts.write_note(c, incident_id, text, by=_actor(person), role=person.role.value, key=key,
                                      now=self._clock.wall_ms())
        )  # fmt: skip
        self._after_commit()
        return number

    async def set_place(self, name: str, here: Position | None, person: SignedIn) -> None:
        """Say where a site, node or camera stands.

        Raises:
            BadRequest: see ``acts.set_place``.
        """
        await self._run(lambda c: acts.set_place(c, name, here, by=_actor(person), now=self._clock.wall_ms()))

    async def _run(self, work: Callable[[sqlite3.Connection], None]) -> None:
        await self._database.run(work)
        self._after_commit()

    async def _carry_out(self, work: Callable[[sqlite3.Connection], list[Spooled]]) -> None:
        self._announce(await self._database.run(work))
        self._after_commit()


def _actor(person: SignedIn) -> str:
    return f"user:{person.username}"
