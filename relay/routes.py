"""By which neighbors an origin's envelopes came lately: what goes down to it goes back that way.

Learned from signed envelopes only. Owned by ``links``; it knows nothing of sessions.
"""

from typing import Final

from relay.clock import Clock
from relay.ids import NodeId

ROUTES_KEPT: Final = 4
"""Neighbors by which an origin's envelopes came lately: two endpoints, a site's relay, and one beside it."""
ROUTE_KEPT_MS: Final = 900_000
"""A neighbor that brought nothing of an origin for so long, while others did, is no way to it any more."""


class Routes:
    """Of one station."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[NodeId, dict[NodeId, int]] = {}
        """By which neighbors an origin's envelopes came, and when last (ms), the newest at the end."""

    def learn(self, origin: NodeId, via: NodeId) -> None:
        """Envelopes of ``origin`` came through ``via``."""
        known = self._known.setdefault(origin, {})
        known.pop(via, None)
        known[via] = self._clock.monotonic_ms()
        if len(known) > ROUTES_KEPT:
            del known[next(iter(known))]

    def to(self, origin: NodeId) -> list[NodeId]:
        """The neighbors behind which an origin is, or was a short while before its last word; itself among them where it called."""
        known = self._known.get(origin)
        if known is None:
            return []
        newest_ms = next(reversed(known.values()))
        return [via for via, at_ms in known.items() if newest_ms - at_ms <= ROUTE_KEPT_MS]

    def behind(self, neighbor: NodeId) -> list[NodeId]:
        """Whose envelopes came through a neighbor, beside its own."""
        return [origin for origin in self._known if origin != neighbor and neighbor in self.to(origin)]
