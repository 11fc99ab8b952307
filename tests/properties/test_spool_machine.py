"""The spool keeps its invariants under any order of puts, carries, receipts, expiries, crashes and evictions."""

import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from relay import ledger, trust, waiting
from relay.clock import SimulatedClock
from relay.database import Database
from relay.errors import SpoolFull
from relay.header import Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import SCHEMA, Carried, Draft, Spool
from relay.spool_check import check
from relay.spool_room import SpoolLimits
from tests.properties.drafting import CENTER, OTHERS, receipt_for, signed

PARTS = {"spool": SCHEMA, "ledger": ledger.SCHEMA, "trust": trust.SCHEMA}
ME = Identity.from_seed(bytes(31) + b"m")
LIMITS = SpoolLimits(capacity_bytes=4_000, reserve_bytes=1_000, node_share=0.5)

precedences = st.sampled_from(Precedence)


class SpoolMachine(RuleBasedStateMachine):
    """A real file; ``here`` is what must be in it: (who, sequence) to (precedence, size, ttl, put at, in this boot)."""

    def __init__(self) -> None:
        super().__init__()
        shared = Path("/dev/shm")  # memory: the fsyncs of a thousand steps are not what is tested here
        self.state_dir = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.clock = SimulatedClock()
        self.here: dict[tuple[int, int], tuple[Precedence, int, int, int]] = {}
        self.given = 0
        self.left: set[int] = set()
        self.receipted: dict[int, RangeSet] = {-1: RangeSet(), 0: RangeSet(), 1: RangeSet()}
        self.crashes = 0

    @initialize()
    def start(self) -> None:
        self._open()

    def _open(self) -> None:
        self.database = Database.open(self.state_dir / "spool.sqlite", parts=PARTS)
        self.spool = Spool(identity=ME, clock=self.clock, limits=LIMITS)
        self.database.run_blocking(self.spool.start)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.state_dir)

    def _series(self) -> int:
        row = self.database.run_blocking(
            lambda connection: connection.execute(
                "SELECT series FROM stream WHERE destination = ?", (AUTHORITY,)
            ).fetchone()
        )
        return int(row[0]) if row else 1

    def _used(self) -> int:
        return sum(size for _, size, _, _ in self.here.values())

    def _rows(self) -> set[tuple[int, int]]:
        who = {ME.node_id: -1, OTHERS[0].node_id: 0, OTHERS[1].node_id: 1}

        def read(connection: sqlite3.Connection) -> set[tuple[int, int]]:
            return {(who[row[0]], row[1]) for row in connection.execute("SELECT origin, sequence FROM envelope")}

        return self.database.run_blocking(read)

    def _evict_for(self, size: int, precedence: Precedence) -> bool:
        """The model of making room: whether there is some; takes the oldest of the lowest away."""
        allowed = LIMITS.capacity_bytes - (0 if precedence.is_alert else LIMITS.reserve_bytes)
        victims = [key for lowest in (Precedence.BULK, Precedence.ROUTINE, Precedence.PRIORITY) if lowest > precedence
                   for key, value in self.here.items() if value[0] == lowest]  # fmt: skip
        gone: list[tuple[int, int]] = []
        used = self._used()
        while used + size > allowed:
            if not victims:
                return False
            gone.append(victims.pop(0))
            used -= self.here[gone[-1]][1]
        for key in gone:
            del self.here[key]
            if key[0] == -1:
                self.left.add(key[1])
        return True

    @rule(precedence=precedences, size=st.integers(40, 700), ttl_s=st.sampled_from([0, 0, 5, 60]))
    def put(self, precedence: Precedence, size: int, ttl_s: int) -> None:
        draft = Draft(kind=Kind.ALERT if precedence.is_alert else Kind.CHUNK, precedence=precedence, body=bytes(size),
                      peer_sealing_key=CENTER.sealing_key, ttl_s=ttl_s)  # fmt: skip
        wire_size = size + 16 + 148 + (size + 16 > 255)
        try:
            spooled = self.database.run_blocking(lambda connection: self.spool.put(connection, draft))
        except SpoolFull:
            before = dict(self.here)
            assert not self._evict_for(wire_size, precedence), "there was room, or something to evict"
            assert self.here == before
            assert self._rows() == set(self.here), "nothing is evicted in vain"
            return
        self.given += 1
        assert spooled.envelope.header.sequence == self.given
        assert len(spooled.envelope.wire) == wire_size
        assert self._evict_for(wire_size, precedence)
        self.here[-1, self.given] = (precedence, wire_size, ttl_s, self.clock.monotonic_ms())

    @rule(what=st.lists(st.tuples(precedences, st.sampled_from([60, 300, 700])), max_size=8))
    def put_all(self, what: list[tuple[Precedence, int]]) -> None:
        """In one commit: all of them as if one after the other, or none."""
        drafts = [
            Draft(kind=Kind.ALERT if precedence.is_alert else Kind.CHUNK, precedence=precedence, body=bytes(size),
                  peer_sealing_key=CENTER.sealing_key) for precedence, size in what
        ]  # fmt: skip
        before = dict(self.here), set(self.left), self.given
        try:
            spooled = self.database.run_blocking(lambda connection: self.spool.put_all(connection, drafts))
        except SpoolFull:
            spooled = None
        for number, (precedence, size) in enumerate(what):
            wire_size = size + 16 + 148 + (size + 16 > 255)
            if not self._evict_for(wire_size, precedence):
                assert spooled is None, "one found no room, so none is stored"
                self.here, self.left, self.given = before
                assert self._rows() == set(self.here), "what gave way for those before it is back"
                return
            self.given += 1
            self.here[-1, self.given] = (precedence, wire_size, 0, self.clock.monotonic_ms())
            assert spooled is None or spooled[number].envelope.header.sequence == self.given
        assert spooled is not None, "each found room, or something to evict"
        found = self.database.run_blocking(
            lambda connection: waiting.read(connection, [item.number for item in spooled])
        )
        assert {(item.number, item.id) for item in found} == {
            (item.number, item.envelope.id) for item in spooled if (-1, item.envelope.header.sequence) in self.here
        }, "each is found under the number that was told"

    @rule(precedence=precedences, size=st.sampled_from([60, 300, 700]), count=st.integers(3, 8))
    def put_several(self, precedence: Precedence, size: int, count: int) -> None:
        for _ in range(count):
            self.put(precedence, size, 0)

    @rule(who=st.integers(0, 1), sequence=st.integers(1, 8), precedence=precedences, ttl_s=st.sampled_from([0, 5]))
    def carry(self, who: int, sequence: int, precedence: Precedence, ttl_s: int) -> None:
        known = self.here.get((who, sequence))
        if known is not None:
            precedence, _, ttl_s, _ = known
        envelope = signed(who, 9, sequence, sequence, precedence, ttl_s, 60 + 30 * sequence)

        def work(connection: sqlite3.Connection) -> tuple[Carried, int, bytes] | None:
            try:
                return self.spool.carry(connection, envelope)
            except SpoolFull:  # as the receiver does: what others of its group did is committed
                return None

        outcome = self.database.run_blocking(work)
        if outcome is None:
            before = dict(self.here)
            is_within = self._is_within_quota(who, len(envelope.wire), precedence)
            assert not (is_within and self._evict_for(len(envelope.wire), precedence))
            assert self.here == before
            assert self._rows() == set(self.here), "nothing is evicted in vain"
            return
        became, _, wire = outcome
        if became == Carried.HEARD:
            assert sequence in self.receipted[who]
            assert wire
        elif became == Carried.HELD:
            assert known is not None
        else:
            assert known is None
            assert self._is_within_quota(who, len(envelope.wire), precedence), "nobody has more than its share"
            assert self._evict_for(len(envelope.wire), precedence)
            self.here[who, sequence] = (precedence, len(envelope.wire), ttl_s, self.clock.monotonic_ms())

    def _is_within_quota(self, who: int, size: int, precedence: Precedence) -> bool:
        used = sum(item[1] for (whose, _), item in self.here.items() if whose == who)
        return used + size <= LIMITS.allowed_bytes(precedence) * LIMITS.node_share

    @rule(
        who=st.integers(-1, 1), spans=st.lists(st.tuples(st.integers(1, 16), st.integers(0, 6)), min_size=1, max_size=3)
    )
    def settle(self, who: int, spans: list[tuple[int, int]]) -> None:
        """Any receipt at all: older, newer, from a center that lost its disk. Only never for numbers not yet given."""
        most = self.given if who == -1 else 8
        stored = RangeSet((first, min(first + more, most)) for first, more in spans if first <= most)
        origin, series = (ME, self._series()) if who == -1 else (OTHERS[who], 9)
        receipt = receipt_for(origin, series, stored)
        freed = self.database.run_blocking(lambda connection: self.spool.settle(connection, receipt, AUTHORITY))
        covered = {key for key in self.here if key[0] == who and key[1] in stored}
        if freed is None:
            assert not covered, "a receipt that is not taken covers nothing that waits"
            return
        assert {item.sequence for item in freed} == {sequence for _, sequence in covered}
        for key in covered:
            del self.here[key]
        self.receipted[who] = RangeSet([*self.receipted[who], *stored])

    @rule(first=st.integers(1, 4), second=st.integers(1, 4), more=st.integers(2, 6))
    def settle_by_two_centers(self, first: int, second: int, more: int) -> None:
        """Each has stored what the other has not."""
        self.put_several(Precedence.IMMEDIATE, 60, 4)
        self.settle(-1, [(first, more)])
        self.settle(-1, [(first + second, more)])

    @rule(signer=st.sampled_from(OTHERS), spans=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)), max_size=3))
    def receipt_of_somebody_who_is_no_center(self, signer: Identity, spans: list[tuple[int, int]]) -> None:
        receipt = receipt_for(ME, self._series(), RangeSet((first, first + more) for first, more in spans), signer)
        freed = self.database.run_blocking(lambda connection: self.spool.settle(connection, receipt, signer.node_id))
        assert not freed
        assert self._rows() == set(self.here)

    @rule(seconds=st.sampled_from([1, 4, 30, 100]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds * 1000)

    @rule(to_ms=st.sampled_from([0, 1_600_000_000_000, 1_900_000_000_000]))
    def somebody_sets_the_wall_clock(self, to_ms: int) -> None:
        self.clock.step_wall(to_ms)

    @rule()
    def expire(self) -> None:
        self.database.run_blocking(self.spool.expire)
        now = self.clock.monotonic_ms()
        old = {key for key, (precedence, _, ttl_s, at_ms) in self.here.items()
               if ttl_s and not precedence.is_alert and now - at_ms > ttl_s * 1000}  # fmt: skip
        for key in old:
            del self.here[key]
            if key[0] == -1:
                self.left.add(key[1])

    @rule(is_reboot=st.booleans())
    def reopen(self, is_reboot: bool) -> None:
        self.database.close()
        self._after_start(is_reboot)

    @rule(is_reboot=st.booleans())
    def crash(self, is_reboot: bool) -> None:
        """The files as a killed process leaves them: copied under it while it is open, write-ahead log and all."""
        self.put(Precedence.IMMEDIATE, 90, 0)
        copy_dir = Path(tempfile.mkdtemp(dir=self.state_dir.parent))
        for suffix in ("", "-wal"):
            file = self.state_dir / f"spool.sqlite{suffix}"
            if file.exists():
                shutil.copyfile(file, copy_dir / file.name)
        assert (copy_dir / "spool.sqlite-wal").stat().st_size > 0, "the crash came before the log was folded in"
        self.database.close()
        shutil.rmtree(self.state_dir)
        copy_dir.rename(self.state_dir)
        self._after_start(is_reboot)

    def _after_start(self, is_reboot: bool) -> None:
        if is_reboot:
            self.clock.reboot()
            self.here = {key: (value[0], value[1], value[2], 0) for key, value in self.here.items()}
        self._open()

    @invariant()
    def file_holds_what_it_should(self) -> None:
        if not hasattr(self, "database"):
            return
        assert self._rows() == set(self.here)
        self.database.close()
        report = check(self.state_dir / "spool.sqlite", identity=ME)
        self.database = Database.open(self.state_dir / "spool.sqlite", parts=PARTS)
        assert report.is_clean, report.findings
        forgone = self.database.run_blocking(self.spool.forgone)
        waiting = {sequence for who, sequence in self.here if who == -1}
        for number in range(1, self.given + 1):
            assert (number in waiting) or (number in forgone) or (number in self.receipted[-1]), f"{number} is lost"
        assert not any(number in forgone for number in waiting)
        assert all(number in forgone or number in self.receipted[-1] for number in self.left)


SpoolMachine.TestCase.settings = settings(max_examples=70, stateful_step_count=30)
TestSpoolMachine = SpoolMachine.TestCase


class LongSpoolMachine(SpoolMachine):
    """The same, for longer."""


LongSpoolMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=60)


TestLongSpoolMachine = pytest.mark.slow(pytest.mark.timeout(900)(LongSpoolMachine.TestCase))
