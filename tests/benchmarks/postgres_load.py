"""Rows for PostgreSQL as ``ingest_load`` has alerts for a center: one thread in Python sends them, at the same moments, and takes the time.

Two ways. By libpq's own asynchronous calls (psycopg's thin layer over them), a prepared statement, a binary parameter, no ``BEGIN`` and ``COMMIT``:
there is no less that a program in Python can do. And as programs do: psycopg on asyncio, with a transaction a row as it comes, or with ``autocommit``.
Each connection has one row under way at a time, so the next one goes over one that is free.
"""

import asyncio
import select
import time
from collections import deque
from math import ceil
from random import Random
from typing import Final

from psycopg import AsyncConnection, pq
from psycopg.pq.abc import PGconn

_SQL = b"INSERT INTO alert (wire) VALUES ($1)"
_BYTEA = 17


class PostgresLoad:
    """The least, over connections that stay."""

    def __init__(self, database: str, connections: int, row_bytes: int) -> None:
        """``database``: a libpq connection string.

        Raises:
            ConnectionError: it can't be reached, or does not know the table.
        """
        self._row = Random(0).randbytes(row_bytes)
        self._connections = [pq.PGconn.connect(database.encode()) for _ in range(connections)]
        for connection in self._connections:
            if connection.status != pq.ConnStatus.OK:
                raise ConnectionError(connection.get_error_message())
            prepared = connection.prepare(b"row", _SQL, [_BYTEA])
            if prepared.status != pq.ExecStatus.COMMAND_OK:
                raise ConnectionError(prepared.get_error_message())
            connection.nonblocking = 1

    def run_steady(self, *, rate_per_s: float, count: int, seed: int) -> list[float]:
        """Commit so many rows, at moments of their own as a Poisson process has them; ms to each answer."""
        random = Random(seed)
        poll = select.poll()
        of_descriptor = {connection.socket: connection for connection in self._connections}
        for descriptor in of_descriptor:
            poll.register(descriptor, select.POLLIN)
        free = deque(self._connections)
        sent_s: dict[PGconn, float] = {}
        took_ms = list[float]()
        left, due_s = count, time.perf_counter()
        deadline_s = due_s + 2 * count / rate_per_s + 30
        while left or sent_s:
            now_s = time.perf_counter()
            if now_s > deadline_s:
                raise TimeoutError("not everything was committed")
            if left and now_s >= due_s and free:
                connection = free.popleft()
                left -= 1
                due_s += random.expovariate(rate_per_s)
                sent_s[connection] = time.perf_counter()
                connection.send_query_prepared(b"row", [self._row], [pq.Format.BINARY])
                connection.flush()
                continue
            for descriptor, _ in poll.poll(max(1, ceil((due_s - now_s) * 1000)) if left and free else 100):
                connection = of_descriptor[descriptor]
                connection.consume_input()
                if connection.is_busy():
                    continue
                came_s = time.perf_counter()
                while (result := connection.get_result()) is not None:
                    if result.status != pq.ExecStatus.COMMAND_OK:
                        raise ConnectionError(result.get_error_message())
                took_ms.append((came_s - sent_s.pop(connection)) * 1000)
                free.append(connection)
        return took_ms

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.finish()


_WARMED: Final = 7
"""Rows over each new connection: from the sixth on psycopg has prepared the statement, and the server knows its tables."""


class PostgresProgram:
    """psycopg on asyncio, over connections that stay."""

    def __init__(self, connections: list[AsyncConnection], row_bytes: int) -> None:
        self._row = Random(0).randbytes(row_bytes)
        self._connections = connections
        self._free: asyncio.Queue[AsyncConnection] = asyncio.Queue()
        for connection in connections:
            self._free.put_nowait(connection)

    @classmethod
    async def connected(cls, database: str, connections: int, row_bytes: int, *, autocommit: bool) -> "PostgresProgram":
        """Without ``autocommit`` a row is ``BEGIN``, ``INSERT``, ``COMMIT``: psycopg's default.

        Raises:
            psycopg.Error: it can't be reached, or does not know the table.
        """
        opened = [await AsyncConnection.connect(database, autocommit=autocommit) for _ in range(connections)]
        made = cls(opened, row_bytes)
        for _ in range(_WARMED * connections):
            await made._commit_one()
        return made

    async def _commit_one(self) -> None:
        connection = await self._free.get()
        await connection.execute("INSERT INTO alert (wire) VALUES (%s)", [self._row])
        await connection.commit()  # with autocommit there is nothing to do, and nothing is sent
        self._free.put_nowait(connection)

    async def run_steady(self, *, rate_per_s: float, count: int, seed: int) -> list[float]:
        """As ``PostgresLoad.run_steady``."""
        random = Random(seed)
        took_ms = list[float]()

        async def commit() -> None:
            began_s = time.perf_counter()
            await self._commit_one()
            took_ms.append((time.perf_counter() - began_s) * 1000)

        due_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                group.create_task(commit())
                due_s += random.expovariate(rate_per_s)
        return took_ms

    async def aclose(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            await connection.close()
