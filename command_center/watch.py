"""What the center does about incidents without being asked, once a second: the rules are in ``annunciation``.

* A FLASH that nobody acknowledges is notified again, at the second position, at the supervisor's.
* An acknowledgement after which nobody does anything expires. A note, a step of a plan, a unit's word: each begins its time anew.
* A shelf whose time is over ends.
* What flood control held back is annunciated as room comes back. What expired or came off a shelf waits for its turn there, too: an
  hour after a storm was acknowledged in one go it must not sound in one go.
* That the wall clock was set is an entry: from there on the journal's times are of another clock.

Durations count on this process's monotonic clock from the moment that it saw the state begin; the level reached is in the row,
so that a restart goes on from it.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import annunciation, event_feed, facts, incident_acts, journal
from command_center.annunciated_lately import AnnunciatedLately
from command_center.clock_leaps import ClockLeaps
from command_center.config import IncidentConfig
from command_center.facts import IncidentStep, Remark
from command_center.incidents import Quiet
from command_center.metrics import Metrics
from command_center.shelving import Shelves
from relay.clock import Clock
from relay.precedence import Precedence

_AT_ONCE: Final = 500
_Row = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Since:
    """When this process first saw a state, or the last act on it."""

    monotonic_ms: int
    entry: int
    """The journal's size then."""


