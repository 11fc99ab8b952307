"""Welfare timers: a unit at work that is not heard for too long is asked after. Carried out by ``center``, once a second.

Durations count on this process's monotonic clock from the moment that it saw the last word; after a restart they go on from the wall
clock's reading, bounded by the limit, so that a clock that leapt gives a reminder early and never loses one. A reminder repeats
until somebody hears the unit: any word of it, or a dispatcher's *heard*.
"""

import sqlite3

from command_center import event_feed
from command_center.config import WelfareConfig
from command_center.metrics import Metrics
from command_center.units import rows
from command_center.units.appliers import record
from command_center.units.facts import WelfareDue
from command_center.units.rows import Unit
from command_center.units.status import UnitStatus
from relay.clock import Clock


class Welfare:
    """Remembers since when each unit is silent. ``is_due`` reads, ``act`` writes; both on a database thread."""

    def __init__(self, *, clock: Clock, metrics: Metrics, limits: WelfareConfig) -> None:
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._since_ms: dict[tuple[str, int], int] = {}
        """Monotonic ms by unit and the wall time of its last word."""

    def is_due(self, connection: sqlite3.Connection) -> bool:
        """Whether somebody must be asked after. Also where a unit's silence is first seen."""
        return bool(self._due(connection))

    def act(self, connection: sqlite3.Connection) -> None:
        """Remind, journalled, in the caller's transaction."""
        for unit, silent_ms in self._due(connection):
            fact = WelfareDue(unit=unit.name, incident=unit.incident or 0, silent_s=silent_ms // 1000,
                              level=unit.welfare_level + 1)  # fmt: skip
            record(connection, "welfare-due", fact, actor="center", subject=f"incident:{unit.incident}",
                   now=self._clock.wall_ms())  # fmt: skip
            event_feed.note(connection, "unit", unit.name)
            self._metrics.count("welfare_reminders")

    def _due(self, connection: sqlite3.Connection) -> list[tuple[Unit, int]]:
        now_ms, wall_ms = self._clock.monotonic_ms(), self._clock.wall_ms()
        since: dict[tuple[str, int], int] = {}
        due: list[tuple[Unit, int]] = []
        for unit in rows.units(connection):
            first_ms = self._first_ms(unit.status)
            if unit.incident is None or not first_ms:
                continue
            key = (unit.name, unit.heard_at_ms)
            known = self._since_ms.get(key)
            if known is None:
                known = now_ms - min(max(0, wall_ms - unit.heard_at_ms), first_ms)
            since[key] = known
            silent_ms = now_ms - known
            if silent_ms >= first_ms + unit.welfare_level * round(self._limits.again_min * 60_000):
                due.append((unit, silent_ms))
        self._metrics.count("silences_watched", len(since.keys() - self._since_ms.keys()))
        self._since_ms = since
        return due

    def _first_ms(self, status: UnitStatus) -> int:
        minutes = {UnitStatus.ON_SCENE: self._limits.on_scene_min, UnitStatus.EN_ROUTE: self._limits.en_route_min}.get(
            status, 0.0
        )
        return round(minutes * 60_000)
