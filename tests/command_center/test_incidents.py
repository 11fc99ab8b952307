"""The rules of incidents, without I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from command_center import incidents
from command_center.errors import LostRace
from command_center.incidents import Disposition, Incident, Place, Sighting, State
from relay.precedence import Precedence

PLACE = Place(node=b"n" * 8, camera="cam1", label="handgun", is_quarantined=False)
WINDOW = 30_000


def sighting(at_ms: int, *, boot: int = 1, received_ms: int | None = None) -> Sighting:
    return Sighting(
        series=7, boot=boot, monotonic_ms=at_ms, received_at_ms=at_ms if received_ms is None else received_ms
    )


def fresh(at_ms: int = 100_000, precedence: Precedence = Precedence.IMMEDIATE) -> Incident:
    return incidents.opened(1, PLACE, precedence, sighting(at_ms))


@pytest.mark.parametrize(("at_ms", "expected"), [(130_000, True), (130_001, False), (70_000, True), (69_999, False)])
def test_alert_joins_within_the_window_of_sightings(at_ms: int, expected: bool) -> None:
    assert incidents.joins(fresh(), PLACE, Precedence.IMMEDIATE, sighting(at_ms), WINDOW) is expected


def test_backlog_that_arrives_late_is_grouped_as_it_was_seen() -> None:
    seen_together = sighting(100_500, received_ms=900_000)
    assert incidents.joins(fresh(), PLACE, Precedence.IMMEDIATE, seen_together, WINDOW)
    seen_apart = sighting(200_000, received_ms=100_001)
    assert not incidents.joins(fresh(), PLACE, Precedence.IMMEDIATE, seen_apart, WINDOW)


def test_after_a_reboot_the_time_of_receipt_decides() -> None:
    assert incidents.joins(fresh(), PLACE, Precedence.IMMEDIATE, sighting(5, boot=2, received_ms=110_000), WINDOW)
    assert not incidents.joins(
        fresh(), PLACE, Precedence.IMMEDIATE, sighting(100_000, boot=2, received_ms=200_000), WINDOW
    )


def test_rise_in_severity_breaks_out() -> None:
    assert not incidents.joins(fresh(), PLACE, Precedence.FLASH, sighting(100_001), WINDOW)
    assert incidents.joins(fresh(precedence=Precedence.FLASH), PLACE, Precedence.IMMEDIATE, sighting(100_001), WINDOW)


@pytest.mark.parametrize(
    "changes", [{"camera": "cam2"}, {"label": "rifle"}, {"node": b"m" * 8}, {"is_quarantined": True}]
)
def test_other_places_are_other_incidents(changes: dict[str, object]) -> None:
    other = replace(PLACE, **changes)
    assert not incidents.joins(fresh(), other, Precedence.IMMEDIATE, sighting(100_000), WINDOW)


def test_nothing_joins_a_closed_incident() -> None:
    closed = replace(fresh(), state=State.CLOSED)
    assert not incidents.joins(closed, PLACE, Precedence.IMMEDIATE, sighting(100_000), WINDOW)


def test_joining_alerts_do_not_make_an_operator_lose() -> None:
    moved = incidents.joined(fresh(), sighting(101_000))
    assert incidents.acknowledge(moved, version=1, by="alice", at_ms=5).state is State.ACKNOWLEDGED


def test_second_operator_loses_and_is_told_who_was_first() -> None:
    taken = incidents.acknowledge(fresh(), version=1, by="alice", at_ms=5)
    with pytest.raises(LostRace, match="by alice"):
        incidents.acknowledge(taken, version=1, by="bob", at_ms=6)
    with pytest.raises(LostRace, match="expected it unacknowledged"):
        incidents.acknowledge(taken, version=2, by="bob", at_ms=6)


def test_unseen_incident_can_not_be_closed() -> None:
    with pytest.raises(LostRace, match="expected it acknowledged"):
        incidents.close(fresh(), version=1, by="alice", at_ms=5, disposition=Disposition.HANDLED)


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=30))
def test_window_of_an_incident_holds_all_its_sightings_in_any_order(times: list[int]) -> None:
    incident = fresh(times[0])
    seen = [times[0]]
    for at_ms in times[1:]:
        if incidents.joins(incident, PLACE, Precedence.IMMEDIATE, sighting(at_ms), WINDOW):
            incident = incidents.joined(incident, sighting(at_ms))
            seen.append(at_ms)
            assert any(abs(at_ms - other) <= WINDOW for other in seen[:-1]) or min(seen[:-1]) < at_ms < max(seen[:-1])
    assert incident.first.monotonic_ms == min(seen)
    assert incident.last.monotonic_ms == max(seen)
    assert incident.alert_count == len(seen)


@given(st.lists(st.tuples(st.sampled_from(["acknowledge", "close"]), st.integers(1, 4)), max_size=8))
def test_version_rises_by_one_with_each_act_and_never_else(acts: list[tuple[str, int]]) -> None:
    incident = fresh()
    for act, version in acts:
        before = incident
        try:
            if act == "acknowledge":
                incident = incidents.acknowledge(incident, version=version, by="a", at_ms=1)
            else:
                incident = incidents.close(incident, version=version, by="a", at_ms=1, disposition=Disposition.TEST)
        except LostRace:
            assert incident is before
        else:
            assert version == before.version
            assert incident.version == before.version + 1
