"""Before and after an alert: the crop check, learned suppressions, contradiction by later frames."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_node import crop_check, suppression
from camera_node.contradiction import Contradiction, Contradictions
from camera_node.crop_check import ClassifierCropCheck, DetectorCropCheck, Scales, Verdict
from camera_node.detector import Detection
from camera_node.detector_catalog import load_crop_check
from camera_node.errors import ModelRefused
from camera_node.frame import Frame, Pixels
from camera_node.messages import ModelOrder, SecondStageOrder
from camera_node.onnx_classifier import OnnxClassifier
from camera_node.onnx_detector import OnnxDetector
from camera_node.rules.class_of_interest import ClassOfInterest, ClassOfInterestSettings
from camera_node.rules.scene import Finding, Scene
from camera_node.second_look import SecondLook
from camera_node.sight import Sight
from camera_node.suppression import Suppression, Suppressions
from camera_node.zone import FractionBox
from relay.kinds.alert import Rule as RuleCode
from relay.kinds.retraction import Ground
from relay.precedence import Precedence
from tests.camera_node.test_detector import DATA
from tests.camera_node.test_rules import track
from tests.camera_node.tiny_onnx import always_sees, constant_detector

WEAPONS = ("handgun", "rifle")
BOX: FractionBox = (0.4, 0.4, 0.5, 0.5)
SCALES = Scales(look_alikes=("cell phone", "umbrella"), least_confidence=0.35, margin=0.15)


def picture(seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 255, (200, 300, 3), np.uint8)


def finding(box: FractionBox = BOX, *, number: int = 1, label: str = "handgun") -> Finding:
    return Finding(rule=RuleCode.CLASS_OF_INTEREST, label=label, zone="", precedence=Precedence.FLASH, confidence=0.8,
                   box_xyxy=box, track=number)  # fmt: skip


def seen(now_ms: int, pixels: Pixels | None = None, *, number: int = 1) -> Scene:
    return Scene(now_ms=now_ms, width_px=300, height_px=200, tracks=[track(number)],
                 pixels=picture() if pixels is None else pixels)  # fmt: skip


class Says:
    """A crop check with a script."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.asked = 0

    def check(self, pixels: Pixels, box: FractionBox, labels: Sequence[str]) -> tuple[Verdict, str]:
        self.asked += 1
        return self.verdicts[min(self.asked, len(self.verdicts)) - 1], ""


# ---------------------------------------------------------------------- weighing


@pytest.mark.parametrize(("scores", "verdict"), [
    ({"handgun": 0.8}, Verdict.CONFIRMED),
    ({"rifle": 0.5, "cell phone": 0.4}, Verdict.CONFIRMED),
    ({"cell phone": 0.8, "handgun": 0.3}, Verdict.LOOK_ALIKE),
    ({"cell phone": 0.5, "handgun": 0.45}, Verdict.CONFIRMED),
    ({"dog": 0.9}, Verdict.UNSURE),
    ({"cell phone": 0.2}, Verdict.UNSURE),
    ({}, Verdict.UNSURE),
])  # fmt: skip
def test_only_a_look_alike_that_clearly_beats_the_weapon_counts(scores: dict[str, float], verdict: Verdict) -> None:
    assert SCALES.weigh(scores, WEAPONS)[0] is verdict


def test_crops_lie_within_the_frame_and_small_ones_are_enlarged() -> None:
    for box in (BOX, (0.0, 0.0, 0.02, 0.02), (0.98, 0.98, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)):
        crop, inner = crop_check.cut(picture(), box)
        assert max(crop.shape[:2]) >= 160
        assert -1 <= inner[0] <= inner[2] <= crop.shape[1] + 1
        assert -1 <= inner[1] <= inner[3] <= crop.shape[0] + 1


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
def test_a_real_detector_confirms_a_person_in_a_crop_and_calls_a_tie_no_bus() -> None:
    pixels = np.asarray(cv2.imread(str(DATA / "zidane.jpg")), np.uint8)
    detector = OnnxDetector((DATA / "yolo11n_int8_320.onnx").read_bytes(), name="yolo", least_confidence=0.2, threads=2)
    person = max(detector.detect(Frame(pixels=pixels, captured_monotonic_ms=0, captured_wall_ms=0, sequence=0,
                                       clip_time_ms=0)), key=lambda d: d.confidence)  # fmt: skip
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = (float(edge) for edge in person.bbox_xyxy_px)
    box = (x1 / width, y1 / height, x2 / width, y2 / height)
    check = DetectorCropCheck(detector, Scales(look_alikes=("person",), least_confidence=0.35, margin=0.15))
    assert check.check(pixels, box, ("person",))[0] is Verdict.CONFIRMED
    assert check.check(pixels, box, ("bus",)) == (Verdict.LOOK_ALIKE, "person")


