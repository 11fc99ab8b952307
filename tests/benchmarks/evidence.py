"""What proof costs: appending to the journal and verifying it, beside the bare hashing that it can't do without."""

import contextlib
import hashlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from command_center import journal
from tests.benchmarks.figure import Figure, rate

ENTRIES = 5_000
PAYLOAD = os.urandom(400)


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, contextlib.closing(
        sqlite3.connect(Path(name) / "journal.sqlite", isolation_level=None)
    ) as connection:  # fmt: skip
        connection.execute("PRAGMA journal_mode = WAL")
        for step in journal.SCHEMA:
            connection.executescript(step)
        connection.execute("BEGIN")
        at = time.perf_counter()
        for number in range(ENTRIES):
            journal.append(
                connection, at_ms=number, kind="alert", actor="node:1", subject="incident:1", payload=PAYLOAD
            )
        appended = ENTRIES / (time.perf_counter() - at)
        connection.execute("COMMIT")
    hashed = rate(lambda: hashlib.sha256(PAYLOAD).digest())
    inserted = _bare_insert()
    return [
        Figure(name="journal append (entry, leaf and tree)", value=appended, unit="/s", peer="bare SQLite insert, no tree",
               peer_value=inserted),
        Figure(name="journal append", value=appended, unit="/s", peer="bare SHA-256 of the payload", peer_value=hashed),
    ]  # fmt: skip


def _bare_insert() -> float:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, kind TEXT, payload BLOB)")
        at = time.perf_counter()
        for _ in range(ENTRIES):
            connection.execute("INSERT INTO entry (kind, payload) VALUES ('alert', ?)", (PAYLOAD,))
        return ENTRIES / (time.perf_counter() - at)
