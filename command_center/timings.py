"""How long each hop took, as far as it can honestly be known.

Two machines' wall clocks are compared only where both say that they are synchronised. Where the node's and our own clock
readings show the same boot instant to within 20 ms (wall minus monotonic), both run on one machine, and the monotonic
clock decides. Otherwise the figure is None; the raw readings stay in the alert's row for whoever knows better.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from command_center import event_feed
from command_center.metrics import Metrics
from relay.arrival import Ahead
from relay.clock import Clock, ClockQuality
from relay.database import Database
from relay.errors import OperatorError
from relay.header import Header
from relay.row_insert import insert_rows
from relay.spool import Spooled
from relay.station import Answer

_log = structlog.get_logger("command_center.timings")
_SAME_BOOT_MS: Final = 20
_TOGETHER_S: Final = 0.25
"""Measurements are written this far apart at least."""
_WITHIN_S: Final = 0.25
"""So long they wait for the next alert's commit: one of their own is an fsync that an alert might wait for."""


def spooled_to_stored_ms(header: Header, clock: Clock) -> int | None:
    """From the node's signature to now, or None where the clocks can't be compared."""
    return _Moment.of(clock).since_spooled_ms(header)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """This machine's clocks, read once for all that became durable together."""

    wall_ms: int
    monotonic_ms: int
    quality: ClockQuality

    @classmethod
    def of(cls, clock: Clock) -> "_Moment":
        return cls(wall_ms=clock.wall_ms(), monotonic_ms=clock.monotonic_ms(), quality=clock.quality())

    def since_spooled_ms(self, header: Header) -> int | None:
        wall_ms, monotonic_ms = self.wall_ms, self.monotonic_ms
        boot_instants_apart_ms = (wall_ms - monotonic_ms) - (header.wall_ms - header.monotonic_ms)
        if abs(boot_instants_apart_ms) <= _SAME_BOOT_MS and monotonic_ms >= header.monotonic_ms:
            return monotonic_ms - header.monotonic_ms
        if min(header.quality, self.quality) >= ClockQuality.SYNCHRONIZED and wall_ms >= header.wall_ms:
            return wall_ms - header.wall_ms
        return None


class Placed(NamedTuple):
    """A stored alert, as far as its measurements go."""

    header: Header
    entry: int
    """In the journal."""
    incident: int
    ahead: Ahead | None = None


class _Hop(NamedTuple):
    """A row of ``hop``."""

    entry: int
    committed_monotonic_ms: int
    spooled_to_stored_ms: int | None
    stored_to_receipt_ms: float


class Timings:
    """Measures on the event loop and writes in batches; a lost measurement is only that."""

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._hops: list[_Hop] = []
        self._touched: set[int] = set()
        self._answers: list[Answer] = []
        self._wake = asyncio.Event()

    def committed(self, alerts: Sequence[Placed]) -> None:
        """Alerts are in the journal.

        Those that did not go ahead are durable since now; the station signs and hands over their receipts right after this call, in the
        same turn of the event loop; so the next turn is when they are out.
        """
        here = [alert for alert in alerts if alert.ahead is None]
        if here:
            asyncio.get_running_loop().call_soon(self._receipts_out, here, _Moment.of(self._clock), time.perf_counter())
        if len(here) < len(alerts):
            self._went_ahead([alert for alert in alerts if alert.ahead is not None])

    def answered(self, answer: Answer) -> None:
        """A node's receipt for something that we sent."""
        self._answers.append(answer)
        self._wake.set()

    async def run(self, database: Database, after_commit: Callable[[], None]) -> None:
        """Write measurements until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            hops, self._hops = self._hops, []
            touched, self._touched = self._touched, set()
            answers, self._answers = self._answers, []
            try:
                await database.run_along(
                    lambda connection, h=hops, t=touched, a=answers: self._write(connection, h, t, a),  # type: ignore[misc]
                    within_s=_WITHIN_S,
                )
            except OperatorError as error:  # a full disk: alerts come first, and a lost measurement is only that
                self._metrics.count("measurements_lost", len(hops) + len(answers))
                _log.error("measurements lost", error=str(error))
            after_commit()
            await asyncio.sleep(_TOGETHER_S)  # measurements must not cost alerts their commits

    def _receipts_out(self, alerts: Sequence[Placed], committed: _Moment, committed_s: float) -> None:
        to_receipt_ms = (time.perf_counter() - committed_s) * 1000
        self._metrics.observe_ms("stored_to_receipt", to_receipt_ms, times=len(alerts))
        self._measured(alerts, [
            _Hop(alert.entry, committed.monotonic_ms, committed.since_spooled_ms(alert.header), to_receipt_ms)
            for alert in alerts
        ])  # fmt: skip

    def _went_ahead(self, alerts: Sequence[Placed]) -> None:
        quality = self._clock.quality()
        hops: list[_Hop] = []
        for alert in alerts:
            if (ahead := alert.ahead) is not None:
                durable = _Moment(wall_ms=ahead.wall_ms, monotonic_ms=ahead.monotonic_ms, quality=quality)
                hops.append(
                    _Hop(alert.entry, ahead.monotonic_ms, durable.since_spooled_ms(alert.header), ahead.to_receipt_ms)
                )
        self._metrics.observe_all_ms("stored_to_receipt", [hop.stored_to_receipt_ms for hop in hops])
        self._measured(alerts, hops)

    def _measured(self, alerts: Sequence[Placed], hops: list[_Hop]) -> None:
        self._hops += hops
        self._touched.update(alert.incident for alert in alerts)
        self._metrics.observe_all_ms("spooled_to_stored", [hop[2] for hop in hops if hop[2] is not None])
        self._wake.set()

    def _write(
        self, connection: sqlite3.Connection, hops: Sequence[_Hop], touched: set[int], answers: Sequence[Answer]
    ) -> None:
        insert_rows(connection, "hop", hops)
        for answer in answers:
            row = connection.execute(
                "UPDATE sent_acknowledgement SET to_node_ms = MAX(0, ? - put_monotonic_ms) "
                "WHERE envelope_id = ? AND boot_id = ? AND to_node_ms IS NULL RETURNING incident, to_node_ms",
                (answer.at_monotonic_ms, answer.envelope_id, self._clock.boot_id),
            ).fetchone()
            if row is not None:
                touched.add(row[0])
                self._metrics.observe_ms("acknowledged_to_node", row[1])
        event_feed.note_all(connection, "incident", touched)


def note_sent(connection: sqlite3.Connection, spooled: Spooled, incident: int, clock: Clock) -> None:
    """Remember when an acknowledgement was put into the spool, so that the node's receipt can be timed."""
    connection.execute(
        "INSERT OR IGNORE INTO sent_acknowledgement VALUES (?, ?, ?, ?, NULL)",
        (spooled.envelope.id, incident, clock.monotonic_ms(), clock.boot_id),
    )
