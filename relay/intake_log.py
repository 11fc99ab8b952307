"""The intake log: what has arrived and is durable before the journal has it. A SQLite file of its own, one small row an envelope.

A commit of the journal is a dozen pages and as many steps of Python; who comes during another's waits for two. A row here is two pages and
one step. What the journal has is deleted with the next row that comes, so the file stays small, and what an earlier run left in it is
what a crash kept from the journal, or was journalled a moment before: the ledger knows which.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from relay.arrival import Arrival
from relay.database import Database
from relay.errors import OperatorError
from relay.row_insert import insert_rows
from relay.schema_steps import steps_in

FILE_NAME: Final = "intake.sqlite"
SCHEMA: Final = steps_in(files("relay").joinpath("schema", "intake"))
_LOG_PAGES: Final = 400
"""1.6 MiB of write-ahead log, written again and again from its beginning: a file that grows is slower to sync."""


class Logged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row: the exact bytes, and how they came."""

    number: int
    wire: bytes
    via: bytes
    path: str
    received_wall_ms: int
    received_monotonic_ms: int


class IntakeLog:
    """Used on the event loop only."""

    def __init__(self, database: Database, next_number: int) -> None:
        self._database = database
        self._next = next_number
        self._kept: set[int] = set()
        """Numbers that the journal does not have, as far as this run knows."""
        self._done: list[int] = []
        """Those that it has and that are still in the file."""

    @classmethod
    def open(cls, file: Path) -> "IntakeLog":
        """Open or make the file.

        Raises:
            SpoolBusy, SpoolDamaged, SpoolFull: as ``Database.open``.
        """
        database = Database.open(file, parts={"intake": SCHEMA}, log_pages=_LOG_PAGES)
        numbers = database.run_blocking(
            lambda connection: [row[0] for row in connection.execute("SELECT number FROM arrived")]
        )
        log = cls(database, max(numbers, default=0) + 1)
        log._kept.update(numbers)
        return log

    def close(self) -> None:
        """Finish what was begun, delete what the journal has, and close the file."""
        done, self._done = self._done, []
        with contextlib.suppress(OperatorError):  # a full disk: the next run finds out by the ledger
            self._database.run_blocking(lambda connection: _delete(connection, done))
        self._database.close()

    def __len__(self) -> int:
        """How many the journal does not have yet, those of an earlier run among them."""
        return len(self._kept)

    def append(self, arrivals: Sequence[Arrival]) -> "tuple[list[int], asyncio.Future[None]]":
        """Make arrivals durable; their numbers here, and what is done when they are. What the journal has by now goes in the same commit.

        The future raises SpoolFull where there is no room; nothing of this is stored then.
        """
        numbers = list(range(self._next, self._next + len(arrivals)))
        self._next += len(arrivals)
        done, self._done = self._done, []
        rows = [
            (number, arrival.envelope.wire, arrival.via, arrival.path, arrival.received_wall_ms,
             arrival.received_monotonic_ms)
            for number, arrival in zip(numbers, arrivals, strict=True)
        ]  # fmt: skip

        def write(connection: sqlite3.Connection) -> None:
            _delete(connection, done)
            insert_rows(connection, "arrived", rows)

        def written(future: "asyncio.Future[None]") -> None:
            if future.cancelled() or future.exception() is not None:
                self._done += done
            else:
                self._kept.update(numbers)

        future = self._database.submit(write)
        future.add_done_callback(written)
        return numbers, future

    def journalled(self, numbers: Sequence[int]) -> None:
        """The journal has these, durably."""
        self._kept.difference_update(numbers)
        self._done += numbers

    async def left(self) -> list[Logged]:
        """What is in the file and is not known to be journalled, in order of arrival."""
        rows = await self._database.run(
            lambda connection: connection.execute("SELECT * FROM arrived ORDER BY number").fetchall()
        )
        return [
            Logged(number=row[0], wire=row[1], via=row[2], path=row[3], received_wall_ms=row[4], received_monotonic_ms=row[5])
            for row in rows if row[0] in self._kept
        ]  # fmt: skip


def _delete(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    for number in numbers:
        connection.execute("DELETE FROM arrived WHERE number = ?", (number,))
