"""A receipt for what comes alone, as soon as it is durable: in the intake log, a moment before the journal has it.

Only an alert, only where its number is new for sure and few are under way; everything else waits for the journal's own commit, as everything
does where there is no log. The journal's transaction follows at once. Nothing that was receipted here is let go of before the journal
has it: what a crash kept from it is journalled at the next start, what it refuses (a full disk, a fault of ours) is tried again for ever, and
meanwhile nothing more goes ahead.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import structlog

from relay import envelope as envelopes
from relay.arrival import Ahead, Arrival
from relay.attempts import LinkId
from relay.clock import Clock
from relay.counters import Counters
from relay.database import Database
from relay.errors import OperatorError, SenderError, UnknownSender
from relay.header import Header, Kind
from relay.ids import AUTHORITY, NodeId
from relay.intake_log import IntakeLog, Logged
from relay.ledger import StreamState
from relay.links import Link
from relay.passport import Passport
from relay.ranges import RangeSet
from relay.receipt import Receipt

_log = structlog.get_logger("relay.receipts_ahead")
T = TypeVar("T")
Group = Sequence[tuple[Arrival, Link | None]]
"""None: of an earlier run."""
_Stream = tuple[NodeId, int]

MOST_AT_ONCE: Final = 16
"""Of one group: more are a flow, and share the journal's commit as cheaply."""
MOST_BEHIND: Final = 64
"""Receipted and not journalled yet."""
_STREAMS_KNOWN: Final = 10_000
_JOURNALLED_AFTER_S: Final = 0.002
"""So that the receipt is out, and what comes right behind it logged, before the journal's work takes the processor."""
_AGAIN_S: Final = 2.0


class Receipts(Protocol):
    """Signs what is stored of a series, and sends it back."""

    def issue(self, stream: _Stream, settled: RangeSet, *, answers: Sequence[int]) -> Receipt:
        """Sign it; ``answers``: the numbers that came."""

    def send(self, issued: Receipt, *, is_urgent: bool, came_by: Collection[LinkId]) -> None:
        """``came_by``: the links that brought some of it."""


