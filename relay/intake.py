"""Verified envelopes on their way to the disk: a queue in which the nodes take turns.

Whoever floods fills a queue of its own and waits behind itself; the next group to be committed always has room for everybody
else's. Beside a flood they have a commit of their own at once; its own are short, and no more than fifty a second. Keyed by session, neighbor
and origin (``Turn``), so that no neighbor can fill a node's turn with copies of what that node once said. Bounded for each and in all: what is
over is turned away before it is verified, and its sender, who keeps it, tries again.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final, Generic, NamedTuple, TypeVar

from relay.ids import NodeId

T = TypeVar("T")

GROUP: Final = 500
"""Envelopes in one commit."""
TURN: Final = 64
"""Of those, from one origin by one neighbor: a commit that a flood fills takes some 10 ms, and nobody waits for two."""
FLOOD: Final = 2 * TURN
"""Who has so many waiting floods, or would have if it had been held to a flood's pace; and is taken to do so for ``LATELY_MS``. The latter, because
who sends no faster than we store would else take all the processor there is from the others, and never have many waiting."""
TURN_BESIDE_OTHERS: Final = 16
"""The same for a flood, where others were heard lately: what they say next waits for a quarter of that."""
FLOOD_EVERY_MS: Final = 20
"""And so much later at the earliest comes its next turn: 800 a second are several times what a thin uplink carries on, and leave the
processor to the others."""
LATELY_MS: Final = 10_000
MOST_OF_ONE: Final = 1_024
"""Twice what an honest neighbor has on the way (``SendPolicy.urgent_window``)."""
MOST: Final = 20_000
FLOW: Final = 32
"""So many in the last group are a flow."""
FLOW_LASTS_MS: Final = 50
"""After that group: what comes later comes alone."""
GATHERED: Final = 256
"""A group that is worth its commit."""
GATHER_S: Final = 0.008
"""In a flow nobody notices: what came during the last commit waited as long."""


class Turn(NamedTuple):
    """Whose turn it is."""

    link: int
    neighbor: NodeId
    origin: NodeId

    @property
    def speaker(self) -> tuple[NodeId, NodeId]:
        """Who speaks, by whatever session: a node that goes on over its next session is not somebody else beside its own flood."""
        return self.neighbor, self.origin


def _speaker_of(key: Hashable) -> Hashable:
    return key.speaker if isinstance(key, Turn) else key


class Intake(Generic[T]):
    """Used on the event loop only."""

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._floods: dict[Hashable, int | None] = {}
        """Who floods, and until when at least, ms; None: until its queue is empty."""
        self._beyond: dict[Hashable, float] = {}
        """How many more than a flood's pace allows each speaker has had taken."""
        self._count = 0
        self._last_group = 0
        self._last_ms = 0
        self._was_without = False
        """No flood was in the last group, though one waited."""
        self._flood_ms = -FLOOD_EVERY_MS
        """When one was taken last."""
        self._others_ms: int | None = None
        """When somebody else was last heard beside a flood."""

    def __len__(self) -> int:
        return self._count

    def has_room(self, key: Hashable, *, beside: int = 0) -> bool:
        """Whether one more of this origin by this neighbor is taken, where ``beside`` of them are further on their way already."""
        return self._count < MOST and self.count_of(key) + beside < MOST_OF_ONE

    def count_of(self, key: Hashable) -> int:
        """How many of this origin by this neighbor wait."""
        return len(self._queues.get(key, ()))

    def is_worth_a_wait(self, now_ms: int) -> bool:
        """Whether the next group had better wait ``GATHER_S`` for more: in a flow, never what comes alone, and no one beside a flood.

        Nor where everybody who speaks has a full turn here: what came meanwhile would not be in that group.
        """
        return (
            self._last_group >= FLOW
            and now_ms - self._last_ms < FLOW_LASTS_MS
            and self._count < GATHERED
            and not self.is_flooded(now_ms)
            and any(len(queue) < TURN for queue in self._queues.values())
        )

    def is_flooded(self, now_ms: int) -> bool:
        """Whether somebody floods while others speak."""
        return bool(self._floods) and self._others_ms is not None and now_ms - self._others_ms < LATELY_MS

    def due_in_ms(self, now_ms: int) -> int:
        """When there is something to take; 0: now, or nothing waits."""
        if self._has_others() or not self.is_flooded(now_ms):
            return 0
        return max(0, self._flood_ms + FLOOD_EVERY_MS - now_ms)

    def put(self, key: Hashable, item: T, *, behind: int = 0) -> None:
        """At the end of its own queue; ``behind`` so many of this origin by this neighbor are still on their way here."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        queue.append(item)
        if len(queue) + behind >= FLOOD:
            self._floods[_speaker_of(key)] = None
        self._count += 1

    def take(self, most: int = GROUP, *, paced_ms: int | None = None) -> list[T]:
        """The next group: a turn of each, beginning with who has waited longest; what is left of a queue goes to the end.

        With ``paced_ms``, the time now: a flood beside others has its turn no more than every ``FLOOD_EVERY_MS``, and what others say is a
        group without it, at once.
        """
        has_others = self._has_others()
        is_beside_others = bool(self._floods) and has_others
        if paced_ms is not None:
            self._note_floods(paced_ms)
            self._let_go(paced_ms)
            if is_beside_others:
                self._others_ms = paced_ms
            is_beside_others = self.is_flooded(paced_ms)
            is_early = paced_ms - self._flood_ms < FLOOD_EVERY_MS
            self._was_without = is_beside_others and (is_early or (has_others and not self._was_without))
        group: list[T] = []
        for key in list(self._queues):
            if len(group) >= most:
                break
            is_flood = _speaker_of(key) in self._floods
            if is_flood and paced_ms is not None:
                if self._was_without:
                    continue
                self._flood_ms = paced_ms
            queue = self._queues.pop(key)
            turn = TURN_BESIDE_OTHERS if is_flood and is_beside_others else TURN
            count = min(turn, len(queue), most - len(group))
            group += [queue.popleft() for _ in range(count)]
            if paced_ms is not None:
                self._beyond[_speaker_of(key)] = self._beyond.get(_speaker_of(key), 0.0) + count
            if queue:
                self._queues[key] = queue
            elif paced_ms is None:
                self._floods.pop(_speaker_of(key), None)
        self._count -= len(group)
        self._last_group = len(group)
        self._last_ms = paced_ms or 0
        return group

    def _has_others(self) -> bool:
        return any(_speaker_of(key) not in self._floods for key in self._queues)

    def _let_go(self, now_ms: int) -> None:
        """Of what was taken, what a flood's pace would have let go since the last group."""
        allowed = (now_ms - self._last_ms) * TURN_BESIDE_OTHERS / FLOOD_EVERY_MS
        self._beyond = {speaker: count - allowed for speaker, count in self._beyond.items() if count > allowed}

    def _note_floods(self, now_ms: int) -> None:
        for speaker, count in self._beyond.items():
            if count >= FLOOD:
                self._floods[speaker] = None
        if not self._floods:
            return
        waiting: dict[Hashable, int] = {}
        for key, queue in self._queues.items():
            speaker = _speaker_of(key)
            waiting[speaker] = max(waiting.get(speaker, 0), len(queue))
        for speaker, until_ms in list(self._floods.items()):
            if until_ms is None or waiting.get(speaker, 0) >= FLOOD:
                self._floods[speaker] = now_ms + LATELY_MS
            elif now_ms >= until_ms and speaker not in waiting:
                del self._floods[speaker]
