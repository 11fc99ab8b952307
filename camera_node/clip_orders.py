"""What the center asks of clips: send this one, keep this one, let it go. Followed in the transaction that takes the order in.

An order names an alert; its clip may still be recorded, or not be there any more, and both are answered. Answers wait in a table
of their own until ``clip_sender`` spools them, because an order may come before the station is wholly open.

Invariants:

1. A clip that shows an alert on hold is never evicted, whatever its age and the quota.
2. Each order has one answer, spooled once.
3. A clip that a person asked for goes before all others.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from camera_node import snapshot_hold
from camera_node.clip_book import Clip, ClipState, count, showing
from relay.errors import SpoolFull
from relay.ids import EnvelopeId
from relay.kinds.answer import Followed, Outcome
from relay.kinds.instruction import HoldClip, ReleaseClip, SendClip
from relay.spool_room import SpoolLimits

ClipOrder = SendClip | HoldClip | ReleaseClip
_GONE: Final = frozenset({ClipState.EVICTED, ClipState.DAMAGED, ClipState.EMPTY})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    outcome: Outcome
    detail: str


def follow(
    connection: sqlite3.Connection, instruction_id: EnvelopeId, order: ClipOrder, now_wall_ms: int,
    limits: SpoolLimits | None = None,
) -> None:  # fmt: skip
    """Do it, and leave the answer to be spooled. ``limits`` are the spool's: a snapshot on hold is pinned there."""
    match order:
        case SendClip():
            said = _send(connection, order, now_wall_ms)
        case HoldClip():
            said = _hold(connection, order, now_wall_ms, limits or SpoolLimits())
        case ReleaseClip():
            connection.execute("DELETE FROM clip_hold WHERE alert_id = ?", (order.alert_id,))
            snapshot_hold.let_go(connection)
            said = _Said(outcome=Outcome.DONE, detail="like any other clip again")
    count(connection, f"clip_orders_{type(order).__name__.lower()}_{said.outcome.name.lower()}")
    connection.execute("INSERT OR IGNORE INTO clip_word (instruction_id, outcome, detail) VALUES (?, ?, ?)",
                       (instruction_id, int(said.outcome), said.detail[:200]))  # fmt: skip


def waiting_words(connection: sqlite3.Connection) -> list[tuple[int, Followed]]:
    """Answers that are to be spooled, with their numbers here."""
    rows = connection.execute("SELECT id, instruction_id, outcome, detail FROM clip_word ORDER BY id LIMIT 100")
    return [(row[0], Followed(instruction_id=row[1], outcome=Outcome(row[2]), detail=row[3])) for row in rows]


def spooled(connection: sqlite3.Connection, number: int) -> None:
    """An answer is in the spool."""
    connection.execute("DELETE FROM clip_word WHERE id = ?", (number,))


def end_holds(connection: sqlite3.Connection, now_wall_ms: int) -> int:
    """Forget holds whose time is over; how many. Not to be called while nobody has set the clock."""
    done = connection.execute("DELETE FROM clip_hold WHERE until_wall_ms > 0 AND until_wall_ms < ?", (now_wall_ms,))
    snapshot_hold.let_go(connection)
    return done.rowcount


def is_wanted(connection: sqlite3.Connection, clip_id: int) -> bool:
    """Whether a person asked for a clip."""
    query = "SELECT 1 FROM clip_alert a JOIN clip_wanted w ON w.alert_id = a.alert_id WHERE a.clip = ? LIMIT 1"
    return connection.execute(query, (clip_id,)).fetchone() is not None


def _send(connection: sqlite3.Connection, order: SendClip, now_wall_ms: int) -> _Said:
    clips = showing(connection, order.alert_id)
    here = [clip for clip in clips if clip.state not in _GONE]
    if not here:
        return _Said(outcome=Outcome.REFUSED, detail=_why_not(clips))
    connection.execute("INSERT OR REPLACE INTO clip_wanted VALUES (?, ?)", (order.alert_id, now_wall_ms))
    for clip in here:
        if clip.state in {ClipState.KEPT, ClipState.HEARD}:
            # From its beginning: the center takes what it lacks, and says of the rest that it has it.
            connection.execute("UPDATE clip SET state = 'waiting', next_offset_bytes = 0 WHERE id = ?", (clip.id,))
    if any(clip.state is ClipState.RECORDING for clip in here):
        return _Said(outcome=Outcome.UNDER_WAY, detail="it is still being recorded, and is sent then")
    return _Said(outcome=Outcome.UNDER_WAY, detail=f"{sum(clip.size_bytes for clip in here)} bytes")


def _hold(connection: sqlite3.Connection, order: HoldClip, now_wall_ms: int, limits: SpoolLimits) -> _Said:
    try:
        snapshot_hold.hold(connection, order.alert_id, limits)
    except SpoolFull as error:
        return _Said(outcome=Outcome.REFUSED, detail=str(error))
    connection.execute("INSERT OR REPLACE INTO clip_hold VALUES (?, ?, ?, ?)",
                       (order.alert_id, order.reason, order.until_wall_ms, now_wall_ms))  # fmt: skip
    clips = showing(connection, order.alert_id)
    if clips and all(clip.state in _GONE for clip in clips):
        return _Said(outcome=Outcome.REFUSED, detail=_why_not(clips))
    return _Said(outcome=Outcome.DONE, detail="kept" if clips else "no clip shows this alert; if one comes, it is kept")


def _why_not(clips: Sequence[Clip]) -> str:
    if not clips:
        return "no clip shows this alert: its camera records none, or it was forgotten"
    return "; ".join(f"clip {clip.file}: {clip.state.value}, {clip.why}".rstrip(", ") for clip in clips)
