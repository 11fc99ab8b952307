"""From rows to what browsers see: the one place where that is converted. Reads only, on a reader's thread."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Final

from command_center import facts, fleet, journal, retractions, shelving
from command_center.api import journey_shapes, response_queries, unit_moments, unit_queries
from command_center.api.journey_shapes import Journey
from command_center.api.shapes import (
    Alert,
    Camera,
    Clip,
    Hops,
    Incident,
    IncidentDetail,
    Moment,
    Node,
    NodeName,
    NodePath,
    Responding,
    ShelfList,
    ShelfRow,
    UnitWord,
)
from command_center.audit import wording
from command_center.callbacks import answers
from command_center.errors import JournalDamaged, NotFound, NotPossible
from command_center.event_feed import Event
from command_center.facts import EnvelopeStored, IncidentAct, IncidentStep, Merger, Remark, UnitAnswer
from command_center.incident_store import number_of
from command_center.journal import Entry
from relay.clock import Clock, ClockQuality
from relay.ledger import Ledger
from relay.precedence import Precedence

_SHOWN: Final = """
SELECT i.*, COALESCE(n.name, '') AS node_name, COALESCE(n.site, '') AS node_site,
  f.age_ms AS first_age_ms, h.spooled_to_stored_ms, h.stored_to_receipt_ms,
  (SELECT MIN(s.to_node_ms) FROM sent_acknowledgement s WHERE s.incident = i.id) AS to_node_ms,
  (SELECT group_concat(p.id) FROM incident p WHERE p.merged_into = i.id) AS parts,
  (SELECT json_group_array(json_array(u.name, u.status)) FROM unit u WHERE u.incident = i.id) AS responding
"""
_BESIDE: Final = """
LEFT JOIN node n ON n.id = i.node
LEFT JOIN alert f ON f.entry = (SELECT MIN(a.entry) FROM alert a WHERE a.incident = i.id)
LEFT JOIN hop h ON h.entry = f.entry
"""
_INCIDENT: Final = f"{_SHOWN} FROM incident i {_BESIDE}"
_OPEN_ORDER: Final = (
    "CASE WHEN state = 'acknowledged' THEN 2 ELSE is_quarantined OR quiet <> '' END",
    "CASE WHEN state = 'acknowledged' THEN 0 ELSE precedence END",
    "-first_alert_at_ms",
    "-id",
)
"""The console's own order, so that its first page is what stands on top."""
_ALERT: Final = """
SELECT a.*, h.committed_monotonic_ms, h.spooled_to_stored_ms, h.stored_to_receipt_ms,
  (SELECT e.sha256 FROM exhibit_item e JOIN stored_object o ON o.sha256 = e.sha256
   WHERE e.alert_id = a.id AND e.node = a.node AND o.media_type LIKE 'image/%' LIMIT 1) AS snapshot
FROM alert a LEFT JOIN hop h ON h.entry = a.entry
"""


_CLIPS: Final = """
SELECT e.sha256, e.media_type, e.size_bytes, e.width_px, e.height_px, e.captured_wall_ms,
  group_concat(lower(hex(a.id))) AS alerts, o.sha256 IS NOT NULL AS is_stored
FROM alert a JOIN exhibit_item e ON e.alert_id = a.id AND e.node = a.node LEFT JOIN stored_object o ON o.sha256 = e.sha256
WHERE a.incident = ? AND e.media_type NOT LIKE 'image/%'
GROUP BY e.sha256 ORDER BY MIN(a.entry) LIMIT 1000
"""


