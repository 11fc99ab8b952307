"""Suppressions as this node keeps them: what each alert looked like, and which of those looks a person has called false.

An order names an alert of this node and how long; the node knows where it was and what it looked like. Rows are written in the
transaction that takes the order in. A suppression ends by the monotonic clock, counted over the time that the node was on and kept
in its row, or by the wall clock where it is plausible, whichever comes first: a node without a clock can't keep one for ever.
"""

import sqlite3
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import structlog

from camera_node.suppression import LOOK_BYTES, Suppression
from relay.clock import PLAUSIBLE_SINCE_MS, Clock
from relay.database import Database
from relay.ids import EnvelopeId
from relay.kinds.answer import Outcome
from relay.kinds.instruction import Suppress, Unsuppress
from relay.schema_steps import steps_in

_log = structlog.get_logger("camera_node.suppression_book")
PART: Final = "suppressions"
_LOOKS_KEPT: Final = 5_000
MOST_IN_FORCE: Final = 200
"""On one node. More would mean that a camera looks at the wrong thing."""

SCHEMA: Final = steps_in(files("camera_node").joinpath("schema", "suppressions"))


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """One suppression, with the camera that it is about."""

    camera: str
    suppression: Suppression


def note_look(
    connection: sqlite3.Connection, alert_id: bytes, *, camera: str, label: str,
    box_xyxy: tuple[float, float, float, float], look: bytes,
) -> None:  # fmt: skip
    """Remember what an alert looked like, in the transaction that spools it."""
    if len(look) != LOOK_BYTES:
        return  # raised by something that shows no picture: nothing can be learned of it
    number = connection.execute("SELECT COALESCE(max(number), 0) + 1 FROM look").fetchone()[0]
    connection.execute("INSERT OR IGNORE INTO look VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       (alert_id, number, camera, label, *box_xyxy, look))  # fmt: skip
    connection.execute("DELETE FROM look WHERE number <= ?", (number - _LOOKS_KEPT,))


def follow(
    connection: sqlite3.Connection, instruction_id: EnvelopeId, order: Suppress | Unsuppress, now_wall_ms: int
) -> tuple[Outcome, str]:
    """Take an order in; what became of it, in words."""
    if isinstance(order, Unsuppress):
        ended = connection.execute("DELETE FROM suppression WHERE alert_id = ?", (order.alert_id,)).rowcount
        return Outcome.DONE, "told again" if ended else "it was not suppressed"
    row = connection.execute("SELECT camera, label, x1, y1, x2, y2, look FROM look WHERE alert_id = ?",
                             (order.alert_id,)).fetchone()  # fmt: skip
    if row is None:
        return (
            Outcome.REFUSED,
            "this node does not know what the alert looked like: it is too old, or another program raised it",
        )
    known = connection.execute("SELECT count(*) FROM suppression WHERE alert_id <> ?", (order.alert_id,)).fetchone()[0]
    if known >= MOST_IN_FORCE:
        return Outcome.REFUSED, f"{known} suppressions are in force already: end some, or turn the camera elsewhere"
    connection.execute(
        "INSERT OR REPLACE INTO suppression VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (order.alert_id, instruction_id, order.by, order.reason, now_wall_ms, now_wall_ms + order.for_s * 1000,
         order.for_s * 1000, *row),
    )  # fmt: skip
    return Outcome.DONE, f"{row[1]} at this place of {row[0]} is not told for {order.for_s} s"


def in_force(connection: sqlite3.Connection) -> list[InForce]:
    """All of them."""
    rows = connection.execute("SELECT camera, alert_id, label, x1, y1, x2, y2, look FROM suppression ORDER BY alert_id")
    return [
        InForce(
            camera=camera, suppression=Suppression(id=alert_id.hex(), label=label, box_xyxy=(x1, y1, x2, y2), look=look)
        )
        for camera, alert_id, label, x1, y1, x2, y2, look in rows
    ]


class SuppressionKeeper:
    """Lets time pass over them. ``tick`` is called every few seconds."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._ticked_ms = clock.monotonic_ms()

    async def tick(self) -> list[InForce]:
        """End what is over; those that are still in force."""
        now_ms = self._clock.monotonic_ms()
        passed_ms, self._ticked_ms = max(0, now_ms - self._ticked_ms), now_ms
        wall_ms = self._clock.wall_ms()

        def work(connection: sqlite3.Connection) -> tuple[int, list[InForce]]:
            if not connection.execute("SELECT 1 FROM suppression LIMIT 1").fetchone():
                return 0, []
            connection.execute("UPDATE suppression SET left_ms = left_ms - ?", (passed_ms,))
            ended = connection.execute(
                "DELETE FROM suppression WHERE left_ms <= 0 OR (since_wall_ms >= ? AND until_wall_ms <= ?)",
                (PLAUSIBLE_SINCE_MS, wall_ms),
            ).rowcount
            return ended, in_force(connection)

        ended, left = await self._database.run(work)
        if ended:
            _log.info("suppressions ended", count=ended)
        return left
