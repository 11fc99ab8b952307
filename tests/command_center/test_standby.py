"""A leader and its standby, over a real connection, in one process: commit by commit, and after every absence."""

import asyncio
import hashlib
import shutil
import threading
from pathlib import Path

import pytest

from command_center import journal
from command_center.custody import retention
from command_center.demonstration.household import free_port
from command_center.standby import leader as leaders
from command_center.standby import messages
from command_center.standby.leader import Leader
from command_center.standby.line import Called, Doorkeeper, Line, LineLost
from command_center.standby.messages import Asked, Beat, Changed, Digests, Hello
from relay.clock import SimulatedClock
from relay.errors import DiskFull
from relay.header import Kind
from relay.kinds.chunk import cut
from tests.command_center.house import PICTURE
from tests.command_center.standby_here import (
    asked_of,
    follower_here,
    leading,
    make,
    rows_of,
    until_it_says,
    until_they_are_the_same,
)
from tests.command_center.test_ingest import exhibit, until


async def test_a_standby_has_each_commit_when_somebody_hears_of_it(tmp_path: Path) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            for _ in range(20):
                await house.deliver(node, node.alert())
                entries = await house.query("SELECT id, leaf FROM entry ORDER BY id")
                assert rows_of(b_dir) == entries
            assert len(entries) > 20
            assert house.center.services.station_gauges()["standby_in_step"] == 1
            assert "heard_hop_ms" in house.services.metrics.text({})


async def test_nobody_hears_of_a_commit_before_the_standby_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    goes_on, holds = threading.Event(), threading.Event()

    def hold(message: Asked) -> None:
        if isinstance(message, Changed) and holds.is_set():
            goes_on.wait(20)

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, hold):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            holds.set()
            delivering = asyncio.create_task(house.deliver(node, node.alert()))
            await asyncio.sleep(0.5)
            assert not delivering.done()
            goes_on.set()
            await delivering


async def test_a_standby_that_does_not_answer_is_let_go_and_brought_up_to_date_without_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(message: Asked) -> None:
        if isinstance(message, Changed) and hangs.is_set():
            goes_on.wait(20)

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, hang) as asked:
        async with leading(a_dir, port, clock, wait_s=0.5) as house:
            await until_it_says(house, leaders.IN_STEP)
            assert any(isinstance(message, Digests) for message in asked), "the first time it is compared"
            asked.clear()
            node = house.node()
            hangs.set()
            await house.deliver(node, node.alert())  # goes on alone, after half a second
            assert not house.center.services.station_gauges()["standby_in_step"]
            await house.deliver(node, node.alert())
            hangs.clear()
            goes_on.set()
            await until_it_says(house, leaders.IN_STEP, 2)
            await until_it_says(house, leaders.LOST, 1)
            assert not any(isinstance(message, Digests) for message in asked), "what changed was remembered"
            await until_they_are_the_same(house, b_dir)


async def test_a_standby_that_takes_nothing_does_not_hold_a_big_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Asked) -> None:
        if hangs.is_set():
            goes_on.wait(60)

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, hang):
        try:
            async with leading(a_dir, port, clock, wait_s=0.5) as house:
                await until_it_says(house, leaders.IN_STEP)
                await house.database.run(lambda c: c.execute("CREATE TABLE big (content BLOB)"))
                hangs.set()
                async with asyncio.timeout(30):  # more than a socket holds: this waits for somebody who reads
                    await house.database.run(lambda c: c.execute("INSERT INTO big VALUES (zeroblob(32000000))"))
                assert not house.center.services.station_gauges()["standby_in_step"]
        finally:
            goes_on.set()


async def test_a_change_that_can_not_be_journalled_is_said_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    port, refused = free_port(), list[str]()
    does = journal.append

    def full(*args: object, **fields: object) -> object:
        if fields.get("kind") == leaders.LOST and len(refused) < 3:
            refused.append("once")
            raise DiskFull("the disk is full")
        return does(*args, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "append", full)
    async with leading(a_dir, port, clock) as house:
        await until_it_says(house, leaders.LOST)
        assert len(refused) == 3
        with follower_here(b_dir, identity, port):
            await until_it_says(house, leaders.IN_STEP)


