"""A session on a tiny path: its neighbor is configured, every parcel is sealed for it, and its queue is short and tidy.

Shared by ``short_burst``, ``sms`` and ``serial_radio``. The queue holds each parcel once, however often the sender offers it, and two alerts
at most, so that the newest is never far behind; a newer
receipt takes the place of the older one of the same series, and what got its answer by another way is withdrawn. Receipts go first,
because they stop others from sending; then alerts; then notes; then the rest.

What waits beside the first goes along with it where the carrier moves no more frames, bursts or messages for that, and the neighbor reads it
(``tiny_batch``). Where bytes cost no money, a receipt goes once more with the next envelope that leaves it room: it may have been lost.
"""

import asyncio
import contextlib
import enum
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from relay import envelope, hop, receipt
from relay.counters import Counters
from relay.errors import Malformed, SenderError
from relay.ids import NodeId
from relay.path import Lane, PathEvents, PathFacts
from relay.paths.tiny_batch import QUESTION
from relay.paths.tiny_seal import TinySeal

DEPTH: Final = 32
ALERTS_DEEP: Final = 2
"""What is handed over can't be overtaken by what is newer: one may be on the air, these wait, and all others in the spool."""
_REMEMBERED: Final = 64
_RIDERS_KEPT: Final = 16
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
    is_alone: bool = field(compare=False, default=False)
    """It went with others before, and nobody answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What goes in one piece to the carrier."""

    parcels: tuple[bytes, ...]
    """The most urgent one first; the others go along."""
    riders: tuple[bytes, ...] = ()
    """Receipts that were said before, in room that is there anyway."""


Room = Callable[[int], int]
"""How many bytes the carrier moves for no more than a sealed parcel of this size costs: all of its last frame, burst or message."""


def _nobody() -> None:
    """Nobody waits for room."""


def no_room(size_bytes: int) -> int:
    """Each parcel by itself."""
    return size_bytes


