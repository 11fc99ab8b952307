"""Whether what was to go wrong has gone wrong: a cut that nothing ran into proves nothing, and a run holds its mend back until then.

Each fault of a timetable is noted when it begins, with what the links had tallied by then; it is *met* once something was swallowed,
answered by the portal, or promised while the carrier was off. Pure; ``bench.py`` looks and waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.network.emulator import Standing
from tests.network.pipe import Tally
from tests.network.scenario import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What has happened on the bench by now."""

    up: Mapping[str, Tally]
    down: Mapping[str, Tally]
    raised: int
    """Alerts that nodes have promised."""
    portal_answers: int

    @classmethod
    def of(cls, standing: Standing, raised: int, portal_answers: int) -> "Seen":
        """From the emulator's answer."""
        return cls(up=standing.up, down=standing.down, raised=raised, portal_answers=portal_answers)

    def swallowed(self, event: Event) -> int:
        """Packets that the event's link swallowed, in its directions."""
        up, down = self.up[event.link].swallowed, self.down[event.link].swallowed
        return (up if event.direction != "down" else 0) + (down if event.direction != "up" else 0)


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault that has begun."""

    event: Event
    before: Seen
    is_met: bool = False

    @property
    def link(self) -> str:
        """Which link has it."""
        return self.event.link

    def look(self, now: Seen) -> bool:
        """Whether somebody has met it; once is enough."""
        if self.event.is_captive:
            self.is_met |= now.portal_answers > self.before.portal_answers
        else:
            self.is_met |= now.swallowed(self.event) > self.before.swallowed(self.event)
        # Where the carrier is off the kernel hands nothing over, so nothing can be swallowed.
        if self.event.set.get("is_down"):
            self.is_met |= now.raised > self.before.raised
        return self.is_met

    def missing(self) -> str:
        """For people, where it was not met."""
        return "the portal answered nobody" if self.event.is_captive else f"{self.link} swallowed nothing"


@dataclass(slots=True)
class Faults:
    """All that have begun in a run."""

    begun: list[Fault] = field(default_factory=list)

    def begin(self, event: Event, before: Seen) -> Fault | None:
        """Note what an event breaks; None if it breaks no link."""
        if not (
            event.set.get("is_blackhole") or event.set.get("is_down") or event.is_captive or event.forgets_connections
        ):
            return None
        fault = Fault(event=event, before=before)
        self.begun.append(fault)
        return fault

    def ended_by(self, event: Event) -> list[Fault]:
        """Which faults an event would end: those of its link, if it mends something there."""
        is_mend = event.is_captive is False or any(event.set.get(key) is False for key in ("is_blackhole", "is_down"))
        return [fault for fault in self.begun if is_mend and fault.link == event.link]

    def unmet(self, now: Seen) -> list[str]:
        """Those that nobody has met."""
        return [fault.missing() for fault in self.begun if not fault.look(now)]