async def test_what_a_standby_could_not_keep_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    fails = threading.Event()

    def fail(message: Asked) -> None:
        if isinstance(message, Changed) and fails.is_set():
            raise OSError("No space left on device")

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, fail) as asked:
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            asked.clear()
            fails.set()
            node = house.node()
            await house.deliver(node, node.alert())
            await until_it_says(house, leaders.LOST)
            said = await house.query("SELECT hex(payload) FROM entry WHERE kind = ?", leaders.LOST)
            assert b"No space left on device".hex().upper() in str(said)
            fails.clear()
            await until_it_says(house, leaders.IN_STEP, 2)
            assert not any(isinstance(message, Digests) for message in asked)
            await until_they_are_the_same(house, b_dir)


async def test_a_comparison_that_was_broken_off_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    fails = threading.Event()

    def fail_at_the_end(message: Asked) -> None:
        if isinstance(message, Changed) and fails.is_set() and not message.more:
            raise OSError("No space left on device")

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, fail_at_the_end) as asked:
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            fails.set()
            monkeypatch.setattr(leaders, "MOST_PAGES", 0)
            node = house.node()
            for _ in range(5):
                await house.deliver(node, node.alert())  # more than is remembered
            monkeypatch.setattr(leaders, "MOST_PAGES", 1000)
            asked.clear()

            async def was_compared_twice() -> bool:
                return sum(isinstance(message, Digests) and message.first == 1 for message in asked) >= 2

            await until(was_compared_twice)
            fails.clear()
            await until_it_says(house, leaders.IN_STEP, 2)
            await until_they_are_the_same(house, b_dir)


async def test_a_standby_whose_disk_is_older_than_it_said_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    port = free_port()
    async with leading(a_dir, port, clock) as house:
        node = house.node()
        with follower_here(b_dir, identity, port):
            await until_it_says(house, leaders.IN_STEP)
        await house.deliver(node, node.alert())
        shutil.copytree(b_dir, tmp_path / "older")
        with follower_here(b_dir, identity, port):
            await until_it_says(house, leaders.IN_STEP, 2)
            await house.deliver(node, node.alert(), node.alert())
            rows = rows_of(b_dir)
        shutil.rmtree(b_dir)
        shutil.copytree(tmp_path / "older", b_dir)
        assert len(rows_of(b_dir)) < len(rows)
        with follower_here(b_dir, identity, port) as (follower, _), asked_of(follower, monkeypatch) as asked:
            await until_it_says(house, leaders.IN_STEP, 3)
            assert any(isinstance(message, Digests) for message in asked)
            await until_they_are_the_same(house, b_dir)


async def test_what_a_lost_leader_did_not_get_to_the_end_of_counts_never(tmp_path: Path) -> None:
    _, b_dir, identity = make(tmp_path, SimulatedClock())
    all_of_it = {"pages_in_all": 2, "run": b"r" * 16, "sequence": 1}
    with follower_here(b_dir, identity) as (_, port):
        for more, number in ((True, 1), (False, 2)):
            line = Line.dial("127.0.0.1", port, identity, wait_s=2)
            line.answered(line.ask(Hello, format=messages.FORMAT, term=0), 5)
            line.answered(line.ask(Changed, pages=[(number, b"x" * 4096)], more=more, **all_of_it), 5)
            line.close()
        assert (b_dir / "center.sqlite").read_bytes() == bytes(4096) + b"x" * 4096


async def test_the_late_end_of_an_earlier_line_does_not_end_the_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, start = list[Leader](), Leader.start

    def noted(leader: Leader) -> None:
        made.append(leader)
        start(leader)

    monkeypatch.setattr(Leader, "start", noted)
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            called = list[Called]()
            door = Doorkeeper("127.0.0.1", 0, identity, called.append)
            earlier = Line.dial("127.0.0.1", door.port, identity, wait_s=2)

            async def is_taken() -> bool:
                return bool(called)

            await until(is_taken)
            made[0]._lost(earlier, LineLost("late"))
            door.close()
            called[0].close()
            await asyncio.sleep(0.1)
            assert earlier.is_lost
            assert made[0].is_in_step
            assert house.center.station.intake_log is not None
            assert not house.center.station.intake_log.is_quick, "records still go there, too"


