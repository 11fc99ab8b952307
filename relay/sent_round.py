"""What is sent by one plan, summed up: a hundred alerts that go in one go are asked after, counted and paced once.

Lives for one round of ``sender``, on the event loop; what a link is to be told of it, it is told by ``close``.
"""

from typing import Final

from relay.attempts import LinkId
from relay.counters import Counters
from relay.links import Link, Links
from relay.path import Lane

LEAST_BUSY_S: Final = 0.001
"""Until the next look after a round that filled a carrier's queue of some dozens: a LAN empties it at once."""
MOST_BUSY_S: Final = 0.01
"""The longest, doubled up to after each round that found it full and sent nothing: a thin link empties it in its own time."""
TINY_S: Final = 1.0
"""A full queue of a radio or a satellite moves no faster."""


class SentRound:
    """One round's."""

    def __init__(self, links: Links, flooded: frozenset[LinkId], now_ms: int) -> None:
        self._links = links
        self._flooded = flooded
        self._now_ms = now_ms
        self._full: dict[tuple[LinkId, Lane], Link] = {}
        self._asked: dict[LinkId, Link] = {}
        self._bulk: dict[LinkId, tuple[Link, list[int]]] = {}
        self.count = 0

    def is_full(self, link: Link, lane: Lane) -> bool:
        """Whether the carrier took no more on this lane."""
        return (link.id, lane) in self._full

    def found_full(self, link: Link, lane: Lane) -> None:
        """The carrier takes no more on this lane for now."""
        self._full[link.id, lane] = link

    def sent(self, link: Link, lane: Lane, size_bytes: int) -> None:
        """The carrier took an envelope. The ping that follows a flood goes at once: it stands for what is before it."""
        self.count += 1
        if lane == Lane.BULK:
            self._bulk.setdefault(link.id, (link, []))[1].append(size_bytes)
            return
        self._asked[link.id] = link
        if link.id in self._flooded:
            link.flood_sent(size_bytes, self._now_ms)

    def close(self, counters: Counters) -> None:
        """Count, note that answers are due, and pace the bulk."""
        if self.count:
            counters.count("envelopes_sent", self.count)
        for link in self._asked.values():
            self._links.note_asked(link, self._now_ms)
        for link, sizes in self._bulk.values():
            link.bulk_sent(sum(sizes), max(sizes), self._now_ms)

    @property
    def found_some_full(self) -> bool:
        """Whether some carrier took no more."""
        return bool(self._full)

    @property
    def found_only_tiny_full(self) -> bool:
        """Whether it was none but a radio's or a satellite's."""
        return all(link.session.facts.is_tiny for link in self._full.values())


class Patience:
    """With full queues of carriers."""

    def __init__(self) -> None:
        self._busy_s = LEAST_BUSY_S

    def after_s(self, going: SentRound, next_look_s: float) -> float:
        """How long the sender may wait after this round, where ``next_look_s`` is when anything else is due."""
        if not going.found_some_full:
            return next_look_s
        if going.found_only_tiny_full:
            return min(TINY_S, next_look_s)
        self._busy_s = LEAST_BUSY_S if going.count else min(2 * self._busy_s, MOST_BUSY_S)
        return min(self._busy_s, next_look_s)
