"""Receipts as this machine makes them: what is stored of a series, signed, on every link that leads back to its origin.

They are cumulative, so any of them may be lost.
"""

from collections.abc import Collection, Sequence

from relay import receipt
from relay.attempts import LinkId
from relay.clock import Clock
from relay.counters import Counters
from relay.identity import Identity
from relay.ids import NodeId
from relay.links import Links
from relay.ranges import RangeSet
from relay.receipt import Receipt


class ReceiptIssuer:
    """Used on the event loop only."""

    def __init__(self, *, identity: Identity, links: Links, clock: Clock, counters: Counters) -> None:
        self._identity = identity
        self._links = links
        self._clock = clock
        self._counters = counters

    def issue(self, stream: tuple[NodeId, int], settled: RangeSet, *, answers: Sequence[int]) -> Receipt:
        """Sign what is stored of a series (origin, series); ``answers``: the numbers that just came, which it must name."""
        origin, series = stream
        self._counters.count("receipts_issued")
        return receipt.issue(settled, signer=self._identity.node_id, signing=self._identity.signing,
                             stored_at_s=self._clock.wall_ms() // 1000, origin=origin, series=series, answers=answers)  # fmt: skip

    def send(self, issued: Receipt, *, is_urgent: bool, came_by: Collection[LinkId]) -> None:
        """Hand it to every link that leads back; ``came_by`` are those that brought some of it."""
        for link in self._links.back_to(issued.origin, is_urgent=is_urgent, came_by=came_by):
            link.send_receipt(issued)