class TinySession:
    """One neighbor. The path takes what waits with ``next_batch`` and hands in what came with ``arrived``."""

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
        self._owes_word = False
        """The queue took something not, and whoever offered it is to be told when it does."""
        self._news = asyncio.Event()
        self.on_room: Callable[[], object] = _nobody
        """Called when what found no room may find some: the carrier must not idle."""
        self.arrivals = 0
        """Parcels that were ever queued."""
        self._together: OrderedDict[object, None] = OrderedDict()
        """What went with others lately."""
        self._riders: OrderedDict[object, bytes] = OrderedDict()
        """Receipts that went once."""

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
        if (turn is _Turn.ALERT and sum(queued.turn is turn for queued in self._queue) >= ALERTS_DEEP) or (
            len(self._queue) >= DEPTH and not self._makes_room(turn)
        ):
            self._owes_word = True
            return False
        self.arrivals += 1
        self._news.set()
        is_again = (said := _said_by(parcel)) in self._together
        if is_again:
            del self._together[said]
            self._seal.reads.doubted()
        self._queue.append(
            _Queued(turn=turn, arrival=self.arrivals, parcel=parcel, replaces=replaces, is_alone=is_again)
        )
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
            self._tell_of_room()
            if not kept:
                self.filled.clear()

    def _tell_of_room(self) -> None:
        if self._owes_word:
            self._owes_word = False
            self.on_room()

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

    def next_batch(self, room: Room, *, with_rest: bool = True) -> Batch | None:
        """Take the most urgent parcel from the queue, and what goes along; None if nothing waits.

        ``with_rest``: whether what is neither alert nor receipt may go along with what is.
        """
        if not self._queue:
            if not self.lost.done():
                self.filled.clear()
            return None
        first = self._queue.pop(0)
        going, riders = [first], list[bytes]()
        if not first.is_alone:
            going += self._beside(first, room, with_rest=with_rest)
            riders = self._riding(going, room)
        if len(going) + len(riders) > 1 and not self._seal.reads.several:
            self._queue = sorted([*self._queue, *going[1:]])
            going, riders = [first], []
            if self._seal.reads.missed():
                self.send(QUESTION, Lane.URGENT)
        self._note_gone(going, riders)
        self._tell_of_room()
        if not self._queue and not self.lost.done():
            self.filled.clear()
        return Batch(parcels=tuple(queued.parcel for queued in going), riders=tuple(riders))

    def _beside(self, first: _Queued, room: Room, *, with_rest: bool) -> list[_Queued]:
        """Take from the queue, in its order, what fits beside the first."""
        limit = room(len(self._seal.seal(first.parcel)))
        beside: list[_Queued] = []
        kept: list[_Queued] = []
        for queued in self._queue:
            is_welcome = not queued.is_alone and (with_rest or queued.turn <= _Turn.ALERT or first.turn > _Turn.ALERT)
            others = (*(other.parcel for other in beside), queued.parcel)
            fits = is_welcome and len(self._seal.seal(first.parcel, *others)) <= limit
            (beside if fits else kept).append(queued)
        self._queue = kept
        return beside

    def _riding(self, going: list[_Queued], room: Room) -> list[bytes]:
        """Receipts that went before and fit beside these, where bytes cost no money. Beside receipts none: where there are many, the air is short."""
        if self.facts.is_metered or going[0].turn in {_Turn.RECEIPT, _Turn.NOTE}:
            return []
        parcels, fresh = [queued.parcel for queued in going], {queued.replaces for queued in going}
        limit = room(len(self._seal.seal(parcels[0])))
        riders: list[bytes] = []
        for series, wire in self._riders.items():
            if series not in fresh and len(self._seal.seal(*parcels, *riders, wire)) <= limit:
                riders.append(wire)
        return riders

    def _note_gone(self, going: list[_Queued], riders: list[bytes]) -> None:
        for series in [series for series, wire in self._riders.items() if wire in riders]:
            del self._riders[series]
        for queued in going:
            if queued.turn is _Turn.RECEIPT:
                self._riders[queued.replaces] = queued.parcel
                self._riders.move_to_end(queued.replaces)
        if len(going) > 1:
            self._counters.count("parcels_went_along", len(going) - 1)
            self._together.update((_said_by(queued.parcel), None) for queued in going)
        if riders:
            self._counters.count("receipts_rode", len(riders))
        while len(self._riders) > _RIDERS_KEPT:
            self._riders.popitem(last=False)
        while len(self._together) > _REMEMBERED:
            self._together.popitem(last=False)

    def give_back(self, batch: Batch) -> None:
        """It could not be sent: put it back, unless something newer has taken its place. Riders have had their ride."""
        for parcel in reversed(batch.parcels):
            self._together.pop(_said_by(parcel), None)
            turn, replaces = _place_of(parcel, Lane.URGENT)
            if turn is not None and not any(queued.replaces == replaces for queued in self._queue):
                self._queue.insert(0, _Queued(turn=turn, arrival=0, parcel=parcel, replaces=replaces))
                self.filled.set()

    def sealed(self, batch: Batch) -> bytes:
        """A batch as it goes to the carrier."""
        return self._seal.seal(*batch.parcels, *batch.riders)

    def opened(self, data: bytes) -> list[bytes]:
        """What came from the carrier, proved to be the neighbor's; without what is between the two sessions only.

        Raises:
            Malformed, BadSignature: refused; the path counts it.
        """
        parcels = self._seal.open(data)
        kept: list[bytes] = []
        refusal: Malformed | None = None
        for parcel in parcels:
            try:
                if not self._is_between_us(parcel):
                    kept.append(parcel)
            except Malformed as error:
                refusal = error
                if len(parcels) > 1:
                    self._counters.refused(error.reason)
        if refusal is not None and len(parcels) == 1:
            raise refusal
        return kept

    def _is_between_us(self, parcel: bytes) -> bool:
        if not hop.is_note(parcel):
            return False
        note = hop.decode(parcel)
        if not isinstance(note, _NOTES):
            raise Malformed("a hello or a challenge on a path that needs none")
        answer = self._seal.reads.heard(note)
        if answer:
            self.send(answer, Lane.URGENT)
        return answer is not None

    def arrived(self, events: PathEvents, data: bytes) -> bool:
        """Open what came and hand it up; False if it was refused, which is counted."""
        try:
            parcels = self.opened(data)
        except SenderError as error:
            self._counters.refused(error.reason)
            return False
        for parcel in parcels:
            events.session_received(self, parcel)
        return True


def _said_by(parcel: bytes) -> object:
    """What a parcel says: a receipt that is signed anew for the same numbers says the same."""
    try:
        if receipt.is_receipt(parcel):
            parsed = receipt.parse(parcel)
            return parsed.signer, parsed.origin, parsed.series, parsed.upto, parsed.further
    except SenderError:  # somebody else's format
        pass
    return parcel


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
