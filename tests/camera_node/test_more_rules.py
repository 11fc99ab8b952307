"""Line crossing, crowd, abandoned object: pure rules, scenes in, findings out."""

from collections.abc import Sequence

import pytest

from camera_node.rules.abandoned_object import AbandonedObject, AbandonedObjectSettings
from camera_node.rules.crowd import Crowd, CrowdSettings
from camera_node.rules.line_crossing import LineCrossing, LineCrossingSettings
from camera_node.rules.scene import Finding, Scene
from camera_node.tracker import Track
from camera_node.zone import Zone
from tests.camera_node.test_rules import play

GATE = ((0.5, 0.2), (0.5, 0.8))
LEFT_HALF = Zone(name="left", polygon=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))


def person(number: int, x: float, foot: float = 0.5, *, label: str = "person", size: float = 0.05) -> Track:
    return Track(number=number, label=label, confidence=0.8, first_seen_ms=0, last_seen_ms=0, is_seen=True,
                 bbox_xyxy_px=((x - size) * 1000, (foot - 4 * size) * 1000, (x + size) * 1000, foot * 1000),
                 is_confirmed=True)  # fmt: skip


def walk(*places: float, number: int = 1, foot: float = 0.5) -> list[list[Track]]:
    return [[person(number, x, foot)] for x in places]


# ---------------------------------------------------------------------- line crossing


def line(**changes: object) -> LineCrossing:
    return LineCrossing(LineCrossingSettings(line=GATE, name="gate", **changes), [LEFT_HALF])  # type: ignore[arg-type]


def test_who_walks_across_the_line_is_told_once() -> None:
    found = play(line(), walk(0.3, 0.4, 0.48, 0.52, 0.6, 0.7))
    assert [(f.label, f.zone) for f in found] == [("person", "gate")]


def test_who_sways_on_the_line_has_not_crossed_it() -> None:
    assert play(line(margin=0.03), walk(0.3, 0.48, 0.52, 0.48, 0.51, 0.3)) == []


@pytest.mark.parametrize(("direction", "way", "count"), [
    ("to_left", (0.3, 0.7), 1), ("to_left", (0.7, 0.3), 0), ("to_right", (0.7, 0.3), 1), ("to_right", (0.3, 0.7), 0),
])  # fmt: skip
def test_only_the_wanted_direction_is_told(direction: str, way: Sequence[float], count: int) -> None:
    """The line goes down the picture: whoever walks along it has the picture's left at the right hand."""
    assert len(play(line(direction=direction), walk(*way))) == count


def test_going_around_the_end_of_the_line_is_not_crossing_it() -> None:
    assert play(line(), walk(0.3, 0.7, foot=0.95)) == []


def test_only_crossings_that_end_in_a_named_zone_are_told() -> None:
    assert play(line(zones=("left",)), walk(0.3, 0.7)) == []
    assert len(play(line(zones=("left",)), walk(0.7, 0.3))) == 1


def test_the_gate_of_a_crossing_may_open_later() -> None:
    class Reluctant:
        asked = 0

        def admits(self, finding: Finding, scene: Scene) -> bool:
            self.asked += 1
            return self.asked > 2

    rule = LineCrossing(LineCrossingSettings(line=GATE), [], Reluctant())
    assert len(play(rule, walk(0.3, 0.7, 0.71, 0.72, 0.73))) == 1


# ---------------------------------------------------------------------- crowd


def crowd(**changes: object) -> Crowd:
    return Crowd(CrowdSettings(least_count=5, for_s=2.0, **changes), [LEFT_HALF])  # type: ignore[arg-type]


def people(count: int) -> list[Track]:
    return [person(number, 0.05 + 0.07 * number) for number in range(count)]


def test_a_crowd_that_lasts_is_told_once_with_a_box_around_it() -> None:
    found = play(crowd(), [people(6)] * 40)
    assert [f.label for f in found] == ["crowd"]
    assert found[0].box_xyxy[0] < 0.01
    assert found[0].box_xyxy[2] > 0.44


def test_a_group_that_passes_through_is_no_crowd() -> None:
    assert play(crowd(), [people(6)] * 6 + [people(1)] * 30) == []


def test_frames_that_miss_some_people_do_not_break_a_crowd_up() -> None:
    frames = [people(6) if index % 3 else people(2) for index in range(40)]
    assert len(play(crowd(), frames)) == 1


def test_a_second_crowd_after_the_first_dissolved_is_told_again() -> None:
    assert len(play(crowd(), [people(6)] * 20 + [people(1)] * 20 + [people(6)] * 20)) == 2


def test_only_people_in_the_zone_count() -> None:
    outside = [person(number, 0.6 + 0.05 * number) for number in range(6)]
    assert play(crowd(zones=("left",)), [outside] * 40) == []
    assert [f.zone for f in play(crowd(zones=("left",)), [people(6)] * 40)] == ["left"]


# ---------------------------------------------------------------------- abandoned object


def abandoned(**changes: object) -> AbandonedObject:
    settings = AbandonedObjectSettings(alone_s=10.0, **changes)  # type: ignore[arg-type]
    return AbandonedObject(settings, [LEFT_HALF])


def bag(number: int = 7, x: float = 0.3) -> Track:
    return person(number, x, 0.6, label="backpack", size=0.02)


def test_a_bag_that_is_left_is_told_once_after_its_time() -> None:
    with_owner = [[bag(), person(1, 0.32)]] * 20
    left = [[bag(), person(1, 0.9)]] * 100
    rule = abandoned(needs_owner=True)
    found = play(rule, with_owner + left)
    assert [f.label for f in found] == ["backpack"]
    assert found[0].track == 7


def test_a_bag_whose_owner_stays_beside_it_is_not_told() -> None:
    assert play(abandoned(), [[bag(), person(1, 0.36)]] * 200) == []


def test_a_bag_hidden_by_passers_by_is_still_the_same_bag_under_a_new_number() -> None:
    frames = [[bag(7)]] * 30 + [[]] * 10 + [[bag(8)]] * 30
    assert len(play(abandoned(), frames)) == 1


def test_a_bag_that_is_carried_along_is_not_left() -> None:
    frames = [[bag(7, 0.1 + index * 0.004)] for index in range(200)]
    assert play(abandoned(), frames) == []


def test_a_thing_nobody_brought_is_told_only_where_no_owner_is_needed() -> None:
    assert len(play(abandoned(), [[bag()]] * 100)) == 1
    assert play(abandoned(needs_owner=True), [[bag()]] * 100) == []


def test_a_bag_left_again_after_it_was_fetched_is_told_again() -> None:
    alone, fetched = [[bag()]] * 60, [[bag(), person(1, 0.32)]] * 5
    assert len(play(abandoned(), alone + fetched + alone)) == 2


def test_ghost_boxes_that_are_hardly_ever_seen_are_not_a_bag() -> None:
    frames: list[list[Track]] = [[bag()] if index % 10 == 0 else [] for index in range(300)]
    assert play(abandoned(), frames) == []
