"""Verified envelopes on their way to the disk: a queue in which the nodes take turns.

Whoever floods fills a queue of its own and waits behind itself; the next group to be committed always has room for everybody
else's. Keyed by neighbor and origin, so that no neighbor can fill a node's turn with copies of what that node once said.
Bounded for each and in all: what is over is turned away before it is verified, and its sender, who keeps it, tries again.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

GROUP: Final = 500
"""Envelopes in one commit."""
TURN: Final = 64
"""Of those, from one origin by one neighbor: a commit that a flood fills takes some 10 ms, and nobody waits for two."""
TURN_BESIDE_FEW: Final = 16
"""The same, where somebody who has no more than that waits for this very commit: it is over in a quarter of the time."""
MOST_OF_ONE: Final = 1_024
"""Twice what an honest neighbor has on the way (``SendPolicy.urgent_window``)."""
MOST: Final = 20_000
FLOW: Final = 32
"""So many in the last group are a flow."""
GATHERED: Final = 256
"""A group that is worth its commit."""
GATHER_S: Final = 0.008
"""In a flow nobody notices: what came during the last commit waited as long."""


class Intake(Generic[T]):
    """Used on the event loop only."""

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._count = 0
        self._last_group = 0

    def __len__(self) -> int:
        return self._count

    def has_room(self, key: Hashable, *, beside: int = 0) -> bool:
        """Whether one more of this origin by this neighbor is taken, where ``beside`` of them are further on their way already."""
        return self._count < MOST and self.count_of(key) + beside < MOST_OF_ONE

    def count_of(self, key: Hashable) -> int:
        """How many of this origin by this neighbor wait."""
        return len(self._queues.get(key, ()))

    def is_worth_a_wait(self) -> bool:
        """Whether the next group had better wait ``GATHER_S`` for more: in a flow, and never what comes alone."""
        return self._last_group >= FLOW and self._count < GATHERED

    def put(self, key: Hashable, item: T) -> None:
        """At the end of its own queue."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        queue.append(item)
        self._count += 1

    def take(self, most: int = GROUP) -> list[T]:
        """The next group: a turn of each, beginning with who has waited longest; what is left of a queue goes to the end."""
        group: list[T] = []
        waiting = [len(queue) for queue in self._queues.values()]
        is_flood_beside_few = any(count > TURN for count in waiting) and min(waiting) <= TURN_BESIDE_FEW
        turn = TURN_BESIDE_FEW if is_flood_beside_few else TURN
        for _ in range(len(self._queues)):
            if len(group) >= most:
                break
            key, queue = self._queues.popitem(last=False)
            group += [queue.popleft() for _ in range(min(turn, len(queue), most - len(group)))]
            if queue:
                self._queues[key] = queue
        self._count -= len(group)
        self._last_group = len(group)
        return group
