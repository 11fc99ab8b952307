"""When a whole way stood open between the nodes and the center: what of an alert's time is the links', and what is ours.

A way is whole while each of its links carries both ways and every station on it runs. Of the time from a put to its receipt, the part in
which no way was whole is the fault's own; the rest is what noticing, dialing and sending again cost. Pure.
"""

from collections.abc import Sequence
from typing import Literal

from tests.network.scenario import Event, Scenario

Thing = tuple[Literal["station", "link"], str, str]
"""A station, or a link and one reason why it may not carry."""


class Ways:
    """What was broken when."""

    def __init__(self, scenario: Scenario) -> None:
        self._ends = {link.name: (link.near, link.far) for link in scenario.link}
        self._noted: list[tuple[float, Thing, bool]] = []

    def station(self, place: str, at_s: float, *, is_up: bool) -> None:
        """A place's process was killed, or all its stations are open again."""
        self._noted.append((at_s, ("station", place, ""), is_up))

    def link(self, event: Event, at_s: float) -> None:
        """A link was cut, diverted or mended. A forgotten connection is no cut: a new one would work at once."""
        for key in ("is_blackhole", "is_down"):
            if key in event.set:
                for direction in ("up", "down") if event.direction == "both" else (event.direction,):
                    self._noted.append((at_s, ("link", event.link, f"{direction} {key}"), not event.set[key]))
        if event.is_captive is not None:
            self._noted.append((at_s, ("link", event.link, "portal"), not event.is_captive))

    def closed(self) -> list[tuple[float, float]]:
        """The spans of time (s) in which no way was whole, in order; the last may have no end."""
        broken: set[Thing] = set()
        spans: list[tuple[float, float]] = []
        closed_s: float | None = None
        for at_s, thing, is_good in sorted(self._noted, key=lambda noted: noted[0]):
            (broken.discard if is_good else broken.add)(thing)
            has_way = self._has_way(broken)
            if closed_s is None and not has_way:
                closed_s = at_s
            elif closed_s is not None and has_way:
                spans.append((closed_s, at_s))
                closed_s = None
        return spans if closed_s is None else [*spans, (closed_s, float("inf"))]

    def _has_way(self, broken: set[Thing]) -> bool:
        dead = {name for kind, name, _ in broken if kind == "station"}
        cut = {name for kind, name, _ in broken if kind == "link"}
        reached, looked_at = {"node"} - dead, set[str]()
        while reached - looked_at:
            place = (reached - looked_at).pop()
            looked_at.add(place)
            reached |= {far for name, (near, far) in self._ends.items()
                        if near == place and name not in cut and far not in dead}  # fmt: skip
        return "center" in reached


def open_s(closed: Sequence[tuple[float, float]], from_s: float, until_s: float) -> float:
    """How much of a period lies outside the closed spans, s."""
    return until_s - from_s - sum(max(0.0, min(until_s, end_s) - max(from_s, start_s)) for start_s, end_s in closed)
