"""The checker finds every broken invariant, and mends it without losing anything that can be read."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from relay import envelope as envelopes
from relay.budget import SCHEMA as BUDGET
from relay.budget import Purse, Tariff
from relay.clock import SimulatedClock
from relay.database import Database
from relay.errors import OperatorError, SpoolBusy
from relay.header import Header
from relay.ids import AUTHORITY
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import Spool, Spooled
from relay.spool_check import check, repair
from tests.properties.drafting import receipt_for, signed
from tests.relay.spooling import AUTHORITY_KEYS, ME, PARTS, draft, opened, put

Break = Callable[[sqlite3.Connection], object]


@pytest.fixture
def spool_file(tmp_path: Path) -> Path:
    """Ten alerts of our own of which 1 and 2 are receipted, a chunk, and one alert that we carry."""
    file = tmp_path / "spool.sqlite"
    with opened(file) as (database, spool):
        put(database, spool, 10)
        put(database, spool, 1, draft(Precedence.BULK, 3_000))
        database.run_blocking(lambda connection: spool.carry(connection, signed(0, 5, 1, 1)))
        settle(database, spool, RangeSet([(1, 2)]))
    assert check(file, identity=ME, authority=AUTHORITY_KEYS).is_clean
    return file


def settle(database: Database, spool: Spool, stored: RangeSet) -> None:
    def work(connection: sqlite3.Connection) -> object:
        series = connection.execute("SELECT series FROM stream").fetchone()[0]
        return spool.settle(connection, receipt_for(ME, series, stored), AUTHORITY)

    database.run_blocking(work)


def break_it(file: Path, harm: Break) -> None:
    with closing(sqlite3.connect(file)) as connection:
        harm(connection)
        connection.commit()
        assert connection.total_changes > 0, "the harm was done"


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def wire_of(connection: sqlite3.Connection, sequence: int) -> bytearray:
    row = connection.execute("SELECT wire FROM envelope WHERE origin = ? AND sequence = ?", (ME.node_id, sequence))
    return bytearray(row.fetchone()[0])


def flip(sequence: int, at: int) -> Break:
    """Turn one bit of an own row's bytes, as a dying disk does."""

    def harm(connection: sqlite3.Connection) -> None:
        wire = wire_of(connection, sequence)
        wire[at] ^= 4
        connection.execute(
            "UPDATE envelope SET wire = ? WHERE origin = ? AND sequence = ?", (wire, ME.node_id, sequence)
        )

    return harm


def say(statement: str) -> Break:
    return lambda connection: connection.execute(statement)


