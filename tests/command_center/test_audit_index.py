"""The audit's index: the same answers as looking at every entry, with few entries looked at, whatever becomes of its file."""

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_center import facts, journal
from command_center.accounts import UserRole
from command_center.audit import terms
from command_center.audit.index import PARTS, AuditIndex
from command_center.audit.pages import Page, Search, Walk
from command_center.facts import Remark
from command_center.metrics import Metrics
from command_center.state_dir import OFFLINE_PARTS
from relay.database import Database
from tests.command_center.house import running_center
from tests.relay.killed_upgrade import kill_at, kill_while_upgrading

ENTRIES = 1_500
PEOPLE = ("user:okafor", "user:sue", "center", "node:00ff00ff00ff00ff", "user:Zoë")
KINDS = ("viewed", "denied", "refused", "export-started", "note")
WORDS = ("kiosk", "Straße", 'say "no"', "quay 7", "x" * 60, "日本語の看板", "", "100%", "it's", "A-B_C")
ENDLESS_S = 3600.0
"""No budget: the answers are compared, not their pages."""


def write(database: Database, count: int, seed: int) -> None:
    dice = random.Random(seed)

    def work(connection: sqlite3.Connection) -> None:
        for _ in range(count):
            number = journal.size(connection) + 1
            remark = Remark(what="said", detail=f"{dice.choice(WORDS)} {dice.choice(WORDS)} {number}")
            journal.append(connection, at_ms=number * 1000 + dice.randrange(-5000, 5000), kind=dice.choice(KINDS),
                           actor=dice.choice(PEOPLE), subject=f"incident:{number % 7}", payload=facts.encode(remark))  # fmt: skip

    database.run_blocking(work)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "center.sqlite", parts=OFFLINE_PARTS)
    write(opened, ENTRIES, seed=1)
    yield opened
    opened.close()


@contextlib.contextmanager
def index_of(database: Database, metrics: Metrics | None = None) -> Iterator[AuditIndex]:
    index = AuditIndex(database.file.with_name("audit.sqlite"), database=database, metrics=metrics or Metrics())
    try:
        yield index
    finally:
        index.close()


def pages(database: Database, index: AuditIndex | None, search: Search, *, limit: int = 50) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    before: int | None = None
    with contextlib.closing(database.reader()) as connection:
        while True:
            connection.execute("BEGIN")
            page = one_page(connection, index, search, before=before, limit=limit, budget_s=ENDLESS_S)
            connection.execute("ROLLBACK")
            found += [(entry.id, detail) for entry, detail in page.found]
            assert page.next_before is None or before is None or page.next_before < before
            if (before := page.next_before) is None:
                return found


def one_page(connection: sqlite3.Connection, index: AuditIndex | None, search: Search, *, before: int | None, limit: int,
             budget_s: float) -> Page:  # fmt: skip
    if index is None:
        return Walk(connection, None, search, budget_s=budget_s).page(before=before, limit=limit)
    return index.search(
        lambda indexed: Walk(connection, indexed, search, budget_s=budget_s).page(before=before, limit=limit)
    )


SEARCHES = [
    *(Search(text=text) for text in ("kiosk", "STRASSE", "straße", 'say "no"', '"', "no", "日本語", "の看", "nowhere", "okafor note",
                                     "okafor incident:3 kiosk", "x" * 60, "x" * 61, "100%", "%", "it's", "a-b_c", "incident:6", "7 7")),
    *(Search(actors=(actor,)) for actor in (*PEOPLE, "user:nobody", "nobody")),
    Search(actors=("user:sue",), text="kiosk"), Search(actors=("user:Zoë",), kinds=("denied", "note")), Search(kinds=("viewed",), text="quay"),
    Search(kinds=("viewed", "note"), text="quay 7"), Search(kinds=("viewed", "note", "denied")), Search(subjects=("incident:3",), text="kiosk"),
    Search(from_ms=500_000), Search(until_ms=500_000), Search(from_ms=700_000, until_ms=710_000), Search(from_ms=10**12),
    Search(until_ms=0), Search(text="kiosk", from_ms=300_000, until_ms=900_000), Search(kinds=("note", "denied"), from_ms=300_000, until_ms=900_000),
    Search(actors=("center",), from_ms=1_400_000), Search(), Search(actors=("user:okafor", "user:sue")), Search(actors=("user:okafor", "no")),
    Search(text="nowhere", text_kinds=frozenset({"denied"})), Search(text="kiosk", text_names=frozenset({"incident:3", "node:00ff00ff00ff00ff"})),
    Search(text="no", text_kinds=frozenset({"note"})), Search(text="nowhere", text_names=frozenset({f"incident:{n}" for n in range(3, 99)})),
]  # fmt: skip


