"""Who should go: free units by their distance, with the reasons in words. Pure arithmetic; people decide.

Distance is the great circle's (haversine, mean Earth radius of IUGG: 6,371,008.8 m): roads are longer, and the words say so.
A position that is older than ``STALE_AFTER_MS`` proves little, so it ranks behind every fresh one.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from command_center.units.status import UnitStatus

EARTH_RADIUS_M: Final = 6_371_008.8
STALE_AFTER_MS: Final = 10 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Degrees, WGS 84."""

    lat: float
    lon: float

    @property
    def is_possible(self) -> bool:
        """Whether there is such a place."""
        return math.isfinite(self.lat) and math.isfinite(self.lon) and abs(self.lat) <= 90.0 and abs(self.lon) <= 180.0


class Candidate(Protocol):
    """What ranking needs to know of a unit."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> UnitStatus: ...  # noqa: D102
    @property
    def capabilities(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def position(self) -> Position | None: ...  # noqa: D102
    @property
    def position_at_ms(self) -> int | None: ...  # noqa: D102
    @property
    def incident(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One unit, and why it stands where it stands."""

    unit: str
    is_free: bool
    distance_m: float | None
    lacks: tuple[str, ...]
    """Wanted capabilities that it does not have."""
    reasons: tuple[str, ...]


def distance_m(one: Position, other: Position) -> float:
    """Along the great circle, m.

    Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984).
    """
    lat_1, lat_2 = math.radians(one.lat), math.radians(other.lat)
    half_lat, half_lon = (lat_2 - lat_1) / 2, math.radians(other.lon - one.lon) / 2
    squared = math.sin(half_lat) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, squared)))


def ranked(
    candidates: Sequence[Candidate], scene: Position | None, wanted: Collection[str], now_ms: int
) -> list[Recommendation]:
    """Everybody, the best first: free before busy, able before not, near before far, known before unknown, by name."""
    judged = [(_order(item), item) for item in (_judge(one, scene, wanted, now_ms) for one in candidates)]
    return [item.recommendation for _, item in sorted(judged, key=lambda pair: pair[0])]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    recommendation: Recommendation
    status: UnitStatus
    is_stale: bool


def _order(item: _Judged) -> tuple[int, int, int, float, str]:
    found = item.recommendation
    by_status = {UnitStatus.AVAILABLE: 0, UnitStatus.CLEAR: 1, UnitStatus.OUT_OF_SERVICE: 3}.get(item.status, 2)
    certainty = 2 if found.distance_m is None else int(item.is_stale)
    return by_status, len(found.lacks), certainty, found.distance_m or 0.0, found.unit


def _judge(one: Candidate, scene: Position | None, wanted: Collection[str], now_ms: int) -> _Judged:
    reasons = [one.status.words if one.incident is None else f"{one.status.words} at incident {one.incident}"]
    lacks = tuple(sorted(set(wanted) - set(one.capabilities)))
    if wanted:
        reasons.append(f"lacks {', '.join(lacks)}" if lacks else f"has {', '.join(sorted(wanted))}")
    away_m, is_stale = None, False
    if scene is None:
        reasons.append("the place of the incident is not known: distances are not, either")
    elif one.position is None:
        reasons.append("position not known")
    else:
        away_m = distance_m(one.position, scene)
        age_ms = max(0, now_ms - (one.position_at_ms or 0))
        is_stale = age_ms > STALE_AFTER_MS
        reasons.append(f"{_length(away_m)} in a straight line")
        reasons.append(f"position is {_age(age_ms)} old" + (": it may be elsewhere" if is_stale else ""))
    found = Recommendation(unit=one.name, is_free=one.status is UnitStatus.AVAILABLE, distance_m=away_m, lacks=lacks,
                           reasons=tuple(reasons))  # fmt: skip
    return _Judged(recommendation=found, status=one.status, is_stale=is_stale)


def _length(meters: float) -> str:
    return f"{meters:.0f} m" if meters < 1000 else f"{meters / 1000:.1f} km"


def _age(age_ms: int) -> str:
    seconds = age_ms // 1000
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
