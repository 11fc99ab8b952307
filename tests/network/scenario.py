"""A scenario: links, how bad they are, and what happens when. One TOML file each in ``scenarios/``, for people to read.

Times count from the first alert. The whole timetable is shifted by up to ``spread_s``, drawn from the seed, so that no
two seeds cut at the same moment of the stations' own timers.
"""

import random
import tomllib
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.network.emulator import Direction
from tests.network.pipe import Impairment

SCENARIOS_DIR: Final = Path(__file__).parent / "scenarios"
Station = Literal["node", "relay", "site", "region", "east", "west", "center"]
RELAYS: Final = ("east", "west", "region", "site", "relay")
"""Places with a relay, the one nearest to the centre first."""
Changes = dict[str, float | bool]


class LinkWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[link]]``: an uplink of ``near``. ``up`` and ``down`` override ``both``."""

    name: str
    near: Station = "node"
    far: Station = "center"
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

    def places(self) -> list[str]:
        """Where stations stand, and the portal if there is one."""
        stations = {"center", *(item.near for item in self.link), *(item.far for item in self.link)}
        return [*sorted(stations), *(["portal"] if any(item.has_portal for item in self.link) else [])]


def with_kills(scenario: Scenario, seed: int, kills: int) -> Scenario:
    """The scenario with -9 of stations drawn from the seed, each started again within 2 s, one at a time.

    Whom the scenario itself kills is left to it.
    """
    dice = random.Random(f"kills {seed}")
    ends_s = scenario.lasts_s - scenario.spread_s - 0.5
    starts_s = sorted(dice.uniform(0.5, ends_s - 2.5) for _ in range(kills))
    spared = {event.kill for event in scenario.event}
    victims = sorted({"node", *(link.near for link in scenario.link), *(link.far for link in scenario.link)} - spared)
    added: list[Event] = []
    free_s = 0.0
    for at_s in starts_s if victims else ():
        victim = dice.choice(victims)
        at_s = max(at_s, free_s)  # noqa: PLW2901
        back_s = at_s + dice.uniform(0.05, 2.0)
        if back_s > ends_s:
            break
        added += [Event(at_s=at_s, kill=victim), Event(at_s=back_s, start=victim)]
        free_s = back_s + 0.5
    return msgspec.structs.replace(scenario, event=(*scenario.event, *added))


def load(name: str) -> Scenario:
    """Read a scenario by its file's stem.

    Raises:
        ValueError: there is no such file, or it says what nobody understands.
    """
    file = SCENARIOS_DIR / f"{name}.toml"
    if not file.exists():
        known = ", ".join(names())
        raise ValueError(f"expected a scenario among {known}, found {name!r}")
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{file}: {error}") from error


def names() -> list[str]:
    """All scenarios there are."""
    return sorted(file.stem for file in SCENARIOS_DIR.glob("*.toml"))
