"""Precision, recall and overlap are counted as the papers count them."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.evaluation import (
    BboxXyxyPx,
    Detection,
    Quality,
    ScoredFrame,
    Span,
    TrueBox,
    noticed_events,
    overlap,
    score_label,
)

BOX: BboxXyxyPx = (0.0, 0.0, 10.0, 10.0)
sides = some.floats(min_value=0, max_value=1000, allow_nan=False)
boxes = some.tuples(sides, sides, sides, sides)


def drawn(box: BboxXyxyPx, score: float = 0.9, label: str = "handgun") -> Detection:
    return Detection(label=label, score=score, bbox_xyxy_px=box)


def real(box: BboxXyxyPx, label: str = "handgun") -> TrueBox:
    return TrueBox(label=label, bbox_xyxy_px=box)


def score(*frames: ScoredFrame, least_score: float = 0.5) -> Quality:
    return score_label(frames, "handgun", least_score=least_score, least_overlap=0.5)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (BOX, 1.0),
        ((5.0, 0.0, 15.0, 10.0), 50 / 150),
        ((0.0, 0.0, 5.0, 10.0), 0.5),
        ((10.0, 0.0, 20.0, 10.0), 0.0),
        ((20.0, 20.0, 30.0, 30.0), 0.0),
        ((5.0, 5.0, 5.0, 5.0), 0.0),
    ],
)
def test_overlap_is_intersection_over_union(other: BboxXyxyPx, expected: float) -> None:
    assert overlap(BOX, other) == pytest.approx(expected)


@given(boxes, boxes)
def test_overlap_is_a_share_and_symmetric(one: BboxXyxyPx, other: BboxXyxyPx) -> None:
    assert 0.0 <= overlap(one, other) <= 1.0 + 1e-9
    assert overlap(one, other) == overlap(other, one)


def test_two_detections_of_one_thing_are_one_find_and_one_false_alarm() -> None:
    frame = ScoredFrame(detections=(drawn(BOX, 0.6), drawn(BOX, 0.9)), truth=(real(BOX),))
    assert score(frame) == Quality(found=1, missed=0, false_alarms=1)


def test_the_most_confident_detection_is_matched_first() -> None:
    shifted: BboxXyxyPx = (2.0, 0.0, 12.0, 10.0)
    frame = ScoredFrame(detections=(drawn(BOX, 0.6), drawn(shifted, 0.9)), truth=(real(BOX), real(shifted)))
    assert score(frame) == Quality(found=2, missed=0, false_alarms=0)


def test_wrong_label_weak_score_and_small_overlap_find_nothing() -> None:
    away: BboxXyxyPx = (6.0, 0.0, 16.0, 10.0)
    frames = (
        ScoredFrame(detections=(drawn(BOX, label="person"),), truth=(real(BOX),)),
        ScoredFrame(detections=(drawn(BOX, score=0.4),), truth=(real(BOX),)),
        ScoredFrame(detections=(drawn(away),), truth=(real(BOX),)),
    )
    assert score(*frames) == Quality(found=0, missed=3, false_alarms=1)


def test_truth_of_one_frame_is_not_found_in_another() -> None:
    frames = (
        ScoredFrame(detections=(drawn(BOX),), truth=()),
        ScoredFrame(detections=(), truth=(real(BOX),)),
    )
    assert score(*frames) == Quality(found=0, missed=1, false_alarms=1)


def test_shares_are_counted_from_the_counts() -> None:
    quality = Quality(found=6, missed=2, false_alarms=4)
    assert quality.precision == pytest.approx(0.6)
    assert quality.recall == pytest.approx(0.75)
    nothing = Quality(found=0, missed=0, false_alarms=0)
    assert (nothing.precision, nothing.recall) == (1.0, 1.0)


def test_event_is_noticed_by_one_alarm_inside_it() -> None:
    events = (Span(first_frame=10, last_frame=20), Span(first_frame=30, last_frame=40))
    assert noticed_events(events, [20, 25, 41]) == 1
    assert noticed_events(events, [10, 40]) == 2
    assert noticed_events(events, [10, 40], within=5) == 1
    assert noticed_events(events, [14, 34], within=5) == 2
    assert noticed_events(events, [15, 35], within=5) == 0
