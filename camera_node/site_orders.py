"""What the center asks of the site: do what can be done here (a siren), stop telling a false alarm, tell it again.

Orders are taken in within the transaction that stores them; acting and answering come after the commit, because a siren can't be
rolled back. An action that was ordered before a restart, or longer ago than it would have lasted, is not started any more.
Answers wait in a table until they are spooled.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final

import structlog

from camera_node import suppression_book
from camera_node.actions import Actions
from camera_node.supervision import Eye
from camera_node.suppression_book import SuppressionKeeper
from hardware.errors import DeviceFault
from relay.crew import crew
from relay.errors import OperatorError
from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.answer import Answer, Followed, Outcome
from relay.kinds.instruction import Act, Suppress, Unsuppress
from relay.precedence import Precedence
from relay.schema_steps import steps_in
from relay.spool import Draft, Spooled
from relay.station import Station

_log = structlog.get_logger("camera_node.site_orders")
PART: Final = "site_orders"
_TICK_S: Final = 5.0
SiteOrder = Act | Suppress | Unsuppress

SCHEMA: Final = steps_in(files("camera_node").joinpath("schema", "site_orders"))


def take_in(
    connection: sqlite3.Connection, instruction_id: EnvelopeId, order: SiteOrder, *, boot_id: str, monotonic_ms: int,
    wall_ms: int,
) -> None:  # fmt: skip
    """Within the transaction that stores the instruction."""
    if isinstance(order, Act):
        connection.execute("INSERT OR IGNORE INTO action_order VALUES (?, ?, ?, ?, ?, ?, ?)",
                           (instruction_id, boot_id, monotonic_ms + (order.for_s or 60) * 1000, order.action, order.for_s,
                            order.by, order.reason))  # fmt: skip
        return
    outcome, detail = suppression_book.follow(connection, instruction_id, order, wall_ms)
    _answer(connection, instruction_id, outcome, detail)


def _answer(connection: sqlite3.Connection, instruction_id: bytes, outcome: Outcome, detail: str) -> None:
    connection.execute("INSERT OR IGNORE INTO site_word (instruction_id, outcome, detail) VALUES (?, ?, ?)",
                       (instruction_id, int(outcome), detail[:200]))  # fmt: skip


class SiteOrders:
    """Follows them. ``run`` owns everything that it starts."""

    def __init__(self, station: Station, actions: Actions, eyes: Sequence[Eye]) -> None:
        self._station = station
        self._actions = actions
        self._eyes = eyes
        self._keeper = SuppressionKeeper(station.database, station.clock)
        self._soon = asyncio.Event()

    def look_again(self) -> None:
        """Something was taken in."""
        self._soon.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with crew() as members:
            while True:
                self._soon.clear()
                try:
                    await self._act(lambda action, environment, for_s: self._actions.start(
                        members, action, environment, for_s=for_s))  # fmt: skip
                    self._tell_eyes(await self._keeper.tick())
                    await self._spool_answers()
                except OperatorError as error:  # a full disk: the next turn tries again
                    self._station.counters.count("site_orders_postponed")
                    _log.error("orders postponed", why=str(error))
                try:
                    async with asyncio.timeout(_TICK_S):
                        await self._soon.wait()
                except TimeoutError:
                    pass

    def _tell_eyes(self, in_force: Sequence[suppression_book.InForce]) -> None:
        for eye in self._eyes:
            eye.suppress(tuple(one.suppression for one in in_force if one.camera == eye.camera.name))

    async def _act(self, start: Callable[[str, dict[str, str], float | None], str]) -> None:
        """Each order's row goes before its action begins: a node that restarts in a loop sounds no siren in a loop."""
        clock = self._station.clock

        def take(connection: sqlite3.Connection) -> list[tuple[bytes, str, int, str, str, str, int]]:
            rows = connection.execute(
                "SELECT instruction_id, action, for_s, ordered_by, reason, boot_id, due_until_ms FROM action_order"
            ).fetchall()
            connection.execute("DELETE FROM action_order")
            return rows

        if not await self._station.database.run(_has_orders):
            return
        words: list[tuple[bytes, Outcome, str]] = []
        for instruction_id, action, for_s, by, reason, boot_id, due_until_ms in await self._station.database.run(take):
            if boot_id != clock.boot_id or clock.monotonic_ms() > due_until_ms:
                words.append((instruction_id, Outcome.REFUSED, "it came too late: this node was off, or busy"))
                continue
            environment = {"HEARD_REASON": f"{by}: {reason}", "HEARD_ALERT_ID": ""}
            try:
                words.append((instruction_id, Outcome.DONE, start(action, environment, for_s or None)))
            except DeviceFault as error:
                words.append((instruction_id, Outcome.REFUSED, str(error)))

        def answer(connection: sqlite3.Connection) -> None:
            for word in words:
                _answer(connection, *word)

        await self._station.database.run(answer)

    async def _spool_answers(self) -> None:
        def waiting(connection: sqlite3.Connection) -> list[tuple[int, bytes, int, str]]:
            return connection.execute(
                "SELECT id, instruction_id, outcome, detail FROM site_word ORDER BY id LIMIT 100"
            ).fetchall()

        for number, instruction_id, outcome, detail in await self._station.database.run(waiting):
            word = Followed(instruction_id=instruction_id, outcome=Outcome(outcome), detail=detail)
            draft = self._station.draft_up(Kind.ANSWER, Precedence.PRIORITY, body.encode(Answer(word=word)))

            def put(connection: sqlite3.Connection, draft: Draft = draft, number: int = number) -> Spooled:
                connection.execute("DELETE FROM site_word WHERE id = ?", (number,))
                return self._station.spool.put(connection, draft)

            self._station.announce([await self._station.database.run(put)])


def _has_orders(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM action_order LIMIT 1").fetchone() is not None
