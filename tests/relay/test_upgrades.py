"""A spool that the first release's code wrote becomes one of this release: nothing is lost, and half an upgrade is none.

``data/spool-of-the-first-schema.sqlite.gz`` was written by the code of commit 96830d8, with the keys of ``spooling.ME``: alerts of its own
and of another node, a receipt with a gap, and numbers that expired and were evicted.
"""

import contextlib
import gzip
import hashlib
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest

from camera_node import answered, clip_book, site_orders, snapshot_hold, suppression_book
from relay import budget, ledger, receipt, spool, timeline, trust, waiting
from relay.clock import SimulatedClock
from relay.database import Database
from relay.errors import OverQuota
from relay.ids import AUTHORITY, NodeId
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.schema_steps import steps_in
from relay.spool import Spool
from relay.spool_check import check
from relay.spool_room import SpoolLimits
from tests.relay.killed_upgrade import kill_while_upgrading
from tests.relay.spooling import CENTER, ME, draft

FIRST_FILE: Final = Path(__file__).parent / "data" / "spool-of-the-first-schema.sqlite.gz"
PARTS: Final[Mapping[str, Sequence[str]]] = {
    "spool": spool.SCHEMA, "ledger": ledger.SCHEMA, "trust": trust.SCHEMA, "budget": budget.SCHEMA, "timeline": timeline.SCHEMA,
    answered.PART: answered.SCHEMA, clip_book.PART: clip_book.SCHEMA, snapshot_hold.PART: snapshot_hold.SCHEMA,
    suppression_book.PART: suppression_book.SCHEMA, site_orders.PART: site_orders.SCHEMA,
}  # fmt: skip
FIRST_TABLES: Final = (
    "opening",
    "stream",
    "envelope",
    "usage",
    "receipt",
    "forgone",
    "damaged",
    "tally",
    "inbound",
    "inbound_stream",
)
RELEASED: Final = {
    "camera_node/answers/0001-answers.sql": "4101a8d05907f341",
    "camera_node/clips/0001-clips.sql": "e647ef03384c04c5",
    "camera_node/clips/0002-holds-and-wishes.sql": "5931e03082fed226",
    "camera_node/site_orders/0001-site-orders.sql": "39fab45e317fb827",
    "camera_node/snapshot_hold/0001-snapshot-parts.sql": "05212ec9c1f76e19",
    "camera_node/suppressions/0001-suppressions.sql": "3b792f5250a5a06e",
    "relay/budget/0001-spending.sql": "0ad05b11b169a7c7",
    "relay/ledger/0001-ledger.sql": "69c0c27b9c893eb3",
    "relay/spool/0001-spool.sql": "4ed9ba5d505014e7",
    "relay/spool/0002-usage-by-origin.sql": "b85ce94eda2b5966",
    "relay/spool/0003-pinned.sql": "1943eefac7fd04a0",
    "relay/timeline/0001-way-of-alert.sql": "c23e2e2b78b620a3",
    "relay/trust/0001-trust.sql": "c71c695f3900bce9",
}  # fmt: skip
"""Steps that machines in the field have applied: what one of them says can't be changed any more."""


def first_spool(folder_dir: Path) -> Path:
    file = folder_dir / "spool.sqlite"
    with gzip.open(FIRST_FILE) as packed, file.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return file


def rows_of(file: Path) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in FIRST_TABLES}