@pytest.mark.parametrize(
    ("invariant", "harm", "is_row_lost"),
    [
        pytest.param(1, flip(4, 0), True, id="bytes that are no envelope"),
        pytest.param(5, flip(4, 60), True, id="a header that was changed: another id than the column's"),
        pytest.param(1, flip(4, 100), True, id="a signature that was changed"),
        pytest.param(1, flip(4, 220), True, id="a sealed body that was changed"),
        pytest.param(2, say("UPDATE stream SET last_sequence = 3"), False, id="a numbering behind its rows"),
        pytest.param(2, say("UPDATE stream SET link = x'0102030405060708'"), False, id="a numbering with a foreign link"),
        pytest.param(2, say("DELETE FROM envelope WHERE sequence = 5"), False, id="a row that vanished"),
        pytest.param(2, say("INSERT INTO forgone SELECT destination, series, 4, 6, 'evicted' FROM stream"), False,
                     id="numbers both here and forgone"),
        pytest.param(5, say("UPDATE envelope SET precedence = 4 WHERE sequence = 4"), True, id="a column that lies"),
        pytest.param(5, say("UPDATE envelope SET opening = 77 WHERE sequence = 4"), False, id="an opening that is not there"),
        pytest.param(6, say("UPDATE usage SET bytes = bytes + 1 WHERE precedence = 0"), False, id="wrong sums"),
        pytest.param(8, say("UPDATE receipt SET stored = 9"), False, id="a receipt's count that lies"),
        pytest.param(8, say("UPDATE receipt SET wire = x'93'"), False, id="a receipt that is none"),
    ],
)  # fmt: skip
def test_broken_invariant_is_found_and_mended(
    spool_file: Path, invariant: int, harm: Break, *, is_row_lost: bool
) -> None:
    before = {row[0] for row in rows(spool_file, "SELECT id FROM envelope")}
    break_it(spool_file, harm)
    found = check(spool_file, identity=ME, authority=AUTHORITY_KEYS)
    assert invariant in {finding.invariant for finding in found.findings}, found.findings
    assert check(spool_file, identity=ME, authority=AUTHORITY_KEYS).findings == found.findings, (
        "a check changes nothing"
    )
    there = {row[0] for row in rows(spool_file, "SELECT id FROM envelope")}
    mended = repair(spool_file, identity=ME, authority=AUTHORITY_KEYS)
    assert set(found.findings) <= set(mended.findings)
    assert mended.is_clean, mended.left
    after = {row[0] for row in rows(spool_file, "SELECT id FROM envelope")}
    assert len(there - after) == is_row_lost
    assert after <= before
    if is_row_lost:
        assert rows(spool_file, "SELECT sequence FROM damaged") == [(4,)]
        assert rows(spool_file, "SELECT first, last, reason FROM forgone") == [(4, 4, "damaged")]
    with opened(spool_file) as (database, spool):
        put(database, spool)
    assert check(spool_file, identity=ME).is_clean, "and it can be used"


def test_covered_row_is_found_and_let_go(spool_file: Path) -> None:
    kept = rows(spool_file, "SELECT wire FROM receipt")[0][0]
    with opened(spool_file) as (database, spool):
        settle(database, spool, RangeSet([(1, 4)]))
    break_it(spool_file, lambda c: c.execute("UPDATE receipt SET wire = ?, stored = 2", (kept,)))
    break_it(spool_file, lambda c: c.execute("UPDATE receipt SET wire = ?, stored = 5", (_receipt_upto(c, 5),)))
    found = check(spool_file, identity=ME)
    assert {finding.invariant for finding in found.findings} == {7}
    assert repair(spool_file, identity=ME).is_clean
    assert [
        row[0] for row in rows(spool_file, f"SELECT sequence FROM envelope WHERE origin = x'{ME.node_id.hex()}'")
    ] == [6, 7, 8, 9, 10, 11]


def _receipt_upto(connection: sqlite3.Connection, upto: int) -> bytes:
    series = connection.execute("SELECT series FROM stream").fetchone()[0]
    return receipt_for(ME, series, RangeSet([(1, upto)])).wire


def test_alert_that_was_evicted_is_told_and_can_not_be_mended(spool_file: Path) -> None:
    break_it(spool_file, say("INSERT INTO tally VALUES ('evicted_flash', 2)"))
    report = repair(spool_file, identity=ME)
    assert [finding.invariant for finding in report.left] == [4]
    assert not report.left[0].repairable


def test_fork_of_our_own_chain_is_told(spool_file: Path) -> None:
    def harm(connection: sqlite3.Connection) -> None:
        header = envelopes.parse(bytes(wire_of(connection, 7))).header
        connection.execute("DELETE FROM envelope WHERE sequence = 7")
        body = b"another past"
        other = _resealed(header, body)
        connection.execute(
            "INSERT INTO envelope SELECT NULL, ?, origin, destination, series, 7, kind, precedence, ttl_s, opening, "
            "put_monotonic_ms, put_wall_ms, ?, ? FROM envelope WHERE sequence = 6", (other.id, len(other.wire), other.wire),
        )  # fmt: skip

    break_it(spool_file, harm)
    report = check(spool_file, identity=ME)
    assert [(finding.invariant, finding.repairable) for finding in report.findings] == [(2, False)]
    assert "number 8 is not chained" in report.findings[0].what


