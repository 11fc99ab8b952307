"""The whole way of a frame, on real footage with real weights, and on the demonstration scene."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from camera_node.capture import read_clip
from camera_node.crop_check import LOOK_ALIKES, DetectorCropCheck, Scales, Verdict
from camera_node.frame import Pixels
from camera_node.onnx_detector import OnnxDetector
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.rules.scene import Finding
from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
from camera_node.second_look import SecondLook
from camera_node.sight import Sight
from camera_node.zone import FractionBox, Zone
from models.demonstration import SCENE_FILE, WEIGHTS_FILE, load_truth
from tests.camera_node.test_detector import DATA


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
def test_real_footage_gives_zone_intrusions_and_not_one_for_every_frame() -> None:
    detector = OnnxDetector(
        (DATA / "yolo11n_int8_320.onnx").read_bytes(), name="yolo11n", least_confidence=0.25, threads=2
    )
    zone = Zone(name="path", polygon=((0.2, 0.4), (0.9, 0.4), (0.9, 0.9), (0.2, 0.9)))
    sight = Sight(detector, rules=[ZoneIntrusionSettings(zones=("path",))], zones=[zone])
    findings: list[Finding] = []
    frames = 0
    for frame in read_clip(DATA / "vtest_480x360.avi"):
        if frame.sequence % 2 == 0 and frame.sequence < 400:
            findings += sight.look(frame).findings
            frames += 1
    assert frames > 150
    assert 2 <= len(findings) <= 25
    assert all(finding.label == "person" and finding.zone == "path" for finding in findings)


class Counting:
    """A crop check by a net that knows many things and no firearm."""

    def __init__(self, weights: bytes) -> None:
        net = OnnxDetector(weights, name="second", least_confidence=0.2, threads=2)
        self._check = DetectorCropCheck(net, Scales(look_alikes=LOOK_ALIKES, least_confidence=0.35, margin=0.15))
        self.asked = 0

    def check(self, pixels: Pixels, box: FractionBox, labels: Sequence[str]) -> tuple[Verdict, str]:
        self.asked += 1
        return self._check.check(pixels, box, labels)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not (SCENE_FILE.is_file() and WEIGHTS_FILE.is_file()), reason="the demonstration is not built")
@pytest.mark.parametrize("second", [
    "", pytest.param("yolo11n_qdq_416.onnx", marks=[
        pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")]),
])  # fmt: skip
def test_every_armed_person_of_the_demonstration_is_alerted_once(second: str) -> None:
    """The demonstration ships no weights for a second stage; with others' it must not lose an alert."""
    truth = load_truth()
    detector = OnnxDetector(Path(WEIGHTS_FILE).read_bytes(), name="demo", least_confidence=0.25, threads=2)
    check = Counting((DATA / second).read_bytes()) if second else None
    sight = Sight(detector, rules=[ClassOfInterestSettings()], zones=[], second_look=SecondLook(check=check))
    alerted: list[int] = []
    false_alarms = 0
    for frame in read_clip(SCENE_FILE):
        if frame.sequence % 2:
            continue
        for _ in sight.look(frame).findings:
            index = round(frame.clip_time_ms * truth.frames_per_second / 1000)
            events = [e.track for e in truth.events if e.first_frame <= index <= e.last_frame]
            alerted += events
            false_alarms += not events
    assert len(set(alerted)) >= len(truth.events) * 0.8
    assert len(alerted) <= len(truth.events) * 1.5
    assert false_alarms <= 2
    assert check is None or check.asked >= len(truth.events), "each weapon is looked at twice"
