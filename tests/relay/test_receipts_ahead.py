"""What comes alone is receipted from the intake log, and is in the journal whatever happens in between."""

import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from relay import envelope as envelopes
from relay import intake_log
from relay.arrival import Arrival
from relay.attempts import LinkId
from relay.clock import SimulatedClock
from relay.config import SpoolConfig
from relay.envelope import Envelope
from relay.errors import BadSignature, SenderError
from relay.header import Kind
from relay.intake_log import FILE_NAME, IntakeLog
from relay.passport import Role
from relay.precedence import Precedence
from relay.receipt import Receipt
from relay.receipts_ahead import MOST_AT_ONCE, MOST_BEHIND
from relay.receiver import CLOSE_MS
from relay.spool import Spooled
from relay.station import Answer, AnswerLevel, Station
from tests.relay.arrivals import arrivals_of
from tests.relay.house import House, Kept, until
from tests.relay.small_disk import fill, small_disk
from tests.relay.spooling import CENTER
from tests.relay.test_status_view import shown


class Scene:
    """A center with an intake log, a gate that sends to it, and what the gate heard."""

    def __init__(self, house: House, center: Station, gate: Station, inbox: Kept) -> None:
        self.house, self.center, self.gate, self.inbox = house, center, gate, inbox
        self.heard: set[int] = set()
        gate.on_answer(self._answered)

    def _answered(self, answer: Answer) -> None:
        if answer.level is AnswerLevel.HEARD:
            self.heard.add(answer.sequence)

    async def raise_alert(self) -> Spooled:
        return await self.gate.put(self.gate.draft_up(Kind.ALERT, Precedence.FLASH, b"weapon"))

    async def raise_heard(self) -> Spooled:
        """One that the gate knows to be heard."""
        spooled = await self.raise_alert()
        await until(lambda: spooled.envelope.header.sequence in self.heard, "the receipt", 30)
        return spooled

    def came(self) -> list[int]:
        return [arrival.envelope.header.sequence for arrival in self.inbox.arrivals]

    @contextlib.contextmanager
    def busy_journal(self) -> Iterator[None]:
        """The journal's thread is at something else for the block: nothing is committed."""
        goes_on, began = threading.Event(), threading.Event()

        def stand_still(_: sqlite3.Connection) -> None:
            began.set()
            assert goes_on.wait(60)

        self.center.database.submit(stand_still)
        assert began.wait(10)
        commits = self.center.database.commits
        try:
            yield
            assert self.center.database.commits == commits, "nothing was journalled meanwhile"
        finally:
            goes_on.set()

    async def take(self, envelope: Envelope) -> None:
        """It comes again, or another in its place, over the gate's session."""
        await until(lambda: any(link.peer is not None for link in self.center._links), "the gate", 30)
        self.center.receiver.take(next(iter(self.center._links)), envelope.wire)


@contextlib.asynccontextmanager
async def scene(state_dir: Path, house: House | None = None, spool: SpoolConfig | None = None) -> AsyncIterator[Scene]:
    house = house or House.of(state_dir, {"center": Role.CENTER, "gate": Role.CAMERA})
    inbox = Kept()
    async with house.station(
        "center", listen="tcp://127.0.0.1:0", inbox=inbox, spool=spool, has_intake_log=True
    ) as center:
        await center.receiver.recover()
        async with house.station("gate", to=[("center", center.listening_on[0])]) as gate:
            yield Scene(house, center, gate, inbox)