def classifier(
    shares: list[float], *, names: tuple[str, ...] = ("handgun", "cell phone"), task: str = "classify"
) -> bytes:
    metadata = {"names": repr(dict(enumerate(names))), "task": task, "imgsz": "[64, 64]"}
    return constant_detector(np.array([shares], np.float32), metadata=metadata)


def test_a_classifier_is_a_second_stage_too() -> None:
    net = OnnxClassifier(classifier([0.1, 0.9]), name="tiny", threads=1)
    assert net.classify(picture())["cell phone"] == pytest.approx(0.9, abs=1e-4)
    assert ClassifierCropCheck(net, SCALES).check(picture(), BOX, WEAPONS) == (Verdict.LOOK_ALIKE, "cell phone")
    logits = OnnxClassifier(classifier([-2.0, 3.0]), name="tiny", threads=1).classify(picture())
    assert sum(logits.values()) == pytest.approx(1.0)


def test_a_classifier_without_names_for_its_classes_is_refused_with_the_setting_named() -> None:
    with pytest.raises(ModelRefused, match="second_stage"):
        OnnxClassifier(classifier([0.1, 0.2, 0.7]), name="tiny", threads=1)


def test_the_order_decides_what_the_second_stage_is(tmp_path: Path) -> None:
    first = OnnxDetector(always_sees("handgun"), name="first", least_confidence=0.2, threads=1)
    plain = SecondStageOrder(model=None, look_alikes=("cell phone",), least_confidence=0.3, margin=0.1)
    assert load_crop_check(None, first) is None
    assert isinstance(load_crop_check(plain, first), DetectorCropCheck)
    for data, kind in ((always_sees("cell phone"), DetectorCropCheck), (classifier([0.5, 0.5]), ClassifierCropCheck)):
        weights_file = tmp_path / f"{kind.__name__}.onnx"
        weights_file.write_bytes(data)
        order = ModelOrder(name="second", weights_file=str(weights_file), sha256=_sha256(data), detector="onnx",
                           least_confidence=0.2, threads=1, labels=())  # fmt: skip
        wanted = SecondStageOrder(model=order, look_alikes=("cell phone",), least_confidence=0.3, margin=0.1)
        assert isinstance(load_crop_check(wanted, first), kind)