def _rows(connection: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return list(cursor.execute(query, values))


def incident_page(
    connection: sqlite3.Connection, *, only_open: bool, limit: int, after: tuple[int, ...] | None
) -> tuple[list[Incident], tuple[int, ...] | None, int]:
    """A page of the queue, where the next one begins (None: nowhere), and how many incidents there are in all.

    Open ones: most urgent first, then the newest; acknowledged ones last. With closed ones: the newest first. What changes
    its place while somebody reads page after page is told by an event after the first page's watermark, so the pages and
    the events together miss nothing.

    Raises:
        NotPossible: ``after`` is no cursor of this list.
    """
    keys = _OPEN_ORDER if only_open else ("-id",)
    where = "state <> 'closed' AND merged_into IS NULL" if only_open else "1"
    if after is not None and len(after) != len(keys):
        raise NotPossible("expected the cursor that the page before gave: ask for the first page again")
    named = ", ".join(f"{key} AS key{at}" for at, key in enumerate(keys))
    order = ", ".join(f"key{at}" for at in range(len(keys)))
    behind = "" if after is None else f"WHERE ({order}) > ({', '.join('?' * len(keys))})"
    # Places first, then what is shown of these few: the other way round, all of it would be read for every page.
    query = (  # what is put together here are constants; the values are bound
        f"WITH place AS (SELECT * FROM (SELECT id AS number, {named} FROM incident WHERE {where}) {behind} ORDER BY {order} LIMIT ?) "  # noqa: S608
        f"{_SHOWN}, place.* FROM place JOIN incident i ON i.id = place.number {_BESIDE} ORDER BY {order}"
    )
    rows = _rows(connection, query, (*(after or ()), limit + 1))
    total = connection.execute(f"SELECT COUNT(*) FROM incident WHERE {where}").fetchone()[0]  # noqa: S608  constants
    goes_on = len(rows) > limit
    cursor = tuple(int(rows[limit - 1][f"key{at}"]) for at in range(len(keys))) if goes_on else None
    return [_incident(row) for row in rows[:limit]], cursor, total


def incident(connection: sqlite3.Connection, incident_id: int) -> Incident:
    """One row of the queue.

    Raises:
        NotFound: there is none with this id.
    """
    return _incident(_incident_row(connection, incident_id))


def incident_detail(connection: sqlite3.Connection, incident_id: int) -> IncidentDetail:
    """An incident with its alerts, clips and timeline.

    Raises:
        NotFound: there is none with this id.
    """
    row = _incident_row(connection, incident_id)
    shown = _incident(row)
    whole = (incident_id, *shown.parts)
    alerts = [
        alert
        for number in whole
        for alert in _rows(connection, f"{_ALERT} WHERE a.incident = ? ORDER BY a.entry LIMIT 1000", (number,))
    ]
    moments = [
        _moment(entry)
        for number in whole
        for entry in (
            *_early_retractions(connection, number),
            *journal.entries(connection, subject=f"incident:{number}", at_most=1000),
        )
    ]
    moments.sort(key=lambda moment: moment.at_ms)  # stable: within one incident the journal's order stays
    clips = [_clip(found) for number in whole for found in _rows(connection, _CLIPS, (number,))]
    return IncidentDetail(
        **dict(shown),
        alerts=[_alert(alert, row["to_node_ms"], journey_shapes.journey(connection, alert)) for alert in alerts],
        clips=clips,
        timeline=moments,
        units=[
            UnitWord(unit=unit, state=state, at_ms=at_ms)
            for unit, state, at_ms in answers.latest(connection, incident_id)
        ],
    )


def _early_retractions(connection: sqlite3.Connection, number: int) -> Iterator[Entry]:
    for entry_id in retractions.early_entries(connection, number):
        yield from journal.entries(connection, first=entry_id, at_most=1)


def _incident_row(connection: sqlite3.Connection, incident_id: int) -> sqlite3.Row:
    rows = _rows(connection, f"{_INCIDENT} WHERE i.id = ?", (incident_id,))
    if not rows:
        raise NotFound(f"there is no incident {incident_id}")
    return rows[0]


def _incident(row: sqlite3.Row) -> Incident:
    return Incident(
        id=row["id"], number=number_of(row["id"], row["first_alert_at_ms"]), version=row["version"], state=row["state"],
        label=row["label"], camera=row["camera"],
        node=NodeName(id=row["node"].hex(), name=row["node_name"], site=row["node_site"]), zone=row["zone"],
        precedence=Precedence(row["precedence"]).name, confidence=round(row["confidence"], 3), rule=row["rule"],
        alert_count=row["alert_count"], first_alert_at_ms=row["first_alert_at_ms"],
        last_alert_at_ms=row["last_alert_at_ms"], sighted_at_ms=row["sighted_at_ms"],
        clock_quality=row["clock_quality"], snapshot_url=_snapshot_url(row["snapshot_sha256"]),
        box_xyxy=(row["x1"], row["y1"], row["x2"], row["y2"]), acknowledged_by=row["acknowledged_by"],
        acknowledged_at_ms=row["acknowledged_at_ms"], closed_by=row["closed_by"], closed_at_ms=row["closed_at_ms"],
        disposition=row["disposition"], note=row["note"], quarantined=bool(row["is_quarantined"]),
        level=row["level"], quiet=row["quiet"], returned=row["retracted_count"] >= row["alert_count"],
        merged_into=row["merged_into"], parts=sorted(int(part) for part in (row["parts"] or "").split(",") if part),
        responding=[Responding(unit=unit, status=status) for unit, status in sorted(json.loads(row["responding"]))],
        hops=_hops(row, "first_age_ms", row["to_node_ms"]),
    )  # fmt: skip


def _alert(row: sqlite3.Row, to_node_ms: int | None, journey: Journey | None) -> Alert:
    return Alert(
        id=row["id"].hex(), entry=row["entry"], label=row["label"], confidence=round(row["confidence"], 3),
        precedence=Precedence(row["precedence"]).name, rule=row["rule"], track=row["track"], zone=row["zone"],
        box_xyxy=(row["x1"], row["y1"], row["x2"], row["y2"]), model_sha256_prefix=row["model_sha256_prefix"].hex(),
        sequence=row["sequence"], series=row["series"], boot=row["boot"], age_ms=row["age_ms"],
        clock_quality=ClockQuality(row["quality"]).name, header_wall_ms=row["header_wall_ms"],
        header_monotonic_ms=row["header_monotonic_ms"], received_wall_ms=row["received_wall_ms"],
        received_monotonic_ms=row["received_monotonic_ms"], committed_monotonic_ms=row["committed_monotonic_ms"],
        via=row["via"].hex(), path=row["path"], snapshot_url=_snapshot_url(row["snapshot"]),
        retracted_at_ms=row["retracted_at_ms"], retraction=row["retraction"],
        hops=_hops(row, "age_ms", to_node_ms), journey=journey,
    )  # fmt: skip


def _hops(row: sqlite3.Row, age: str, to_node_ms: int | None) -> Hops:
    receipt_ms = row["stored_to_receipt_ms"]
    return Hops(
        sighting_to_spooled_ms=row[age],
        spooled_to_stored_ms=row["spooled_to_stored_ms"],
        stored_to_receipt_ms=None if receipt_ms is None else round(receipt_ms, 3),
        acknowledged_to_node_ms=to_node_ms,
    )


def _clip(row: sqlite3.Row) -> Clip:
    return Clip(
        sha256=row["sha256"].hex(), media_type=row["media_type"], size_bytes=row["size_bytes"],
        width_px=row["width_px"], height_px=row["height_px"], begins_at_ms=row["captured_wall_ms"],
        alerts=row["alerts"].split(","), url=f"/api/v1/clips/{row['sha256'].hex()}" if row["is_stored"] else None,
    )  # fmt: skip


def _snapshot_url(sha256: bytes | None) -> str | None:
    return None if sha256 is None else f"/api/v1/snapshots/{sha256.hex()}"


def _moment(entry: Entry) -> Moment:
    detail = ""
    try:
        if entry.kind == "alert":
            stored = facts.decode(entry.payload, EnvelopeStored)
            detail = f"over {stored.path}" + (", from a quarantined node" if stored.is_quarantined else "")
        elif entry.kind in {"incident-acknowledged", "incident-closed"}:
            act = facts.decode(entry.payload, IncidentAct)
            detail = ": ".join(part for part in (act.disposition or act.role, act.note) if part)
        elif entry.kind in {"incident-notified-again", "acknowledgement-expired", "incident-annunciated"}:
            detail = facts.decode(entry.payload, IncidentStep).reason
        elif entry.kind == "unit-answered":
            word = facts.decode(entry.payload, UnitAnswer)
            detail = ": ".join(part for part in (word.state.replace("_", " "), word.note) if part)
        elif (said := unit_moments.words(entry)) is not None:
            detail = said
        elif entry.kind in {"callback-delivered", "callback-dead"}:
            told = facts.decode(entry.payload, Remark)
            detail = f"{told.what} to {told.detail}"
        elif entry.kind in {"incident-merged", "incident-unmerged"}:
            merger = facts.decode(entry.payload, Merger)
            detail = f"{merger.incident} {'into' if entry.kind == 'incident-merged' else 'out of'} {merger.into}"
    except JournalDamaged as error:  # the checker says so too; the rest of the timeline is still worth seeing
        detail = str(error)
    return Moment(at_ms=entry.at_ms, what=entry.kind, said=wording.said(entry.kind), who=entry.actor, detail=detail)


def shelves(connection: sqlite3.Connection) -> list[ShelfRow]:
    """What is on the shelf now."""
    return [
        ShelfRow(id=shelf.id, node=_node_name(connection, shelf.node), camera=shelf.camera, label=shelf.label,
                 reason=shelf.reason, by=shelf.by, at_ms=shelf.at_ms, until_ms=shelf.until_ms,
                 covers_flash=shelf.covers_flash, agreed_by=shelf.agreed_by)
        for shelf in shelving.open_shelves(connection)
    ]  # fmt: skip


def _node_name(connection: sqlite3.Connection, node_id: bytes) -> NodeName:
    row = connection.execute("SELECT name, site FROM node WHERE id = ?", (node_id,)).fetchone() or ("", "")
    return NodeName(id=node_id.hex(), name=row[0], site=row[1])


def nodes(connection: sqlite3.Connection, clock: Clock, node_id: bytes | None = None) -> Iterator[Node]:
    """The fleet, or one node of it."""
    ledger = Ledger()
    for node in fleet.nodes(connection, clock, node_id):
        streams = ledger.streams(connection, node.id)
        gaps = streams[-1].gaps() if streams else []
        said = node.heartbeat
        yield Node(
            id=node.id.hex(), name=node.passport.name, role=node.passport.role.name.lower(), site=node.passport.site,
            agency=node.passport.agency, passport_until_ms=node.passport.not_after_ms,
            state=node.state, reason=node.reason, last_heard_at_ms=node.last_heard_wall_ms,
            last_heard_age_ms=node.last_heard_age_ms, interval_s=node.interval_s, gaps=gaps[:100],
            missing=sum(last - first + 1 for stream in streams for first, last in stream.gaps()),
            forgone=sum(stream.forgone.count for stream in streams),
            backlog=list(said.backlog) if said else [0] * 5, oldest_waiting_s=said.oldest_waiting_s if said else 0,
            cameras=[Camera(camera=c.camera, state=c.state.name.lower(), frames_per_s=round(c.frames_per_s, 1),
                            detail=c.detail) for c in said.cameras] if said else [],
            paths=[NodePath(path=p.path, is_up=p.is_up, rtt_ms=p.rtt_ms, heard_age_ms=p.last_heard_age_ms,
                            bytes_sent=p.bytes_sent) for p in said.paths] if said else [],
            room=said.room.name.lower() if said else "free", refusals=dict(said.refusals) if said else {},
            model=said.model if said else "", release=said.release if said else "",
        )  # fmt: skip


def render(connection: sqlite3.Connection, event: Event, clock: Clock) -> str | None:
    """An event's subject as it is now, as JSON."""
    if event.kind == "incident":
        try:
            return incident(connection, int(event.subject)).model_dump_json()
        except NotFound:
            return None
    if event.kind == "shelves":
        return ShelfList(shelves=shelves(connection)).model_dump_json()
    if event.kind == "unit":
        unit = unit_queries.unit_if_there(connection, event.subject)
        return None if unit is None else unit.model_dump_json()
    if event.kind == "handover":
        handover = response_queries.handover(connection, int(event.subject))
        return None if handover is None else handover.model_dump_json()
    if event.kind == "places":
        return unit_queries.places(connection).model_dump_json()
    found = next(nodes(connection, clock, bytes.fromhex(event.subject)), None)
    return None if found is None else found.model_dump_json()
