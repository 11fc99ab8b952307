"""The rules of units, without I/O: which step follows which, and who is nearest."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.errors import NotPossible
from command_center.units import nearest
from command_center.units.nearest import Position
from command_center.units.status import FOLLOWS, UnitStatus, require_step
from relay.kinds.acknowledgement import AnswerState

STATUSES = st.sampled_from(UnitStatus)
POSITIONS = st.builds(Position, lat=st.floats(-90, 90), lon=st.floats(-180, 180))
SCENE = Position(lat=52.0, lon=4.3)
NOW = 1_800_000_000_000


@dataclass(kw_only=True)
class Candidate:
    name: str
    status: UnitStatus = UnitStatus.AVAILABLE
    capabilities: tuple[str, ...] = ()
    position: Position | None = None
    position_at_ms: int | None = NOW
    incident: int | None = None


@given(st.lists(STATUSES, max_size=20))
def test_only_legal_steps_are_taken_and_a_busy_unit_got_there_by_an_assignment(wanted: list[UnitStatus]) -> None:
    at, was_assigned = UnitStatus.OUT_OF_SERVICE, False
    for step in wanted:
        if step not in FOLLOWS[at]:
            with pytest.raises(NotPossible, match=f"is {at.words} and can't become {step.words}"):
                require_step("M21", at, step)
            continue
        require_step("M21", at, step)
        was_assigned = step is UnitStatus.ASSIGNED or (was_assigned and step.is_busy)
        at = step
        assert at.is_busy == was_assigned, "busy without an assignment, or assigned without being busy"


def test_every_status_can_be_left_and_reached_and_none_goes_backwards() -> None:
    order = [UnitStatus.ASSIGNED, UnitStatus.ACCEPTED, UnitStatus.EN_ROUTE, UnitStatus.ON_SCENE]
    assert all(FOLLOWS[status] for status in UnitStatus)
    assert set(UnitStatus) == {step for steps in FOLLOWS.values() for step in steps}
    for place, status in enumerate(order):
        assert not FOLLOWS[status] & set(order[1:place])


def test_camera_is_told_of_every_step_towards_the_scene() -> None:
    assert {status: status.for_camera for status in UnitStatus if status.is_busy} == {
        UnitStatus.ASSIGNED: AnswerState.DISPATCHED, UnitStatus.ACCEPTED: AnswerState.DISPATCHED,
        UnitStatus.EN_ROUTE: AnswerState.EN_ROUTE, UnitStatus.ON_SCENE: AnswerState.ON_SCENE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "meters"),
    [
        # Published great-circle distances on the mean sphere.
        (Position(lat=36.12, lon=-86.67), Position(lat=33.94, lon=-118.40), 2_886_448),
        (Position(lat=0, lon=0), Position(lat=0, lon=180), math.pi * nearest.EARTH_RADIUS_M),
        (Position(lat=90, lon=0), Position(lat=-90, lon=77), math.pi * nearest.EARTH_RADIUS_M),
        (Position(lat=0, lon=179.999), Position(lat=0, lon=-179.999), 222.4),
    ],
)
def test_haversine_agrees_with_known_distances(one: Position, other: Position, meters: float) -> None:
    assert nearest.distance_m(one, other) == pytest.approx(meters, rel=1e-4)


@given(POSITIONS, POSITIONS)
def test_distance_is_symmetric_and_at_most_half_around(one: Position, other: Position) -> None:
    away = nearest.distance_m(one, other)
    assert away == pytest.approx(nearest.distance_m(other, one), abs=1e-3)
    assert 0 <= away <= math.pi * nearest.EARTH_RADIUS_M * (1 + 1e-9)


def near(meters: float) -> Position:
    return Position(lat=SCENE.lat + math.degrees(meters / nearest.EARTH_RADIUS_M), lon=SCENE.lon)


def test_nearest_free_able_unit_stands_first_and_each_place_has_its_reason() -> None:
    board = [
        Candidate(name="busy", status=UnitStatus.EN_ROUTE, position=near(10), incident=7),
        Candidate(name="far", position=near(5200), capabilities=("medic",)),
        Candidate(name="near", position=near(900), capabilities=("medic",)),
        Candidate(name="nearest-but-no-medic", position=near(100)),
        Candidate(name="old", position=near(50), position_at_ms=NOW - 3 * 3_600_000, capabilities=("medic",)),
        Candidate(name="somewhere", capabilities=("medic",)),
        Candidate(name="off", status=UnitStatus.OUT_OF_SERVICE, position=near(1)),
        Candidate(name="leaving", status=UnitStatus.CLEAR, position=near(1), capabilities=("medic",)),
    ]
    found = nearest.ranked(board, SCENE, {"medic"}, NOW)
    assert [item.unit for item in found] == [
        "near", "far", "old", "somewhere", "nearest-but-no-medic", "leaving", "busy", "off"
    ]  # fmt: skip
    reasons = {item.unit: "; ".join(item.reasons) for item in found}
    assert reasons["near"] == "available; has medic; 900 m in a straight line; position is 0 s old"
    assert "3 h old: it may be elsewhere" in reasons["old"]
    assert reasons["somewhere"].endswith("position not known")
    assert "lacks medic" in reasons["nearest-but-no-medic"]
    assert reasons["busy"].startswith("en route at incident 7")
    assert [item.unit for item in found if item.is_free][-1] == "nearest-but-no-medic"


@given(st.lists(st.tuples(STATUSES, st.none() | POSITIONS), max_size=12), st.none() | POSITIONS)
def test_everybody_is_ranked_once_and_who_is_free_stands_in_front(
    units: list[tuple[UnitStatus, Position | None]], scene: Position | None
) -> None:
    board = [Candidate(name=f"u{n}", status=status, position=at) for n, (status, at) in enumerate(units)]
    found = nearest.ranked(board, scene, (), NOW)
    assert sorted(item.unit for item in found) == sorted(item.name for item in board)
    free = [item.is_free for item in found]
    assert free == sorted(free, reverse=True)
    known = [item.distance_m for item in found if item.is_free and item.distance_m is not None]
    assert known == sorted(known)
