"""The file in which a lone alert is durable first: round and round, whole or not at all, and the event loop waits for it never for long."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from relay import intake_log
from relay.arrival import Arrival
from relay.errors import SpoolDamaged
from relay.intake_log import FILE_NAME, HELD_AT_ONCE_S, HELD_FOR, PAGE_BYTES, PAGES, IntakeLog
from relay.passport import Role
from tests.relay.arrivals import arrivals_of
from tests.relay.house import House, until
from tests.relay.small_disk import fill, small_disk


@pytest.fixture
def arrivals(tmp_path: Path) -> list[Arrival]:
    return arrivals_of(House.of(tmp_path / "house", {"gate": Role.CAMERA}), 3)


def sized(arrival: Arrival, wire: bytes) -> Arrival:
    return msgspec.structs.replace(arrival, envelope=msgspec.structs.replace(arrival.envelope, wire=wire))


async def logged(log: IntakeLog, arrivals: Sequence[Arrival]) -> Sequence[int]:
    """Append, and return when it is durable."""
    told: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    numbers = log.append(arrivals, lambda _, error: told.set_result(error))
    assert numbers is not None, "there is room"
    if error := await told:
        raise error
    return numbers


def wires_in(file: Path) -> list[bytes]:
    return [record.wire for record in intake_log.read(file)]


async def test_what_is_logged_is_found_as_it_came_and_what_was_journalled_is_not(
    tmp_path: Path, arrivals: list[Arrival]
) -> None:
    file = tmp_path / FILE_NAME
    with contextlib.closing(IntakeLog.open(file)) as log:
        log.journalled(await logged(log, arrivals[:1]))
        await logged(log, arrivals[1:])
        assert len(log) == 2
    with contextlib.closing(IntakeLog.open(file)) as log:
        left = log.left()
        assert [record.wire for record in left] == [arrival.envelope.wire for arrival in arrivals[1:]]
        assert (left[0].via, left[0].path, left[0].received_wall_ms) == (arrivals[1].via, "test", 1)
        numbers = await logged(log, arrivals[:1])
        assert numbers[0] > left[-1].number, "a number is never used twice"
        log.journalled([record.number for record in left])
        assert log.left() == []


async def test_the_file_keeps_its_size_and_what_the_journal_lacks_is_never_written_over(
    tmp_path: Path, arrivals: list[Arrival]
) -> None:
    file = tmp_path / FILE_NAME
    with contextlib.closing(IntakeLog.open(file)) as log:
        kept = await logged(log, [sized(arrivals[0], b"kept" * 3000)])  # on several pages
        for number in range(3 * PAGES):
            log.journalled(await logged(log, [sized(arrivals[1], b"%d" % number * (1 + number % 4000))]))
        assert file.stat().st_size == PAGES * PAGE_BYTES
        assert wires_in(file)[0] == b"kept" * 3000
        log.journalled(kept)
        await logged(log, arrivals[2:])
        assert wires_in(file) == [arrivals[2].envelope.wire], "all before it are journalled, it says"


async def test_a_full_log_takes_no_more_until_the_journal_has_some(tmp_path: Path, arrivals: list[Arrival]) -> None:
    big = sized(arrivals[0], bytes(20 * PAGE_BYTES))
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        first = await logged(log, [big])
        while log.append([big], lambda _, error: None) is not None:
            pass
        assert len(log) == (PAGES - 1) // 21
        log.journalled(first)
        assert log.append([big], lambda _, error: None) is not None, "in the place of the first"


async def test_a_torn_record_is_no_record_and_its_neighbors_are_whole(tmp_path: Path, arrivals: list[Arrival]) -> None:
    file = tmp_path / FILE_NAME
    with contextlib.closing(IntakeLog.open(file)) as log:
        await logged(log, arrivals)
    for at_bytes in range(2 * PAGE_BYTES, 2 * PAGE_BYTES + 200, 7):  # in the second one
        content = bytearray(file.read_bytes())
        content[at_bytes] ^= 1
        (tmp_path / "torn").write_bytes(content)
        assert wires_in(tmp_path / "torn") == [arrivals[0].envelope.wire, arrivals[2].envelope.wire]


async def test_bytes_of_a_sender_can_not_pass_for_a_record(tmp_path: Path, arrivals: list[Arrival]) -> None:
    """He sends a page that is a record in another center's log, so that it begins a page of this one."""
    his, ours = tmp_path / "his.log", tmp_path / FILE_NAME
    with contextlib.closing(IntakeLog.open(his)) as log:
        await logged(log, arrivals[:1])
    his_page = his.read_bytes()[PAGE_BYTES : 2 * PAGE_BYTES]
    before = PAGE_BYTES
    with contextlib.closing(IntakeLog.open(ours)) as log:
        for _ in range(2):  # to find out where it comes to stand, and to have it begin a page
            await logged(log, [sized(arrivals[1], bytes(before) + his_page + bytes(PAGE_BYTES))])
            at_bytes = ours.read_bytes().rindex(his_page)
            before += -at_bytes % PAGE_BYTES
    assert at_bytes % PAGE_BYTES == 0
    assert arrivals[0].envelope.wire not in wires_in(ours)
    assert len(wires_in(ours)) == 2


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0" + bytes(8192), bytes(PAGES * PAGE_BYTES), b"x" * (PAGES * PAGE_BYTES + 1)]
)
def test_another_file_in_its_place_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(content)
    with pytest.raises(SpoolDamaged, match=r"intake\.log is not an intake log of this release"):
        IntakeLog.open(file)
    assert file.read_bytes() == content


