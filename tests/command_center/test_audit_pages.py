"""The audit's pages of kinds: every entry of theirs once, the newest first, and read from the index however long the journal is."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from command_center import facts, journal
from command_center.api.audit import LOOKS
from command_center.audit.pages import Search, Walk
from command_center.facts import Remark

ENTRIES = 3_000


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.executescript("".join(journal.SCHEMA))
        said = facts.encode(Remark(what="x" * 300))
        rows = [(number, 1, kind_of(number), "user:a", "node:x", said, b"") for number in range(1, ENTRIES + 1)]
        opened.execute("BEGIN")
        opened.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        opened.execute("COMMIT")
        yield opened


def kind_of(number: int) -> str:
    if number % 7 == 3:
        return "alert"  # which the index by kind leaves out
    return "viewed" if number % 100 == 0 else "export-started" if number % 250 == 1 else "refused"


@pytest.mark.parametrize(
    "kinds", [LOOKS, ("viewed",), ("viewed", "export-started"), ("refused",), ("alert",), ("alert", "viewed"), ()]
)
def test_pages_hold_every_entry_of_their_kinds_once_and_the_newest_first(
    connection: sqlite3.Connection, kinds: tuple[str, ...]
) -> None:
    shown: list[int] = []
    before: int | None = None
    while True:
        page = Walk(connection, None, Search(kinds=kinds)).page(before=before, limit=7 if kinds != () else 500)
        found, before = page.found, page.next_before
        shown += [entry.id for entry, _ in found]
        if before is None:
            break
    wanted = [number for number in range(ENTRIES, 0, -1) if not kinds or kind_of(number) in kinds]
    assert shown == wanted


def test_looks_are_found_without_reading_what_is_none(connection: sqlite3.Connection) -> None:
    def steps(kinds: tuple[str, ...]) -> int:
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        connection.set_progress_handler(count, 1)
        Walk(connection, None, Search(kinds=kinds), budget_s=60.0).page(before=None, limit=500)
        connection.set_progress_handler(None, 0)
        return taken

    looks = sum(kind_of(number) in LOOKS for number in range(1, ENTRIES + 1))
    assert steps(LOOKS) < 60 * looks < 10 * ENTRIES
