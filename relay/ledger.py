"""What has arrived here for us, for good: the memory that makes a thousand deliveries one alert.

Ids are kept as tombstones, not for a time window. An id is the hash of a header that holds origin, series and sequence,
so looking a number up finds a repeated envelope (same id) and a fork (same number, another id: somebody else has the
node's key, or its disk was copied). Called by ``station`` inside its transaction; receipts are made from what it returns
after the commit.
"""

import enum
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import msgspec

from relay.envelope import Envelope
from relay.ids import NodeId
from relay.ranges import RangeSet
from relay.row_insert import insert_rows
from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("relay").joinpath("schema", "ledger"))

_ranges_decoder: Final = msgspec.msgpack.Decoder(list[tuple[int, int]])


class Novelty(enum.Enum):
    """Whether an envelope says something new."""

    NEW = "new"
    DUPLICATE = "duplicate"
    FORK = "fork"
    """A number that we have seen with another content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """How much of one series of one origin is here."""

    origin: NodeId
    series: int
    stored: RangeSet
    forgone: RangeSet

    def settled(self) -> RangeSet:
        """What a receipt may say: stored, or given up by the origin itself."""
        return RangeSet([*self.stored, *self.forgone])

    def gaps(self) -> list[tuple[int, int]]:
        """Numbers that must exist and have not come."""
        return self.settled().gaps()


class Ledger:
    """Reads and writes the tables above; keeps no state of its own."""

    def note(self, connection: sqlite3.Connection, envelope: Envelope) -> Novelty:
        """Remember one envelope. ``extend`` must follow in the same transaction for what was not a duplicate."""
        header = envelope.header
        key = (header.origin, header.series, header.sequence)
        known = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM inbound WHERE origin = ? AND series = ? AND sequence = ?", key
            )
        ]
        if envelope.id in known:
            return Novelty.DUPLICATE
        connection.execute("INSERT INTO inbound VALUES (?, ?, ?, ?)", (*key, envelope.id))
        return Novelty.FORK if known else Novelty.NEW

    def note_all(self, connection: sqlite3.Connection, envelopes: Sequence[Envelope]) -> list[Novelty]:
        """``note`` for a group, in order.

        A number outside its series' ranges is new for sure: ``extend`` follows each ``note`` in its transaction. So only a
        number that is inside them, or came twice in this group, has to be looked up.
        """
        stored: dict[tuple[NodeId, int], RangeSet] = {}
        here: set[tuple[NodeId, int, int]] = set()
        rows: list[tuple[NodeId, int, int, bytes]] = []
        found: list[Novelty] = []
        for envelope in envelopes:
            header = envelope.header
            series = (header.origin, header.series)
            ranges = stored.get(series)
            if ranges is None:
                ranges = stored[series] = self.state(connection, *series).stored
            key = (header.origin, header.series, header.sequence)
            if header.sequence in ranges or key in here:
                self._insert(connection, rows)
                rows = []
                found.append(self.note(connection, envelope))
            else:
                rows.append((*key, envelope.id))
                found.append(Novelty.NEW)
            here.add(key)
        self._insert(connection, rows)
        return found

    @staticmethod
    def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[NodeId, int, int, bytes]]) -> None:
        insert_rows(connection, "inbound", rows)

    def extend(
        self, connection: sqlite3.Connection, envelopes: Iterable[Envelope]
    ) -> dict[tuple[NodeId, int], StreamState]:
        """Add envelopes to the ranges of their series; returns those series as they are now."""
        extended: dict[tuple[NodeId, int], StreamState] = {}
        by_stream: dict[tuple[NodeId, int], list[int]] = {}
        for envelope in envelopes:
            header = envelope.header
            by_stream.setdefault((header.origin, header.series), []).append(header.sequence)
        for (origin, series), sequences in by_stream.items():
            state = self.state(connection, origin, series)
            for sequence in sequences:
                state.stored.add(sequence)
            self._write(connection, state)
            extended[origin, series] = state
        return extended

    def forgo(
        self, connection: sqlite3.Connection, origin: NodeId, series: int, ranges: Iterable[tuple[int, int]]
    ) -> None:
        """Note numbers that the origin says will never come. Its signed heartbeat says so."""
        state = self.state(connection, origin, series)
        before = state.forgone.count
        for first, last in ranges:
            state.forgone.add(first, last)
        if state.forgone.count != before:
            self._write(connection, state)

    def state(self, connection: sqlite3.Connection, origin: NodeId, series: int) -> StreamState:
        """How much of a series is here; an empty state if nothing is."""
        row = connection.execute(
            "SELECT stored, forgone FROM inbound_stream WHERE origin = ? AND series = ?", (origin, series)
        ).fetchone()
        stored, forgone = ([], []) if row is None else (_ranges_decoder.decode(row[0]), _ranges_decoder.decode(row[1]))
        return StreamState(origin=origin, series=series, stored=RangeSet(stored), forgone=RangeSet(forgone))

    def streams(self, connection: sqlite3.Connection, origin: NodeId) -> list[StreamState]:
        """Every series of an origin, the current one last."""
        rows = connection.execute("SELECT series FROM inbound_stream WHERE origin = ? ORDER BY opened_at", (origin,))
        return [self.state(connection, origin, row[0]) for row in rows.fetchall()]

    def _write(self, connection: sqlite3.Connection, state: StreamState) -> None:
        stored, forgone = (msgspec.msgpack.encode(list(ranges)) for ranges in (state.stored, state.forgone))
        connection.execute(
            "INSERT INTO inbound_stream VALUES (?, ?, ?, ?, (SELECT COALESCE(MAX(opened_at), 0) + 1 FROM inbound_stream "
            "WHERE origin = ?1)) ON CONFLICT (origin, series) DO UPDATE SET stored = excluded.stored, forgone = excluded.forgone",
            (state.origin, state.series, stored, forgone),
        )
