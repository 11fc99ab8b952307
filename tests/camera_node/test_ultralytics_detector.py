"""The Ultralytics detector on real weights. Runs where the ``ultralytics`` extra is installed; it needs torch.

What it does before Ultralytics hears of a file is tested everywhere, with a stand-in for the package.
"""

import os
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from nacl.signing import SigningKey

from camera_node.config import ModelConfig
from camera_node.detector import Detector
from camera_node.detector_catalog import load
from camera_node.errors import ModelRefused
from camera_node.frame import Frame
from camera_node.ultralytics_detector import UltralyticsDetector
from camera_node.weights import choose
from tests.camera_node.test_weights import order, pack, trust

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


@pytest.mark.data
@needs_ultralytics
@needs_data
@pytest.mark.filterwarnings("default")
def test_a_checkpoint_in_a_signed_bundle_is_opened_by_the_configuration_alone(tmp_path: Path) -> None:
    key = SigningKey.generate()
    bundle_file = pack(tmp_path, key, name="yolo11n.pt", content=PICKLED.read_bytes(), labels=("person", "bus"))
    config = ModelConfig(bundle_file=bundle_file, signers_file=trust(tmp_path, key), detector="ultralytics")
    detector = load(order(choose(config, state_dir=tmp_path / "state"), "ultralytics"))
    assert detector.provider.startswith("Ultralytics ")
    assert {"person", "bus"} < set(detector.labels), "a checkpoint's own names"
    picture = np.asarray(cv2.imread(str(DATA_DIR / "zidane.jpg")), dtype=np.uint8)
    frame = Frame(pixels=picture, captured_monotonic_ms=1, captured_wall_ms=1, sequence=1, clip_time_ms=0)
    assert [found.label for found in detector.detect(frame)].count("person") == 2


@needs_ultralytics
@pytest.mark.filterwarnings("default")
def test_an_engine_that_this_machine_cannot_run_is_one_clear_error_and_nothing_is_installed(tmp_path: Path) -> None:
    key = SigningKey.generate()
    bundle_file = pack(tmp_path, key, name="board.engine", content=b"\x02\x00\x00\x00{}no engine")
    config = ModelConfig(bundle_file=bundle_file, signers_file=trust(tmp_path, key), detector="ultralytics")
    weights = choose(config, state_dir=tmp_path / "state")
    blank = Frame(pixels=np.zeros((64, 64, 3), np.uint8), captured_monotonic_ms=1, captured_wall_ms=1, sequence=1,
                  clip_time_ms=0)  # fmt: skip
    with pytest.raises(ModelRefused, match=r"tiny 1\.0: Ultralytics can't"):
        load(order(weights, "ultralytics")).detect(blank)
    assert find_spec("tensorrt") is None


class _StandIn(types.ModuleType):
    """What Ultralytics is asked to do."""

    def __init__(self) -> None:
        super().__init__("ultralytics")
        self.opened: list[tuple[str, dict[str, str]]] = []
        self.settings = dict[str, object]()
        self.YOLO = self._open

    def _open(self, weights: str, *, task: str, verbose: bool) -> object:
        guards = {name: os.environ[name] for name in ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "ULTRALYTICS_SAFE_LOAD",
                                                      "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS")}  # fmt: skip
        self.opened.append((weights, guards))
        assert self.settings == {"sync": False}, "no usage events, before any weights are opened"
        assert Path(os.environ["YOLO_CONFIG_DIR"]).is_dir()
        return types.SimpleNamespace(names={0: "handgun"}, device="cuda:0")


def test_an_engine_in_a_signed_bundle_reaches_ultralytics_by_its_own_name_with_every_guard_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_CONFIG_DIR", "ULTRALYTICS_SAFE_LOAD", "OMP_NUM_THREADS",
                 "YOLO_VERBOSE", "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS"):  # fmt: skip
        monkeypatch.setenv(name, "")  # given back afterwards
    monkeypatch.setitem(sys.modules, "ultralytics", package := _StandIn())
    monkeypatch.setattr("camera_node.ultralytics_detector._ensure_torchvision", lambda: None)
    key = SigningKey.generate()
    bundle_file = pack(tmp_path, key, name="board.engine", content=b"\x10\x00\x00\x00engine")
    config = ModelConfig(bundle_file=bundle_file, signers_file=trust(tmp_path, key), detector="ultralytics")
    detector = load(order(choose(config, state_dir=tmp_path / "state"), "ultralytics"))
    ((opened, guards),) = package.opened
    assert opened.endswith("/board.engine"), "the ending tells it which of its backends to take"
    assert set(guards.values()) == {"1", "0"}
    assert guards["YOLO_AUTOINSTALL"] == "0"
    assert (list(detector.labels), detector.provider) == (["handgun"], "Ultralytics cuda:0")


def test_missing_weights_are_refused_before_ultralytics_hears_of_them(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="found no such file"):
        UltralyticsDetector(tmp_path / "yolo11n.pt", name="yolo11n", least_confidence=0.25, threads=1)
