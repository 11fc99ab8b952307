"""What the center makes of alerts: correlation and the states of an incident. Pure; ``incident_store`` keeps the rows.

Correlation: an alert joins the open incident of the same node, camera, label and lane (normal or quarantined) if its
sighting lies within the window of that incident's sightings. Sightings of one boot are compared on the node's own
monotonic clock, so a backlog that arrives late is grouped as it was seen; otherwise the time of receipt decides. An
alert that is more urgent than the incident never joins it: a rise in severity breaks out as an incident of its own.

States after ISA-18.2: unacknowledged → acknowledged → closed; an acknowledgement expires back to unacknowledged. Beside the
state stand three facts that ISA-18.2 folds into it: ``is_returned`` (its node took every alert back: returned, which still wants
a person), ``quiet`` (shelved by people, or held back by flood control: listed, kept and counted, not annunciated) and
``merged_into`` (people say that it is part of another; it can be taken out again). ``version`` rises with each act of a person
and not with joining alerts: an operator who acts on a moving incident must only lose against another operator.
"""

import enum
from typing import Final

import msgspec
from msgspec.structs import replace

from command_center.errors import LostRace, NotPossible
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
    GONE_ON_ARRIVAL = "gone_on_arrival"
    BUILDING_SECURE = "building_secure"
    DUPLICATE = "duplicate"
    CANCELLED = "cancelled"
    """Before anybody arrived."""
    TEST = "test"

    @property
    def apco_code(self) -> int | None:
        """The common disposition code of APCO ANS 1.111.2; None where that list has none."""
        return _APCO_CODES.get(self)

    @property
    def says_it_was_real(self) -> bool | None:
        """For the precision of cameras and models; None where it says nothing about what was seen."""
        return _WAS_REAL.get(self)


_APCO_CODES: Final = {
    Disposition.GONE_ON_ARRIVAL: 14, Disposition.FALSE_ALARM: 17, Disposition.BUILDING_SECURE: 20,
    Disposition.DUPLICATE: 22, Disposition.CANCELLED: 32,
}  # fmt: skip
_WAS_REAL: Final = {
    Disposition.HANDLED: True, Disposition.GONE_ON_ARRIVAL: True, Disposition.FALSE_ALARM: False,
    Disposition.BUILDING_SECURE: False,
}  # fmt: skip


class Quiet(enum.Enum):
    """Why an incident is listed and not annunciated."""

    NO = ""
    SHELVED = "shelved"
    FLOOD = "flood"


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What correlated alerts share."""

    node: bytes
    camera: str
    label: str
    is_quarantined: bool


class Sighting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When something was seen: on the node's monotonic clock within one boot, and when the center received it."""

    series: int
    boot: int
    monotonic_ms: int
    received_at_ms: int


class Incident(msgspec.Struct, frozen=True, kw_only=True):
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
    level: int = 0
    """How far its re-notification has got: see ``annunciation``."""
    quiet: Quiet = Quiet.NO
    is_returned: bool = False
    merged_into: int | None = None


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


def opened(
    incident_id: int, place: Place, precedence: Precedence, sighting: Sighting, quiet: Quiet = Quiet.NO
) -> Incident:
    """A new incident around its first alert."""
    return Incident(id=incident_id, version=1, state=State.UNACKNOWLEDGED, place=place, precedence=precedence,
                    alert_count=1, first=sighting, last=sighting, quiet=quiet)  # fmt: skip


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


def dispatched(incident: Incident, *, version: int) -> Incident:
    """A unit is sent there.

    Raises:
        LostRace: somebody acted since ``version``, or nobody has it in hand.
    """
    _require(incident, version, {State.ACKNOWLEDGED}, "send a unit to")
    return replace(incident, version=version + 1)


def expire_acknowledgement(incident: Incident, quiet: Quiet = Quiet.NO) -> Incident:
    """Somebody took it in hand and nothing followed: it waits for a person again, or for its turn to sound.

    Raises:
        LostRace: it is not acknowledged any more.
    """
    _require(incident, incident.version, {State.ACKNOWLEDGED}, "let the acknowledgement expire of")
    return replace(incident, version=incident.version + 1, state=State.UNACKNOWLEDGED, acknowledged_by=None,
                   acknowledged_at_ms=None, level=0, quiet=quiet)  # fmt: skip


def merge(incident: Incident, into: Incident, *, version: int) -> Incident:
    """People say that it is part of another.

    Raises:
        LostRace: somebody acted since ``version``, or one of the two is closed.
        NotPossible: with itself, with one that is merged already, or across the quarantine's border.
    """
    open_states = {State.UNACKNOWLEDGED, State.ACKNOWLEDGED}
    _require(incident, version, open_states, "merge")
    _require(into, into.version, open_states, "merge into")
    if incident.id == into.id or incident.merged_into is not None or into.merged_into is not None:
        raise NotPossible(
            f"expected two incidents of which neither is merged already, found {incident.id} (in {incident.merged_into}) "
            f"and {into.id} (in {into.merged_into}): merge with the one that they are part of"
        )
    if incident.place.is_quarantined != into.place.is_quarantined:
        raise NotPossible(
            f"incident {incident.id} and incident {into.id} can't be merged: the node of one of them is quarantined"
        )
    return replace(incident, version=version + 1, merged_into=into.id)


def unmerge(incident: Incident, *, version: int) -> Incident:
    """It is an incident of its own after all, in the state that it had.

    Raises:
        LostRace: somebody acted since ``version``, or it is not merged.
    """
    _require(incident, version, set(State), "take apart")
    if incident.merged_into is None:
        raise LostRace(f"incident {incident.id} is not merged into another: look at it again")
    return replace(incident, version=version + 1, merged_into=None)


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