def test_a_search_finds_the_same_with_an_index_without_one_and_with_half_of_one(database: Database) -> None:
    expected = [pages(database, None, search) for search in SEARCHES]
    assert sum(map(bool, expected)) > len(SEARCHES) // 2, "most of these searches find something"
    with index_of(database) as index:
        assert index.catch_up() == ENTRIES
        assert [pages(database, index, search) for search in SEARCHES] == expected
        write(database, ENTRIES, seed=2)  # nobody has indexed these yet
        assert index.through == ENTRIES
        whole = [pages(database, None, search) for search in SEARCHES]
        assert [pages(database, index, search) for search in SEARCHES] == whole
        assert whole != expected
        assert index.catch_up() == ENTRIES
        assert [pages(database, index, search) for search in SEARCHES] == whole


def test_a_page_whose_budget_is_spent_says_where_the_next_one_begins_and_together_they_lack_nothing(
    database: Database,
) -> None:
    with index_of(database) as index, contextlib.closing(database.reader()) as connection:
        index.catch_up()
        write(database, 40, seed=3)
        for search in (Search(text="kiosk"), Search(text="nowhere"), Search(actors=("user:sue",)), Search()):
            found: list[int] = []
            before, count = None, 0
            while before is not None or count == 0:
                connection.execute("BEGIN")
                page = one_page(connection, index, search, before=before, limit=500, budget_s=0.0)
                connection.execute("ROLLBACK")
                found += [entry.id for entry, _ in page.found]
                before, count = page.next_before, count + 1
            assert found == [number for number, _ in pages(database, index, search)]
            assert count > 1, "no budget is a page for each step"


def test_a_search_looks_at_the_entries_that_match_and_at_few_others(database: Database) -> None:
    def looked_at(search: Search) -> int:
        read: list[str] = []
        with contextlib.closing(database.reader()) as connection:
            connection.set_trace_callback(read.append)
            index.search(
                lambda indexed: Walk(connection, indexed, search, budget_s=ENDLESS_S).page(before=None, limit=500)
            )
            connection.set_trace_callback(None)
        return sum("WHERE id = " in statement for statement in read)

    with index_of(database) as index:
        index.catch_up()
        one = pages(database, index, Search(text="kiosk"))[-1][0]
        assert looked_at(Search(text="nowhere")) == 0
        assert looked_at(Search(actors=("user:nobody",))) == 0
        assert looked_at(Search(text=f" {one}", from_ms=one * 1000 - 5000, until_ms=one * 1000 + 5000)) < 30


def test_an_index_of_another_journal_is_made_anew(database: Database, tmp_path: Path) -> None:
    with index_of(database) as index:
        index.catch_up()
    other = Database.open(tmp_path / "other.sqlite", parts=OFFLINE_PARTS)
    try:
        write(other, ENTRIES + 200, seed=99)  # a restored backup that went its own way
        metrics = Metrics()
        with index_of(other, metrics) as index:
            assert index.catch_up() == ENTRIES + 200
            assert pages(other, index, Search(text="kiosk")) == pages(other, None, Search(text="kiosk"))
        assert 'event="audit_index_made_anew"} 1' in metrics.text({})
    finally:
        other.close()


def test_an_index_whose_words_another_release_wrote_is_made_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_of(database) as index:
        index.catch_up()
    monkeypatch.setattr("command_center.audit.index._writing", lambda: b"another text")
    with index_of(database) as index:
        assert index.catch_up() == ENTRIES
        assert pages(database, index, Search(text="kiosk")) == pages(database, None, Search(text="kiosk"))


def test_an_index_that_is_known_is_not_made_again(database: Database) -> None:
    with index_of(database) as index:
        assert index.catch_up() == ENTRIES
    write(database, 3, seed=4)
    with index_of(database) as index:
        assert index.catch_up() == 3


