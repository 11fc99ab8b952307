"""What acts make of the rows of incidents: people's, and the center's own. Rules are in ``incidents``; each act has its fact.

Live and replay run the same functions, after and before the entry is written.
"""

import sqlite3

from command_center import incidents
from command_center.alert_by_id import entry_of
from command_center.facts import IncidentAct, IncidentStep, Merger, Shelving
from command_center.incident_store import load
from command_center.incidents import Disposition, Incident, Quiet
from relay.precedence import Precedence


def apply_acknowledge(connection: sqlite3.Connection, act: IncidentAct, at_ms: int) -> Incident:
    """A person has seen an incident.

    Raises:
        NotFound, LostRace: see ``incidents.acknowledge``.
    """
    changed = incidents.acknowledge(load(connection, act.incident), version=act.version, by=act.by, at_ms=at_ms)
    connection.execute(
        "UPDATE incident SET version = ?, state = ?, acknowledged_by = ?, acknowledged_role = ?, acknowledged_at_ms = ? "
        "WHERE id = ?",
        (changed.version, changed.state.value, act.by, act.role, at_ms, act.incident),
    )
    return changed


def apply_close(connection: sqlite3.Connection, act: IncidentAct, at_ms: int) -> Incident:
    """A person closed an incident.

    Raises:
        NotFound, LostRace: see ``incidents.close``.
    """
    changed = incidents.close(load(connection, act.incident), version=act.version, by=act.by, at_ms=at_ms,
                              disposition=Disposition(act.disposition))  # fmt: skip
    connection.execute(
        "UPDATE incident SET version = ?, state = ?, closed_by = ?, closed_at_ms = ?, disposition = ?, note = ? WHERE id = ?",
        (changed.version, changed.state.value, act.by, at_ms, act.disposition, act.note, act.incident),
    )
    return changed


def apply_expiry(connection: sqlite3.Connection, step: IncidentStep, at_ms: int) -> Incident:
    """An acknowledgement expired.

    Raises:
        NotFound, LostRace: see ``incidents.expire_acknowledgement``.
    """
    changed = incidents.expire_acknowledgement(load(connection, step.incident), Quiet(step.quiet))
    connection.execute(
        "UPDATE incident SET version = ?1, state = ?2, acknowledged_by = NULL, acknowledged_role = NULL, "
        "acknowledged_at_ms = NULL, level = 0, quiet = ?3, "
        "announced_at_ms = CASE WHEN ?3 = '' THEN ?4 ELSE announced_at_ms END WHERE id = ?5",
        (changed.version, changed.state.value, changed.quiet.value, at_ms, step.incident),
    )
    return changed


def apply_notified(connection: sqlite3.Connection, step: IncidentStep, at_ms: int) -> None:
    """Nobody has acknowledged it: it was notified again, at a higher level."""
    connection.execute(
        "UPDATE incident SET level = ?, announced_at_ms = ? WHERE id = ? AND level < ?",
        (step.level, at_ms, step.incident, step.level),
    )


def apply_annunciated(connection: sqlite3.Connection, step: IncidentStep, at_ms: int) -> None:
    """What was held back is held back no longer."""
    connection.execute("UPDATE incident SET quiet = '', announced_at_ms = ? WHERE id = ?", (at_ms, step.incident))


def apply_merge(connection: sqlite3.Connection, merger: Merger) -> Incident:
    """An incident became part of another; what was part of it goes along.

    Raises:
        NotFound, LostRace, NotPossible: see ``incidents.merge``.
    """
    into = load(connection, merger.into)
    changed = incidents.merge(load(connection, merger.incident), into, version=merger.version)
    connection.execute(
        "UPDATE incident SET version = ?, merged_into = ? WHERE id = ?", (changed.version, into.id, changed.id)
    )
    connection.execute("UPDATE incident SET merged_into = ? WHERE merged_into = ?", (into.id, changed.id))
    return changed


def apply_unmerge(connection: sqlite3.Connection, merger: Merger) -> Incident:
    """An incident stands by itself again.

    Raises:
        NotFound, LostRace: see ``incidents.unmerge``.
    """
    changed = incidents.unmerge(load(connection, merger.incident), version=merger.version)
    connection.execute(
        "UPDATE incident SET version = ?, merged_into = NULL WHERE id = ?", (changed.version, changed.id)
    )
    return changed


def merged_in(connection: sqlite3.Connection, incident_id: int) -> list[int]:
    """The incidents that are part of this one."""
    return [
        row[0]
        for row in connection.execute("SELECT id FROM incident WHERE merged_into = ? ORDER BY id", (incident_id,))
    ]