def _sha256(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest()


# ---------------------------------------------------------------------- before the alert


def play(gate: SecondLook, frames: int = 40) -> list[tuple[int, Finding]]:
    rule = ClassOfInterest(ClassOfInterestSettings(), [], gate)
    return [(n, found) for n in range(frames) for found in rule.look(seen(n * 100))]


def test_a_look_alike_stops_the_alert_and_is_counted_once() -> None:
    gate = SecondLook(check=(check := Says(Verdict.LOOK_ALIKE)))
    assert play(gate) == []
    assert gate.stopped["look_alike"] == 1
    assert 5 <= check.asked <= 9, "twice a second, not on every frame"


def test_one_misleading_crop_does_not_hide_a_weapon() -> None:
    told = play(SecondLook(check=Says(Verdict.LOOK_ALIKE, Verdict.CONFIRMED)))
    assert len(told) == 1
    assert told[0][0] <= 10


def test_a_crop_that_says_nothing_stops_nothing() -> None:
    assert [n for n, _ in play(SecondLook(check=Says(Verdict.UNSURE)))] == [2]


# ---------------------------------------------------------------------- learned suppressions


def suppressing(pixels: Pixels, box: FractionBox = BOX, label: str = "handgun") -> Suppressions:
    look = suppression.look_of(pixels, box)
    return Suppressions([Suppression(id="poster", label=label, box_xyxy=box, look=look)])


def test_the_same_thing_at_the_same_place_is_not_told_again_and_is_counted() -> None:
    known = suppressing(picture())
    gate = SecondLook(suppressions=known)
    dimmed = np.asarray(picture() * 0.6 + 20, np.uint8)
    assert not gate.admits(finding(), seen(0))
    assert not gate.admits(finding((0.41, 0.4, 0.51, 0.5)), seen(100, dimmed))
    assert known.held_back == {"poster": 2}
    assert gate.stopped["suppressed"] == 1


@pytest.mark.parametrize("other", [
    finding((0.6, 0.4, 0.7, 0.5)), finding(label="rifle"), finding((0.3, 0.3, 0.6, 0.6)),
])  # fmt: skip
def test_another_place_label_or_size_is_told(other: Finding) -> None:
    assert SecondLook(suppressions=suppressing(picture())).admits(other, seen(0))


def test_something_else_at_the_same_place_is_told() -> None:
    assert SecondLook(suppressions=suppressing(picture(1))).admits(finding(), seen(0, picture(2)))


def test_a_flat_look_suppresses_nothing() -> None:
    wall = np.full((200, 300, 3), 90, np.uint8)
    assert SecondLook(suppressions=suppressing(wall)).admits(finding(), seen(0, wall))


def test_what_was_suppressed_is_told_once_the_suppression_ends() -> None:
    known = suppressing(picture())
    rule = ClassOfInterest(ClassOfInterestSettings(), [], SecondLook(suppressions=known))
    box = Scene(now_ms=0, width_px=300, height_px=200, tracks=[]).box(track(at=(0.12, 0.1)))
    known.replace([Suppression(id="poster", label="handgun", box_xyxy=box, look=suppression.look_of(picture(), box))])
    still = [Scene(now_ms=n * 100, width_px=300, height_px=200, tracks=[track(at=(0.12, 0.1))], pixels=picture())
             for n in range(20)]  # fmt: skip
    assert [f for scene in still[:10] for f in rule.look(scene)] == []
    known.replace([])
    assert len([f for scene in still[10:] for f in rule.look(scene)]) == 1


# ---------------------------------------------------------------------- after the alert


def there(label: str, confidence: float = 0.7) -> Detection:
    return Detection(label=label, confidence=confidence, bbox_xyxy_px=np.array([118, 78, 152, 102], np.float32))


def follow(
    contradictions: Contradictions, frames: Sequence[Sequence[Detection]], *, step_ms: int = 100
) -> list[Contradiction]:
    contradictions.told(1, finding(), 0)
    found: list[Contradiction] = []
    for number, detections in enumerate(frames, start=1):
        scene = Scene(now_ms=number * step_ms, width_px=300, height_px=200, tracks=[], pixels=picture())
        found += contradictions.look(detections, scene)
    return found


def test_frames_that_steadily_show_a_phone_take_the_alert_back_once() -> None:
    found = follow(Contradictions(SecondLook()), [[there("cell phone")]] * 40)
    assert [(c.number, c.ground) for c in found] == [(1, Ground.CONTRADICTED)]
    assert "cell phone on 9 of 9" in found[0].note


@pytest.mark.parametrize("later", [
    [[there("cell phone")], [there("handgun")]] * 20,  # it wavers
    [[]] * 200,  # out of sight is no ground
    [[there("person")]] * 40,  # a person is no look-alike
    [[Detection(label="cell phone", confidence=0.9, bbox_xyxy_px=np.array([0, 0, 30, 20], np.float32))]] * 40,  # elsewhere
])  # fmt: skip
def test_what_does_not_contradict_takes_nothing_back(later: list[list[Detection]]) -> None:
    assert follow(Contradictions(SecondLook()), later) == []


def test_nothing_is_taken_back_later_than_its_time() -> None:
    assert follow(Contradictions(SecondLook()), [[]] * 210 + [[there("cell phone")]] * 40) == []


def test_the_second_stage_takes_back_after_three_closer_looks_and_never_once_it_confirmed() -> None:
    def played(*verdicts: Verdict) -> list[Contradiction]:
        contradictions = Contradictions(SecondLook(check=Says(*verdicts)))
        contradictions.told(4, finding(), 0)
        return [c for n in range(1, 60) for c in contradictions.look([], seen(n * 100))]

    assert [(c.number, c.ground) for c in played(Verdict.LOOK_ALIKE)] == [(4, Ground.SECOND_STAGE)]
    assert played(Verdict.CONFIRMED, Verdict.LOOK_ALIKE) == []
    assert played(Verdict.LOOK_ALIKE, Verdict.UNSURE) == []


class Script:
    """A detector that reads its answers from a list."""

    labels = ("handgun", "cell phone")
    provider = "CPU"

    def __init__(self, frames: Sequence[str]) -> None:
        self._frames = list(frames)

    def detect(self, frame: Frame) -> list[Detection]:
        label = self._frames[frame.sequence]
        return [there(label, 0.8)] if label else []

    def close(self) -> None:
        pass


def test_what_was_taken_back_and_is_found_again_is_told_again() -> None:
    """The whole way through Sight: a handgun, then clearly a phone, then a handgun after all."""
    script = ["handgun"] * 6 + ["cell phone"] * 30 + ["handgun"] * 30
    sight = Sight(Script(script), rules=[ClassOfInterestSettings(hold_off_s=600)], zones=[])
    told, taken_back = list[int](), list[int]()
    for number in range(len(script)):
        frame = Frame(
            pixels=picture(), captured_monotonic_ms=number * 100, captured_wall_ms=0, sequence=number, clip_time_ms=0
        )
        look = sight.look(frame)
        told += [number] * len(look.findings)
        taken_back += [c.number for c in look.contradictions]
    assert taken_back == [1]
    assert len(told) == 2
    assert told[0] < 6
    assert told[1] >= 36