@pytest.mark.parametrize("damage", ["no database", "a page overwritten"])
def test_a_damaged_index_is_replaced_and_searches_go_on(database: Database, damage: str) -> None:
    file = database.file.with_name("audit.sqlite")
    with index_of(database) as index:
        index.catch_up()
    if damage == "no database":
        file.write_bytes(b"not a database " * 1000)
    else:
        content = bytearray(file.read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        file.write_bytes(content)
    expected, metrics = pages(database, None, Search(text="kiosk")), Metrics()
    with index_of(database, metrics) as index:
        assert index.catch_up() == ENTRIES
        assert pages(database, index, Search(text="kiosk")) == expected
    assert 'event="audit_index_made_anew"}' in metrics.text({}), "the damage was met"


def test_an_index_that_is_damaged_under_a_running_center_is_replaced_and_the_search_scans(database: Database) -> None:
    file, metrics = database.file.with_name("audit.sqlite"), Metrics()
    with index_of(database, metrics) as index:
        index.catch_up()
        with contextlib.closing(sqlite3.connect(file)) as outside:
            outside.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            size = file.stat().st_size
        with file.open("r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xa5" * (size - 4096))
        expected = pages(database, None, Search(text="kiosk"))
        assert pages(database, index, Search(text="kiosk")) == expected
        index.catch_up()
        assert pages(database, index, Search(text="kiosk")) == expected
        assert index.through == ENTRIES
    assert 'event="audit_index_made_anew"}' in metrics.text({}), "the damage was met"


_FILL = """
from command_center.audit import index as module
from command_center.metrics import Metrics
from command_center.state_dir import OFFLINE_PARTS
from relay.database import Database
module._SLICE = 50
database = Database.open(file, parts=OFFLINE_PARTS)
index = module.AuditIndex(file.with_name("audit.sqlite"), database=database, metrics=Metrics())
index._opened()[0].set_trace_callback(seen)
index.catch_up()
"""


@pytest.mark.parametrize("statement", [30, 170, 333])
def test_a_center_that_is_killed_while_it_fills_the_index_has_each_entry_in_it_once(
    database: Database, statement: int
) -> None:
    expected = [pages(database, None, search) for search in SEARCHES]
    database.close()
    kill_at(database.file, _FILL, statement=statement)
    again = Database.open(database.file, parts=OFFLINE_PARTS)
    try:
        with index_of(again) as index:
            assert 0 < index.catch_up() <= ENTRIES
            assert [pages(again, index, search) for search in SEARCHES] == expected
    finally:
        again.close()


def test_slices_that_are_not_committed_yet_are_scanned_and_are_taken_again_after_a_stop(database: Database) -> None:
    expected = [pages(database, None, search) for search in SEARCHES]
    with index_of(database) as index:
        assert index.catch_up() == ENTRIES
        write(database, 400, seed=5)
        whole = [pages(database, None, search) for search in SEARCHES]
        for _ in range(3):
            assert index._fill(100, is_last=False)[0] == 100
        assert index.through == ENTRIES, "nobody is told of what a stop would take away"
        assert [pages(database, index, search) for search in SEARCHES] == whole
    assert whole != expected
    with index_of(database) as index:
        assert index.catch_up() == 400, "the batch went with the process, whole"
        assert [pages(database, index, search) for search in SEARCHES] == whole


def test_slices_are_committed_together_when_enough_are_there_or_nothing_more_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("command_center.audit.index._TOGETHER_S", ENDLESS_S)
    monkeypatch.setattr("command_center.audit.index._TOGETHER", 600)
    with index_of(database) as index:
        seen = []
        for _ in range(8):
            index._fill(200, is_last=False)
            seen.append(index.through)
        assert seen == [0, 0, 600, 600, 600, 1200, 1200, ENTRIES]


@pytest.mark.parametrize("statement", [5, 7, 9])
def test_an_index_whose_making_is_killed_is_made_at_the_next_start(database: Database, statement: int) -> None:
    file = database.file.with_name("audit.sqlite")
    kill_while_upgrading(file, statement=statement, module="command_center.audit.index", parts="PARTS")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert not tables & {"progress", "word", "stretch"}, "half an index is none"
    with index_of(database) as index:
        assert index.catch_up() == ENTRIES


def test_the_schema_has_one_file_a_step() -> None:
    assert list(PARTS) == ["audit"]
    assert all(step.strip() for step in PARTS["audit"])


def test_questions_hold_no_more_terms_than_an_index_can_take() -> None:
    asked = terms.question(["abcdefghij" * 20], ["".join(chr(0x4E00 + n) for n in range(200))], ["viewed"])
    assert asked.count('"') // 2 <= 2 * terms.MOST_TERMS + 4
    assert terms.question(["ab"], [""], ["abc", "ab"], []) == ""
    assert "\0" not in terms.question(["a\0bcd\0"])


async def test_a_center_indexes_a_journal_that_an_older_release_left_and_searches_all_of_it(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        await house.deliver(house.node("gate"), house.node("gate2").alert())
    (tmp_path / "center" / "audit.sqlite").unlink()
    async with running_center(tmp_path / "center") as house, house.signed_in("ada", UserRole.AUDITOR) as browser:
        size = (await house.query("SELECT MAX(id) FROM entry"))[0][0]
        while house.services.audit_index.through < int(str(size)):
            await house.query("SELECT 1")
        assert (tmp_path / "center" / "audit.sqlite").exists()
        answer = (await browser.get("/api/v1/audit/entries", params={"text": "INITIALIZED"})).json()
        assert [entry["kind"] for entry in answer["entries"]] == ["initialized"]
        assert answer["next_before"] is None
        assert answer["not_indexed"]["entries"] <= 2, "signing in and this search"
        assert "audit_entries_not_indexed" in (await browser.get("/metrics")).text
