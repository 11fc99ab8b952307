"""Rules are pure: scenes in, findings out."""

import sys
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_node.rules.catalog import RuleSettings
from camera_node.rules.class_of_interest import ClassOfInterest, ClassOfInterestSettings
from camera_node.rules.confirmation import ConfirmationWindow
from camera_node.rules.hold_off import HoldOff
from camera_node.rules.loitering import Loitering, LoiteringSettings
from camera_node.rules.scene import Finding, Rule, Scene
from camera_node.rules.zone_intrusion import ZoneIntrusion, ZoneIntrusionSettings
from camera_node.tracker import Track
from camera_node.zone import Zone
from relay.precedence import Precedence


@pytest.mark.parametrize("settings", get_args(RuleSettings), ids=lambda settings: settings.__struct_config__.tag)
def test_every_rule_says_its_known_false_alarms_and_misses_at_the_head_of_its_file(settings: type) -> None:
    told = sys.modules[settings.__module__].__doc__ or ""
    assert "Known false alarms:" in told
    assert "Known miss" in told


YARD = Zone(name="yard", polygon=((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))


def track(
    number: int = 1, label: str = "handgun", *, score: float = 0.8, at: tuple[float, float] = (0.5, 0.6)
) -> Track:
    x, y = at[0] * 1000, at[1] * 1000
    return Track(number=number, label=label, confidence=score, bbox_xyxy_px=(x - 20, y - 20, x + 20, y + 20),
                 first_seen_ms=0, last_seen_ms=0, is_seen=score > 0, is_confirmed=True)  # fmt: skip


def play(rule: Rule, frames: Sequence[Sequence[Track]], *, step_ms: int = 200, start_ms: int = 0) -> list[Finding]:
    found: list[Finding] = []
    for index, tracks in enumerate(frames):
        scene = Scene(now_ms=start_ms + index * step_ms, width_px=1000, height_px=1000, tracks=tracks)
        found += rule.look(scene)
    return found


def weapons(**changes: object) -> ClassOfInterest:
    return ClassOfInterest(ClassOfInterestSettings(**changes), [YARD])  # type: ignore[arg-type]


def test_one_frame_is_no_alert_and_three_of_five_are_one() -> None:
    assert play(weapons(), [[track()]]) == []
    assert play(weapons(), [[track()], [track(score=0)], [track(score=0)], [track(score=0)], [track()]]) == []
    found = play(weapons(), [[track()], [track(score=0)], [track()], [track()]])
    assert [finding.precedence for finding in found] == [Precedence.FLASH]
    assert found[0].zone == "yard"


def test_low_scores_do_not_pass_the_median_gate() -> None:
    assert play(weapons(least_median=0.6), [[track(score=0.5)]] * 20) == []


def test_one_armed_person_is_one_alert_for_as_long_as_it_takes() -> None:
    assert len(play(weapons(), [[track()]] * 500)) == 1


def test_broken_tracks_in_one_place_are_one_alert() -> None:
    rule = weapons()
    frames: list[list[Track]] = []
    for number in range(1, 30):
        frames += [[track(number)]] * 5 + [[]] * 3
    assert len(play(rule, frames)) == 1


def test_two_armed_persons_are_two_alerts_even_side_by_side() -> None:
    both = [track(1, at=(0.5, 0.6)), track(2, at=(0.55, 0.6))]
    assert len(play(weapons(), [both] * 20)) == 2


def test_another_person_elsewhere_is_not_held_off() -> None:
    frames = [[track(1, at=(0.1, 0.6))]] * 6 + [[track(2, at=(0.9, 0.6))]] * 6
    assert len(play(weapons(), frames)) == 2


def test_severity_rise_breaks_out() -> None:
    rule = weapons(labels={"knife": "IMMEDIATE", "handgun": "FLASH"})
    found = play(rule, [[track(1, "knife")]] * 6 + [[track(1, "handgun")]] * 6)
    assert [finding.precedence for finding in found] == [Precedence.IMMEDIATE, Precedence.FLASH]


def test_same_place_is_alerted_again_after_the_hold_off() -> None:
    rule = weapons(hold_off_s=10)
    play(rule, [[track(1)]] * 6)
    assert play(rule, [[track(2)]] * 6, start_ms=5_000) == []
    assert len(play(rule, [[track(3)]] * 6, start_ms=60_000)) == 1


def test_weapon_stands_where_its_holder_stands() -> None:
    holder = Track(number=9, label="person", confidence=0.9, bbox_xyxy_px=(400, 300, 600, 800), first_seen_ms=0,
                   last_seen_ms=0, is_seen=True, is_confirmed=True)  # fmt: skip
    found = play(weapons(), [[track(at=(0.5, 0.4)), holder]] * 6)
    assert found[0].zone == "yard", "the weapon is above the zone, the feet of who holds it are within"


def test_zone_intrusion_counts_feet_and_not_heads() -> None:
    rule = ZoneIntrusion(ZoneIntrusionSettings(zones=("yard",)), [YARD])
    assert play(rule, [[track(1, "person", at=(0.5, 0.45))]] * 20) == []
    found = play(rule, [[track(1, "person", at=(0.5, 0.7))]] * 20)
    assert [(finding.zone, finding.precedence) for finding in found] == [("yard", Precedence.IMMEDIATE)]


def test_loitering_needs_the_whole_dwell_and_forgives_a_short_absence() -> None:
    rule = Loitering(LoiteringSettings(zones=("yard",), dwell_s=10, grace_s=2), [YARD])
    person = track(1, "person", at=(0.5, 0.7))
    assert play(rule, [[person]] * 45) == []
    assert play(rule, [[]] * 5, start_ms=9_000) == []
    assert len(play(rule, [[person]] * 20, start_ms=10_000)) == 1
    assert play(rule, [[person]] * 200, start_ms=14_000) == [], "a stay is told once"


@given(st.lists(st.floats(min_value=0, max_value=1), max_size=40), st.integers(1, 6), st.integers(0, 6))
def test_confirmation_never_comes_with_fewer_hits_than_asked(scores: list[float], hits: int, extra: int) -> None:
    window = ConfirmationWindow(hits=hits, window=hits + extra, least_score=0.4, least_median=0.4)
    for index, score in enumerate(scores):
        is_confirmed = window.add(score)
        recent = scores[max(0, index + 1 - hits - extra) : index + 1]
        if is_confirmed:
            assert sum(1 for kept in recent if kept >= 0.4) >= hits


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=60))
def test_hold_off_never_admits_a_seen_track_twice(steps: list[tuple[int, bool]]) -> None:
    memory = HoldOff(hold_off_s=1000)
    admitted: set[int] = set()
    for index, (number, is_near) in enumerate(steps):
        place = (0.1 * number, 0.5 if is_near else 0.52)
        for seen in admitted:
            memory.see("weapon", seen, (0.1 * seen, 0.5), index * 100)
        if not memory.holds("weapon", "handgun", number, place, Precedence.FLASH, index * 100):
            memory.remember("weapon", "handgun", number, place, Precedence.FLASH, index * 100)
            assert number not in admitted
            admitted.add(number)


@given(st.floats(0, 1), st.floats(0, 1))
def test_zone_of_the_whole_picture_holds_every_inner_point(x: float, y: float) -> None:
    square = Zone(name="all", polygon=((0, 0), (1, 0), (1, 1), (0, 1)))
    if 0 < x < 1 and 0 < y < 1:
        assert square.contains((x, y))


def test_a_weapon_is_told_again_after_an_outage_longer_than_the_hold_off() -> None:
    rule = weapons(hold_off_s=15)
    assert len(play(rule, [[track(1)]] * 6)) == 1
    assert len(play(rule, [[track(1)]] * 6, start_ms=3_600_000)) == 1, "even if its track goes on under the same number"
