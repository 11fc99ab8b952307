"""Which links lead where: each entry of a plan is given those on which it may go. Called by ``sender`` before each plan."""

from collections.abc import Iterable, Mapping

from relay.attempts import LinkId, LinkView
from relay.ids import NodeId
from relay.links import Link, Links
from relay.window import InWindow

Aimed = dict[LinkId, tuple[Link, LinkView]]


def aim(
    items: Iterable[InWindow], links: Links, came_by: Mapping[int, NodeId], now_ms: int, *, is_shared: bool
) -> Aimed:
    """Give each entry the links that lead to its destination now and take it. Returns them all, by id.

    ``came_by``: who handed over which number, for nothing goes back where it is from; ``is_shared``: alerts of several nodes go by here.
    """
    every: Aimed = {}
    towards: dict[tuple[NodeId, NodeId, NodeId | None], list[tuple[Link, LinkView]]] = {}
    views: dict[tuple[NodeId, NodeId, NodeId | None], list[LinkView]] = {}
    """Of those that all take whatever there is."""
    for item in items:
        waiting = item.waiting
        key = (waiting.destination, waiting.origin, came_by.get(waiting.number))
        found = towards.get(key)
        if found is None:
            leading = links.towards(waiting.destination)
            for link in leading:
                link.flood.is_shared = is_shared
            found = towards[key] = [
                (link, links.view(link, leading)) for link in leading
                if link.peer is not None and link.peer.node_id not in key[1:]
            ]  # fmt: skip
            every.update({link.id: (link, view) for link, view in found})
            if all(link.is_paced and not link.is_presumed for link, _ in found):
                views[key] = [view for _, view in found]
        item.entry.links = views[key] if key in views else [
            view for link, view in found if link.takes(waiting.kind, item.entry.size_bytes, now_ms, waiting.origin)
        ]  # fmt: skip
    return every
