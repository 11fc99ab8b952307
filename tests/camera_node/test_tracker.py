"""ByteTrack keeps numbers through crossings, occlusion and doubt."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_node.detector import Detection
from camera_node.rules.class_of_interest import kind_of
from camera_node.tracker import Tracker


def seen(label: str, x: float, y: float, *, score: float = 0.9, width: float = 40, height: float = 100) -> Detection:
    box = np.array([x, y, x + width, y + height], np.float32)
    return Detection(label=label, confidence=score, bbox_xyxy_px=box)


def test_number_is_kept_through_a_second_of_occlusion() -> None:
    tracker = Tracker()
    numbers: set[int] = set()
    for frame in range(40):
        is_hidden = 15 <= frame < 25
        detections = [] if is_hidden else [seen("person", 100 + frame * 6, 200)]
        tracks = tracker.update(detections, frame * 100)
        numbers |= {track.number for track in tracks if track.is_confirmed}
    assert numbers == {1}


def test_unsure_boxes_keep_a_track_but_never_begin_one() -> None:
    tracker = Tracker()
    assert tracker.update([seen("person", 100, 100, score=0.2)], 0) == []
    for frame in range(1, 4):
        tracker.update([seen("person", 100, 100)], frame * 100)
    for frame in range(4, 14):
        tracks = tracker.update([seen("person", 100, 100, score=0.2)], frame * 100)
        assert [(track.number, track.is_seen) for track in tracks] == [(1, True)]


def test_two_that_walk_side_by_side_keep_their_numbers() -> None:
    tracker = Tracker()
    for frame in range(30):
        tracks = tracker.update(
            [seen("person", 50 + frame * 5, 100), seen("person", 120 + frame * 5, 100)], frame * 100
        )
    left, right = sorted(tracks, key=lambda track: track.bbox_xyxy_px[0])
    assert (left.number, right.number) == (1, 2)


def test_handgun_never_becomes_its_holder_but_may_turn_out_a_rifle() -> None:
    tracker = Tracker(kind_of=kind_of)
    for frame in range(5):
        label = "handgun" if frame < 2 else "rifle"
        both = [seen("person", 100, 100), seen(label, 105, 110, width=30, height=80)]
        tracks = tracker.update(both, frame * 100)
    assert sorted((track.number, track.label) for track in tracks) == [(1, "person"), (2, "rifle")]


def test_buffer_is_time_and_not_frames() -> None:
    tracker = Tracker()
    for frame in range(3):
        tracker.update([seen("person", 100, 100)], frame * 100)
    assert tracker.update([], 2_000) != [], "lost for 1.8 s: still remembered after one frame or twenty"
    assert tracker.update([], 6_000) == []


def test_who_left_the_picture_is_not_who_comes_in() -> None:
    tracker = Tracker()
    for frame in range(12):
        tracker.update([seen("person", 480 + frame * 12, 100)], frame * 100, frame_size_px=(640, 480))
    for frame in range(12, 20):
        tracker.update([], frame * 100, frame_size_px=(640, 480))
    for frame in range(20, 24):
        tracks = tracker.update([seen("person", 600, 100)], frame * 100, frame_size_px=(640, 480))
    assert [track.number for track in tracks if track.is_seen] == [2]


box_strategy = st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(2, 200), st.floats(2, 200), st.floats(0.1, 1))


@settings(max_examples=40)
@given(st.lists(st.lists(box_strategy, max_size=6), max_size=15))
def test_numbers_are_unique_and_boxes_finite_whatever_comes(
    frames: list[list[tuple[float, float, float, float, float]]],
) -> None:
    tracker = Tracker()
    for index, boxes in enumerate(frames):
        detections = [seen("person", x, y, width=w, height=h, score=score) for x, y, w, h, score in boxes]
        tracks = tracker.update(detections, index * 150)
        assert len({track.number for track in tracks}) == len(tracks)
        assert all(np.isfinite(track.bbox_xyxy_px).all() for track in tracks)
        assert sum(track.is_seen for track in tracks) <= len(detections)


def test_whoever_stands_there_after_an_outage_of_the_camera_is_somebody_else() -> None:
    """No frame comes while a camera is away, so nothing is forgotten meanwhile."""
    tracker = Tracker()
    for frame in range(5):
        tracker.update([seen("person", 100, 100)], frame * 100)
    for frame in range(5):
        tracks = tracker.update([seen("person", 100, 100)], 3_600_000 + frame * 100)
    assert [track.number for track in tracks] == [2]
