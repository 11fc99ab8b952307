"""One file, one owner, group commit: and what happens when the disk is full, the power goes, or the file is broken."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.database import Database
from relay.errors import OperatorError, SpoolBusy, SpoolDamaged, SpoolFull
from relay.spool_check import check
from tests.relay.house import until
from tests.relay.spooling import ME, draft, opened, put

NUMBERS = {"numbers": ("CREATE TABLE number (n INTEGER PRIMARY KEY) STRICT;",)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database.open(tmp_path / "numbers.sqlite", parts=NUMBERS)) as opened_database:
        yield opened_database


def insert(number: int) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO number VALUES (?)", (number,)).rowcount


def numbers_in(database: Database) -> set[int]:
    return {row[0] for row in database.run_blocking(lambda c: c.execute("SELECT n FROM number").fetchall())}


async def test_jobs_that_wait_share_one_commit(database: Database) -> None:
    started, gate = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> bool:
        started.set()
        return gate.wait(10)

    first = asyncio.create_task(database.run(wait), name="first")
    await asyncio.to_thread(started.wait, 10)
    others = [asyncio.create_task(database.run(insert(n)), name=f"job {n}") for n in range(100)]
    await asyncio.sleep(0)  # each task runs up to its wait for the commit
    assert database._jobs.qsize() == 100
    before = database.commits
    gate.set()
    assert await first
    assert await asyncio.gather(*others) == [1] * 100
    assert database.commits <= before + 2, "the first job's commit, and one for all that came meanwhile"
    assert numbers_in(database) == set(range(100))


async def test_what_is_in_no_hurry_goes_into_somebody_elses_commit(database: Database) -> None:
    before = database.commits
    patient = asyncio.create_task(database.run_along(insert(1), within_s=600), name="patient")
    await asyncio.sleep(0)
    other = asyncio.create_task(database.run_along(insert(2), within_s=600), name="another")
    await asyncio.sleep(0)
    assert not patient.done()
    assert await database.run(insert(3)) == 1
    assert (await patient, await other) == (1, 1)
    assert database.commits == before + 1
    assert numbers_in(database) == {1, 2, 3}


async def test_what_is_in_no_hurry_waits_no_longer_than_it_said(database: Database) -> None:
    async with asyncio.timeout(20):
        assert await database.run_along(insert(1), within_s=0.05) == 1
    assert numbers_in(database) == {1}


async def test_what_is_in_no_hurry_and_fails_takes_nobody_down_with_it(database: Database) -> None:
    await database.run(insert(7))
    patient = asyncio.create_task(database.run_along(insert(7), within_s=600), name="patient")
    await asyncio.sleep(0)
    assert await database.run(insert(8)) == 1
    with pytest.raises(OperatorError):
        await patient
    assert numbers_in(database) == {7, 8}


def test_what_is_in_no_hurry_is_done_before_it_closes(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "numbers.sqlite", parts=NUMBERS)

    async def leave() -> None:
        patient = asyncio.create_task(database.run_along(insert(5), within_s=600), name="patient")
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        assert await patient == 1

    asyncio.run(leave())
    with contextlib.closing(Database.open(tmp_path / "numbers.sqlite", parts=NUMBERS)) as again:
        assert numbers_in(again) == {5}


async def test_failing_job_takes_nobody_down_with_it(database: Database) -> None:
    gate = threading.Event()
    first = asyncio.create_task(database.run(lambda _: gate.wait(10)), name="first")
    await asyncio.sleep(0)

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (1000)")
        raise LookupError("a caller's own mistake")

    jobs = [database.run(insert(1)), database.run(fails), database.run(insert(2)), database.run(insert(1)),
            database.run(insert(3))]  # fmt: skip
    waiting = asyncio.gather(*jobs, return_exceptions=True)
    await asyncio.sleep(0)
    gate.set()
    outcomes: list[object] = list(await waiting)
    await first
    assert isinstance(outcomes[1], LookupError)
    assert isinstance(outcomes[3], OperatorError), "the number was there already"
    assert [outcomes[0], outcomes[2], outcomes[4]] == [1, 1, 1]
    assert numbers_in(database) == {1, 2, 3}


async def test_work_is_stored_even_if_its_caller_went_away(database: Database) -> None:
    gate = threading.Event()
    first = asyncio.create_task(database.run(lambda _: gate.wait(10)), name="first")
    await asyncio.sleep(0)
    impatient = asyncio.create_task(database.run(insert(5)), name="impatient")
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert numbers_in(database) == {5}


def test_everything_submitted_is_done_before_it_closes(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "numbers.sqlite", parts=NUMBERS)
    threads = [threading.Thread(target=database.run_blocking, args=(insert(n),)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    database.close()
    with pytest.raises(OperatorError, match="closed"):
        database.run_blocking(insert(1))
    with contextlib.closing(Database.open(tmp_path / "numbers.sqlite", parts=NUMBERS)) as again:
        assert numbers_in(again) == set(range(50))


def test_reader_can_not_write(database: Database) -> None:
    with contextlib.closing(database.reader()) as reader:
        assert reader.execute("SELECT COUNT(*) FROM number").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("INSERT INTO number VALUES (1)")


def test_second_process_is_kept_out(tmp_path: Path) -> None:
    file = tmp_path / "spool.sqlite"
    program = ("import sys, pathlib; from tests.relay.spooling import opened\n"
               "with opened(pathlib.Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()")  # fmt: skip
    other = subprocess.Popen(
        [sys.executable, "-c", program, file], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(SpoolBusy, match=r"another process has .*spool\.sqlite open: stop it first"), opened(file):
            pass
        other.stdin.close()
        other.wait(10)
    with opened(file) as (database, spool):
        assert put(database, spool)[0].envelope.header.sequence == 1


def test_newer_schema_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "numbers.sqlite"
    Database.open(file, parts={"numbers": (*NUMBERS["numbers"], "CREATE TABLE later (n INTEGER) STRICT;")}).close()
    with pytest.raises(SpoolDamaged, match="version 2 of its part 'numbers', this release knows 1"):
        Database.open(file, parts=NUMBERS)


@pytest.mark.parametrize("content", [b"this is not a database at all" * 200, b"SQLite format 3\x00" + b"\xff" * 8192])
def test_file_that_is_no_database_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "spool.sqlite"
    file.write_bytes(content)
    with pytest.raises(SpoolDamaged) as failure, opened(file):
        pass
    assert "\n" not in str(failure.value)
    assert "spool.sqlite is damaged" in str(failure.value)
    assert "check command" in str(failure.value)
    assert file.read_bytes() == content, "it is left as it was found"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Half a megabyte."""
    mount_dir = tmp_path / "disk"
    mount_dir.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mount_dir]).returncode:
        pytest.skip("needs root to mount a small tmpfs")
    try:
        yield mount_dir
    finally:
        subprocess.run(["umount", "-l", mount_dir], check=True)