async def test_after_a_start_and_after_too_much_only_pages_that_differ_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch) as asked:
        async with leading(a_dir, port, clock) as house:
            node = house.node()
            for _ in range(40):
                await house.deliver(node, node.alert())
            await until_it_says(house, leaders.IN_STEP)
        asked.clear()
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP, 2)
            assert any(isinstance(message, Digests) for message in asked)
            sent = {number for message in asked if isinstance(message, Changed) for number, _ in message.pages}
            assert len(sent) < (a_dir / "center.sqlite").stat().st_size / 4096 / 2
            monkeypatch.setattr(leaders, "MOST_PAGES", 3)
            asked.clear()
            await house.deliver(house.node("other"), house.node("third").alert())
            monkeypatch.setattr(leaders, "MOST_PAGES", 1000)
            await until_it_says(house, leaders.IN_STEP, 3)
            assert any(isinstance(message, Digests) for message in asked)
            await until_they_are_the_same(house, b_dir)


async def test_a_picture_goes_there_and_goes_when_it_is_erased(tmp_path: Path) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    sha256 = hashlib.sha256(PICTURE).digest()
    there = b_dir / "blobs" / sha256.hex()[:2] / sha256.hex()
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            alert = node.alert()
            await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id)),
                                *[node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, sha256)])  # fmt: skip

            async def is_there() -> bool:
                return there.exists()

            async def is_gone() -> bool:
                return not there.exists()

            await until(is_there)
            assert there.read_bytes() == PICTURE
            await house.database.run(
                lambda c: retention.erase(
                    c, retention.one(c, sha256), actor="test", reason="a court said so", at_ms=clock.wall_ms()
                )
            )
            await asyncio.to_thread(retention.unlink, house.database, house.services.blobs)
            await until(is_gone)


async def test_an_error_of_this_disk_in_a_comparison_is_no_reason_to_believe_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    compares, failed = Leader._send_differing, list[str]()

    def fail_once(leader: Leader, line: Line) -> None:
        if not failed:
            failed.append("once")
            raise OSError("Input/output error")
        compares(leader, line)

    def away(*_: object, **__: object) -> Line:
        raise LineLost("away")

    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            monkeypatch.setattr(Leader, "_send_differing", fail_once)
            with monkeypatch.context() as patch:
                patch.setattr(Line, "dial", away)
                patch.setattr(leaders, "MOST_PAGES", 0)
                node = house.node()
                for _ in range(5):
                    await house.deliver(node, node.alert())  # more than is remembered
                await until_it_says(house, leaders.LOST)
                house.database._fold_log(1000)  # nor is it in the log any more
            await until_it_says(house, leaders.IN_STEP, 2)
            assert failed
            await until_they_are_the_same(house, b_dir)


async def test_a_picture_that_is_lost_or_damaged_costs_no_time_and_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    sha256 = hashlib.sha256(PICTURE).digest()
    async with leading(a_dir, free_port(), clock) as house:
        node = house.node()
        alert = node.alert()
        await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id)),
                            *[node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, sha256)])  # fmt: skip

        async def is_stored() -> bool:
            return bool(await house.query("SELECT 1 FROM stored_object"))

        await until(is_stored)
        file = house.services.blobs.file_of(sha256)
    for damage in (lambda: file.write_bytes(b"something else"), file.unlink):
        damage()
        with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch) as asked:
            async with leading(a_dir, port, clock) as house:
                steps = await house.query("SELECT COUNT(*) FROM entry WHERE kind = ?", leaders.IN_STEP)
                await until_it_says(house, leaders.IN_STEP, int(str(steps[0][0])) + 1)
                await asyncio.sleep(1.5)
                assert 1 <= sum(isinstance(message, Beat) for message in asked) < 8
                assert house.center.services.station_gauges()["standby_in_step"] == 1
        assert not (b_dir / "blobs" / sha256.hex()[:2] / sha256.hex()).exists()
