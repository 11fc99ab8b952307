"""Reading the database beside its owner: a few named threads, a query-only connection each.

Nothing that the API reads runs on the event loop, and nothing that it reads can hold up a commit: in WAL mode readers
and the writer don't wait for each other.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from relay.database import Database
from relay.sqlite_errors import explain

T = TypeVar("T")

THREADS: Final = 3


class Readers:
    """A small pool of readers. Close it before the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``read`` in one read transaction: what it sees is one moment.

        Raises:
            OperatorError: the file can't be read, and why.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, read)

    def close(self) -> None:
        """Finish what runs and close the connections."""
        self._executor.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._database.reader()
                self._connections.append(connection)
            connection.execute("BEGIN")
            try:
                return read(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise explain(error, self._database.file) from error
