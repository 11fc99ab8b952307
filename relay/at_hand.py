"""What of the window one plan looks at: what may be sent now, so much of each node and precedence that the plan stays short.

A window of a thousand takes milliseconds to plan, more on a small board, and everybody's next alert waits for it. So nothing is looked at that
is set aside (``set_aside``), and of what was never sent only the first of each node and precedence; those behind have their turn in the
next plan, at once where all of these went. Called by ``sender`` before each plan; decides nothing itself.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

from relay.ids import AUTHORITY, NodeId
from relay.links import Links
from relay.precedence import Precedence
from relay.striping import FEW
from relay.window import Flow, InWindow, first_of_each

AT_HAND: Final = 64
"""Alerts of one node that were never tried: a thousand of a flood would make each plan take milliseconds."""
OTHERS_AT_HAND: Final = 128
"""The same of what is no alert: half a link's window of chunks."""
LEAST_ALERT_BYTES: Final = 128


class AtHand:
    """Of one plan."""

    def __init__(self, found: list[InWindow], left_out: set[Flow]) -> None:
        self.items = found
        self._left_out = left_out
        self._first_sent: Counter[Flow] = Counter()

    def sent_first(self, item: InWindow) -> None:
        """It went out for the first time."""
        self._first_sent[item.queue] += 1

    @property
    def has_more_bulk(self) -> bool:
        """Whether some of a clip was left out."""
        return any(precedence is Precedence.BULK for _, precedence in self._left_out)

    @property
    def alerts_left_out(self) -> set[NodeId]:
        """The nodes of whom some alerts were."""
        return {origin for origin, precedence in self._left_out if precedence.is_alert}

    @property
    def has_others_next(self) -> bool:
        """Whether all went of a node's that were looked at and are no alerts, and more of it may follow at once."""
        return any(self._first_sent[queue] >= OTHERS_AT_HAND for queue in self._left_out if not queue[1].is_alert)


def at_hand(awake: list[InWindow], ahead: Iterable[InWindow], links: Links, now_ms: int) -> AtHand:
    """Of what is not set aside: what is looked at. ``ahead`` goes before what waits of its node (``newest_first``), wherever it stands."""
    if len(awake) <= AT_HAND:
        return AtHand(awake, set())
    left_bytes = max(
        (link.flood.left_bytes(now_ms) if link.is_paced else math.inf for link in links.towards(AUTHORITY)), default=0.0
    )
    most = min(AT_HAND, FEW + 1 + max(0.0, left_bytes) // LEAST_ALERT_BYTES)
    return AtHand(*first_of_each(awake, most, ahead, most_others=OTHERS_AT_HAND))