class _Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt that waits for the disk."""

    stream: _Stream
    before: RangeSet | None
    """What was settled when it was made: if more was since, it says too little."""
    settled: RangeSet
    receipt: Receipt
    came_by: set[LinkId]


class ReceiptsAhead(Generic[T]):
    """Used on the event loop only. ``T``: what one transaction of the journal did."""

    def __init__(self, *, log: IntakeLog, database: Database, clock: Clock, counters: Counters, receipts: Receipts,
                 again: Callable[[Group], None],
                 store: Callable[[sqlite3.Connection, Group], T], stored: Callable[[T], None]) -> None:  # fmt: skip
        """``store`` is the journal's transaction, on its thread; ``stored`` is told after its commit, and sends no receipts.

        ``again`` gets back what could not be logged.
        """
        self._intake = log
        self._database = database
        self._clock = clock
        self._counters = counters
        self._receipts = receipts
        self._store = store
        self._stored = stored
        self._again = again
        self._settled: dict[_Stream, RangeSet] = {}
        """What a receipt may say of a series, as the journal's last commit and what went ahead since have it."""
        self._logging: dict[int, Header] = {}
        """On the way to the log, by number there."""
        self._is_logged = asyncio.Event()
        self._shut_until_s = 0.0
        self._behind: dict[int, Header] = {}
        """Receipted and not journalled yet, by number in the log."""
        self._ready: list[tuple[tuple[Arrival, Link | None], int]] = []
        """Those of them that the journal was not asked for yet."""
        self._stuck: list[tuple[tuple[Arrival, Link | None], int]] = []
        """Those that it refused."""

    def __len__(self) -> int:
        """Not in the journal yet."""
        return len(self._logging) + len(self._behind)

    def learn(self, state: StreamState) -> RangeSet:
        """The journal's commit says how much of a series is here. Returns what a receipt says: that, and what went ahead of it."""
        stream = (state.origin, state.series)
        settled = state.settled()
        for header in self._behind.values():
            if _stream_of(header) == stream:
                settled.add(header.sequence)
        self._settled.pop(stream, None)
        self._settled[stream] = settled
        if len(self._settled) > _STREAMS_KNOWN:
            del self._settled[next(iter(self._settled))]
        return settled

    def take(self, group: Group) -> bool:
        """Have a group logged, receipted and journalled; False: nothing was done, it is for the journal's own commit."""
        if not self._is_for_the_log(group):
            return False
        signed = self._sign(group)
        arrivals = [arrival for arrival, _ in group]
        if not self._intake.is_quick:
            return self._have_logged(group, arrivals, signed)
        try:
            numbers = self._intake.write(arrivals)
        except OSError as error:
            self._not_logged(group, error)
            return True
        if numbers is not None:
            self._receipted(group, numbers, signed)
        return numbers is not None

    def _have_logged(self, group: Group, arrivals: Sequence[Arrival], signed: Sequence[_Signed]) -> bool:
        numbers = self._intake.append(arrivals, lambda numbers, error: self._logged(group, numbers, signed, error))
        if numbers is None:
            return False
        self._logging |= {number: arrival.envelope.header for arrival, number in zip(arrivals, numbers, strict=True)}
        self._is_logged.clear()
        return True

    def _sign(self, group: Group) -> list[_Signed]:
        """A receipt for each of the group's series: what is known of it, and the group."""
        settled: dict[_Stream, RangeSet] = {}
        for arrival, _ in group:
            stream = _stream_of(arrival.envelope.header)
            if stream not in settled:
                settled[stream] = RangeSet(self._settled.get(stream, ()))
            settled[stream].add(arrival.envelope.header.sequence)
        return [
            _Signed(stream=stream, before=self._settled.get(stream), settled=ranges, came_by=_links_of(group, stream),
                    receipt=self._receipts.issue(stream, ranges, answers=_numbers_in(group, stream)))
            for stream, ranges in settled.items()
        ]  # fmt: skip

    def _logged(self, group: Group, numbers: Sequence[int], signed: Sequence[_Signed], error: OSError | None) -> None:
        for number in numbers:
            del self._logging[number]
        if not self._logging:
            self._is_logged.set()
        if error is not None:
            self._not_logged(group, error)
        elif any(self._settled.get(one.stream) is not one.before for one in signed):
            self._receipted(group, numbers, self._sign(group))
        else:
            self._receipted(group, numbers, signed)

    def _not_logged(self, group: Group, error: OSError) -> None:
        self._counters.refused("not_logged")
        _log.error("not in the intake log: receipts wait for the journal", error=str(error))
        self._shut_until_s = asyncio.get_running_loop().time() + _AGAIN_S
        self._again(group)

    def _receipted(self, group: Group, numbers: Sequence[int], signed: Sequence[_Signed]) -> None:
        wall_ms, monotonic_ms, began_s = self._clock.wall_ms(), self._clock.monotonic_ms(), time.perf_counter()
        for one in signed:
            self._settled[one.stream] = one.settled
            self._receipts.send(one.receipt, is_urgent=True, came_by=one.came_by)
        ahead = Ahead(wall_ms=wall_ms, monotonic_ms=monotonic_ms, to_receipt_ms=(time.perf_counter() - began_s) * 1000)
        self._counters.count("receipted_ahead", len(group))
        if not self._ready:
            asyncio.get_running_loop().call_later(_JOURNALLED_AFTER_S, self.flush)
        for (arrival, link), number in zip(group, numbers, strict=True):
            self._behind[number] = arrival.envelope.header
            self._ready.append(((msgspec.structs.replace(arrival, ahead=ahead), link), number))

    async def submitted(self) -> None:
        """Return when the journal was asked for everything that was taken; whoever asks it for something else waits for this before."""
        if self._logging:
            await self._is_logged.wait()
        self.flush()

    def flush(self) -> None:
        """Ask the journal for what it was not asked for yet."""
        ready, self._ready = self._ready, []
        if ready:
            self._submit([item for item, _ in ready], [number for _, number in ready])

    def _is_for_the_log(self, group: Group) -> bool:
        if self._stuck or self._database.is_short or asyncio.get_running_loop().time() < self._shut_until_s:
            return False
        if len(group) > MOST_AT_ONCE or len(self) + len(group) > MOST_BEHIND:
            return False
        here = {(_stream_of(header), header.sequence) for header in self._logging.values()}
        for arrival, _ in group:
            header = arrival.envelope.header
            stream = _stream_of(header)
            settled = self._settled.get(stream)
            if header.kind is not Kind.ALERT or header.destination != AUTHORITY or settled is None:
                return False
            if header.sequence in settled or (stream, header.sequence) in here:
                return False  # said before, or a fork: the ledger knows which
            here.add((stream, header.sequence))
        return True

    # ------------------------------------------------------------------ the journal's part

    async def recover(self, passport_of: Callable[[NodeId], Passport | None]) -> None:
        """Have the journal take what an earlier run left in the log; of most it only says that it has it.

        ``passport_of`` gives a node's passport, withdrawn or not: it was receipted when it was good.
        """
        left = self._intake.left()
        await self.submitted()  # nothing is on its way to the log while what is known of series changes
        for row in left:
            try:
                arrival = _arrival_of(row, passport_of)
            except SenderError as error:
                self._counters.refused("left_in_the_log")
                _log.error("not readable any more, it stays in the intake log", number=row.number, error=str(error))
                continue
            self._settled.pop(_stream_of(arrival.envelope.header), None)  # what the ledger said was without it
            self._submit([(arrival, None)], [row.number])

    def _submit(self, group: Group, numbers: Sequence[int]) -> None:
        for (arrival, _), number in zip(group, numbers, strict=True):
            self._behind[number] = arrival.envelope.header
        try:
            future = self._database.submit(lambda connection: self._store(connection, group))
        except OperatorError:
            return  # it is closed: the log has it, for the next start
        future.add_done_callback(lambda done: self._journalled(group, numbers, done))

    def _journalled(self, group: Group, numbers: Sequence[int], done: "asyncio.Future[T]") -> None:
        if done.cancelled():
            return  # the station stops: the log has it
        error = done.exception()
        if error is None:
            for number in numbers:
                del self._behind[number]
            self._intake.journalled(numbers)
            self._stored(done.result())
        elif len(group) > 1:  # one bad apple must not hold the others back
            for item, number in zip(group, numbers, strict=True):
                self._submit([item], [number])
        else:
            self._counters.refused("not_journalled")
            _log.error("receipted and not in the journal yet: it is in the intake log, and tried again",
                       envelope=group[0][0].envelope.id.hex(), error=str(error),
                       exc_info=None if isinstance(error, OperatorError) else error)  # fmt: skip
            if not self._stuck:
                asyncio.get_running_loop().call_later(_AGAIN_S, self._try_again)
            self._stuck.append((group[0], numbers[0]))

    def _try_again(self) -> None:
        stuck, self._stuck = self._stuck, []
        for item, number in stuck:
            self._submit([item], [number])


def _stream_of(header: Header) -> _Stream:
    return header.origin, header.series


def _links_of(group: Group, stream: _Stream) -> set[LinkId]:
    return {link.id for arrival, link in group if link is not None and _stream_of(arrival.envelope.header) == stream}


def _numbers_in(group: Group, stream: _Stream) -> list[int]:
    headers = (arrival.envelope.header for arrival, _ in group)
    return [header.sequence for header in headers if _stream_of(header) == stream]


def _arrival_of(row: Logged, passport_of: Callable[[NodeId], Passport | None]) -> Arrival:
    envelope = envelopes.parse(row.wire)
    passport = passport_of(envelope.header.origin)
    if passport is None:
        raise UnknownSender(f"no passport for {envelope.header.origin.hex()}")
    envelopes.verify(envelope, passport.signing_key)
    return Arrival(envelope=envelope, passport=passport, via=NodeId(row.via), path=row.path, received_wall_ms=row.received_wall_ms,
                   received_monotonic_ms=row.received_monotonic_ms)  # fmt: skip
