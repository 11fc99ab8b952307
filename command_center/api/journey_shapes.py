"""What browsers see of an alert's way: each hop, who held it how long, over which path and provider. Milliseconds."""

import sqlite3
from collections.abc import Callable

from command_center import journeys
from command_center.api.shape import NodeName, Shape
from command_center.journeys import Arrived


class JourneyHop(Shape):
    """One station's part of the way, and the path to the next one; null where nobody told."""

    station: NodeName
    to: NodeName | None
    """Null: this command center."""
    held_ms: int | None
    """Durable there until handed to the path, on that station's own monotonic clock."""
    path: str
    carrier: str
    provider: str
    metered: bool
    answered_ms: int | None
    """Handed over until the answer was back, on the same clock: the way there took between 0 and this."""
    answer: str
    """``stored``, ``receipt``, or empty."""
    tries: int
    clock_ahead_ms: tuple[int, int] | None
    """The next station's wall clock minus this one's lies between these two."""


class JourneyCopy(Shape):
    """Another copy that was sent, over another path or to another station."""

    station: NodeName
    to: NodeName
    path: str
    carrier: str
    provider: str
    sent_after_ms: int | None
    answered_ms: int | None
    tries: int


class Journey(Shape):
    """An alert's whole way, as its stations tell, each of itself and signed."""

    hops: list[JourneyHop]
    """Of the first copy that arrived, from its node on."""
    copies: list[JourneyCopy]
    total_ms: int | None
    """Durable at its node until the receipt was settled there, on that node's clock."""
    owner: str
    """Who owns the delay, in words; empty where nothing is told."""
    whole: bool
    """Whether every hop of the way is told."""


def journey(connection: sqlite3.Connection, row: sqlite3.Row) -> Journey | None:
    """Of an ``alert`` row; None if no station has told anything of it."""
    found = journeys.journey_of(
        connection,
        Arrived(alert_id=row["id"], node=row["node"], via=row["via"], path=row["path"],
                received_wall_ms=row["received_wall_ms"]),
    )  # fmt: skip
    if found is None:
        return None
    names: dict[bytes, NodeName] = {}

    def name(node_id: bytes) -> NodeName:
        if node_id not in names:
            known = connection.execute("SELECT name, site FROM node WHERE id = ?", (node_id,)).fetchone()
            names[node_id] = NodeName(id=node_id.hex(), name=known[0] if known else "", site=known[1] if known else "")
        return names[node_id]

    return Journey(
        hops=[
            JourneyHop(station=name(hop.station), to=None if hop.to is None else name(hop.to), held_ms=hop.held_ms,
                       path=hop.path, carrier=hop.carrier, provider=hop.provider, metered=hop.is_metered,
                       answered_ms=hop.answered_ms, answer=hop.answer, tries=hop.tries,
                       clock_ahead_ms=hop.clock_ahead_ms)
            for hop in found.hops
        ],
        copies=[
            JourneyCopy(station=name(copy.station), to=name(copy.to), path=copy.path, carrier=copy.carrier,
                        provider=copy.provider, sent_after_ms=copy.sent_after_ms, answered_ms=copy.answered_ms,
                        tries=copy.tries)
            for copy in found.copies
        ],
        total_ms=found.total_ms, owner=_in_words(found, name), whole=found.is_whole,
    )  # fmt: skip


def _in_words(found: journeys.Journey, name: Callable[[bytes], NodeName]) -> str:
    kind, _, what = found.owner.partition(":")
    if kind == "held":
        return f"{name(bytes.fromhex(what)).name or what} held it"
    hop = next((hop for hop in found.hops if hop.path == what), None)
    if hop is None:
        return ""
    return f"path {what} ({hop.provider})" if hop.provider else f"path {what}"
