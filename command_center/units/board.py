"""The status board: what people and units do with it, one transaction each, and the camera's node is told in the same one."""

import sqlite3
from collections.abc import Callable, Sequence

from command_center import incident_store
from command_center.accounts import SignedIn
from command_center.dispatch import Dispatch
from command_center.incidents import State
from command_center.metrics import Metrics
from command_center.units import acts
from command_center.units.nearest import Position
from command_center.units.status import UnitStatus
from relay.clock import Clock
from relay.database import Database
from relay.spool import Spooled


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
