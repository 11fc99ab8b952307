"""A database made by the first schema becomes one of this release: whole, or not at all, whenever it is killed."""

import contextlib
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from command_center.state_dir import OFFLINE_PARTS, PARTS
from relay.database import Database
from relay.schema_steps import steps_in
from tests.relay.killed_upgrade import kill_while_upgrading

FIRST = {name: tuple(steps)[:1] for name, steps in OFFLINE_PARTS.items()}
ROWS = 200


def first_release(file: Path) -> None:
    """A database as the first schema made it, with alerts, measurements, people and a session."""
    database = Database.open(file, parts=FIRST)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO incident VALUES (1, 1, 'unacknowledged', x'0102030405060708', 'gate', 'handgun', 'yard', 0, 0, 0.9, 'tamper', "
            "200, 1000, 2000, 900, 'SYNCHRONIZED', 0, 0, 1, 1, 7, 1, 7, 1, 10, 20, 1000, NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL, '')"
        )
        for entry in range(1, ROWS + 1):
            identifier = (entry * 7919 % 65_521).to_bytes(32, "big")
            connection.execute(
                "INSERT INTO alert VALUES (?, ?, 1, x'0102030405060708', 'handgun', 'gate', 'yard', 0, 0.9, 'tamper', 0, 0, 0, 1, 1, "
                "x'00000000', 5, 1, 7, 1, ?, 900, 10, 1000, 10, x'', 'p')",
                (identifier, entry, entry),
            )
            connection.execute("INSERT INTO hop VALUES (?, ?, 3, 0.5)", (identifier, entry * 10))
        connection.execute("INSERT INTO account VALUES ('ada', 'supervisor', 'argon', 0, 5)")
        connection.execute("INSERT INTO session VALUES (x'01', 'ada', '192.0.2.1', 5, 6)")

    database.run_blocking(work)
    database.close()


def versions(file: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return dict(connection.execute("SELECT name, version FROM schema_part").fetchall())


def check_upgraded(file: Path) -> None:
    assert versions(file) == {name: len(steps) for name, steps in OFFLINE_PARTS.items()}
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute(
            "SELECT a.entry, a.id, h.committed_monotonic_ms, a.retraction FROM alert a JOIN hop h USING (entry)"
        )
        assert rows.fetchall() == [(n, (n * 7919 % 65_521).to_bytes(32, "big"), n * 10, "") for n in range(1, ROWS + 1)]
        assert connection.execute("SELECT announced_at_ms, level FROM incident").fetchall() == [(1000, 0)]
        assert connection.execute("SELECT name, must_change, subject FROM account").fetchall() == [("ada", 0, "")]
        assert connection.execute("SELECT stage FROM session").fetchall() == [("full",)]


def test_the_first_schema_is_brought_up_to_date_with_everything_in_it(tmp_path: Path) -> None:
    file = tmp_path / "center.sqlite"
    first_release(file)
    assert versions(file) == dict.fromkeys(OFFLINE_PARTS, 1)
    Database.open(file, parts=OFFLINE_PARTS).close()
    check_upgraded(file)


@pytest.mark.parametrize("statements", [8, 15, 25, 33])
def test_an_upgrade_that_is_killed_leaves_the_old_schema_whole(tmp_path: Path, statements: int) -> None:
    file = tmp_path / "center.sqlite"
    first_release(file)
    kill_while_upgrading(file, statement=statements, module="command_center.state_dir", parts="OFFLINE_PARTS")
    assert versions(file) == dict.fromkeys(OFFLINE_PARTS, 1), "half an upgrade is none"
    Database.open(file, parts=OFFLINE_PARTS).close()
    check_upgraded(file)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_has_one_file_a_step(part: str) -> None:
    assert tuple(PARTS[part]) == steps_in(files("command_center").joinpath("schema", part))


def test_steps_are_numbered_without_a_gap(tmp_path: Path) -> None:
    for name in ("0001-first.sql", "0002-second.sql"):
        (tmp_path / name).write_text(f"-- {name}\n")
    assert len(steps_in(tmp_path)) == 2
    (tmp_path / "0004-fourth.sql").write_text("")
    with pytest.raises(ValueError, match="0004"):
        steps_in(tmp_path)
