"""The whole picture: motion, switches of the light, tampering. Real footage where it is there, drawn scenes elsewhere."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from camera_node.capture import read_clip
from camera_node.detector import Detection
from camera_node.frame import Frame, Pixels
from camera_node.motion_gate import MotionGate, MotionGateSettings
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.rules.scene import Finding, Scene
from camera_node.rules.tamper import Tamper, TamperSettings
from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
from camera_node.sight import Sight
from camera_node.view import View, ViewFacts
from camera_node.zone import Zone
from tests.camera_node.test_detector import DATA

STEP_MS = 200


def scene(seed: int = 1) -> Pixels:
    """A street: blocks of color with edges, the same for the same seed."""
    draw = np.random.default_rng(seed)
    picture = np.full((360, 640, 3), 110, np.uint8)
    for _ in range(60):
        x, y = int(draw.integers(0, 600)), int(draw.integers(0, 330))
        color = tuple(int(part) for part in draw.integers(20, 230, 3))
        cv2.rectangle(picture, (x, y), (x + int(draw.integers(10, 90)), y + int(draw.integers(10, 60))), color, -1)
    return picture


def live(picture: Pixels, seed: int) -> Pixels:
    """The same as a sensor gives it: with noise."""
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def facts_of(pictures: Iterator[Pixels] | list[Pixels], view: View | None = None, start: int = 0) -> list[ViewFacts]:
    view = view or View()
    return [view.measure(live(p, n), (start + n) * STEP_MS) for n, p in enumerate(pictures)]


def tampering(pictures: list[Pixels], *, learn: int = 80) -> list[Finding]:
    rule, view = Tamper(TamperSettings(after_s=2.0, usual_again_s=2.0), []), View()
    found: list[Finding] = []
    for number, picture in enumerate([scene()] * learn + pictures):
        now_ms = number * STEP_MS
        facts = view.measure(live(picture, number), now_ms)
        found += rule.look(Scene(now_ms=now_ms, width_px=640, height_px=360, tracks=[], view=facts))
    return found


def covered() -> Pixels:
    return np.full((360, 640, 3), 60, np.uint8)


def darker() -> Pixels:
    return np.asarray(scene() * 0.4, np.uint8)


def gray() -> Pixels:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


@pytest.mark.parametrize(("done", "label"), [
    (covered, "covered"), (lambda: scene(seed=2), "moved"), (lambda: np.full((360, 640, 3), 253, np.uint8), "blinded"),
])  # fmt: skip
def test_what_is_done_to_a_camera_is_told_once(done: Callable[[], Pixels], label: str) -> None:
    assert [f.label for f in tampering([done()] * 60)] == [label]


@pytest.mark.parametrize("lit", [darker, gray])
def test_dusk_and_the_infrared_filter_are_no_tampering(lit: Callable[[], Pixels]) -> None:
    assert tampering([lit()] * 60) == []


def test_a_lorry_that_passes_is_no_tampering_and_a_second_cover_is_told_again() -> None:
    assert tampering([covered()] * 6 + [scene()] * 30) == []
    assert [f.label for f in tampering([covered()] * 20 + [scene()] * 30 + [covered()] * 20)] == ["covered"] * 2


def test_a_camera_that_was_just_switched_on_is_not_judged() -> None:
    assert tampering([covered()] * 20, learn=10) == []


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
def test_walking_people_are_no_tampering_on_real_footage_and_do_not_settle_the_picture() -> None:
    rule, view = Tamper(TamperSettings(), []), View()
    settling, motion, found = 0, [], []
    for frame in read_clip(DATA / "vtest_480x360.avi"):
        facts = view.measure(frame.pixels, frame.captured_monotonic_ms)
        settling += facts.is_settling
        motion.append(facts.motion)
        found += rule.look(
            Scene(now_ms=frame.captured_monotonic_ms, width_px=480, height_px=360, tracks=[], view=facts)
        )
    assert found == []
    assert settling == 0
    assert np.mean([m > 0 for m in motion[1:]]) > 0.5, "people walk there all the time"


# ---------------------------------------------------------------------- motion


def with_person(x: int) -> Pixels:
    picture = scene().copy()
    cv2.rectangle(picture, (x, 150), (x + 20, 210), (10, 10, 240), -1)
    return picture


def test_noise_is_no_motion_and_a_person_who_comes_in_is() -> None:
    still = facts_of([scene()] * 20)
    assert max(facts.motion for facts in still[1:]) == 0.0
    moving = facts_of([with_person(40 + 12 * n) for n in range(10)])
    assert min(facts.motion for facts in moving[1:]) > 0


def test_the_gate_skips_a_still_scene_and_never_a_moving_or_followed_one() -> None:
    gate, view = MotionGate(MotionGateSettings(at_least_every_s=1.0, for_s=0.0)), View()
    opened = [
        gate.opens(view.measure(live(scene(), n), n * STEP_MS), n * STEP_MS, is_following=False) for n in range(51)
    ]
    assert 10 <= sum(opened) <= 12, "one look a second, whatever happens"
    assert gate.skipped == 51 - sum(opened)
    moving = [gate.opens(view.measure(live(with_person(40 + 12 * n), n), (60 + n) * STEP_MS), (60 + n) * STEP_MS,
                         is_following=False) for n in range(10)]  # fmt: skip
    assert all(moving)
    assert all(gate.opens(view.measure(live(scene(), n), (90 + n) * STEP_MS), (90 + n) * STEP_MS, is_following=True)
               for n in range(20))  # fmt: skip


# ---------------------------------------------------------------------- the light switches


class Hallucinator:
    """Sees a person and a handgun on every frame."""

    labels = ("person", "handgun")
    provider = "CPU"

    def detect(self, frame: Frame) -> list[Detection]:
        box = np.array([100, 100, 160, 260], np.float32)
        return [Detection(label="person", confidence=0.8, bbox_xyxy_px=box),
                Detection(label="handgun", confidence=0.8, bbox_xyxy_px=box + 200)]  # fmt: skip

    def close(self) -> None:
        pass


def test_a_switch_to_infrared_holds_people_off_for_a_moment_and_weapons_never() -> None:
    zone = Zone(name="all", polygon=((0, 0), (1, 0), (1, 1), (0, 1)))
    sight = Sight(
        Hallucinator(), rules=[ZoneIntrusionSettings(zones=("all",)), ClassOfInterestSettings()], zones=[zone]
    )
    sight._detector.detect = lambda frame: []  # type: ignore[method-assign]
    for number in range(20):
        sight.look(_frame(scene(), number))
    del sight._detector.detect
    found: list[tuple[int, str]] = []
    for number in range(20, 50):
        found += [(number, finding.label) for finding in sight.look(_frame(gray(), number)).findings]
    assert sight.held_off > 0, "the switch was noticed"
    weapon, person = (
        next(n for n, label in found if label == "handgun"),
        next(n for n, label in found if label == "person"),
    )
    assert weapon < 20 + 10 <= person + 1
    assert len(found) == 2


def _frame(picture: Pixels, number: int) -> Frame:
    return Frame(pixels=live(picture, number), captured_monotonic_ms=number * STEP_MS, captured_wall_ms=number * STEP_MS,
                 sequence=number, clip_time_ms=0)  # fmt: skip
