"""What the node knows of its clips: rows in the station's own database. Files are ``clip_keeper``'s, sending ``clip_sender``'s.

Every function is one step of a transaction on the database thread.

Invariants:

1. A clip is named in the transaction that spools the alert that it shows, so a kill never parts the two.
2. A clip is HEARD when the center's receipts cover each of its exhibits and every byte of it, and not before.
3. A clip that is to be sent and not HEARD is evicted only when the quota forces it, and then counted apart. One that shows an
   alert on hold (``clip_orders``) is not evicted at all.
4. A row of ``clip_chunk`` is a chunk whose receipt is not known yet; at most ``clip_sender.MOST_IN_FLIGHT`` of them exist.
"""

import enum
import sqlite3
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final

import msgspec

from camera_node.messages import ClipSegment
from relay.envelope import Envelope
from relay.schema_steps import steps_in

PART: Final = "clips"
_ROWS_KEPT: Final = 5_000

SCHEMA: Final = steps_in(files("camera_node").joinpath("schema", "clips"))


class ClipState(enum.StrEnum):
    """What has become of a clip."""

    RECORDING = "recording"
    WAITING = "waiting"
    """Complete, and to be sent."""
    HEARD = "heard"
    """The center has stored every byte."""
    KEPT = "kept"
    """Complete, and not to be sent."""
    DAMAGED = "damaged"
    """The file is not what was recorded. Kept, not sent."""
    EVICTED = "evicted"
    """The file was deleted for room or for age."""
    EMPTY = "empty"
    """Nothing was recorded."""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One clip, for people and for whoever works on it."""

    id: int
    camera: str
    file: str
    state: ClipState
    why: str
    codec: str
    width_px: int
    height_px: int
    started_monotonic_ms: int
    started_wall_ms: int
    duration_ms: int
    size_bytes: int
    sha256: str
    ended_wall_ms: int | None
    lost_packets: int
    next_offset_bytes: int


_COLUMNS: Final = ", ".join("lower(hex(sha256))" if name == "sha256" else name for name in Clip.__struct_fields__)


_HELD: Final = "EXISTS (SELECT 1 FROM clip_alert a JOIN clip_hold h ON h.alert_id = a.alert_id WHERE a.clip = clip.id)"


def _clips(connection: sqlite3.Connection, where: str, *values: object) -> list[Clip]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM clip {where}", values)  # noqa: S608  only text from this file
    return [msgspec.convert(dict(zip(Clip.__struct_fields__, row, strict=True)) | {"sha256": row[12] or ""}, Clip)
            for row in rows]  # fmt: skip


def newest(connection: sqlite3.Connection, at_most: int) -> list[Clip]:
    """The last clips, the newest first."""
    return _clips(connection, "ORDER BY id DESC LIMIT ?", at_most)


def recording(connection: sqlite3.Connection, camera: str | None = None) -> list[Clip]:
    """Those that have not ended, of one camera or of all."""
    return _clips(connection, "WHERE state = 'recording' AND (?1 IS NULL OR camera = ?1) ORDER BY id", camera)


def next_to_send(connection: sqlite3.Connection) -> Clip | None:
    """The oldest clip that waits and whose alert is spooled; those that people asked for go first."""
    found = _clips(connection, "WHERE state = 'waiting' AND EXISTS (SELECT 1 FROM clip_alert WHERE clip = clip.id) ORDER BY "
                               "EXISTS (SELECT 1 FROM clip_alert a JOIN clip_wanted w ON w.alert_id = a.alert_id "
                               "WHERE a.clip = clip.id) DESC, id LIMIT 1")  # fmt: skip
    return found[0] if found else None


def get(connection: sqlite3.Connection, clip_id: int) -> Clip:
    """One clip by its number."""
    return _clips(connection, "WHERE id = ?", clip_id)[0]


def showing(connection: sqlite3.Connection, alert_id: bytes) -> list[Clip]:
    """Those that show an alert, the oldest first."""
    return _clips(connection, "WHERE id IN (SELECT clip FROM clip_alert WHERE alert_id = ?) ORDER BY id", alert_id)


def begin(connection: sqlite3.Connection, camera: str, file: str) -> int:
    """The number of a clip; a row is made if there is none."""
    connection.execute("INSERT OR IGNORE INTO clip (camera, file) VALUES (?, ?)", (camera, file))
    row = connection.execute("SELECT id FROM clip WHERE camera = ? AND file = ?", (camera, file)).fetchone()
    return int(row[0])


def show(connection: sqlite3.Connection, camera: str, file: str, alert_id: bytes) -> None:
    """This clip shows this alert: within the transaction that spools the alert."""
    clip_id = begin(connection, camera, file)
    connection.execute("INSERT OR IGNORE INTO clip_alert (clip, alert_id) VALUES (?, ?)", (clip_id, alert_id))
    # A clip that was heard before one of its alerts was spooled: that alert's exhibit is still to be sent.
    connection.execute("UPDATE clip SET state = 'waiting' WHERE id = ? AND state = 'heard'", (clip_id,))


def add_segment(connection: sqlite3.Connection, camera: str, segment: ClipSegment) -> None:
    """A segment is durable."""
    clip_id = begin(connection, camera, segment.clip)
    connection.execute("INSERT OR IGNORE INTO clip_segment VALUES (?, ?, ?, ?, ?)",
                       (clip_id, segment.number, segment.offset_bytes, segment.size_bytes, segment.sha256))  # fmt: skip
    connection.execute(
        "UPDATE clip SET codec = ?, width_px = ?, height_px = ?, size_bytes = MAX(size_bytes, ?), "
        "duration_ms = duration_ms + ?, "
        "started_monotonic_ms = CASE WHEN ?6 = 1 THEN ?7 ELSE started_monotonic_ms END, "
        "started_wall_ms = CASE WHEN ?6 = 1 THEN ?8 ELSE started_wall_ms END WHERE id = ?9 AND state = 'recording'",
        (segment.codec, segment.width_px, segment.height_px, segment.offset_bytes + segment.size_bytes,
         segment.duration_ms, segment.number, segment.started_monotonic_ms, segment.started_wall_ms, clip_id),
    )  # fmt: skip


def segments(connection: sqlite3.Connection, clip_id: int) -> dict[tuple[int, int], bytes]:
    """SHA-256 by offset and size, as the eye reported them."""
    rows = connection.execute("SELECT offset_bytes, size_bytes, sha256 FROM clip_segment WHERE clip = ?", (clip_id,))
    return {(row[0], row[1]): row[2] for row in rows}


def whole_of_segments(connection: sqlite3.Connection, clip: Clip) -> list[tuple[int, bytes]]:
    """Size and SHA-256 of each segment, in order; empty unless they fill the file."""
    rows = connection.execute(
        "SELECT offset_bytes, size_bytes, sha256 FROM clip_segment WHERE clip = ? ORDER BY offset_bytes", (clip.id,)
    ).fetchall()
    ends = [row[0] + row[1] for row in rows]
    is_whole = [row[0] for row in rows] == [0, *ends[:-1]] and ends[-1:] == [clip.size_bytes]
    return [(row[1], row[2]) for row in rows] if is_whole else []


def end(connection: sqlite3.Connection, clip_id: int, *, state: ClipState, why: str, sha256: bytes, now_ms: int,
        found: Sequence[tuple[int, int, bytes]], written_wall_ms: int, lost_packets: int = 0) -> None:  # fmt: skip
    """It is complete: ``found`` are offset, size and SHA-256 of the segments in its file, last written at ``written_wall_ms``."""
    for number, (offset, size, digest) in enumerate(found, start=1):
        connection.execute("INSERT OR REPLACE INTO clip_segment VALUES (?, ?, ?, ?, ?)",
                           (clip_id, number, offset, size, digest))  # fmt: skip
    size_bytes = found[-1][0] + found[-1][1] if found else 0
    connection.execute(
        "UPDATE clip SET state = ?, why = ?, sha256 = ?, size_bytes = ?, ended_wall_ms = ?, lost_packets = ?, "
        # A kill may have taken the eye's word on the beginning: the last write is near enough to find it by.
        "started_wall_ms = CASE started_wall_ms WHEN 0 THEN ? ELSE started_wall_ms END "
        "WHERE id = ? AND state = 'recording'",
        (state.value, why, sha256, size_bytes, now_ms, lost_packets, written_wall_ms, clip_id),
    )
    count(connection, "clips_recorded" if state in {ClipState.WAITING, ClipState.KEPT} else f"clips_{state.value}")
    connection.execute("DELETE FROM clip WHERE state IN ('evicted', 'empty') AND id <= (SELECT MAX(id) FROM clip) - ?",
                       (_ROWS_KEPT,))  # fmt: skip


def total_bytes(connection: sqlite3.Connection) -> int:
    """What all clips take, those under way included."""
    query = "SELECT COALESCE(SUM(size_bytes), 0) FROM clip WHERE state NOT IN ('evicted', 'empty')"
    return int(connection.execute(query).fetchone()[0])


def too_old(connection: sqlite3.Connection, before_wall_ms: int) -> list[Clip]:
    """Those past their time that nobody waits for: the center has them, or they are never sent."""
    return _clips(connection, f"WHERE state IN ('heard', 'kept', 'damaged') AND ended_wall_ms < ? AND NOT {_HELD} ORDER BY id",
                  before_wall_ms)  # fmt: skip


def first_to_go(connection: sqlite3.Connection) -> Clip | None:
    """What gives way for room: first what the center has, then what is never sent, last what nobody else has yet."""
    order = "CASE state WHEN 'heard' THEN 0 WHEN 'kept' THEN 1 WHEN 'damaged' THEN 2 ELSE 3 END"
    found = _clips(
        connection,
        f"WHERE state IN ('heard', 'kept', 'damaged', 'waiting') AND NOT {_HELD} ORDER BY {order}, id LIMIT 1",
    )
    return found[0] if found else None


def held_bytes(connection: sqlite3.Connection) -> int:
    """What clips on hold take."""
    query = f"SELECT COALESCE(SUM(size_bytes), 0) FROM clip WHERE state NOT IN ('evicted', 'empty') AND {_HELD}"  # noqa: S608
    return int(connection.execute(query).fetchone()[0])


def evict(connection: sqlite3.Connection, clip: Clip, why: str) -> None:
    """Its file is gone: say so, and count apart what nobody else has."""
    connection.execute("UPDATE clip SET state = 'evicted', why = ? WHERE id = ?", (why, clip.id))
    connection.execute("DELETE FROM clip_chunk WHERE clip = ?", (clip.id,))
    count(
        connection, "clips_evicted_unheard" if clip.state is ClipState.WAITING else f"clips_evicted_{clip.state.value}"
    )


def evicted(connection: sqlite3.Connection, camera: str) -> set[str]:
    """Files of a camera that must not be there any more."""
    rows = connection.execute("SELECT file FROM clip WHERE camera = ? AND state IN ('evicted', 'empty')", (camera,))
    return {row[0] for row in rows}


def count(connection: sqlite3.Connection, name: str) -> None:
    """One more; kept over restarts."""
    connection.execute(
        "INSERT INTO clip_tally VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1", (name,)
    )


def tallies(connection: sqlite3.Connection) -> dict[str, int]:
    """What has become of clips, over the database's whole life."""
    return dict(connection.execute("SELECT name, count FROM clip_tally").fetchall())


