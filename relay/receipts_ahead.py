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
_AGAIN_S: Final = 2.0


class SendReceipt(Protocol):
    """Signs what is stored of a series and sends it back."""

    def __call__(self, stream: _Stream, settled: RangeSet, *, is_urgent: bool, came_by: Collection[LinkId],
                 answers: Sequence[int]) -> None:  # fmt: skip
        """``came_by``: the links that brought some of it; ``answers``: the numbers that came."""


class ReceiptsAhead(Generic[T]):
    """Used on the event loop only. ``T``: what one transaction of the journal did."""

    def __init__(self, *, log: IntakeLog, database: Database, clock: Clock, counters: Counters, send_receipt: SendReceipt,
                 store: Callable[[sqlite3.Connection, Group], T], stored: Callable[[T], None]) -> None:  # fmt: skip
        """``store`` is the journal's transaction, on its thread; ``stored`` is told after its commit, and sends no receipts."""
        self._intake = log
        self._database = database
        self._clock = clock
        self._counters = counters
        self._send_receipt = send_receipt
        self._store = store
        self._stored = stored
        self._settled: dict[_Stream, RangeSet] = {}
        """What a receipt may say of a series, as the journal's last commit and what went ahead since have it."""
        self._behind: dict[int, Header] = {}
        """Receipted and not journalled yet, by number in the log."""
        self._stuck: list[tuple[tuple[Arrival, Link | None], int]] = []
        """Those of them that the journal refused."""

    def __len__(self) -> int:
        """Receipted, and not in the journal yet."""
        return len(self._behind)

    def learn(self, state: StreamState) -> RangeSet:
        """The journal's commit says how much of a series is here. Returns what a receipt says: that, and what went ahead of it."""
        stream = (state.origin, state.series)
        settled = state.settled()
        for header in self._behind.values():
            if (header.origin, header.series) == stream:
                settled.add(header.sequence)
        self._settled.pop(stream, None)
        self._settled[stream] = settled
        if len(self._settled) > _STREAMS_KNOWN:
            del self._settled[next(iter(self._settled))]
        return settled

    async def take(self, group: Group) -> bool:
        """Log, receipt and submit a group; False: nothing was done, it is for the journal's own commit."""
        if not self._is_for_the_log(group):
            return False
        try:
            numbers = await self._intake.append([arrival for arrival, _ in group])
        except OperatorError as error:
            self._counters.refused("not_logged")
            _log.error("not in the intake log: receipts wait for the journal", error=str(error))
            return False
        wall_ms, monotonic_ms, began_s = self._clock.wall_ms(), self._clock.monotonic_ms(), time.perf_counter()
        came_by: dict[_Stream, set[LinkId]] = {}
        came: dict[_Stream, list[int]] = {}
        for arrival, link in group:
            stream = (arrival.envelope.header.origin, arrival.envelope.header.series)
            self._settled[stream].add(arrival.envelope.header.sequence)
            came_by.setdefault(stream, set()).update(() if link is None else (link.id,))
            came.setdefault(stream, []).append(arrival.envelope.header.sequence)
        for stream, links in came_by.items():
            self._send_receipt(stream, self._settled[stream], is_urgent=True, came_by=links, answers=came[stream])
        ahead = Ahead(wall_ms=wall_ms, monotonic_ms=monotonic_ms, to_receipt_ms=(time.perf_counter() - began_s) * 1000)
        self._counters.count("receipted_ahead", len(group))
        self._submit([(msgspec.structs.replace(arrival, ahead=ahead), link) for arrival, link in group], numbers)
        return True

    def _is_for_the_log(self, group: Group) -> bool:
        if self._stuck or self._database.is_short:
            return False
        if len(group) > MOST_AT_ONCE or len(self._behind) + len(group) > MOST_BEHIND:
            return False
        seen: set[tuple[_Stream, int]] = set()
        for arrival, _ in group:
            header = arrival.envelope.header
            stream = (header.origin, header.series)
            settled = self._settled.get(stream)
            if header.kind is not Kind.ALERT or header.destination != AUTHORITY or settled is None:
                return False
            if header.sequence in settled or (stream, header.sequence) in seen:
                return False  # said before, or a fork: the ledger knows which
            seen.add((stream, header.sequence))
        return True

    # ------------------------------------------------------------------ the journal's part

    async def recover(self, passport_of: Callable[[NodeId], Passport | None]) -> None:
        """Have the journal take what an earlier run left in the log; of most it only says that it has it.

        ``passport_of`` gives a node's passport, withdrawn or not: it was receipted when it was good.
        """
        for row in await self._intake.left():
            try:
                arrival = _arrival_of(row, passport_of)
            except SenderError as error:
                self._counters.refused("left_in_the_log")
                _log.error("not readable any more, it stays in the intake log", number=row.number, error=str(error))
                continue
            self._settled.clear()  # what is journalled now was not in what the ledger said
            self._submit([(arrival, None)], [row.number])

    def _submit(self, group: Group, numbers: Sequence[int]) -> None:
        for (arrival, _), number in zip(group, numbers, strict=True):
            self._behind[number] = arrival.envelope.header
        future = self._database.submit(lambda connection: self._store(connection, group))
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


def _arrival_of(row: Logged, passport_of: Callable[[NodeId], Passport | None]) -> Arrival:
    envelope = envelopes.parse(row.wire)
    passport = passport_of(envelope.header.origin)
    if passport is None:
        raise UnknownSender(f"no passport for {envelope.header.origin.hex()}")
    envelopes.verify(envelope, passport.signing_key)
    return Arrival(envelope=envelope, passport=passport, via=NodeId(row.via), path=row.path, received_wall_ms=row.received_wall_ms,
                   received_monotonic_ms=row.received_monotonic_ms)  # fmt: skip
