"""The spool: everything in this machine's custody, durable before it is sent, kept until the receipt.

It owns the tables of ``schema/spool/`` and nothing else; it does no I/O but through the connection it is given, so
each method is one step of a transaction of ``relay.database.Database``. Called by ``station`` and ``sender``.

Invariants, verified by ``spool_check``:

1. An alert exists once it is committed here. Nothing is sent from memory.
2. Number, link and row of an own envelope are written in one transaction: ``last_sequence`` is the highest number given,
   and every number from 1 to it is here, receipted, or forgone.
3. A row leaves by one of three ways only: a receipt that covers it; expiry, if it has a time to live; eviction, for
   something of higher precedence. The last two are counted, and for own envelopes forgone and reported upstream.
4. FLASH and IMMEDIATE are never evicted, and the reserve is open to them alone. Nobody whom we carry for has more than
   the share of the room that ``SpoolLimits`` gives to one.
5. The columns of a row say what its wire bytes say.
6. ``usage`` and ``usage_by_origin`` are sums over ``envelope``.
7. No row is covered by a receipt that we hold.
8. Receipts only grow.
"""

import enum
import hashlib
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import msgspec

from relay import envelope as envelopes
from relay import forgone, spool_room
from relay.clock import Clock
from relay.envelope import Envelope
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.kinds.heartbeat import Room
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.receipt import Receipt
from relay.receipt import parse as parse_receipt
from relay.row_insert import insert_rows
from relay.schema_steps import steps_in
from relay.spool_room import SpoolLimits

SCHEMA: Final = steps_in(files("relay").joinpath("schema", "spool"))

_LAST_BOOT: Final = 65535
_HELD_LOOKED_AT: Final = 20_000
"""By the index alone: some 10 ms of the database's thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Something to say, before it is numbered, sealed and signed."""

    kind: Kind
    precedence: Precedence
    body: bytes
    peer_sealing_key: bytes
    """For whom the body is sealed: the authority's key upwards, the node's downwards."""
    destination: NodeId = AUTHORITY
    ttl_s: int = 0


class Spooled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An envelope in our custody."""

    envelope: Envelope
    number: int


class Carried(enum.Enum):
    """What became of an envelope that somebody handed us to carry."""

    NEW = "new"
    FORK = "fork"
    """As new, but its number is in use here with another content: both are kept and travel on."""
    HELD = "held"
    """We have it already and it waits for its receipt."""
    HEARD = "heard"
    """It has its receipt: hand that back."""


class Freed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row that a receipt let go."""

    number: int
    id: EnvelopeId
    origin: NodeId
    sequence: int
    kind: int


_INTO: Final = (
    "envelope (id, origin, destination, series, sequence, kind, precedence, ttl_s, opening, put_monotonic_ms, put_wall_ms, "
    "size_bytes, wire)"
)