def versions(file: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return dict(connection.execute("SELECT name, version FROM schema_part").fetchall())


OLD_VERSIONS: Final = {"spool": 1, "ledger": 1, "trust": 1}
NEW_VERSIONS: Final = {name: len(steps) for name, steps in PARTS.items()}


def test_the_first_spool_opens_with_everything_in_it(tmp_path: Path) -> None:
    file = first_spool(tmp_path)
    before = rows_of(file)
    assert versions(file) == OLD_VERSIONS
    assert {table: len(rows) for table, rows in before.items()} == {
        "opening": 1, "stream": 1, "envelope": 69, "usage": 5, "receipt": 1, "forgone": 3, "damaged": 0, "tally": 2,
        "inbound": 3, "inbound_stream": 1,
    }  # fmt: skip
    Database.open(file, parts=PARTS).close()
    assert versions(file) == NEW_VERSIONS
    assert rows_of(file) == before
    assert check(file, identity=ME).is_clean


def test_what_it_held_is_still_counted_freed_and_followed_by_the_next_number(tmp_path: Path) -> None:
    file = first_spool(tmp_path)
    with contextlib.closing(Database.open(file, parts=PARTS)) as database:
        run = database.run_blocking
        custody = Spool(
            identity=ME, clock=SimulatedClock(), limits=SpoolLimits(capacity_bytes=100_000, node_share=0.03)
        )
        run(custody.start)
        by_origin = dict(
            run(lambda c: c.execute("SELECT origin, SUM(bytes) FROM usage_by_origin GROUP BY 1").fetchall())
        )
        summed = dict(run(lambda c: c.execute("SELECT origin, SUM(size_bytes) FROM envelope GROUP BY 1").fetchall()))
        assert len(summed) == 2
        assert by_origin == summed
        series, last, link = run(lambda c: c.execute("SELECT series, last_sequence, link FROM stream").fetchone())
        following = run(lambda c: custody.put(c, draft())).envelope.header
        assert (following.series, following.sequence, following.link, following.boot) == (series, last + 1, link, 2)

        other = NodeId(next(origin for origin in summed if origin != ME.node_id))
        theirs = run(lambda c: waiting.after(c, Precedence.FLASH, 0, 1000))
        held = [item for item in theirs if item.origin == other]
        assert len(held) == 6
        with pytest.raises(OverQuota):  # a rule of a later release holds for what an earlier one took in
            run(lambda c: _carry_many(c, custody))

        issued = receipt.issue(RangeSet([(1, last)]), signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=2,
                               origin=ME.node_id, series=series)  # fmt: skip
        freed = run(lambda c: custody.settle(c, issued, AUTHORITY))
        assert freed is not None
        assert len(freed) == 63, "69 rows, 6 of them another node's"
    assert check(file, identity=ME).is_clean


def _carry_many(connection: sqlite3.Connection, custody: Spool) -> None:
    """Another node's alerts, until its share is used up."""
    stranger = Spool(identity=CENTER, clock=SimulatedClock())
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as theirs:
        for step in spool.SCHEMA:
            theirs.executescript(step)
        stranger.start(theirs)
        for _ in range(100):
            custody.carry(connection, stranger.put(theirs, draft()).envelope)


@pytest.mark.parametrize("statements", [7, 11, 14, 30])
def test_an_upgrade_that_is_killed_leaves_the_old_spool_whole(tmp_path: Path, statements: int) -> None:
    file = first_spool(tmp_path)
    before = rows_of(file)
    kill_while_upgrading(file, statement=statements, module="tests.relay.test_upgrades", parts="PARTS")
    assert versions(file) == OLD_VERSIONS, "half an upgrade is none"
    assert rows_of(file) == before
    Database.open(file, parts=PARTS).close()
    assert versions(file) == NEW_VERSIONS
    assert rows_of(file) == before
    assert check(file, identity=ME).is_clean


def released_files() -> dict[str, str]:
    found = {}
    for package in ("relay", "camera_node"):
        for folder in files(package).joinpath("schema").iterdir():
            assert steps_in(folder)
            for step in folder.iterdir():
                found[f"{package}/{folder.name}/{step.name}"] = hashlib.sha256(step.read_bytes()).hexdigest()[:16]
    return found


def test_a_released_step_is_never_changed() -> None:
    found = released_files()
    assert {name: found.get(name) for name in RELEASED} == RELEASED, "write the next numbered file instead"
