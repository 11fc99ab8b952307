"""What the centre makes of alerts: correlation and the states of an incident. Pure; ``incident_store`` keeps the rows.

Correlation: an alert joins the open incident of the same node, camera, label and lane (normal or quarantined) if its
sighting lies within the window of that incident's sightings. Sightings of one boot are compared on the node's own
monotonic clock, so a backlog that arrives late is grouped as it was seen; otherwise the time of receipt decides. An
alert that is more urgent than the incident never joins it: a rise in severity breaks out as an incident of its own.

States (a part of ISA-18.2's): unacknowledged → acknowledged → closed. ``version`` rises with each act of a person and
not with joining alerts: an operator who acts on a moving incident must only lose against another operator.
"""

import enum
from dataclasses import dataclass, replace

from command_center.errors import LostRace
from relay.precedence import Precedence


class State(enum.Enum):
    """How far people have got."""

    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Disposition(enum.Enum):
    """What it turned out to be."""

    FALSE_ALARM = "false_alarm"
    HANDLED = "handled"
    DUPLICATE = "duplicate"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What correlated alerts share."""

    node: bytes
    camera: str
    label: str
    is_quarantined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """When something was seen: on the node's monotonic clock within one boot, and when the centre received it."""

    series: int
    boot: int
    monotonic_ms: int
    received_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident, as far as its rules need it."""

    id: int
    version: int
    state: State
    place: Place
    precedence: Precedence
    alert_count: int
    first: Sighting
    last: Sighting
    acknowledged_by: str | None = None
    acknowledged_at_ms: int | None = None
    closed_by: str | None = None
    closed_at_ms: int | None = None
    disposition: Disposition | None = None


def joins(incident: Incident, place: Place, precedence: Precedence, sighting: Sighting, window_ms: int) -> bool:
    """Whether an alert belongs to this incident."""
    if incident.state is State.CLOSED or incident.place != place or precedence < incident.precedence:
        return False
    if (sighting.series, sighting.boot) == (incident.last.series, incident.last.boot):
        since = (
            incident.first
            if (incident.first.series, incident.first.boot) == (sighting.series, sighting.boot)
            else incident.last
        )
        return since.monotonic_ms - window_ms <= sighting.monotonic_ms <= incident.last.monotonic_ms + window_ms
    return abs(sighting.received_at_ms - incident.last.received_at_ms) <= window_ms


def opened(incident_id: int, place: Place, precedence: Precedence, sighting: Sighting) -> Incident:
    """A new incident around its first alert."""
    return Incident(id=incident_id, version=1, state=State.UNACKNOWLEDGED, place=place, precedence=precedence,
                    alert_count=1, first=sighting, last=sighting)  # fmt: skip


def joined(incident: Incident, sighting: Sighting) -> Incident:
    """The incident with one more alert; an alert seen earlier that arrives later widens it backwards."""
    first, last = incident.first, incident.last
    same_boot = (sighting.series, sighting.boot) == (last.series, last.boot)
    if not same_boot or sighting.monotonic_ms >= last.monotonic_ms:
        last = replace(sighting, received_at_ms=max(sighting.received_at_ms, last.received_at_ms))
    else:
        last = replace(last, received_at_ms=max(sighting.received_at_ms, last.received_at_ms))
        if (first.series, first.boot) == (
            sighting.series,
            sighting.boot,
        ) and sighting.monotonic_ms < first.monotonic_ms:
            first = replace(first, monotonic_ms=sighting.monotonic_ms)
    return replace(incident, alert_count=incident.alert_count + 1, first=first, last=last)


def acknowledge(incident: Incident, *, version: int, by: str, at_ms: int) -> Incident:
    """A person has seen it.

    Raises:
        LostRace: somebody acted since ``version``, or it is not waiting to be acknowledged.
    """
    _require(incident, version, {State.UNACKNOWLEDGED}, "acknowledge")
    return replace(
        incident, version=version + 1, state=State.ACKNOWLEDGED, acknowledged_by=by, acknowledged_at_ms=at_ms
    )


def close(incident: Incident, *, version: int, by: str, at_ms: int, disposition: Disposition) -> Incident:
    """It is over, and this is what it was.

    Raises:
        LostRace: somebody acted since ``version``, or it was not acknowledged yet.
    """
    _require(incident, version, {State.ACKNOWLEDGED}, "close")
    return replace(incident, version=version + 1, state=State.CLOSED, closed_by=by, closed_at_ms=at_ms,
                   disposition=disposition)  # fmt: skip


def _require(incident: Incident, version: int, states: set[State], act: str) -> None:
    if incident.version != version:
        raise LostRace(
            f"expected version {version} of incident {incident.id}, found {incident.version} ({incident.state.value}"
            + (f", by {incident.acknowledged_by}" if incident.acknowledged_by else "")
            + "): somebody else was first, look at it again"
        )
    if incident.state not in states:
        wanted = " or ".join(state.value for state in states)
        raise LostRace(f"can't {act} incident {incident.id}: expected it {wanted}, found it {incident.state.value}")