class Spool:
    """The rules of custody."""

    def __init__(
        self, *, identity: Identity, clock: Clock, limits: SpoolLimits | None = None,
        is_disk_short: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._identity = identity
        self._clock = clock
        self._limits = limits or SpoolLimits()
        self._is_disk_short = is_disk_short
        self._opening = 0
        self._secrets: dict[bytes, bytes] = {}
        self.evicted: deque[tuple[int, Precedence]] = deque(maxlen=100_000)
        """Numbers that gave way, for the sender to forget; those of a transaction that was rolled back are still there."""

    def start(self, connection: sqlite3.Connection) -> None:
        """Note this opening. Each numbering's boot goes up by one, so that monotonic times are never compared across boots."""
        cursor = connection.execute(
            "INSERT INTO opening (boot_id, at_wall_ms, at_monotonic_ms) VALUES (?, ?, ?)",
            (self._clock.boot_id, self._clock.wall_ms(), self._clock.monotonic_ms()),
        )
        self._opening = cursor.lastrowid or 0
        connection.execute("DELETE FROM stream WHERE boot >= ?", (_LAST_BOOT,))  # put() starts a new series
        streams = connection.execute("SELECT destination, series, last_sequence FROM stream").fetchall()
        for destination, series, last_sequence in streams:
            receipt = self.receipt_for(connection, self._identity.node_id, destination, series)
            if receipt is not None and receipt.ranges().highest > last_sequence:
                # This disk was restored from an older copy: numbers that we would give again are used up.
                connection.execute("DELETE FROM stream WHERE destination = ?", (destination,))
        connection.execute("UPDATE stream SET boot = boot + 1")

    # ------------------------------------------------------------------ in

    def put(self, connection: sqlite3.Connection, draft: Draft) -> Spooled:
        """Number, chain, sign, seal and store something of our own. Raises as ``put_all``."""
        return self.put_all(connection, [draft])[0]

    def put_all(self, connection: sqlite3.Connection, drafts: Sequence[Draft]) -> list[Spooled]:
        """``put`` for several, in order. What they have in common is read and written once: their stream, the room, the rows.

        Raises:
            SpoolFull: no room, and nothing of lower precedence left to evict; the caller's transaction undoes those before it.
            Malformed: a body is over its bound; nothing was stored.
        """
        made: list[Envelope] = []
        clock = self._clock
        quality, wall_ms, monotonic_ms = clock.quality(), clock.wall_ms(), clock.monotonic_ms()
        streams: dict[NodeId, tuple[int, int, int, bytes]] = {}
        for draft in drafts:
            series, boot, sequence, link = streams.get(draft.destination) or self._stream(connection, draft.destination)
            header = Header(
                kind=draft.kind, quality=quality, precedence=draft.precedence,
                origin=self._identity.node_id, destination=draft.destination, series=series, boot=boot,
                sequence=sequence + 1, wall_ms=wall_ms, monotonic_ms=monotonic_ms,
                ttl_s=draft.ttl_s, link=link, body_sha256=hashlib.sha256(draft.body).digest(),
            )  # fmt: skip
            envelope = envelopes.seal(
                header, draft.body, signing=self._identity.signing, shared_secret=self._secret(draft.peer_sealing_key)
            )
            made.append(envelope)
            streams[draft.destination] = series, boot, sequence + 1, envelope.id[:8]
        numbers = self._insert_all(connection, made)
        for destination, (_, _, sequence, link) in streams.items():
            connection.execute(
                "UPDATE stream SET last_sequence = ?, link = ? WHERE destination = ?", (sequence, link, destination)
            )
        return [Spooled(envelope=envelope, number=number) for envelope, number in zip(made, numbers, strict=True)]

    def carry(self, connection: sqlite3.Connection, envelope: Envelope) -> tuple[Carried, int, bytes]:
        """Take somebody else's envelope into custody. The caller has verified its signature.

        Returns what became of it, its number here, and the receipt's wire bytes where it is HEARD.

        Raises:
            SpoolFull: no room; the sender keeps its copy and tries again.
            OverQuota: this origin has its share of the spool.
        """
        header = envelope.header
        receipt = self.receipt_for(connection, header.origin, header.destination, header.series)
        if receipt is not None and receipt.covers(header.sequence):
            return Carried.HEARD, 0, receipt.wire
        rows = connection.execute(
            "SELECT number, id FROM envelope WHERE origin = ? AND destination = ? AND series = ? AND sequence = ?",
            (header.origin, header.destination, header.series, header.sequence),
        ).fetchall()
        for number, identifier in rows:
            if identifier == envelope.id:
                return Carried.HELD, number, b""
        spool_room.check_quota(
            connection, self._limits, len(envelope.wire), header.precedence, header.origin, header.kind
        )
        return Carried.FORK if rows else Carried.NEW, self._insert_all(connection, [envelope])[0], b""

    # ------------------------------------------------------------------ out

    def settle(self, connection: sqlite3.Connection, receipt: Receipt, destination: NodeId) -> list[Freed] | None:
        """Let go of everything that a receipt covers; None if we hold one that says as much already.

        ``destination`` is the signer's id, or ``AUTHORITY`` if a command center signed. The caller has verified it.
        """
        stored = receipt.ranges()
        known = self.receipt_for(connection, receipt.origin, destination, receipt.series)
        before = known.ranges() if known is not None else RangeSet()
        if known is not None and not stored.minus(before):
            return None  # the same, or an older receipt that took a slower path
        connection.execute(
            "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?)",
            (receipt.origin, destination, receipt.series, stored.count, receipt.wire),
        )
        freed: list[Freed] = []
        for first, last in stored:
            rows = connection.execute(
                "DELETE FROM envelope WHERE origin = ? AND destination = ? AND series = ? AND sequence BETWEEN ? AND ? "
                "RETURNING number, id, origin, sequence, kind",
                (receipt.origin, destination, receipt.series, first, last),
            )
            freed += [Freed(number=r[0], id=r[1], origin=r[2], sequence=r[3], kind=r[4]) for r in rows]
        if receipt.origin == self._identity.node_id:
            # A center that was restored from a backup, or another one, may not have what an earlier receipt let us free.
            # Only what we did send: a receiver that says otherwise must not fill our disk.
            gone = before.minus(stored)
            above = gone.minus(forgone.given(connection, destination, receipt.series))
            reason = forgone.NAMED_BEFORE if receipt.is_full else forgone.RECEIPTED
            forgone.forgo(connection, destination, receipt.series, gone.minus(above), reason)
            forgone.forgive(connection, destination, receipt.series, stored)
            if not receipt.is_full:
                forgone.tell(connection, destination, receipt.series)
        return freed

    def expire(self, connection: sqlite3.Connection) -> list[int]:
        """Drop what outlived its time to live, counted; alerts never expire. Returns the numbers dropped.

        Age counts on the monotonic clock: within this boot exactly; for rows of an earlier boot from this boot's start,
        because how long the machine was off can't be known. Nothing expires too early.
        """
        now = self._clock.monotonic_ms()
        rows = connection.execute(
            """SELECT e.number, e.origin, e.destination, e.series, e.sequence, e.precedence FROM envelope e
               JOIN opening o ON o.id = e.opening
               WHERE e.ttl_s > 0 AND e.precedence > ? AND
                     ? - CASE WHEN o.boot_id = ? THEN e.put_monotonic_ms ELSE 0 END > e.ttl_s * 1000""",
            (Precedence.IMMEDIATE, now, self._clock.boot_id),
        ).fetchall()
        for row in rows:
            self._drop(connection, row, "expired")
        return [row[0] for row in rows]

    # ------------------------------------------------------------------ questions

    def receipt_for(
        self, connection: sqlite3.Connection, origin: NodeId, destination: NodeId, series: int
    ) -> Receipt | None:
        """The furthest receipt that we hold for a series."""
        row = connection.execute(
            "SELECT wire FROM receipt WHERE origin = ? AND destination = ? AND series = ?",
            (origin, destination, series),
        ).fetchone()
        return parse_receipt(row[0]) if row else None

    def receipts_to(self, connection: sqlite3.Connection, origin: NodeId) -> list[bytes]:
        """The wire bytes of every receipt for this origin's envelopes."""
        return [row[0] for row in connection.execute("SELECT wire FROM receipt WHERE origin = ?", (origin,))]

    def receipts(self, connection: sqlite3.Connection, most: int) -> list[bytes]:
        """The wire bytes of the receipts that we hold, whosever envelopes they are for; the fullest first."""
        return [row[0] for row in connection.execute("SELECT wire FROM receipt ORDER BY stored DESC LIMIT ?", (most,))]

    def held(self, connection: sqlite3.Connection, origin: NodeId) -> dict[tuple[NodeId, int], RangeSet]:
        """Numbers of an origin that wait here, by destination and series; of a very long backlog the beginning."""
        found: dict[tuple[NodeId, int], RangeSet] = {}
        for destination, series, sequence in connection.execute(
            "SELECT destination, series, sequence FROM envelope WHERE origin = ? "
            "ORDER BY destination, series, sequence LIMIT ?", (origin, _HELD_LOOKED_AT),
        ):  # fmt: skip
            found.setdefault((destination, series), RangeSet()).add(sequence)
        return found

    def backlog(self, connection: sqlite3.Connection) -> tuple[tuple[int, ...], int]:
        """Envelopes by precedence, and bytes in all."""
        rows = connection.execute("SELECT envelopes, bytes FROM usage ORDER BY precedence").fetchall()
        return tuple(row[0] for row in rows), sum(row[1] for row in rows)

    def room(self, connection: sqlite3.Connection) -> Room:
        """What still finds room here."""
        return spool_room.room(connection, self._limits, is_disk_short=self._is_disk_short())

    def oldest_alert_age_s(self, connection: sqlite3.Connection) -> int:
        """How long the oldest alert has waited for its receipt, s; 0 if none waits. Earlier boots count from this boot's start.

        Numbers are given in order of arrival, so each precedence's first is its oldest: two look-ups, however much waits.
        """
        row = connection.execute(
            """SELECT MIN(CASE WHEN o.boot_id = ? THEN e.put_monotonic_ms ELSE 0 END) FROM envelope e
               JOIN opening o ON o.id = e.opening WHERE e.number IN (SELECT MIN(number) FROM envelope WHERE precedence = 0
               UNION ALL SELECT MIN(number) FROM envelope WHERE precedence = 1)""",
            (self._clock.boot_id,),
        ).fetchone()
        return 0 if row[0] is None else max(0, (self._clock.monotonic_ms() - row[0]) // 1000)

    def forgone(self, connection: sqlite3.Connection, destination: NodeId = AUTHORITY) -> RangeSet:
        """Our own numbers of the current series that will never come and are not receipted yet."""
        query = "SELECT first, last FROM forgone f JOIN stream s USING (destination, series) WHERE destination = ? AND reason != ?"
        return RangeSet(connection.execute(query, (destination, forgone.NAMED_BEFORE)).fetchall())

    def was_receipted(self, connection: sqlite3.Connection, series: int, sequence: int) -> bool:
        """Whether a center said that it stored this number of ours: by the receipt that we hold, or, where that is full, by an earlier one."""
        held = self.receipt_for(connection, self._identity.node_id, AUTHORITY, series)
        return held is not None and (
            held.covers(sequence) or forgone.was_named(connection, AUTHORITY, series, sequence)
        )

    def tallies(self, connection: sqlite3.Connection) -> dict[str, int]:
        """What left without a receipt, by reason, over the spool's whole life."""
        return dict(connection.execute("SELECT name, count FROM tally").fetchall())

    # ------------------------------------------------------------------ inside

    def _secret(self, peer_sealing_key: bytes) -> bytes:
        secret = self._secrets.get(peer_sealing_key)
        if secret is None:
            secret = self._secrets[peer_sealing_key] = self._identity.shared_secret(peer_sealing_key)
        return secret

    def _stream(self, connection: sqlite3.Connection, destination: NodeId) -> tuple[int, int, int, bytes]:
        row: tuple[int, int, int, bytes] | None = connection.execute(
            "SELECT series, boot, last_sequence, link FROM stream WHERE destination = ?", (destination,)
        ).fetchone()
        if row is None:
            # Random, so that a machine whose disk was replaced can't take the old numbering up again by accident.
            row = (secrets.randbelow((1 << 32) - 1) + 1, 1, 0, bytes(8))
            connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?)", (destination, *row))
        return row

    def _insert_all(self, connection: sqlite3.Connection, envelopes_: Sequence[Envelope]) -> list[int]:
        """Their numbers here, in order."""
        if spool_room.takes_all(connection, self._limits, envelopes_, is_disk_short=self._is_disk_short()):
            return insert_rows(connection, _INTO, [self._row(envelope) for envelope in envelopes_])
        numbers: list[int] = []
        for envelope in envelopes_:  # something has to give way, or does not fit
            header = envelope.header
            spool_room.make(connection, self._limits, len(envelope.wire), header.precedence, self._drop, header.kind,
                            self._is_disk_short())  # fmt: skip
            numbers += insert_rows(connection, _INTO, [self._row(envelope)])
        return numbers

    def _row(self, envelope: Envelope) -> tuple[object, ...]:
        header = envelope.header
        return (
            envelope.id, header.origin, header.destination, header.series, header.sequence, header.kind,
            header.precedence, header.ttl_s, self._opening, self._clock.monotonic_ms(), self._clock.wall_ms(),
            len(envelope.wire), envelope.wire,
        )  # fmt: skip

    def _drop(self, connection: sqlite3.Connection, row: Sequence[object], reason: str) -> None:
        number, origin, destination, series, sequence = row[:5]
        if reason == "evicted":
            self.evicted.append((int(str(number)), Precedence(int(str(row[5])))))
        connection.execute("DELETE FROM envelope WHERE number = ?", (number,))
        connection.execute(
            "INSERT INTO tally VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1",
            (f"{reason}_{Precedence(int(str(row[5]))).name.lower()}",),
        )
        if origin == self._identity.node_id:
            connection.execute(
                "INSERT OR IGNORE INTO forgone VALUES (?, ?, ?, ?, ?)",
                (destination, series, sequence, sequence, reason),
            )
