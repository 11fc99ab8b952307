"""Many rows in one statement are the same rows in the same order as one at a time."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.row_insert import insert_rows

ROWS = st.lists(
    st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=20), st.none() | st.text(max_size=5)),
    max_size=200,
)


def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b, c)")
    return connection


@given(ROWS)
def test_rows_are_stored_as_one_at_a_time_would_store_them(rows: list[tuple[int, bytes, str | None]]) -> None:
    together, apart = table(), table()
    ids = insert_rows(together, "t (a, b, c)", rows)
    apart.executemany("INSERT INTO t (a, b, c) VALUES (?, ?, ?)", rows)
    assert ids == [row[0] for row in together.execute("SELECT id FROM t ORDER BY id")]
    assert (
        together.execute("SELECT * FROM t ORDER BY id").fetchall()
        == apart.execute("SELECT * FROM t ORDER BY id").fetchall()
    )


def test_statements_are_few() -> None:
    connection, said = table(), list[str]()
    connection.set_trace_callback(said.append)
    insert_rows(connection, "t (a, b, c)", [(number, b"", None) for number in range(150)])
    assert len(said) == 2 + 1 + 1 + 1, "64 + 64 + 16 + 4 + 2"
    assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (150,)


def test_rows_of_other_widths_are_refused_and_a_broken_constraint_stores_none_of_its_statement() -> None:
    connection = table()
    with pytest.raises(ValueError, match="expected rows of 3 values"):
        insert_rows(connection, "t (a, b, c)", [(1, b"", None), (2, b""), (3, b"", None), (4, b"", None)])
    connection.execute("CREATE UNIQUE INDEX once ON t (a)")
    with pytest.raises(sqlite3.IntegrityError):
        insert_rows(connection, "t (a, b, c)", [(number % 3, b"", None) for number in range(4)])
    assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (0,)
