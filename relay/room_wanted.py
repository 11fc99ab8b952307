"""What the sender waits for between two plans, so that it makes none that would decide nothing.

In a flow every envelope put, every receipt and every pong could be a reason to plan; each plan without need costs what ten alerts do, and
beside a flood everybody's next alert waits for it. Owned by ``sender``, on the event loop; it decides nothing itself.
"""

from collections.abc import Set as AbstractSet

from relay.header import Header
from relay.ids import AUTHORITY, NodeId
from relay.scheduler import Plan


class RoomWanted:
    """As the last plan left it."""

    def __init__(self) -> None:
        self._is_wanted = True
        self._held_back: dict[NodeId, int] = {}
        """Whose flood waits for what travels to come through, and how many receipts would leave the node with a few."""
        self.has_rest = False
        """Some that were not looked at may go at once."""

    def decided(
        self, plan: Plan, left_out: AbstractSet[NodeId], *, found_some_full: bool, has_others_next: bool = False
    ) -> None:
        """``left_out``: the nodes of whom some alerts were not looked at; ``has_others_next``: some that are no alerts were not, and may go at once."""
        self._held_back = {NodeId(origin): count for origin, count in plan.held_back.items()}
        self.has_rest = has_others_next or not left_out <= self._held_back.keys()
        self._is_wanted = plan.waits_for_room or self.has_rest or found_some_full

    def is_met_by(self, header: Header) -> bool:
        """Whether something new may go: not more of a flood that is held back."""
        is_more = header.precedence.is_alert and header.destination == AUTHORITY and header.origin in self._held_back
        return not is_more

    def is_met_by_pong(self) -> bool:
        """Whether anything waits for what travels to come through."""
        return self._is_wanted or bool(self._held_back)

    def is_met_by_receipt(self, origin: NodeId) -> bool:
        """Whether anything waits for one of this node's envelopes to be heard; of who is held back, for all but the last few to be."""
        if origin in self._held_back:
            self._held_back[origin] -= 1
            return self._is_wanted or self._held_back[origin] <= 0
        return self._is_wanted
