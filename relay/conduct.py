"""What each node does that it should not: floods, forks of its chain, garbage; counted by name for ``status`` and heartbeats.

Decides nothing: refusing is done where the mistake is seen, quarantine by the command center. Bounded, because names may be
made up by whoever holds one valid passport for a site.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from relay.ids import NodeId

MOST_NODES: Final = 1_000
MOST_REASONS: Final = 20


def is_worth_a_line(count: int) -> bool:
    """Whether the log says so again: at 1, 2, 4, 8 … A flood must not flood the log."""
    return count & (count - 1) == 0


class Conduct:
    """Since the process started."""

    def __init__(self) -> None:
        self._counts: dict[NodeId, Counter[str]] = {}

    def noted(self, node_id: NodeId, reason: str) -> int:
        """One more. Returns how often it was by now; 0 where the table is full."""
        counts = self._counts.get(node_id)
        if counts is None:
            if len(self._counts) >= MOST_NODES:
                return 0
            counts = self._counts[node_id] = Counter()
        if reason in counts or len(counts) < MOST_REASONS:
            counts[reason] += 1
        return counts[reason]

    def told(self, name_of: Callable[[NodeId], str]) -> Mapping[str, dict[str, int]]:
        """By the node's name, who did most first."""
        ordered = sorted(self._counts.items(), key=lambda item: -item[1].total())
        return {name_of(node_id): dict(sorted(counts.items())) for node_id, counts in ordered}