def test_full_disk_loses_nothing_and_works_again(small_disk: Path) -> None:
    file = small_disk / "spool.sqlite"
    ballast_file = small_disk / "ballast"
    ballast_file.write_bytes(bytes(200_000))
    stored: list[bytes] = []
    with opened(file) as (database, spool):

        def fill() -> None:
            for _ in range(2_000):
                stored.append(put(database, spool, 1, draft(size_bytes=500))[0].envelope.id)

        with pytest.raises(SpoolFull, match="free space there; nothing that was stored is lost"):
            fill()
        assert stored, "the fault happened after some were stored"
        free = os.statvfs(small_disk)
        assert free.f_bavail * free.f_frsize < 8_192, "the disk is full indeed"
        with pytest.raises(SpoolFull):
            put(database, spool, 1, draft(size_bytes=5_000))

        def here() -> list[bytes]:
            return [
                row[0]
                for row in database.run_blocking(
                    lambda c: c.execute("SELECT id FROM envelope ORDER BY number").fetchall()
                )
            ]

        assert here() == stored, "each that was told stored is there, each that was refused is not"
        ballast_file.unlink()
        stored += [item.envelope.id for item in put(database, spool, 5)]
        assert here() == stored
    assert check(file, identity=ME).is_clean


_PUTTER = """
import pathlib, sys
from tests.relay.spooling import opened, put, draft
with opened(pathlib.Path(sys.argv[1])) as (database, spool):
    print("ready", flush=True)
    while True:
        item = put(database, spool, 1, draft(size_bytes=60))[0]
        print(item.envelope.header.sequence, item.envelope.id.hex(), flush=True)
"""


