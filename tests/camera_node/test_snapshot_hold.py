"""Pictures on legal hold stay in the spool, whatever needs its room; and no more of it than alerts can do without."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from camera_node import clip_book, clip_orders, snapshot_hold
from relay import ledger, trust
from relay.clock import SimulatedClock
from relay.database import Database
from relay.errors import SpoolFull
from relay.ids import EnvelopeId
from relay.kinds.instruction import HoldClip, ReleaseClip
from relay.precedence import Precedence
from relay.spool import SCHEMA, Spool
from relay.spool_room import SpoolLimits
from tests.relay.spooling import ME, draft, put

ALERT, OTHER = b"a" * 32, b"b" * 32
LIMITS = SpoolLimits(capacity_bytes=40_000, reserve_bytes=10_000)
PARTS = {"spool": SCHEMA, "ledger": ledger.SCHEMA, "trust": trust.SCHEMA, "clips": clip_book.SCHEMA,
         snapshot_hold.PART: snapshot_hold.SCHEMA}  # fmt: skip


@contextlib.contextmanager
def spooling(tmp_path: Path) -> Iterator[tuple[Database, Spool]]:
    with contextlib.closing(Database.open(tmp_path / "spool.sqlite", parts=PARTS)) as database:
        spool = Spool(identity=ME, clock=SimulatedClock(), limits=LIMITS)
        database.run_blocking(spool.start)
        yield database, spool


def picture(database: Database, spool: Spool, alert_id: bytes, *, chunks: int = 4) -> list[bytes]:
    ids = [s.envelope.id for s in put(database, spool, chunks, draft(Precedence.PRIORITY, 1_000))]
    database.run_blocking(lambda c: snapshot_hold.note(c, alert_id, ids))
    return [bytes(i) for i in ids]


def here(database: Database, ids: list[bytes]) -> int:
    known = {row[0] for row in database.run_blocking(lambda c: c.execute("SELECT id FROM envelope").fetchall())}
    return sum(i in known for i in ids)


def order(database: Database, what: HoldClip | ReleaseClip, number: int = 1) -> int:
    database.run_blocking(lambda c: clip_orders.follow(c, EnvelopeId(bytes([number]) * 32), what, 5, LIMITS))
    return int(
        database.run_blocking(lambda c: c.execute("SELECT outcome FROM clip_word ORDER BY id DESC").fetchone()[0])
    )


def test_what_is_on_hold_does_not_give_way_and_what_is_not_does(tmp_path: Path) -> None:
    with spooling(tmp_path) as (database, spool):
        held, free = picture(database, spool, ALERT), picture(database, spool, OTHER)
        assert order(database, HoldClip(alert_id=ALERT)) == 1
        put(database, spool, 28, draft(Precedence.FLASH, 1_000))
        assert here(database, held) == 4
        assert here(database, free) < 4, "room was made by what is not on hold"
        order(database, ReleaseClip(alert_id=ALERT), 2)
        put(database, spool, 4, draft(Precedence.FLASH, 1_000))
        assert here(database, held) < 4, "let go, it gives way like any other"


def test_a_picture_that_comes_after_the_hold_is_held_too_and_ends_with_it(tmp_path: Path) -> None:
    with spooling(tmp_path) as (database, spool):
        order(database, HoldClip(alert_id=ALERT, until_wall_ms=1_000))
        held = picture(database, spool, ALERT)
        put(database, spool, 30, draft(Precedence.FLASH, 1_000))
        assert here(database, held) == 4
        database.run_blocking(lambda c: clip_orders.end_holds(c, 2_000))
        assert database.run_blocking(lambda c: c.execute("SELECT count(*) FROM pinned").fetchone()[0]) == 0


def test_alerts_find_room_whatever_is_on_hold(tmp_path: Path) -> None:
    with spooling(tmp_path) as (database, spool):
        picture(database, spool, ALERT, chunks=20)
        assert order(database, HoldClip(alert_id=ALERT)) == 3, "refused: it would take more than its share"
        assert database.run_blocking(lambda c: c.execute("SELECT count(*) FROM pinned").fetchone()[0]) == 0
        put(database, spool, 20, draft(Precedence.FLASH, 1_000))


def test_a_spool_full_of_held_and_urgent_things_refuses_the_next_and_evicts_nothing(tmp_path: Path) -> None:
    with spooling(tmp_path) as (database, spool):
        held = picture(database, spool, ALERT)
        order(database, HoldClip(alert_id=ALERT))
        with pytest.raises(SpoolFull):
            put(database, spool, 60, draft(Precedence.FLASH, 1_000))
        assert here(database, held) == 4
