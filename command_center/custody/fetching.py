"""Evidence that is still at the nodes: which alerts lack something, who is asked, how far it is. Bytes come over the bulk lane.

Only clips can be fetched: a node keeps those in files of its own, and a picture only until it is receipted.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from command_center import facts, fleet, journal
from command_center.custody import clip_orders
from command_center.evidence.progress import Progress
from command_center.facts import Remark
from relay.clock import Clock
from relay.errors import OperatorError
from relay.kinds.answer import Outcome

ANSWER_WITHIN_S: Final = 60.0
STALLED_AFTER_S: Final = 120.0
"""Nothing more came for so long, from a node that had begun."""
_LOOK_EVERY_S: Final = 0.5


class StillAtNode(OperatorError):
    """A node still holds what was to be exported, and can't be reached; nothing was exported."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One alert whose clip was asked for."""

    alert: str
    node: str
    """Its name."""
    hearing: str
    """How long ago the center heard of it, in words."""
    answer: str
    """"" none yet; else done, under way, refused."""
    detail: str
    done_bytes: int
    total_bytes: int
    is_here: bool


def lacking(connection: sqlite3.Connection, incidents: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """(alert, node) of alerts that have no clip here, or not all of it; those whose clip was deleted here by retention are not asked for."""
    found: list[tuple[bytes, bytes]] = []
    for incident in incidents:
        rows = connection.execute(
            "SELECT a.id, a.node FROM alert a WHERE a.incident = ?1 AND NOT EXISTS ("
            "SELECT 1 FROM exhibit_item e LEFT JOIN stored_object o ON o.sha256 = e.sha256 LEFT JOIN erased_object x ON x.sha256 = e.sha256 "
            "WHERE e.alert_id = a.id AND e.node = a.node AND e.media_type NOT LIKE 'image/%' "
            "AND (o.sha256 IS NOT NULL OR x.sha256 IS NOT NULL)) ORDER BY a.entry", (incident,),
        )  # fmt: skip
        found += [(row[0], row[1]) for row in rows]
    return found


def begin(connection: sqlite3.Connection, incidents: Sequence[int], *, actor: str, at_ms: int) -> list[bytes]:
    """Have nodes asked for what is lacking; returns the alerts."""
    wanted = lacking(connection, incidents)
    for alert_id, node in wanted:
        # What was announced long ago is expected anew, so that its bytes are taken in.
        connection.execute(
            "INSERT OR IGNORE INTO incoming (node, sha256, size_bytes, chunk_bytes, media_type) "
            "SELECT e.node, e.sha256, e.size_bytes, e.chunk_bytes, e.media_type FROM exhibit_item e LEFT JOIN stored_object o "
            "ON o.sha256 = e.sha256 WHERE e.alert_id = ? AND e.node = ? AND o.sha256 IS NULL", (alert_id, node),
        )  # fmt: skip
        clip_orders.ask(connection, node=node, alert_id=alert_id, verb="send", reason="evidence", at_ms=at_ms)
    for incident in incidents:
        remark = Remark(what="evidence-asked", detail=f"nodes were asked for clips of {len(wanted)} alerts")
        journal.append(connection, at_ms=at_ms, kind="evidence-asked", actor=actor, subject=f"incident:{incident}",
                       payload=facts.encode(remark))  # fmt: skip
    return [alert_id for alert_id, _ in wanted]


def look(connection: sqlite3.Connection, clock: Clock, alerts: Sequence[bytes]) -> list[Item]:
    """How far each is."""
    nodes = {node.id: node for node in fleet.nodes(connection, clock)}
    items: list[Item] = []
    for alert_id in alerts:
        node_id, outcome, detail = connection.execute(
            "SELECT node, outcome, detail FROM clip_order WHERE alert_id = ? AND verb = 'send' ORDER BY id DESC LIMIT 1",
            (alert_id,),
        ).fetchone()
        total, done, clips, here = connection.execute(
            "SELECT COALESCE(SUM(e.size_bytes), 0), COALESCE(SUM(CASE WHEN o.sha256 IS NULL THEN MIN(COALESCE(i.received_bytes, 0), "
            "e.size_bytes) ELSE e.size_bytes END), 0), COUNT(*), COUNT(o.sha256) FROM exhibit_item e "
            "LEFT JOIN stored_object o ON o.sha256 = e.sha256 LEFT JOIN incoming i ON i.sha256 = e.sha256 AND i.node = e.node "
            "WHERE e.alert_id = ? AND e.node = ? AND e.media_type NOT LIKE 'image/%'", (alert_id, node_id),
        ).fetchone()  # fmt: skip
        node = nodes[node_id]
        age = "never heard" if node.last_heard_age_ms is None else f"heard {node.last_heard_age_ms // 1000} s ago"
        items.append(Item(
            alert=alert_id.hex(), node=node.passport.name, hearing=f"{node.hearing.value}, {age}", detail=detail,
            answer="" if outcome is None else Outcome(outcome).name.lower().replace("_", " "), done_bytes=done, total_bytes=total,
            is_here=clips > 0 and here == clips,
        ))  # fmt: skip
    return items


Look = Callable[[], Awaitable[list[Item]]]


async def wait_for(look_now: Look, progress: Progress, *, answer_within_s: float = ANSWER_WITHIN_S,
                   stalled_after_s: float = STALLED_AFTER_S) -> list[str]:  # fmt: skip
    """Wait until everything is here or refused; returns a line for each refusal.

    Raises:
        StillAtNode: a node does not answer, or stopped sending.
        ExportStopped: by whoever holds ``progress``.
    """
    began = moved = time.monotonic()
    seen: object = None
    while True:
        items = await look_now()
        progress.enter("fetching clips from nodes", sum(item.total_bytes for item in items))
        progress.advance(sum(item.done_bytes for item in items))
        open_items = [item for item in items if not item.is_here and item.answer != "refused"]
        if not open_items:
            return [f"node {item.node} has no clip of alert {item.alert}: {item.detail}" for item in items
                    if not item.is_here]  # fmt: skip
        now = time.monotonic()
        if items != seen:
            seen, moved = items, now
        silent = [item for item in open_items if not item.answer]
        if silent and now - began > answer_within_s:
            raise StillAtNode(_explain(silent, f"did not answer within {answer_within_s:g} s"))
        if now - max(moved, began) > stalled_after_s:
            raise StillAtNode(_explain(open_items, f"sent nothing more for {stalled_after_s:g} s"))
        await asyncio.sleep(_LOOK_EVERY_S)


def _explain(items: Sequence[Item], what: str) -> str:
    nodes = sorted({f"{item.node} ({item.hearing})" for item in items})
    return (
        f"node {', '.join(nodes)} {what}; it may still hold the clips of {len(items)} alerts. Nothing was exported: try again when it "
        "is heard, or export without fetching: the bag then says what is missing"
    )
