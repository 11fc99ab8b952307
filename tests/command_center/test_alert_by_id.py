"""An alert is found by its id in whichever generation it stands, by the index, the newest first."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator

import pytest

from command_center import fleet, view_schema
from command_center.alert_by_id import entry_between, entry_of

GENERATION = 8_192
ENTRIES = (1, 2, GENERATION - 1, GENERATION, 3 * GENERATION + 5, 122 * GENERATION + 1)
"""Between them are entries of other kinds, whole generations of them."""


def id_of(entry: int) -> bytes:
    return hashlib.sha256(str(entry).encode()).digest()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript("".join((*view_schema.SCHEMA, fleet.SCHEMA[0])))
        yield opened


def add(connection: sqlite3.Connection, *entries: int) -> None:
    columns = [row[1] for row in connection.execute("PRAGMA table_info(alert)") if row[3]]
    values = {"id": b"", "model_sha256_prefix": b"", "via": b"", "node": b"", "label": "", "camera": "", "zone": "", "rule": "",
              "path": "", "retraction": ""}  # fmt: skip
    for entry in entries:
        row = [entry if name == "entry" else id_of(entry) if name == "id" else values.get(name, 0) for name in columns]
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO alert ({', '.join(columns)}, entry) VALUES ({marks}, ?)", (*row, entry))


def find(connection: sqlite3.Connection, alert_id: bytes) -> int | None:
    found: int | None = connection.execute(f"SELECT {entry_of('?')}", (alert_id,)).fetchone()[0]
    return found


def test_every_alert_is_found_and_nothing_else(connection: sqlite3.Connection) -> None:
    assert find(connection, id_of(1)) is None, "no alert at all"
    add(connection, *ENTRIES)
    assert [find(connection, id_of(entry)) for entry in ENTRIES] == list(ENTRIES)
    assert find(connection, id_of(7)) is None


def test_the_first_bytes_of_an_id_are_enough(connection: sqlite3.Connection) -> None:
    add(connection, *ENTRIES)
    for entry in ENTRIES:
        prefix = id_of(entry)[:8]
        bounds = (prefix.ljust(32, b"\0"), prefix.ljust(32, b"\xff"))
        assert connection.execute(f"SELECT {entry_between('?', '?')}", bounds).fetchone() == (entry,)


def test_it_serves_a_join_and_an_update(connection: sqlite3.Connection) -> None:
    add(connection, *ENTRIES)
    connection.execute("CREATE TABLE asked (id BLOB)")
    connection.executemany("INSERT INTO asked VALUES (?)", [(id_of(entry),) for entry in (*ENTRIES, 9)])
    rows = connection.execute(f"SELECT a.entry FROM asked JOIN alert a ON a.entry = {entry_of('asked.id')} ORDER BY 1")
    assert [row[0] for row in rows] == sorted(ENTRIES)
    changed = connection.execute(f"UPDATE alert SET retraction = 'x' WHERE entry = {entry_of('?')}", (id_of(2),))
    assert changed.rowcount == 1
    assert connection.execute("SELECT entry FROM alert WHERE retraction = 'x'").fetchall() == [(2,)]


def test_a_look_up_reads_the_index_and_stops_at_the_newest(connection: sqlite3.Connection) -> None:
    add(connection, *ENTRIES)
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN SELECT {entry_of('?')}", (b"",)))
    assert "USING COVERING INDEX alert_id (<expr>=? AND id=?)" in plan, plan

    def steps_of(alert_id: bytes) -> int:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.set_progress_handler(count, 1)
        find(connection, alert_id)
        connection.set_progress_handler(None, 0)
        return steps

    newest, oldest = steps_of(id_of(ENTRIES[-1])), steps_of(id_of(ENTRIES[0]))
    assert newest * 10 < oldest, "123 generations were not walked for the newest"