def unannounced(connection: sqlite3.Connection, clip_id: int) -> list[bytes]:
    """Its alerts whose exhibit was not spooled, or left the spool without a receipt."""
    rows = connection.execute("SELECT alert_id FROM clip_alert WHERE clip = ? AND exhibit_id IS NULL", (clip_id,))
    return [row[0] for row in rows]


def announced(connection: sqlite3.Connection, clip_id: int, alert_id: bytes, envelope: Envelope) -> None:
    """The exhibit that says that it shows this alert is spooled."""
    connection.execute(
        "UPDATE clip_alert SET exhibit_id = ?, series = ?, sequence = ? WHERE clip = ? AND alert_id = ?",
        (envelope.id, envelope.header.series, envelope.header.sequence, clip_id, alert_id),
    )


def sent(connection: sqlite3.Connection, clip_id: int, offset_bytes: int, size_bytes: int, envelope: Envelope) -> None:
    """A chunk of it is spooled."""
    connection.execute(
        "INSERT OR REPLACE INTO clip_chunk VALUES (?, ?, ?, ?, ?, ?)",
        (clip_id, offset_bytes, size_bytes, envelope.id, envelope.header.series, envelope.header.sequence),
    )
    connection.execute("UPDATE clip SET next_offset_bytes = MAX(next_offset_bytes, ?) WHERE id = ?",
                       (offset_bytes + size_bytes, clip_id))  # fmt: skip


