"""The second stage with two real nets on real pictures: the first calls umbrellas handguns, the second knows better."""

import itertools

import pytest

from camera_node.coco import COCO_LABELS
from camera_node.crop_check import LOOK_ALIKES, DetectorCropCheck, Scales
from camera_node.detector import Detection
from camera_node.frame import Frame
from camera_node.onnx_detector import OnnxDetector
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.second_look import SecondLook
from camera_node.sight import Sight
from tests.benchmarks.labeled_shows import DATA, SWAY_FRAMES, pictures, shown

MISTAKEN = tuple("handgun" if label == "umbrella" else label for label in COCO_LABELS)
SCALES = Scales(look_alikes=LOOK_ALIKES, least_confidence=0.35, margin=0.15)


class Given:
    """Boxes that were found before."""

    labels = MISTAKEN
    provider = "given"

    def __init__(self, found: list[list[Detection]]) -> None:
        self._found = iter(found)

    def detect(self, frame: Frame) -> list[Detection]:
        return next(self._found)

    def close(self) -> None:
        pass


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
def test_a_first_stage_that_mistakes_umbrellas_is_put_right_and_no_knife_is_lost() -> None:
    first = OnnxDetector((DATA / "yolo11n_qdq_416.onnx").read_bytes(), name="first", least_confidence=0.25, threads=2,
                         labels=MISTAKEN)  # fmt: skip
    second = OnnxDetector((DATA / "yolo26n_int8_640.onnx").read_bytes(), name="second", least_confidence=0.2, threads=2)
    told: dict[str, list[str]] = {"alone": [], "looked at twice": []}
    stopped = 0
    for picture in pictures():
        if not {"umbrella", "knife"} & {thing.label for thing in picture.things}:
            continue
        frames = list(itertools.islice(shown(picture), SWAY_FRAMES))
        found = [first.detect(frame) for frame in frames]
        for way, check in (("alone", None), ("looked at twice", DetectorCropCheck(second, SCALES))):
            sight = Sight(
                Given(found), rules=[ClassOfInterestSettings()], zones=[], second_look=SecondLook(check=check)
            )
            told[way] += [finding.label for frame in frames for finding in sight.look(frame).findings]
            stopped += sight.second_look.stopped["look_alike"]
    assert told["alone"].count("handgun") >= 2, "the false alarms are there"
    assert told["alone"].count("knife") >= 2, (
        "there is something to lose; eight-bit nets round as the processor does: 2 or 3"
    )
    assert told["looked at twice"] == ["knife"] * told["alone"].count("knife")
    assert stopped == told["alone"].count("handgun"), "each is counted where it was stopped"
