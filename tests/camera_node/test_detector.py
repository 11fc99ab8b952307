"""Heads, letterbox and weights: with nets that answer what the test wants, and with real ones where they are."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_node.config import ModelConfig
from camera_node.detector_catalog import read_weights
from camera_node.errors import ModelRefused
from camera_node.frame import Frame, Pixels
from camera_node.letterbox import letterbox
from camera_node.onnx_detector import OnnxDetector
from camera_node.weights import choose
from camera_node.yolo_head import Boxes, Floats, Head, cells, decode, suppress
from tests.camera_node.tiny_onnx import always_sees, constant_detector

DATA = Path(os.environ.get("HEARD_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def picture(pixels: Pixels) -> Frame:
    return Frame(pixels=pixels, captured_monotonic_ms=0, captured_wall_ms=0, sequence=1, clip_time_ms=0)


def blank(width_px: int = 128, height_px: int = 64) -> Frame:
    return picture(np.zeros((height_px, width_px, 3), np.uint8))


def open_net(weights: bytes, **changes: object) -> OnnxDetector:
    settings: dict[str, object] = {"name": "tiny", "least_confidence": 0.25, "threads": 1, **changes}
    return OnnxDetector(weights, **settings)  # type: ignore[arg-type]


def test_anchor_free_head_gives_boxes_in_frame_pixels() -> None:
    detector = open_net(always_sees("handgun", box_xywh=(32, 32, 16, 24)))
    assert detector.head is Head.ANCHOR_FREE
    (found,) = detector.detect(blank())
    # 128x64 in 64x64: scale 0.5, 16 rows of padding above.
    assert found.label == "handgun"
    np.testing.assert_allclose(found.bbox_xyxy_px, [48, 8, 80, 56], atol=1)


def test_end_to_end_head_is_taken_as_it_is() -> None:
    output = np.zeros((1, 300, 6), np.float32)
    output[0, 0] = [8, 24, 40, 40, 0.8, 1]
    metadata = {"names": "{0: 'person', 1: 'rifle'}", "end2end": "True"}
    detector = open_net(constant_detector(output, metadata=metadata))
    assert detector.head is Head.END_TO_END
    (found,) = detector.detect(blank())
    assert found.label == "rifle"
    np.testing.assert_allclose(found.bbox_xyxy_px, [16, 16, 80, 48], atol=1)


def test_grid_head_is_decoded_from_cells() -> None:
    output = np.full((1, cells(64, 64), 6), -10, np.float32)
    output[0, :, 4:] = 0
    output[0, 9] = [0.5, 0.5, np.log(2), np.log(2), 0.9, 1.0]  # cell (1, 1) of stride 8: center 12, 12, size 16
    detector = open_net(constant_detector(output), labels=["handgun"])
    assert detector.head is Head.GRID
    (found,) = detector.detect(blank(64, 64))
    np.testing.assert_allclose(found.bbox_xyxy_px, [4, 4, 20, 20], atol=0.1)


@pytest.mark.parametrize(("weights", "words"), [
    (b"no weights", "expected YOLO weights in ONNX"),
    (b"", "expected YOLO weights in ONNX"),
    (constant_detector(np.zeros((1, 7, 5), np.float32)), "expected the output of a YOLO detector"),
    (constant_detector(np.zeros((1, 8, 84), np.float32)), "carry no class names"),
    (constant_detector(np.zeros((1, 5, 84), np.float32), metadata={"task": "segment"}), "task detect"),
    (constant_detector(np.zeros((1, 5, 84), np.float32), metadata={"names": "__import__('os')"}), "can't be read"),
])  # fmt: skip
def test_wrong_weights_are_one_clear_error(weights: bytes, words: str) -> None:
    with pytest.raises(ModelRefused, match="tiny: ") as refused:
        open_net(weights)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def naive(output: Floats, least_score: float) -> list[tuple[float, ...]]:
    """Place by place, what an anchor-free head says: corners, score, class, best first."""
    found: list[tuple[float, ...]] = []
    for x, y, width, height, *scores in output.T.tolist():
        best = max(range(len(scores)), key=scores.__getitem__)
        if scores[best] >= least_score:
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            found.append((*corners, scores[best], best))
    return sorted(found, key=lambda row: -row[4])


@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 5))
def test_boxes_are_those_that_reading_place_by_place_gives(seed: int, least_score: float, classes: int) -> None:
    output = np.random.default_rng(seed).uniform(0, 1, (4 + classes, 30)).astype(np.float32)
    boxes = decode(Head.ANCHOR_FREE, output, least_score=float(np.float32(least_score)), width_px=64, height_px=64)
    found = [(*box, score, index) for box, score, index in
             zip(boxes.xyxy.tolist(), boxes.scores.tolist(), boxes.classes.tolist(), strict=True)]  # fmt: skip
    assert found == [pytest.approx(row, abs=1e-6) for row in naive(output, float(np.float32(least_score)))]


def test_suppression_keeps_classes_apart() -> None:
    boxes = Boxes(xyxy=np.array([[0, 0, 10, 10], [1, 1, 11, 11], [1, 1, 11, 11]], np.float32),
                  scores=np.array([0.9, 0.8, 0.7], np.float32), classes=np.array([0, 0, 1]))  # fmt: skip
    kept = suppress(boxes, overlap=0.5)
    assert kept.classes.tolist() == [0, 1]


def test_letterbox_and_back() -> None:
    canvas, fit = letterbox(np.full((90, 160, 3), 7, np.uint8), 64, 64, is_centered=True)
    assert canvas.shape == (64, 64, 3)
    assert canvas[0, 0, 0] == 114
    np.testing.assert_allclose(fit.to_frame(np.array([[0, 14, 64, 50]], np.float32)), [[0, 0, 160, 90]], atol=1.5)


def test_only_plain_onnx_may_be_unsigned(tmp_path: Path) -> None:
    for name, content in (("model.pt", b"\x80\x04K\x01."), ("model.onnx", b"\x80\x04K\x01."), ("model.bin", b"x" * 9)):
        weights_file = tmp_path / name
        weights_file.write_bytes(content)
        with pytest.raises(ModelRefused, match="expected plain ONNX weights"):
            choose(ModelConfig(weights_file=weights_file), state_dir=tmp_path)
    with pytest.raises(ModelRefused, match="no such file"):
        choose(ModelConfig(weights_file=tmp_path / "none.onnx"), state_dir=tmp_path)


def test_weights_that_changed_after_the_check_are_not_run(tmp_path: Path) -> None:
    weights_file = tmp_path / "model.onnx"
    weights_file.write_bytes(always_sees("handgun"))
    chosen = choose(ModelConfig(weights_file=weights_file), state_dir=tmp_path)
    assert not chosen.is_verified
    assert read_weights(weights_file, chosen.sha256)
    weights_file.write_bytes(always_sees("person"))
    with pytest.raises(ModelRefused, match="changed since they were verified"):
        read_weights(weights_file, chosen.sha256)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
@pytest.mark.parametrize(("name", "persons", "least"), [
    ("yolo11n_int8_320", 4, 0.25), ("yolo11n_qdq_416", 4, 0.25), ("yolo26n_int8_640", 4, 0.25), ("yolox_nano_416", 3, 0.3),
])  # fmt: skip
def test_real_weights_find_the_bus_and_its_people(name: str, persons: int, least: float) -> None:
    detector = open_net((DATA / f"{name}.onnx").read_bytes(), least_confidence=least, threads=2)
    pixels = cv2.imread(str(DATA / "bus.jpg"))
    assert pixels is not None
    labels = [found.label for found in detector.detect(picture(np.asarray(pixels, np.uint8)))]
    assert labels.count("person") == persons
    assert labels.count("bus") == 1
