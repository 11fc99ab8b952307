"""What the sender keeps in memory of an envelope that waits for its receipt. The spool is the truth, and this a view of it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay import hop
from relay.attempts import Attempt, Entry, Way
from relay.ids import NodeId
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import Spooled
from relay.waiting import Waiting

Flow = tuple[NodeId, Precedence]
Stream = tuple[NodeId, int, Precedence]
"""A flow's part with one numbering: origin, series, precedence."""


def waiting_of(spooled: Spooled) -> Waiting:
    """What was just committed, as it would be read."""
    header = spooled.envelope.header
    return Waiting(number=spooled.number, id=spooled.envelope.id, origin=header.origin, destination=header.destination,
                   series=header.series, sequence=header.sequence, kind=header.kind, precedence=header.precedence,
                   wire=spooled.envelope.wire)  # fmt: skip


@dataclass(slots=True)
class InWindow:
    """It is planned with."""

    waiting: Waiting
    entry: Entry
    flow: Flow | None
    """Whose alert it is, and how urgent; None: no alert."""
    stream: Stream | None = None
    """Within what it may go ahead (``newest_first``)."""
    queue: Flow = field(init=False)
    """Whose it is, and how urgent, alert or not."""

    def __post_init__(self) -> None:
        """Once: each plan asks for it as often as there are envelopes."""
        self.queue = (self.waiting.origin, self.waiting.precedence)


@dataclass(slots=True)
class Parked:
    """Enough neighbors hold it: only its number stays, until its receipt comes or this is over."""

    until_ms: int
    attempts: dict[Way, Attempt]


class HeldBy:
    """What each neighbor said it holds when its last session began."""

    def __init__(self) -> None:
        self._numbers: dict[NodeId, dict[tuple[NodeId, NodeId, int], RangeSet]] = {}

    @property
    def peers(self) -> list[NodeId]:
        """Who said so."""
        return list(self._numbers)

    def told(self, peer: NodeId, note: hop.Holds) -> None:
        """It holds these, and of what it said before no others."""
        self._numbers[peer] = {
            (NodeId(item.origin), NodeId(item.destination), item.series): RangeSet(
                (first, last) for first, last in item.spans if first <= last
            )
            for item in note.series
        }

    def covers(self, peer: NodeId, waiting: Waiting) -> bool:
        """Whether it said that it holds this one."""
        held = self._numbers[peer].get((waiting.origin, waiting.destination, waiting.series))
        return held is not None and waiting.sequence in held


def first_of_each(
    window: Iterable[InWindow], most: float, ahead: Iterable[InWindow], most_others: float = math.inf
) -> tuple[list[InWindow], set[Flow]]:
    """All of a window, but of each queue's untried ones only the first, and those that go ahead of them; and of which some were left out.

    ``most_others``: of what is no alert.
    """
    found: list[InWindow] = []
    short: set[Flow] = set()
    untried: dict[Flow, int] = {}
    left_out = {id(item): item for item in ahead}
    for item in window:  # each plan looks through a thousand: nothing is called in here
        if not item.entry.attempts:
            queue = item.queue
            count = untried.get(queue, 0)
            if count >= (most_others if item.flow is None else most):
                short.add(queue)
                continue
            untried[queue] = count + 1
        found.append(item)
        if left_out:  # chosen a moment ago, it may be tried by now: it is planned with once all the same
            left_out.pop(id(item), None)
    return [*found, *left_out.values()], short


def in_order(items: Iterable[InWindow]) -> list[InWindow]:
    """As they came: the newest may have been let in before what is older."""
    return sorted(items, key=lambda item: item.waiting.number)