def apply_shelved(connection: sqlite3.Connection, entry_id: int, shelving: Shelving, at_ms: int) -> list[int]:
    """A source went on the shelf; returns the incidents that fell silent. FLASH ones do only when a second person agrees."""
    connection.execute(
        "INSERT INTO shelf VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
        (entry_id, shelving.node, shelving.camera, shelving.label, shelving.reason, shelving.by, at_ms,
         shelving.until_ms, shelving.covers_flash),
    )  # fmt: skip
    return _hush(connection, entry_id, Precedence.IMMEDIATE)


def apply_agreed(connection: sqlite3.Connection, shelving: Shelving) -> list[int]:
    """The second person: FLASH is on the shelf, too. Returns the incidents that fell silent."""
    connection.execute("UPDATE shelf SET agreed_by = ? WHERE id = ?", (shelving.by, shelving.shelf))
    return _hush(connection, shelving.shelf, Precedence.FLASH)


def apply_unshelved(connection: sqlite3.Connection, shelving: Shelving, at_ms: int) -> list[int]:
    """A source came off the shelf. What waits is handed to flood control, which annunciates it by turns; returns those incidents."""
    connection.execute("UPDATE shelf SET ended_at_ms = ? WHERE id = ? AND ended_at_ms IS NULL", (at_ms, shelving.shelf))
    if not shelving.is_by_turns:
        rows = connection.execute(
            f"UPDATE incident SET quiet = '', announced_at_ms = ? WHERE {_OF_SHELF} RETURNING id",  # noqa: S608  a constant
            (at_ms, shelving.shelf),
        )
        return [row[0] for row in rows]
    rows = connection.execute(  # what a person has in hand is in nobody's ear; another shelf may cover it still
        "UPDATE incident SET quiet = CASE WHEN state = 'unacknowledged' AND merged_into IS NULL THEN 'flood' ELSE '' END "  # noqa: S608  the same
        f"WHERE {_OF_SHELF} AND NOT EXISTS (SELECT 1 FROM shelf o WHERE o.ended_at_ms IS NULL AND o.node = incident.node "
        "AND o.camera = incident.camera AND o.label IN ('', incident.label) "
        "AND (incident.precedence > 0 OR (o.covers_flash AND o.agreed_by IS NOT NULL))) RETURNING id",
        (shelving.shelf,),
    )
    return [row[0] for row in rows]


_OF_SHELF = (
    "quiet = 'shelved' AND state <> 'closed' AND EXISTS (SELECT 1 FROM shelf s WHERE s.id = ? AND s.node = incident.node "
    "AND s.camera = incident.camera AND s.label IN ('', incident.label))"
)


def _hush(connection: sqlite3.Connection, shelf_id: int, most_urgent: Precedence) -> list[int]:
    rows = connection.execute(
        """UPDATE incident SET quiet = 'shelved' WHERE state = 'unacknowledged' AND precedence >= ? AND EXISTS
           (SELECT 1 FROM shelf s WHERE s.id = ? AND s.node = incident.node AND s.camera = incident.camera
            AND s.label IN ('', incident.label)) RETURNING id""",
        (most_urgent, shelf_id),
    )
    return [row[0] for row in rows]


def shelf_over(
    connection: sqlite3.Connection, node: bytes, camera: str, label: str, precedence: Precedence
) -> int | None:
    """The shelf that keeps such an alarm silent, if there is one."""
    row = connection.execute(
        "SELECT id FROM shelf WHERE node = ? AND camera = ? AND label IN ('', ?) AND ended_at_ms IS NULL "
        "AND (? > 0 OR (covers_flash AND agreed_by IS NOT NULL)) LIMIT 1",
        (node, camera, label, precedence),
    ).fetchone()
    return None if row is None else row[0]


def annunciated_lately(
    connection: sqlite3.Connection, now_ms: int, window_ms: int
) -> list[tuple[int, tuple[bytes, str]]]:
    """(ms ago, (node, camera)) of each incident below FLASH that was annunciated in the window before now, center's wall clock.

    The oldest first.
    """
    rows = connection.execute(
        "SELECT ?2 - announced_at_ms, node, camera FROM incident WHERE announced_at_ms > 0 AND precedence > 0 "
        "AND announced_at_ms BETWEEN ?1 AND ?2 ORDER BY announced_at_ms",
        (now_ms - window_ms, now_ms),
    )
    return [(row[0], (row[1], row[2])) for row in rows]


def subject_of_alert(connection: sqlite3.Connection, alert_id: bytes, node: bytes) -> str:
    """The journal subject of a node's alert; empty if it has no such alert."""
    row = connection.execute(
        f"SELECT incident FROM alert WHERE entry = {entry_of('?')} AND node = ?",  # noqa: S608  a constant
        (alert_id, node),
    ).fetchone()
    return "" if row is None else f"incident:{row[0]}"