async def test_a_disk_that_stands_still_does_not_hold_the_event_loop(
    tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, write_durably, writing = threading.Event(), intake_log._write_durably, threading.Event()

    def stand_still(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        writing.set()
        assert goes_on.wait(60)
        write_durably(descriptor, pieces)

    monkeypatch.setattr(intake_log, "_write_durably", stand_still)
    order: list[str] = []
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        for name, arrival in zip(("first", "second"), arrivals, strict=False):
            log.append([arrival], lambda _, error, name=name: order.append(name))  # type: ignore[misc]
            order.append(f"the loop after the {name}")
        assert writing.wait(10)
        await asyncio.sleep(0.05)
        order.append("the disk")
        goes_on.set()
        await until(lambda: len(order) == 5, "the disk", 30)
    assert order == ["the loop after the first", "the loop after the second", "the disk", "first", "second"]
    assert wires_in(tmp_path / FILE_NAME) == [arrival.envelope.wire for arrival in arrivals[:2]]


def test_what_is_written_on_the_spot_is_in_the_file_when_that_returns(tmp_path: Path, arrivals: list[Arrival]) -> None:
    file = tmp_path / FILE_NAME
    with contextlib.closing(IntakeLog.open(file)) as log:
        assert log.is_quick
        assert log.write(arrivals[:1]) == range(1, 2)
        assert wires_in(file) == [arrivals[0].envelope.wire]
        assert log.write(arrivals[1:]) == range(2, 4)
        assert wires_in(file) == [arrival.envelope.wire for arrival in arrivals]
        while log.write([sized(arrivals[0], bytes(20 * PAGE_BYTES))]) is not None:
            pass
        assert len(log) == 3 + (PAGES - 4) // 21


def test_a_write_on_the_spot_that_fails_is_raised_and_leaves_its_room(
    tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        with monkeypatch.context() as patch:
            patch.setattr(intake_log, "_write_durably", fail)
            with pytest.raises(OSError, match="Input/output"):
                log.write(arrivals[:1])
        assert len(log) == 0
        log.write(arrivals[1:2])
    assert wires_in(tmp_path / FILE_NAME) == [arrivals[1].envelope.wire]


async def test_nothing_is_written_on_the_spot_while_the_thread_has_something(
    tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, write_durably = threading.Event(), intake_log._write_durably

    def stand_still(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        assert goes_on.wait(60)
        write_durably(descriptor, pieces)

    monkeypatch.setattr(intake_log, "_write_durably", stand_still)
    told: list[int] = []
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        log.append(arrivals[:1], lambda numbers, _: told.extend(numbers))
        assert not log.is_quick
        goes_on.set()
        await until(lambda: told == [1], "the disk", 30)
        assert log.is_quick


@pytest.mark.parametrize("disk_s", [[0.0003], [0.004], [0.008], [0.03], [0.0003] * 200 + [0.1], [0.0003] * 500 + [1.9]],
                         ids=["flash", "slow flash", "a spinning disk", "a card", "stands still for 0.1 s", "for 1.9 s"])  # fmt: skip
def test_the_event_loop_waits_for_a_disk_a_tenth_of_its_time_at_most(
    disk_s: list[float], tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred alerts a second for a minute; the clock and the disk are simulated."""
    now_s, disk = 1000.0, itertools.cycle(disk_s)

    def take_time(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        nonlocal now_s
        now_s += next(disk)

    monkeypatch.setattr(intake_log, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(intake_log, "_write_durably", take_time)
    held_s, count = 0.0, 0
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        for number in range(6000):
            now_s = max(now_s, 1000 + number / 100)
            if not log.is_quick:
                next(disk)  # the thread waits
                continue
            began_s = now_s
            numbers = log.write(arrivals[:1])
            assert numbers is not None
            log.journalled(numbers)
            assert held_s <= HELD_AT_ONCE_S + (began_s - 1000) / HELD_FOR, "and one write more"
            held_s, count = held_s + now_s - began_s, count + 1
    if disk_s == [0.0003]:
        assert count == 6000, "of a quick disk nothing is the thread's"
    assert count > 0


def test_of_a_quick_disk_a_hundred_at_once_are_written_on_the_spot(
    tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0

    def take_time(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        nonlocal now_s
        now_s += 0.0003

    monkeypatch.setattr(intake_log, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(intake_log, "_write_durably", take_time)
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        for _ in range(100):
            assert log.is_quick
            log.write(arrivals[:1])


def fail(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    raise OSError(5, "Input/output error")


async def test_a_write_that_fails_is_told_and_leaves_its_room(
    tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        with monkeypatch.context() as patch:
            patch.setattr(intake_log, "_write_durably", fail)
            with pytest.raises(OSError, match="Input/output"):
                await logged(log, arrivals[:1])
            assert len(log) == 0
        await logged(log, arrivals[1:2])
    assert wires_in(tmp_path / FILE_NAME) == [arrivals[1].envelope.wire]


def test_a_disk_without_room_for_the_file_leaves_nothing_and_receipts_wait_for_the_journal(tmp_path: Path) -> None:
    disk_dir = tmp_path / "disk"
    with small_disk(disk_dir, 4 << 20):
        fill(disk_dir)
        assert intake_log.open_if_room(disk_dir / FILE_NAME) is None
        assert [file.name for file in disk_dir.iterdir() if "intake" in file.name] == []


async def test_who_keeps_a_copy_gets_the_whole_and_each_write_before_it_counts_as_durable(
    tmp_path: Path, arrivals: list[Arrival]
) -> None:
    file, copy = tmp_path / FILE_NAME, bytearray(PAGES * PAGE_BYTES)
    came = list[int]()
    goes_on = threading.Event()
    goes_on.set()

    def keep(written: Sequence[tuple[int, bytes]]) -> Callable[[], None]:
        for at, data in written:
            copy[at : at + len(data)] = data
            came.append(at)
        return lambda: _is_set_within(goes_on, 20)

    with contextlib.closing(IntakeLog.open(file)) as log:
        assert log.write(arrivals[:1]) is not None
        quick = [log.is_quick]
        log.copy_to(keep)
        quick.append(log.is_quick)
        await logged(log, arrivals[1:2])
        assert 0 in came, "the whole file"
        assert bytes(copy) == file.read_bytes()
        goes_on.clear()
        appending = asyncio.create_task(logged(log, arrivals[2:3]))
        await asyncio.sleep(0.2)
        assert not appending.done(), "the other machine has not got it yet"
        goes_on.set()
        await appending
        assert bytes(copy) == file.read_bytes()
        log.copy_to(None)
        assert [*quick, log.is_quick] == [True, False, True], "the event loop does not wait for another machine"
        await logged(log, arrivals[:1])
        assert bytes(copy) != file.read_bytes()


async def test_the_copy_is_under_way_while_the_disk_writes_and_a_failure_here_is_told(
    tmp_path: Path, arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    did = list[str]()

    def keep(written: Sequence[tuple[int, bytes]]) -> Callable[[], None]:
        did.append("sent")
        return lambda: did.append("there")

    def fail_noted(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        did.append("writes")
        fail(descriptor, pieces)

    with contextlib.closing(IntakeLog.open(tmp_path / FILE_NAME)) as log:
        log.copy_to(keep)
        await logged(log, arrivals[:1])
        did.clear()
        with monkeypatch.context() as patch:
            patch.setattr(intake_log, "_write_durably", fail_noted)
            with pytest.raises(OSError, match="Input"):
                await logged(log, arrivals[1:2])
        assert did == ["sent", "writes", "there"]
        assert len(log) == 1


def _is_set_within(event: threading.Event, wait_s: float) -> None:
    assert event.wait(wait_s)