class Watch:
    """Remembers since when each incident has been as it is. ``due`` reads, ``act`` writes; both on a database thread."""

    def __init__(self, *, clock: Clock, metrics: Metrics, shelves: Shelves, limits: IncidentConfig,
                 lately: AnnunciatedLately) -> None:  # fmt: skip
        self._clock = clock
        self._lately = lately
        self._metrics = metrics
        self._shelves = shelves
        self._limits = limits
        self._leaps = ClockLeaps(clock)
        self._since: dict[tuple[int, str, int], _Since] = {}
        """By incident, state and version."""

    def is_due(self, connection: sqlite3.Connection) -> bool:
        """Whether ``act`` would do anything. Also where new states are first seen."""
        return bool(
            self._leaps.leapt_ms
            or self._due(connection)
            or self._releasable(connection)
            or self._shelves.due(connection)
        )

    def act(self, connection: sqlite3.Connection) -> None:
        """Do it, journalled, in the caller's transaction."""
        self._note_leap(connection)
        for incident_id, level, precedence in self._due(connection):
            if level:
                self._step(connection, "incident-notified-again", IncidentStep(incident=incident_id, level=level,
                           reason=annunciation.LEVELS[level]))  # fmt: skip
            else:
                quiet = Quiet.NO if precedence is Precedence.FLASH else Quiet.FLOOD
                self._step(connection, "acknowledgement-expired", IncidentStep(incident=incident_id, quiet=quiet.value,
                           reason="nothing followed the acknowledgement"))  # fmt: skip
        self._metrics.count("shelves_ended", self._shelves.end_due(connection))
        for incident_id, source in self._releasable(connection):
            self._step(connection, "incident-annunciated", IncidentStep(incident=incident_id, reason="its turn came"))
            self._lately.note(connection, source)

    def _due(self, connection: sqlite3.Connection) -> list[tuple[int, int, Precedence]]:
        """(incident, level to reach, precedence), level 0: its acknowledgement expires."""
        now = _Since(self._clock.monotonic_ms(), journal.size(connection))
        # Each state by itself: an unacknowledged one that is quiet is not in anybody's ear, so it can't be notified again.
        waiting: list[_Row] = connection.execute(
            "SELECT id, version, precedence, level FROM incident WHERE state = 'unacknowledged' AND precedence = 0 AND "
            "quiet = '' AND is_quarantined = 0 AND merged_into IS NULL AND retracted_count < alert_count "
            "AND level < ? ORDER BY id LIMIT ?",
            (len(annunciation.LADDER_S), _AT_ONCE),
        ).fetchall()
        taken: list[_Row] = connection.execute(
            "SELECT id, version, precedence, level FROM incident WHERE state = 'acknowledged' AND precedence <= 1 AND "
            "merged_into IS NULL AND is_quarantined = 0 AND NOT EXISTS (SELECT 1 FROM unit WHERE unit.incident = incident.id) "
            "ORDER BY id LIMIT ?",
            (_AT_ONCE * 20,),
        ).fetchall()
        since: dict[tuple[int, str, int], _Since] = {}
        due: list[tuple[int, int, Precedence]] = []
        for incident_id, version, urgency, level in waiting:
            key = (incident_id, "waiting", version)
            started_ms = now.monotonic_ms - round(annunciation.waited_at(level) * 1000)
            since[key] = self._since.get(key, _Since(started_ms, now.entry))
            wanted = annunciation.level_due(Precedence(urgency), (now.monotonic_ms - since[key].monotonic_ms) / 1000)
            if wanted > level:
                due.append((incident_id, wanted, Precedence(urgency)))
        for incident_id, version, urgency, _ in taken:
            key = (incident_id, "taken", version)
            since[key] = self._since.get(key, now)
            lasts_ms = annunciation.ACKNOWLEDGEMENT_LASTS_S[Precedence(urgency)] * 1000
            if now.monotonic_ms - since[key].monotonic_ms < lasts_ms:
                continue
            if _was_acted_on(connection, incident_id, since[key].entry):
                since[key] = now
            else:
                due.append((incident_id, 0, Precedence(urgency)))
        self._metrics.count("states_watched", len(since.keys() - self._since.keys()))
        self._since = since
        return due

    def _releasable(self, connection: sqlite3.Connection) -> list[tuple[int, tuple[bytes, str]]]:
        """(incident, source): held back by flood control, and there is room again: the most urgent and oldest first."""
        held = connection.execute(
            "SELECT id, node, camera, precedence FROM incident WHERE quiet = 'flood' AND state = 'unacknowledged' "
            "AND merged_into IS NULL ORDER BY precedence, id LIMIT ?",
            (_AT_ONCE,),
        ).fetchall()
        if not held:
            return []
        recent = self._lately.sources(connection)
        released: list[tuple[int, tuple[bytes, str]]] = []
        for incident_id, node, camera, precedence in held:
            if not annunciation.is_flood(Precedence(precedence), recent, (node, camera), most=self._limits.flood_most,
                                         most_of_one=self._limits.flood_most_of_one):  # fmt: skip
                recent.append((node, camera))
                released.append((incident_id, (node, camera)))
        return released

    def _note_leap(self, connection: sqlite3.Connection) -> None:
        leapt_ms = self._leaps.forget()
        if not leapt_ms:
            return
        now = self._clock.wall_ms()
        said = f"set {'forward' if leapt_ms > 0 else 'back'} by {abs(leapt_ms) / 1000:.1f} s; durations count on another clock"
        journal.append(connection, at_ms=now, kind="clock-leapt", actor="center", subject="center",
                       payload=facts.encode(Remark(what="clock", detail=said)))  # fmt: skip
        self._metrics.count("clock_leaps")

    def _step(self, connection: sqlite3.Connection, kind: str, step: IncidentStep) -> None:
        now = self._clock.wall_ms()
        if kind == "acknowledgement-expired":
            incident_acts.apply_expiry(connection, step, now)
        elif kind == "incident-notified-again":
            incident_acts.apply_notified(connection, step, now)
        else:
            incident_acts.apply_annunciated(connection, step, now)
        journal.append(connection, at_ms=now, kind=kind, actor="center", subject=f"incident:{step.incident}",
                       payload=facts.encode(step))  # fmt: skip
        event_feed.note(connection, "incident", step.incident)
        self._metrics.count(kind.replace("-", "_"))


def _was_acted_on(connection: sqlite3.Connection, incident_id: int, since_entry: int) -> bool:
    """Whether a person or a unit did anything about an incident since then. To look at it is not to do something."""
    row = connection.execute(
        "SELECT 1 FROM entry WHERE subject = ? AND id > ? AND (actor LIKE 'user:%' OR actor LIKE 'unit:%') "
        "AND kind NOT IN ('viewed', 'stale-click', 'live-opened') LIMIT 1",
        (f"incident:{incident_id}", since_entry),
    ).fetchone()
    return row is not None
