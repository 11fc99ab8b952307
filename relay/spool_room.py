"""Who may use how much of the spool: the reserve for alerts, what gives way to what, and each node's share.

Heartbeats may use a little of the reserve: a node without room must be able to say so. They expire, so they never fill it.

Steps of the spool's own transactions; called by ``spool`` alone.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from relay import limits as bounds
from relay.envelope import Envelope
from relay.errors import DiskFull, OverQuota, SpoolFull
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds.heartbeat import Room
from relay.precedence import Precedence

_SIGNS_OF_LIFE: Final = frozenset({Kind.HEARTBEAT, Kind.PULSE})
_EVICTABLE: Final = (Precedence.BULK, Precedence.ROUTINE, Precedence.PRIORITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """How much the spool may hold."""

    capacity_bytes: int = 2_000_000_000
    reserve_bytes: int = 200_000_000
    """Of the capacity, what only alerts may use."""
    node_share: float = 0.25
    """Of the capacity, what any one node that we carry for may use, alerts included; of the rest of the room, without them."""
    pinned_share: float = 0.25
    """Of the capacity, what may be pinned: alerts must find room whatever is on hold."""

    def allowed_bytes(self, precedence: Precedence, kind: int = 0) -> int:
        """The room that this precedence may fill, with everything else that is there."""
        if precedence.is_alert:
            return self.capacity_bytes
        extra_bytes = min(bounds.HEARTBEAT_ROOM_BYTES, self.reserve_bytes // 4) if kind in _SIGNS_OF_LIFE else 0
        return self.capacity_bytes - self.reserve_bytes + extra_bytes


def check_quota(
    connection: sqlite3.Connection, limits: SpoolLimits, size_bytes: int, precedence: Precedence, origin: NodeId, kind: int = 0
) -> None:  # fmt: skip
    """Whether a node that we carry for has room left.

    Raises:
        OverQuota: it has its share; others keep theirs.
    """
    extra_bytes = limits.allowed_bytes(precedence, kind) - limits.allowed_bytes(precedence)
    allowed = int(limits.allowed_bytes(precedence) * limits.node_share) + extra_bytes
    used: int = connection.execute(
        "SELECT COALESCE(SUM(bytes), 0) FROM usage_by_origin WHERE origin = ?", (origin,)
    ).fetchone()[0]
    if used + size_bytes > allowed:
        raise OverQuota(
            f"expected at most {allowed} bytes of one node here, found {used}: it keeps the rest; look what it floods us with"
        )


def takes_all(
    connection: sqlite3.Connection, limits: SpoolLimits, envelopes: Sequence[Envelope], *, is_disk_short: bool
) -> bool:  # fmt: skip
    """Whether all of them find room as it is, so that ``make`` need not be asked for each."""
    if is_disk_short:
        return False
    wanted_bytes = sum(len(envelope.wire) for envelope in envelopes)
    allowed = min(
        (limits.allowed_bytes(item.header.precedence, item.header.kind) for item in envelopes),
        default=limits.capacity_bytes,
    )
    used: int = connection.execute("SELECT SUM(bytes) FROM usage").fetchone()[0]
    return used + wanted_bytes <= allowed


def make(
    connection: sqlite3.Connection, limits: SpoolLimits, size_bytes: int, precedence: Precedence,
    drop: Callable[[sqlite3.Connection, Sequence[object], str], None], kind: int = 0, is_disk_short: bool = False,
) -> None:  # fmt: skip
    """Make room for something, by evicting what is less urgent, oldest first.

    Raises:
        DiskFull: the disk was found full, and this is no alert.
        SpoolFull: nothing is left to evict; nothing was.
    """
    if is_disk_short and not precedence.is_alert and kind not in _SIGNS_OF_LIFE:
        raise DiskFull("the disk is full: what is left of it takes alerts only; free space there")
    allowed = limits.allowed_bytes(precedence, kind)
    used: int = connection.execute("SELECT SUM(bytes) FROM usage").fetchone()[0]
    if used + size_bytes <= allowed:
        return
    evictable: int = connection.execute(
        "SELECT COALESCE(SUM(bytes), 0) FROM usage WHERE precedence > ?", (max(precedence, Precedence.IMMEDIATE),)
    ).fetchone()[0] - _pinned_bytes(connection, precedence)
    for victims in _EVICTABLE if used - evictable + size_bytes <= allowed else ():  # never evict in vain
        if victims <= precedence:
            break
        while used + size_bytes > allowed:
            row = connection.execute(
                "SELECT number, origin, destination, series, sequence, precedence, size_bytes FROM envelope "
                "WHERE precedence = ? AND NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.id = envelope.id) "
                "ORDER BY number LIMIT 1",
                (victims,),
            ).fetchone()
            if row is None:
                break
            drop(connection, row, "evicted")
            used -= row[6]
    if used + size_bytes > allowed:
        raise SpoolFull(
            f"expected room for {size_bytes} bytes of {precedence.name}, found {used} of {allowed} bytes used and "
            "nothing less urgent to evict: restore a path to the command center, or give the spool more room"
        )


def room(connection: sqlite3.Connection, limits: SpoolLimits, *, is_disk_short: bool) -> Room:
    """What still finds room: an alert of the largest size, then a whole chunk."""
    used: int = connection.execute("SELECT SUM(bytes) FROM usage").fetchone()[0]
    for precedence, size_bytes, else_room in (
        (Precedence.FLASH, bounds.LORA_FRAME_BYTES, Room.NONE),
        (Precedence.PRIORITY, bounds.MAX_ENVELOPE_BYTES, Room.ALERTS_ONLY),
    ):
        if used + size_bytes > limits.allowed_bytes(precedence):
            evictable: int = connection.execute(
                "SELECT COALESCE(SUM(bytes), 0) FROM usage WHERE precedence > ?",
                (max(precedence, Precedence.IMMEDIATE),),
            ).fetchone()[0] - _pinned_bytes(connection, precedence)
            if used - evictable + size_bytes > limits.allowed_bytes(precedence):
                return else_room
        if is_disk_short:
            return Room.DISK_FULL
    return Room.FREE


def _pinned_bytes(connection: sqlite3.Connection, precedence: Precedence = Precedence.FLASH) -> int:
    """Of what is here and less urgent, how much is pinned."""
    found: int = connection.execute(
        "SELECT COALESCE(SUM(size_bytes), 0) FROM envelope JOIN pinned ON pinned.id = envelope.id WHERE precedence > ?",
        (max(precedence, Precedence.IMMEDIATE),),
    ).fetchone()[0]
    return found


def pin(connection: sqlite3.Connection, limits: SpoolLimits, ids: Sequence[bytes]) -> None:
    """Keep these from giving way, until ``unpin``; those that left meanwhile need no keeping.

    Raises:
        SpoolFull: more is pinned already than may be; nothing was.
    """
    here = [(i,) for i in ids if connection.execute("SELECT 1 FROM envelope WHERE id = ?", (i,)).fetchone()]
    connection.execute("DELETE FROM pinned WHERE NOT EXISTS (SELECT 1 FROM envelope WHERE envelope.id = pinned.id)")
    connection.executemany("INSERT OR IGNORE INTO pinned VALUES (?)", here)
    allowed = int(limits.capacity_bytes * limits.pinned_share)
    if (pinned := _pinned_bytes(connection)) > allowed:
        connection.executemany("DELETE FROM pinned WHERE id = ?", here)
        raise SpoolFull(
            f"expected at most {allowed} bytes on hold in the spool, found {pinned}: restore a path, then hold again"
        )


def unpin(connection: sqlite3.Connection, ids: Sequence[bytes]) -> None:
    """Let these give way again."""
    connection.executemany("DELETE FROM pinned WHERE id = ?", [(i,) for i in ids])


def few_of_many(
    connection: sqlite3.Connection, precedence: Precedence, *, at_most_each: int, at_most: int
) -> Sequence[tuple[int, ...]]:
    """Numbers of what waits from nodes that have little waiting: so that they need not queue behind a flood."""
    rows = connection.execute(
        "SELECT origin FROM usage_by_origin WHERE precedence = ? AND envelopes <= ? ORDER BY envelopes LIMIT ?",
        (precedence, at_most_each, at_most),
    ).fetchall()
    found: list[tuple[int, ...]] = []
    for (origin,) in rows:
        if len(found) >= at_most:
            break
        found += connection.execute(
            # By the index that begins with the origin: it has few rows, and the flood's are not looked at.
            "SELECT number FROM envelope WHERE origin = ? AND +precedence = ? ORDER BY +number LIMIT ?",
            (origin, precedence, at_most - len(found)),
        ).fetchall()
    return found