async def test_an_alert_is_receipted_while_the_journal_is_busy_and_journalled_after(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        first = await here.raise_heard()
        assert here.center.counters["receipted_ahead"] == 0, "of a series that is not known yet the journal goes first"
        with here.busy_journal():
            second = await here.raise_heard()
            assert here.came() == [first.envelope.header.sequence]
            assert here.center.receiver.waiting_count == 1, "/readyz sees what the journal does not get to"
        await until(lambda: len(here.came()) == 2, "the journal", 30)
        assert here.came()[1] == second.envelope.header.sequence
        assert here.inbox.arrivals[1].ahead is not None
        assert here.center.counters["receipted_ahead"] == 1
        assert here.center.receiver.waiting_count == 0


async def test_the_journal_stands_aside_for_an_alert_that_comes_alone_and_goes_on_after_a_refused_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as here:
        await here.raise_heard()
        database, log = here.center.database, here.center.receiver._ahead
        assert log is not None
        held: list[bool] = []
        write = IntakeLog.write

        def written(self: IntakeLog, arrivals: Sequence[Arrival]) -> range | None:
            held.append(database.right_of_way.is_taken)
            return write(self, arrivals)

        monkeypatch.setattr(IntakeLog, "write", written)
        await asyncio.sleep(2 * CLOSE_MS / 1000)
        spooled = await here.raise_heard()
        assert held == [True]
        assert not database.right_of_way.is_taken, "the receipt is out"
        forged = bytearray(spooled.envelope.wire)
        forged[-1 - len(spooled.envelope.sealed_body) - 8] ^= 1
        with pytest.raises(SenderError):
            here.center.receiver.offer(next(iter(here.center._links)), bytes(forged), lambda _link, _error: None)
        assert not database.right_of_way.is_taken


@pytest.mark.parametrize("is_quick", [True, False], ids=["on the spot", "by the thread"])
async def test_what_the_log_s_disk_refuses_waits_for_the_journal_and_the_log_is_left_alone_for_a_while(
    is_quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = list[int]()

    def fail(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        tried.append(len(pieces))
        raise OSError(5, "Input/output error")

    async with scene(tmp_path) as here:
        await here.raise_heard()
        monkeypatch.setattr(intake_log, "_write_durably", fail)
        monkeypatch.setattr(IntakeLog, "is_quick", is_quick)
        sent = here.gate.counters["envelopes_sent"]
        await here.raise_heard()
        await here.raise_heard()
        assert here.gate.counters["envelopes_sent"] == sent + 2, "nothing had to be sent again"
        assert tried == [1], "the second is not tried"
        assert here.center.counters["refused_not_logged"] == 1
        assert here.center.counters["receipted_ahead"] == 0
        assert here.came() == [1, 2, 3]


async def test_a_receipt_that_another_overtook_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, write_durably = threading.Event(), intake_log._write_durably

    def stand_still(descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        assert goes_on.wait(60)
        write_durably(descriptor, pieces)

    async with scene(tmp_path) as here:
        await here.raise_heard()
        issuer, issued = here.center.receiver._issuer, list[Receipt]()
        send = issuer.send

        def sent(receipt: Receipt, *, is_urgent: bool, came_by: Collection[LinkId]) -> None:
            issued.append(receipt)
            send(receipt, is_urgent=is_urgent, came_by=came_by)

        monkeypatch.setattr(issuer, "send", sent)
        ahead = here.center.receiver._ahead
        assert ahead is not None
        with here.busy_journal(), monkeypatch.context() as patch:
            patch.setattr(IntakeLog, "is_quick", False)
            patch.setattr(intake_log, "_write_durably", stand_still)
            for count in (1, 2):
                await asyncio.sleep(2 * CLOSE_MS / 1000)
                await here.raise_alert()
                await until(lambda count=count: len(ahead._logging) == count, "it to be with the log", 30)  # type: ignore[misc]
            assert not issued, "the disk stands still"
            goes_on.set()
            await until(lambda: len(here.heard) == 3, "both receipts", 30)
        assert [list(receipt.ranges()) for receipt in issued[:2]] == [[(1, 2)], [(1, 3)]]


async def test_what_was_receipted_before_a_power_cut_is_journalled_at_the_next_start_once(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    disk_dir = tmp_path / "disk"
    async with scene(tmp_path, house) as here:
        first = await here.raise_heard()
        with here.busy_journal():
            second = await here.raise_heard()
            shutil.copytree(house.dir_of("center"), disk_dir)  # as the disk is at the moment of the cut
    shutil.rmtree(house.dir_of("center"))
    disk_dir.rename(house.dir_of("center"))
    with contextlib.closing(sqlite3.connect(house.dir_of("center") / "spool.sqlite")) as connection:
        assert connection.execute("SELECT id FROM inbound").fetchall() == [(first.envelope.id,)], "the cut took it"
    async with scene(tmp_path, house) as here:
        await until(lambda: bool(here.came()), "the log to be journalled", 30)
        await here.take(second.envelope)
        await here.take(first.envelope)
        await until(lambda: here.center.counters["duplicates_arrived"] == 2, "both to be known", 30)
        assert here.came() == [second.envelope.header.sequence]
        third = await here.raise_heard()
        await until(lambda: len(here.came()) == 2, "the next one", 30)
        assert here.came()[1] == third.envelope.header.sequence
    async with scene(tmp_path, house) as here:
        await here.raise_heard()
        assert len(here.came()) == 1, "what is journalled is not in the log any more"


async def test_a_repeated_alert_and_a_fork_wait_for_the_ledger(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.raise_heard()
        with here.busy_journal():
            second = await here.raise_heard()
            await here.take(second.envelope)
            await here.take(forked(here, second.envelope))
            await asyncio.sleep(0.1)  # they have every chance to go ahead
            assert here.center.counters["receipted_ahead"] == 1
        await until(lambda: len(here.came()) == 3, "the journal", 30)
        assert here.center.counters["duplicates_arrived"] == 1
        assert [arrival.is_fork for arrival in here.inbox.arrivals] == [False, False, True]
        assert here.center.counters["chain_forks"] == 1


async def test_what_comes_alone_waits_while_others_are_with_the_journal(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        first = await here.raise_heard()
        with here.busy_journal():
            await here.take(first.envelope)
            await until(lambda: here.center.receiver._is_storing, "the repeated one to be with the journal", 30)
            await asyncio.sleep(2 * CLOSE_MS / 1000)
            await here.raise_alert()
            await until(lambda: here.center.receiver.waiting_count > 0, "the next one", 30)
            assert here.center.counters["receipted_ahead"] == 0
        await until(lambda: len(here.heard) == 2, "its receipt", 30)


async def test_a_forged_alert_that_comes_alone_is_refused_and_never_logged(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        spooled = await here.raise_heard()
        await here.raise_heard()
        log_file, ahead = here.house.dir_of("center") / FILE_NAME, here.center.counters["receipted_ahead"]
        before = log_file.read_bytes()
        header = msgspec.structs.replace(spooled.envelope.header, sequence=99)
        foreign = envelopes.seal(header, b"weapon", signing=CENTER.signing, shared_secret=bytes(32))
        await asyncio.sleep(2 * CLOSE_MS / 1000)
        with pytest.raises(BadSignature):
            here.center.receiver.offer(next(iter(here.center._links)), foreign.wire, lambda _, __: None)
        assert here.center.counters["receipted_ahead"] == ahead
        assert log_file.read_bytes() == before
        assert here.center.receiver.waiting_count == 0


async def test_where_the_log_has_no_room_the_receipt_waits_for_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_log, "PAGES", 1)  # the head alone
    async with scene(tmp_path) as here:
        await here.raise_heard()
        await here.raise_heard()
        assert here.center.counters["receipted_ahead"] == 0
        assert len(here.came()) == 2


def forked(here: Scene, envelope: Envelope) -> Envelope:
    """The same number with another content, by the node's own key."""
    identity, body = here.house.identities["gate"], b"something else"
    header = msgspec.structs.replace(envelope.header, body_sha256=hashlib.sha256(body).digest())
    secret = identity.shared_secret(here.house.authority.sealing_key)
    return envelopes.seal(header, body, signing=identity.signing, shared_secret=secret)


async def test_a_few_in_close_succession_take_the_short_way_and_a_flow_is_verified_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as here:
        await here.raise_heard()
        known = await here.raise_heard()
        receiver, clock = here.center.receiver, SimulatedClock(monotonic_ms=1 << 40)
        monkeypatch.setattr(receiver, "_clock", clock)
        verified_beside: list[int] = []
        monkeypatch.setattr(
            receiver._verification, "put", lambda claim: verified_beside.append(claim.arrival.envelope.header.sequence)
        )
        link = next(iter(here.center._links))
        for number, gap_ms in enumerate((CLOSE_MS, 0, CLOSE_MS - 1, 0, 0, CLOSE_MS, 0), start=10):
            clock.advance(gap_ms)
            await until(receiver._is_idle, "nothing to be on the longer way", 30)
            receiver.offer(link, numbered(here, known.envelope, number).wire, lambda _, __: None)
        assert verified_beside == [13, 14], "three are no flow, and after a pause it is counted anew"
        await until(lambda: here.center.counters["receipted_ahead"] == 1 + 5, "the others", 30)


def numbered(here: Scene, envelope: Envelope, number: int) -> Envelope:
    """Another alert of the gate's."""
    identity, body = here.house.identities["gate"], b"weapon %d" % number
    header = msgspec.structs.replace(envelope.header, sequence=number, body_sha256=hashlib.sha256(body).digest())
    secret = identity.shared_secret(here.house.authority.sealing_key)
    return envelopes.seal(header, body, signing=identity.signing, shared_secret=secret)


async def test_what_the_journal_refuses_is_kept_and_tried_again_and_nothing_goes_ahead_meanwhile(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as here:
        await here.raise_heard()
        here.inbox.fail_with = RuntimeError("a fault of ours")
        refused = await here.raise_heard()
        await until(lambda: here.center.counters["refused_not_journalled"] > 0, "the journal to refuse it", 30)
        later = await here.raise_alert()
        await until(lambda: here.center.counters["refused_not_stored"] > 0, "the next one to wait for the journal", 30)
        assert later.envelope.header.sequence not in here.heard
        assert here.center.counters["receipted_ahead"] == 1
        assert "not_journalled" in shown(await here.center.status(), width=120)
        here.inbox.fail_with = None
        await until(lambda: len(here.came()) == 3, "both to be journalled", 60)
        await until(lambda: later.envelope.header.sequence in here.heard, "the receipt", 60)
        assert sorted(here.came()[1:]) == [refused.envelope.header.sequence, later.envelope.header.sequence]
        assert here.center.receiver.waiting_count == 0


async def test_a_flow_shares_the_journals_commits_and_no_more_than_a_few_are_ever_ahead(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.raise_heard()
        with here.busy_journal():
            spooled = [await here.raise_alert() for _ in range(2 * MOST_BEHIND)]
            await until(
                lambda: here.center.counters["receipted_ahead"] > MOST_BEHIND - MOST_AT_ONCE, "a few to go ahead", 30
            )
            await until(lambda: here.center.receiver.waiting_count > MOST_BEHIND, "the next ones to wait", 30)
            assert here.center.counters["receipted_ahead"] <= MOST_BEHIND
        await until(lambda: len(here.heard) == len(spooled) + 1, "every receipt", 60)
        await until(lambda: len(here.came()) == len(spooled) + 1, "the journal", 60)
        assert len(set(here.came())) == len(spooled) + 1


async def test_on_a_full_disk_what_is_receipted_is_kept_and_the_rest_is_heard_later(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    with small_disk(house.dir_of("center"), 4 << 20):
        for name, role in (("center", Role.CENTER), ("gate", Role.CAMERA)):
            house.enroll(name, role)
        house.settle()
        async with scene(tmp_path, house) as here:
            await here.raise_heard()
            filler_file = fill(house.dir_of("center"))
            alerts = [await here.raise_alert() for _ in range(40)]
            await until(lambda: here.center.counters["refused_disk_full"] > 0, "the disk to be found full", 60)
            filler_file.unlink()
            await until(lambda: len(here.heard) == len(alerts) + 1, "every receipt", 60)
            await until(lambda: len(here.came()) == len(alerts) + 1, "the journal", 60)


async def test_a_row_that_can_not_be_read_any_more_stays_and_holds_nobody_up(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    async with scene(tmp_path, house) as here:
        await here.raise_heard()
    await log_unreadable(house.dir_of("center") / FILE_NAME)
    async with scene(tmp_path, house) as here:
        assert here.center.counters["refused_left_in_the_log"] == 1
        await here.raise_heard()
        await here.raise_heard()
        assert here.center.counters["receipted_ahead"] >= 1
    assert next(logged.wire for logged in intake_log.read(house.dir_of("center") / FILE_NAME)) == b"\xc1"


async def log_unreadable(file: Path) -> None:
    """A record that the log holds and nobody can read."""
    done = asyncio.Event()
    arrival = arrivals_of(House.of(file.with_name("elsewhere"), {"gate": Role.CAMERA}), 1)[0]
    arrival = msgspec.structs.replace(arrival, envelope=msgspec.structs.replace(arrival.envelope, wire=b"\xc1"))
    with contextlib.closing(IntakeLog.open(file)) as log:
        log.append([arrival], lambda _numbers, _error: done.set())
        await done.wait()
