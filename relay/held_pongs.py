"""Answers to the pings that follow a neighbor's flood (``flood_window``), held until what came before them is stored.

So the neighbor hears the pace at which more may come. Each is answered by itself: were they answered together, when little is left, a whole
window would come in one go, again and again, and others' alerts be read and checked behind it. Owned by ``receiver``, which says what
is taken to the disk; on the event loop only.
"""

from collections import deque
from dataclasses import dataclass, field

from relay import hop
from relay.attempts import LinkId
from relay.links import Link


@dataclass(slots=True)
class _Held:
    """Of one link."""

    link: Link
    due: deque[tuple[int, int]] = field(default_factory=deque)
    """(token, how many must have been taken by then), in the order in which the pings came."""
    taken: int = 0
    """Since the first of these pings."""


class HeldPongs:
    """Of all links; of one without any nothing is remembered."""

    def __init__(self) -> None:
        self._of: dict[LinkId, _Held] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def hold(self, link: Link, token: int, after: int) -> None:
        """Answer this ping when so many more of the link's envelopes were taken."""
        held = self._of.setdefault(link.id, _Held(link))
        held.due.append((token, held.taken + after))

    def taken(self, link_id: LinkId, *, is_little_left: bool) -> None:
        """One more of this link is on its way to the disk; with little left nothing is held any longer, whatever was counted."""
        if (held := self._of.get(link_id)) is None:
            return
        held.taken += 1
        while held.due and (is_little_left or held.due[0][1] <= held.taken):
            held.link.note(hop.Pong(held.due.popleft()[0]))
        if not held.due:
            del self._of[link_id]