IsCovered = Callable[[int, int], bool]
"""Whether the center's receipt covers this number of this series of ours."""


def settle(connection: sqlite3.Connection, clip_id: int, is_covered: IsCovered) -> tuple[int, list[tuple[int, int]]]:
    """Look what has become of its envelopes; how many chunks are still in the spool, and which left it unheard.

    What is not in the spool any more was heard, if the receipt says so; else it gave way to something more urgent, and is
    to be sent again.
    """
    for alert_id, series, sequence in connection.execute(
        "SELECT alert_id, series, sequence FROM clip_alert WHERE clip = ? AND exhibit_id IS NOT NULL AND NOT is_heard "
        "AND NOT EXISTS (SELECT 1 FROM envelope WHERE id = exhibit_id)", (clip_id,),
    ).fetchall():  # fmt: skip
        change = "is_heard = 1" if is_covered(series, sequence) else "exhibit_id = NULL"
        connection.execute(f"UPDATE clip_alert SET {change} WHERE clip = ? AND alert_id = ?", (clip_id, alert_id))  # noqa: S608
    waiting, lost = 0, list[tuple[int, int]]()
    for offset, size, series, sequence, is_spooled in connection.execute(
        "SELECT offset_bytes, size_bytes, series, sequence, EXISTS (SELECT 1 FROM envelope WHERE id = envelope_id) "
        "FROM clip_chunk WHERE clip = ? ORDER BY offset_bytes", (clip_id,),
    ).fetchall():  # fmt: skip
        if is_spooled:
            waiting += 1
        elif is_covered(series, sequence):
            connection.execute("DELETE FROM clip_chunk WHERE clip = ? AND offset_bytes = ?", (clip_id, offset))
        else:
            lost.append((offset, size))
    return waiting, lost


def spoil(connection: sqlite3.Connection, clip_id: int) -> None:
    """Its file does not hold what it should."""
    changed = connection.execute(
        "UPDATE clip SET state = 'damaged', why = 'its file is gone, or not what was recorded' "
        "WHERE id = ? AND state = 'waiting'", (clip_id,),
    ).rowcount  # fmt: skip
    if changed:
        count(connection, "clips_damaged")


def heard_if_done(connection: sqlite3.Connection, clip_id: int) -> bool:
    """Whether the center has all of it now."""
    changed = connection.execute(
        "UPDATE clip SET state = 'heard' WHERE id = ? AND state = 'waiting' AND next_offset_bytes = size_bytes "
        "AND NOT EXISTS (SELECT 1 FROM clip_chunk WHERE clip = clip.id) "
        "AND NOT EXISTS (SELECT 1 FROM clip_alert WHERE clip = clip.id AND NOT is_heard)", (clip_id,),
    ).rowcount  # fmt: skip
    if changed:
        count(connection, "clips_heard")
    return bool(changed)