def _resealed(header: Header, body: bytes) -> envelopes.Envelope:
    import hashlib

    from msgspec.structs import replace

    changed = replace(header, body_sha256=hashlib.sha256(body).digest())
    return envelopes.seal(changed, body, signing=ME.signing, shared_secret=bytes(32))


def test_check_works_without_keys(spool_file: Path) -> None:
    assert check(spool_file, identity=None).is_clean
    break_it(spool_file, say("DELETE FROM envelope WHERE sequence = 5"))
    assert [f.invariant for f in check(spool_file, identity=None).findings if f.invariant == 2] == [2]


def test_check_never_runs_beside_a_service(spool_file: Path) -> None:
    with opened(spool_file):
        for act in (check, repair):
            with pytest.raises(SpoolBusy, match="another process"):
                act(spool_file, identity=ME)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="found no such file"):
        check(tmp_path / "spool.sqlite", identity=ME)
    assert not (tmp_path / "spool.sqlite").exists()


# ------------------------------------------------------------------------------------------------ malformed files


def many(file: Path) -> dict[bytes, Spooled]:
    with opened(file) as (database, spool):
        found = put(database, spool, 150)
        found += put(database, spool, 12, draft(Precedence.BULK, 9_000))
        settle(database, spool, RangeSet([(1, 20)]))
    return {item.envelope.id: item for item in found if item.envelope.header.sequence > 20}


def page_size_of(file: Path) -> int:
    return int.from_bytes(file.read_bytes()[16:18], "big")


def scribble(file: Path, pages: list[int]) -> None:
    size = page_size_of(file)
    with file.open("r+b") as stream:
        for page in pages:
            stream.seek((page - 1) * size)
            stream.write(b"\xa5" * size)


@pytest.mark.parametrize("harmed", ["leaf", "root", "index", "stream", "several"])
def test_malformed_file_is_salvaged(tmp_path: Path, harmed: str) -> None:
    file = tmp_path / "spool.sqlite"
    alive = many(file)
    with closing(sqlite3.connect(file)) as connection:
        root = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall())
        pages = connection.execute("SELECT name, pageno FROM dbstat WHERE name IN ('envelope', 'envelope_by_urgency')").fetchall() \
            if _has_dbstat(connection) else []  # fmt: skip
    leaves = [page for name, page in pages if name == "envelope" and page != root["envelope"]] or [20, 21, 22]
    chosen = {"leaf": leaves[3:4], "root": [root["envelope"]], "index": [root["envelope_by_urgency"]],
              "stream": [root["stream"]], "several": [leaves[1], leaves[5], leaves[6]]}[harmed]  # fmt: skip
    scribbled = _ids_in(file, chosen)
    scribble(file, chosen)
    found = check(file, identity=ME)
    assert found.findings, "the fault happened"
    assert {finding.invariant for finding in found.findings} == {0}
    with pytest.raises(OperatorError):
        _use(file)
    report = repair(file, identity=ME, authority=AUTHORITY_KEYS)
    assert report.is_clean, report.left
    assert report.kept_file is not None
    assert report.kept_file.exists()
    after = {bytes(str(row[0]), "ascii"): 0 for row in rows(file, "SELECT hex(id) FROM envelope")}
    lost = [item for identifier, item in alive.items() if identifier.hex().upper().encode() not in after]
    assert {item.envelope.id for item in lost} <= scribbled, "only what was written over is gone"
    if harmed != "leaf":
        assert all(item.envelope.header.precedence == Precedence.BULK for item in lost) or harmed in {"several", "root"}
    with opened(file) as (database, spool):
        spooled = put(database, spool)[0]
        old = next(iter(alive.values())).envelope.header
        if harmed == "stream":
            assert spooled.envelope.header.series != old.series, "a lost numbering starts anew"
            assert spooled.envelope.header.sequence == 1
        else:
            assert (spooled.envelope.header.series, spooled.envelope.header.sequence) == (old.series, 163)
            forgone = database.run_blocking(spool.forgone)
            assert {item.envelope.header.sequence for item in lost} == {n for a, b in forgone for n in range(a, b + 1)}
    assert check(file, identity=ME).is_clean


