"""Whose turn it is among a node's own alerts where more wait than go: the newest or the oldest. Small state without I/O; ``sender`` owns it.

After an hour's outage on a thin path a person needs to hear what happens now, and the past beside it. So of each numbering and precedence
the newest that was never tried goes first, then the oldest, then the next newest, in turn: from both ends towards the middle. What is lost
on its way is offered again before the others while it is one of the last four that went ahead and have no answer.

It concerns one node's own order only: among the nodes the turns stay as they are (``scheduler``). Nothing starves: each that goes ahead is
paid for with one that was the oldest, and where much goes it is five a second at most (a flood has no newest).

A receipt names numbers in runs, and each run costs bytes. Going ahead opens a run where something was skipped; what follows extends it,
upwards by what comes, downwards by what waits. When ``RUNS_MOST`` stand open, a gap is filled before the next is opened.

Bodies are not read: "newest" is the highest number of a series, which the header says, so a relay does the same as the node.
"""

from bisect import insort
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from relay.header import Kind
from relay.waiting import Waiting
from relay.window import Flow, InWindow, Stream

RUNS_MOST: Final = 16
"""Open at once, of one numbering and precedence; a receipt names 64."""
EVERY_MS: Final = 200
"""Between two of one stream: no frame of a radio is shorter, and a wide link's flood is not turned upside down."""
NEWCOMERS_MOST: Final = 4
"""Of one stream in the window, where what is older waits in the spool."""
_STAY_AHEAD: Final = 4
"""Without an answer. On a radio three more have gone by the time at which the first is sent again."""
_LOOK_EVERY_MS: Final = 20
_FEW: Final = 64


@dataclass(slots=True)
class _Ends:
    """Of one stream with a backlog."""

    tops: list[int] = field(default_factory=list)
    """Where the runs that were opened end, ascending, by sequence."""
    owes: bool = False
    """The oldest has its turn before the next newest."""
    ahead_ms: int = -(1 << 60)
    chosen: InWindow | None = None
    """To go ahead, and not sent yet."""
    opens: bool = False
    """Whether that opens a run."""
    went: deque[InWindow] = field(default_factory=deque)
    """Ahead, the last ones."""
    newcomers: deque[int] = field(default_factory=deque)
    back: int = 0
    """The highest sequence that was put back into the spool."""


def stream_of(waiting: Waiting) -> Stream | None:
    """Within what an alert may go ahead; None: it keeps its place.

    As all but alerts do: a retraction must not arrive before what it takes back, nor a person's later word before an earlier one.
    """
    if waiting.kind == Kind.ALERT and waiting.precedence.is_alert:
        return waiting.origin, waiting.series, waiting.precedence
    return None


class NewestFirst:
    """Of all streams."""

    def __init__(self) -> None:
        self._ends: dict[Stream, _Ends] = {}
        self._chosen: list[InWindow] = []
        self._count = 0
        self._looked_ms = -(1 << 60)

    def came(self, number: int, window: Mapping[int, InWindow]) -> int | None:
        """A new one is in the window though older ones wait in the spool. Returns the number of one that is put back there for it."""
        if (item := window.get(number)) is None or item.stream is None:
            return None
        ends = self._ends.setdefault(item.stream, _Ends())
        while ends.newcomers and ((first := window.get(ends.newcomers[0])) is None or first.entry.attempts):
            ends.newcomers.popleft()
        ends.newcomers.append(number)
        if len(ends.newcomers) <= NEWCOMERS_MOST:
            return None
        number = ends.newcomers.popleft()
        ends.back = max(ends.back, window[number].waiting.sequence)
        return number

    def choose(self, window: Mapping[int, InWindow], now_ms: int, behind: Collection[Flow] = ()) -> list[InWindow]:
        """What goes ahead now, at most one of each stream; its entry is marked.

        ``behind``: of whom more waits in the spool than in the window. What was read there in its turn is old, whatever is newest of it.
        """
        if len(window) > _FEW and now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return [item for item in self._chosen if item.waiting.number in window]
        self._looked_ms = now_ms
        untried: dict[Stream, list[InWindow]] = {}
        for item in window.values():
            if item.stream is not None and not item.entry.attempts:
                untried.setdefault(item.stream, []).append(item)
        for stream in [stream for stream in self._ends if stream not in untried]:
            if (stream[0], stream[2]) not in behind:
                self._end(stream)
        self._chosen = []
        for ends in self._ends.values():
            ends.went = deque(item for item in ends.went if item.waiting.number in window)
        for stream, items in untried.items():
            if len(items) > 1 or stream in self._ends:
                chosen = self._choose_of(stream, items, now_ms, is_behind=items[0].flow in behind)
                if chosen is not None:
                    self._chosen.append(chosen)
        return self._chosen

    def sent(self, item: InWindow, now_ms: int) -> None:
        """One of a stream goes out for the first time."""
        if item.stream is None or (ends := self._ends.get(item.stream)) is None:
            return
        if ends.chosen is not item:
            ends.owes = False
            return
        if ends.opens:
            insort(ends.tops, item.waiting.sequence)
        elif ends.tops:
            ends.tops[-1] = max(ends.tops[-1], item.waiting.sequence)
        ends.chosen, ends.owes, ends.ahead_ms = None, True, now_ms
        ends.went.append(item)
        if len(ends.went) > _STAY_AHEAD:
            ends.went.popleft().entry.ahead = 0

    # ------------------------------------------------------------------ inside

    def _end(self, stream: Stream) -> None:
        """Its backlog is over."""
        for item in self._ends.pop(stream).went:
            item.entry.ahead = 0

    def _choose_of(self, stream: Stream, items: list[InWindow], now_ms: int, *, is_behind: bool) -> InWindow | None:
        ends = self._ends.setdefault(stream, _Ends())
        if ends.chosen is not None:
            ends.chosen.entry.ahead, ends.chosen = 0, None
        if ends.owes or now_ms - ends.ahead_ms < EVERY_MS:
            return None
        newest_first = sorted(items, key=_sequence, reverse=True)
        if is_behind:
            newest_first = [item for item in newest_first if item.waiting.number in ends.newcomers]
        else:
            ends.back = 0
            ends.newcomers.clear()
        if not newest_first or len(items) == 1:
            return None
        self._forget_closed(ends, _sequence(newest_first[0]), min(_sequence(item) for item in items))
        chosen, ends.opens = _next_ahead(ends, newest_first)
        if chosen is not None:
            self._count += 1
            chosen.entry.ahead, ends.chosen = self._count, chosen
        return chosen

    @staticmethod
    def _forget_closed(ends: _Ends, newest: int, oldest: int) -> None:
        """Runs that the oldest has reached, and those between which nothing waits any more."""
        while ends.tops and ends.tops[0] < oldest:
            del ends.tops[0]
        while len(ends.tops) > 1 and max(newest, ends.back) < ends.tops[-2]:
            del ends.tops[-2]


def _next_ahead(ends: _Ends, newest_first: list[InWindow]) -> tuple[InWindow | None, bool]:
    """Which one, and whether it opens a run."""
    top = ends.tops[-1] if ends.tops else 0
    newest = newest_first[0]
    if _sequence(newest) < top:
        opens = ends.back > _sequence(newest)
    else:
        opens = not top or ends.back > top or (len(newest_first) > 1 and _sequence(newest_first[1]) > top)
    if not opens or len(ends.tops) < RUNS_MOST:
        return newest, opens
    fills = next((item for item in newest_first if ends.back < _sequence(item) < top), None)
    return fills, False


def _sequence(item: InWindow) -> int:
    return item.waiting.sequence
