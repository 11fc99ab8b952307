"""What is sent by one plan, summed up: a hundred alerts that go in one go are asked after, counted and paced once.

Lives for one round of ``sender``, on the event loop; what a link is to be told of it, it is told by ``close``.
"""

import enum

from relay.attempts import LinkId
from relay.counters import Counters
from relay.links import Link, Links
from relay.path import Lane


class Fullness(enum.Enum):
    """Which carriers took no more in a round."""

    NONE = "none"
    TINY = "tiny"
    """None but a radio's or a satellite's, whose queue moves slowly."""
    SOME = "some"


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

    def full(self) -> Fullness:
        """Which carriers took no more."""
        if not self._full:
            return Fullness.NONE
        return Fullness.TINY if all(link.session.facts.is_tiny for link in self._full.values()) else Fullness.SOME