def kill_while_putting(file: Path, after_puts: int) -> None:
    """Kill a process that puts, after it has told of so many; what it told must be there, in order, unbroken."""
    process = subprocess.Popen([sys.executable, "-c", _PUTTER, file], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as told:
        assert told.readline() == "ready\n"
        lines = [told.readline() for _ in range(after_puts)]
        process.send_signal(signal.SIGKILL)
        lines += told.readlines()
        assert process.wait(10) == -signal.SIGKILL, "it was killed, and did not end by itself"
    printed = [line.split() for line in lines if line.endswith("\n") and len(line.split()) == 2]
    assert len(printed) >= after_puts
    report = check(file, identity=ME)
    assert report.is_clean, report.findings
    with opened(file) as (database, _):
        here = dict(database.run_blocking(lambda c: c.execute("SELECT sequence, hex(id) FROM envelope").fetchall()))
    for sequence, identifier in printed:
        assert here.get(int(sequence), "").lower() == identifier, f"{sequence} was told durable and is not there"
    assert sorted(here) == list(range(1, len(here) + 1))


def test_what_was_told_durable_survives_kill_minus_9(tmp_path: Path) -> None:
    file = tmp_path / "spool.sqlite"
    for puts in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        kill_while_putting(file, puts)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_told_durable_survives_many_kills(tmp_path: Path) -> None:
    file = tmp_path / "spool.sqlite"
    for puts in range(150):
        kill_while_putting(file, puts * 7 % 61)


async def test_an_idle_moment_moves_the_wal_to_its_place(tmp_path: Path) -> None:
    file = tmp_path / "numbers.sqlite"
    with contextlib.closing(Database.open(file, parts=NUMBERS, log_pages=100)) as database:
        await database.run(insert(1))
        assert numbers_in_place(file) == set(), "one row is not worth it"
        many = set(range(1, 100))
        await database.run(lambda connection: [insert(number)(connection) for number in many - {1}])
        await until(lambda: numbers_in_place(file) == many, "the checkpoint", 20)
        assert database.checkpoints_postponed == 0


async def test_between_two_commits_of_a_flow_the_wal_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.database._IDLE_S", 30.0)  # so that no pause of this machine is an idle moment
    file = tmp_path / "numbers.sqlite"
    with contextlib.closing(Database.open(file, parts=NUMBERS, log_pages=1_000)) as database:
        for first in range(1, 1_001, 20):
            await database.run(insert_twenty(first))
            await asyncio.sleep(0.002)  # a moment without work
        assert numbers_in_place(file) == set(), "nobody waits for it to be folded"


def insert_twenty(first: int) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        for number in range(first, first + 20):
            insert(number)(connection)

    return work


def numbers_in_place(file: Path) -> set[int]:
    """Read without the WAL."""
    connection = sqlite3.connect(f"file:{file}?immutable=1", uri=True)
    with (
        contextlib.closing(connection),
        contextlib.suppress(sqlite3.OperationalError),
    ):  # the table itself is in the WAL
        return {row[0] for row in connection.execute("SELECT n FROM number")}
    return set()


@pytest.mark.parametrize(("gives_way", "policy"), [(False, os.SCHED_OTHER), (True, os.SCHED_BATCH)])
def test_a_thread_that_gives_way_pushes_nobody_off_a_processor(tmp_path: Path, gives_way: bool, policy: int) -> None:
    with contextlib.closing(Database.open(tmp_path / "one.sqlite", parts={}, gives_way=gives_way)) as database:
        assert database.run_blocking(lambda _: os.sched_getscheduler(0)) == policy


@pytest.mark.parametrize("gives_way", [True, False], ids=["gives way", "does not"])
def test_what_gives_way_waits_at_its_next_statement_while_it_is_held_back(
    tmp_path: Path, gives_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.right_of_way.GIVES_WAY_FOR_S", 60)
    began, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def work(connection: sqlite3.Connection) -> None:
        began.set()
        assert goes_on.wait(60)
        connection.execute("INSERT INTO number VALUES (1)")
        connection.executemany("INSERT INTO number VALUES (?)", [(2,), (3,)])
        done.set()

    with contextlib.closing(Database.open(tmp_path / "one.sqlite", parts=NUMBERS, gives_way=gives_way)) as database:
        working = threading.Thread(target=database.run_blocking, args=(work,))
        working.start()
        assert began.wait(60)
        database.right_of_way.take()
        goes_on.set()
        assert done.wait(0.2 if gives_way else 60) is not gives_way
        database.right_of_way.leave()
        assert done.wait(60)
        working.join(60)
        assert numbers_in(database) == {1, 2, 3}


def test_what_is_held_back_and_forgotten_goes_on(tmp_path: Path) -> None:
    with contextlib.closing(Database.open(tmp_path / "one.sqlite", parts=NUMBERS, gives_way=True)) as database:
        database.right_of_way.take()
        database.run_blocking(insert(1))
        assert numbers_in(database) == {1}
