"""A scenario: links, how bad they are, and what happens when. One TOML file each in ``scenarios/``, for people to read.

Times count from the first alert. The whole timetable is shifted by up to ``spread_s``, drawn from the seed, so that no
two seeds cut at the same moment of the stations' own timers.
"""

import random
import tomllib
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from tests.network.emulator import Direction
from tests.network.pipe import Impairment

SCENARIOS_DIR: Final = Path(__file__).parent / "scenarios"
Station = Literal["node", "flooder", "relay", "site", "region", "east", "west", "center"]
Carrier = Literal["zeromq", "tls"]
CARRIERS: Final[tuple[Carrier, ...]] = get_args(Carrier)
RELAYS: Final = ("east", "west", "region", "site", "relay")
"""Places with a relay, the one nearest to the center first."""
Changes = dict[str, float | bool]


class LinkWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[link]]``: an uplink of ``near``. ``up`` and ``down`` override ``both``."""

    name: str
    near: Station = "node"
    far: Station = "center"
    carrier: Carrier = "zeromq"
    """What carries the way over it."""
    has_portal: bool = False
    both: Changes = {}
    up: Changes = {}
    down: Changes = {}

    def impairment(self, direction: Literal["up", "down"]) -> Impairment:
        """Of one direction, at the start."""
        return Impairment().changed({**self.both, **(self.up if direction == "up" else self.down)})


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[event]]``: one thing that happens, or happens again and again."""

    at_s: float
    link: str = ""
    direction: Direction = "both"
    set: Changes = {}
    is_captive: bool | None = None
    """A login page takes the link over, or gives it back."""
    forgets_connections: bool = False
    """Its address translation loses its memory."""
    kill: Station | Literal[""] = ""
    """-9."""
    start: Station | Literal[""] = ""
    every_s: float = 0.0
    times: int = 1


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file."""

    title: str
    lasts_s: float
    """How long alerts are raised."""
    alerts_per_s: float
    """Of each node."""
    together: int = 1
    """Alerts put in one commit."""
    precedence: Literal["FLASH", "IMMEDIATE"] = "FLASH"
    nodes: int = 1
    patience_s: float = 30.0
    """How long after that the last of them may take to be heard."""
    spread_s: float = 1.0
    p99_at_most_ms: float | None = None
    """Bound on put-to-heard, where the scenario is about speed."""
    link: tuple[LinkWanted, ...]
    event: tuple[Event, ...] = ()

    def timetable(self, seed: int) -> list[tuple[float, Event]]:
        """(seconds after the first alert, what happens), in order."""
        shift_s = random.Random(seed).uniform(0, self.spread_s)
        unrolled = [(item.at_s + shift_s + n * item.every_s, item) for item in self.event for n in range(item.times)]
        return sorted(unrolled, key=lambda entry: entry[0])

    def stations(self) -> list[Station]:
        """Where stations stand."""
        return sorted({"center", *(item.near for item in self.link), *(item.far for item in self.link)})

    def places(self) -> list[str]:
        """The same, and the portal if there is one."""
        return [*self.stations(), *(["portal"] if any(item.has_portal for item in self.link) else [])]


def with_kills(scenario: Scenario, seed: int, kills: int) -> Scenario:
    """The scenario with -9 of stations drawn from the seed, at random moments, each started again within 2 s.

    Anybody may be hit, whatever else goes wrong just then, and several at a time; only who lies dead already is not killed again.
    """
    dice = random.Random(f"kills {seed}")
    ends_s = scenario.lasts_s - scenario.spread_s - 0.5
    dead = {place: _dead_spans(scenario, place) for place in scenario.stations()}
    added: list[Event] = []
    for at_s in sorted(dice.uniform(0.5, ends_s - 1.0) for _ in range(kills)):
        back_s = min(ends_s, at_s + dice.uniform(0.05, 2.0))
        alive = [place for place, spans in dead.items() if not any(_meet(span, (at_s, back_s)) for span in spans)]
        if alive:
            victim = dice.choice(alive)
            added += [Event(at_s=at_s, kill=victim), Event(at_s=back_s, start=victim)]
            dead[victim].append((at_s, back_s))
    return msgspec.structs.replace(scenario, event=(*scenario.event, *added))


def _dead_spans(scenario: Scenario, place: Station) -> list[tuple[float, float]]:
    """When the scenario's own timetable has a station dead, before the shift."""
    moments = sorted((event.at_s + n * event.every_s, event.start == place) for event in scenario.event
                     if place in {event.kill, event.start} for n in range(event.times))  # fmt: skip
    kills_s = [at_s for at_s, is_start in moments if not is_start]
    starts_s = [at_s for at_s, is_start in moments if is_start]
    return [(at_s, min((start_s for start_s in starts_s if start_s > at_s), default=float("inf"))) for at_s in kills_s]


def _meet(one: tuple[float, float], other: tuple[float, float], margin_s: float = 0.3) -> bool:
    return one[0] - margin_s < other[1] and other[0] < one[1] + margin_s


def load(name: str, carrier: Carrier | None = None) -> Scenario:
    """Read a scenario by its file's stem. With a ``carrier`` every way is that one's, whatever the file says.

    Raises:
        ValueError: there is no such file, or it says what nobody understands.
    """
    file = SCENARIOS_DIR / f"{name}.toml"
    if not file.exists():
        known = ", ".join(names())
        raise ValueError(f"expected a scenario among {known}, found {name!r}")
    try:
        found = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{file}: {error}") from error
    return found if carrier is None else over(carrier, found)


def over(carrier: Carrier, scenario: Scenario) -> Scenario:
    """The same links and the same timetable, with every way another carrier's."""
    links = tuple(msgspec.structs.replace(link, carrier=carrier) for link in scenario.link)
    return msgspec.structs.replace(scenario, link=links)


def names() -> list[str]:
    """All scenarios there are."""
    return sorted(file.stem for file in SCENARIOS_DIR.glob("*.toml"))