def _has_dbstat(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1 FROM dbstat LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        return False
    return True


def _ids_in(file: Path, pages: list[int]) -> set[bytes]:
    """The ids of envelopes of which any piece lies on these pages."""
    size, data = page_size_of(file), file.read_bytes()
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT id, wire FROM envelope").fetchall()
    texts = [data[(page - 1) * size : page * size] for page in pages]
    return {identifier for identifier, wire in found
            if any(wire[at : at + 24] in text for text in texts for at in range(0, len(wire), 24)) or len(wire) > size}  # fmt: skip


def _use(file: Path) -> None:
    with opened(file) as (database, _):
        database.run_blocking(lambda c: c.execute("SELECT wire FROM envelope ORDER BY number").fetchall())
        database.run_blocking(lambda c: c.execute("SELECT id FROM envelope ORDER BY precedence, number").fetchall())
        database.run_blocking(lambda c: c.execute("SELECT * FROM stream").fetchall())


def test_file_without_a_readable_first_page_gives_its_alerts_back(tmp_path: Path) -> None:
    file = tmp_path / "spool.sqlite"
    alive = many(file)
    scribble(file, [1])
    report = repair(file, identity=ME)
    assert report.is_clean, report.left
    found = {row[0] for row in rows(file, "SELECT id FROM envelope")}
    alerts = {key for key, item in alive.items() if item.envelope.header.precedence == Precedence.FLASH}
    torn = alerts - found  # those that lay across a page's end
    assert not torn, f"{len(torn)} of {len(alerts)} alerts could not be put together again"
    with opened(file) as (database, spool):
        put(database, spool)
    assert check(file, identity=ME).is_clean


def test_rows_in_the_write_ahead_log_survive_a_repair(tmp_path: Path) -> None:
    file = tmp_path / "spool.sqlite"
    alive = many(file)
    database = Database.open(file, parts=PARTS)
    spool = Spool(identity=ME, clock=SimulatedClock())
    database.run_blocking(spool.start)
    late = put(database, spool, 5)
    copies = {suffix: Path(f"{file}{suffix}").read_bytes() for suffix in ("", "-wal")}
    database.close()
    for suffix, content in copies.items():
        Path(f"{file}{suffix}").write_bytes(content)
    assert copies["-wal"], "the rows are only in the log"
    scribble(file, [20])
    assert repair(file, identity=ME).is_clean
    found = {row[0] for row in rows(file, "SELECT id FROM envelope")}
    assert {item.envelope.id for item in late} <= found
    assert len(set(alive) - found) < 40


@pytest.mark.parametrize("spending_is_hit", [False, True])
def test_what_metered_paths_have_cost_is_salvaged_with_the_rest(tmp_path: Path, *, spending_is_hit: bool) -> None:
    """A repair must not make a budget larger: what is readable of the account counts on."""
    file = tmp_path / "spool.sqlite"
    purse = Purse({"sat": Tariff(month_bytes=100_000)})
    parts = {**PARTS, "budget": BUDGET}
    many(file)
    with closing(Database.open(file, parts=parts)) as database:
        purse.spend("sat", 40_000, 0)
        database.run_blocking(lambda connection: purse.snapshot(0, is_final=True).write(connection, "boot"))
    with closing(sqlite3.connect(file)) as connection:
        root = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall())
    scribble(file, [root["spending"] if spending_is_hit else root["stream"]])
    report = repair(file, identity=ME, authority=AUTHORITY_KEYS)
    assert report.is_clean, report.left
    assert report.kept_file is not None, "it was salvaged"
    again = Purse({"sat": Tariff(month_bytes=100_000)})
    with closing(Database.open(file, parts=parts)) as database:
        database.run_blocking(lambda connection: again.load(connection, "boot", 0))
    left = again.left_bytes("sat", 0)
    assert left == (100_000 if spending_is_hit else purse.left_bytes("sat", 0)), "only what was written over is gone"
