"""The Ultralytics detector on real weights. Runs where the ``ultralytics`` extra is installed; it needs torch."""

import os
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_node.detector import Detector
from camera_node.errors import ModelRefused
from camera_node.frame import Frame
from camera_node.ultralytics_detector import UltralyticsDetector

DATA_DIR = Path(os.environ.get("HEARD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PICKLED = DATA_DIR / "yolo11n_dequant.pt"
needs_ultralytics = pytest.mark.skipif(
    find_spec("ultralytics") is None, reason="the ultralytics extra is not installed"
)
needs_data = pytest.mark.skipif(not PICKLED.exists(), reason=f"no real weights in {DATA_DIR}")


@pytest.mark.data
@needs_ultralytics
@needs_data
@pytest.mark.filterwarnings("default")
def test_it_finds_the_people_and_the_bus_and_stays_offline() -> None:
    detector: Detector = UltralyticsDetector(PICKLED, name="yolo11n", least_confidence=0.25, threads=2)
    picture = np.asarray(cv2.imread(str(DATA_DIR / "bus.jpg")), dtype=np.uint8)
    found = detector.detect(
        Frame(pixels=picture, captured_monotonic_ms=1, captured_wall_ms=1, sequence=1, clip_time_ms=0)
    )
    labels = sorted(detection.label for detection in found)
    assert labels.count("person") == 4
    assert labels.count("bus") == 1
    assert os.environ["YOLO_OFFLINE"] == "1"
    assert os.environ["YOLO_AUTOINSTALL"] == "0"
    from ultralytics import settings

    assert settings["sync"] is False


def test_missing_weights_are_refused_before_ultralytics_hears_of_them(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="found no such file"):
        UltralyticsDetector(tmp_path / "yolo11n.pt", name="yolo11n", least_confidence=0.25, threads=1)
