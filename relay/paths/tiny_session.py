"""A session on a tiny path: its neighbor is configured, every parcel is sealed for it, and its queue is short and tidy.

Shared by ``short_burst``, ``sms`` and ``serial_radio``. The queue holds each parcel once, however often the sender offers it; a newer
receipt takes the place of the older one of the same series, and what got its answer by another way is withdrawn. Receipts go first,
because they stop others from sending; then alerts; then notes; then the rest.
"""

import asyncio
import contextlib
import enum
from dataclasses import dataclass, field
from typing import Final

from relay import envelope, hop, receipt
from relay.counters import Counters
from relay.errors import Malformed, SenderError
from relay.ids import NodeId
from relay.path import Lane, PathEvents, PathFacts
from relay.paths.tiny_seal import TinySeal

DEPTH: Final = 32
_NOTES: Final = (hop.Stored, hop.Refused, hop.Unknown, hop.Passports, hop.RosterNote, hop.Ping, hop.Pong)
"""What is said on a tiny path beside envelopes and receipts; the rest is about hellos."""


class _Turn(enum.IntEnum):
    RECEIPT = 0
    ALERT = 1
    NOTE = 2
    REST = 3


@dataclass(slots=True, order=True)
class _Queued:
    turn: _Turn
    arrival: int
    parcel: bytes = field(compare=False)
    replaces: object = field(compare=False)


class TinySession:
    """One neighbor. The path takes parcels with ``next_sealed`` and hands in what came with ``arrived``."""

    def __init__(
        self, *, facts: PathFacts, seal: TinySeal, is_outgoing: bool, counters: Counters, name: str = ""
    ) -> None:
        self.facts = facts
        self.is_outgoing = is_outgoing
        self.name = name
        """The neighbor's, or its address: for logs."""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.filled = asyncio.Event()
        """Set while something waits."""
        self._seal = seal
        self._counters = counters
        self._queue: list[_Queued] = []
        self._news = asyncio.Event()
        self.arrivals = 0
        """Parcels that were ever queued."""

    @property
    def peer_id(self) -> NodeId:
        """The configured neighbor."""
        return self._seal.peer_id

    @property
    def transport_key(self) -> bytes:
        """The neighbor's: only who holds its secret can make the proof in each parcel."""
        return self._seal.transport_key

    @property
    def tag(self) -> bytes:
        """Names the pair on a shared medium."""
        return self._seal.tag

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue; True also if it waits already. False if the queue is full or the session over."""
        if self.lost.done():
            return False
        turn, replaces = _place_of(parcel, lane)
        if turn is None:
            self._counters.count("tiny_not_sent")
            return True
        for queued in self._queue:
            if queued.replaces == replaces:
                queued.parcel = parcel
                return True
        if len(self._queue) >= DEPTH and not self._makes_room(turn):
            return False
        self.arrivals += 1
        self._news.set()
        self._queue.append(_Queued(turn=turn, arrival=self.arrivals, parcel=parcel, replaces=replaces))
        self._queue.sort()
        self.filled.set()
        return True

    def _makes_room(self, turn: _Turn) -> bool:
        """The last in the queue gives way to something more urgent: it is in the spool, or will be said again."""
        if self._queue[-1].turn <= turn:
            return False
        self._queue.pop()
        self._counters.count("tiny_gave_way")
        return True

    def withdraw(self, parcel: bytes) -> None:
        """It has its answer: don't send it any more."""
        kept = [queued for queued in self._queue if queued.parcel != parcel]
        if len(kept) < len(self._queue):
            self._queue = kept
            self._counters.count("tiny_withdrawn")
            if not kept:
                self.filled.clear()

    def drop(self, reason: str) -> None:
        """End it; the path sees to the rest."""
        if not self.lost.done():
            self.lost.set_result(reason)
        self.filled.set()  # wakes who waits for a parcel
        self._news.set()

    def peek(self) -> tuple[bytes, bool] | None:
        """The parcel whose turn it is, and whether it is an alert or a receipt. It stays."""
        if not self._queue:
            if not self.lost.done():
                self.filled.clear()
            return None
        return self._queue[0].parcel, self._queue[0].turn <= _Turn.ALERT

    async def more(self, than: int, *, within_s: float) -> None:
        """Return when more parcels were queued ``than`` then, the session is over, or the time is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.arrivals <= than and not self.lost.done():
                    self._news.clear()
                    await self._news.wait()

    def next_parcel(self) -> bytes | None:
        """Take the most urgent parcel from the queue; None if there is none."""
        if not self._queue:
            if not self.lost.done():
                self.filled.clear()
            return None
        parcel = self._queue.pop(0).parcel
        if not self._queue and not self.lost.done():
            self.filled.clear()
        return parcel

    def give_back(self, parcel: bytes) -> None:
        """It could not be sent: put it back, unless something newer has taken its place."""
        turn, replaces = _place_of(parcel, Lane.URGENT)
        if turn is not None and not any(queued.replaces == replaces for queued in self._queue):
            self._queue.insert(0, _Queued(turn=turn, arrival=0, parcel=parcel, replaces=replaces))
            self.filled.set()

    def sealed(self, parcel: bytes) -> bytes:
        """A parcel as it goes to the carrier."""
        return self._seal.seal(parcel)

    def opened(self, data: bytes) -> bytes:
        """What came from the carrier, proved to be the neighbor's.

        Raises:
            Malformed, BadSignature: refused; the path counts it.
        """
        parcel = self._seal.open(data)
        if hop.is_note(parcel) and not isinstance(hop.decode(parcel), _NOTES):
            raise Malformed("a hello or a challenge on a path that needs none")
        return parcel

    def arrived(self, events: PathEvents, data: bytes) -> bool:
        """Open what came and hand it up; False if it was refused, which is counted."""
        try:
            parcel = self.opened(data)
        except SenderError as error:
            self._counters.refused(error.reason)
            return False
        events.session_received(self, parcel)
        return True


def _place_of(parcel: bytes, lane: Lane) -> tuple[_Turn | None, object]:
    """When a parcel's turn is, and what identifies the older one that it takes the place of."""
    try:
        if receipt.is_receipt(parcel):
            parsed = receipt.parse(parcel)
            return _Turn.RECEIPT, (parsed.signer, parsed.origin, parsed.series)
        if hop.is_note(parcel):
            return (_Turn.NOTE, parcel) if isinstance(hop.decode(parcel), _NOTES) else (None, None)
        return _Turn.ALERT if envelope.parse(parcel).header.precedence.is_alert else _Turn.REST, parcel
    except SenderError:  # somebody else's format: it travels all the same
        return _Turn.ALERT if lane == Lane.URGENT else _Turn.REST, parcel
