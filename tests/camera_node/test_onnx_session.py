"""Which of ONNX Runtime's providers is taken, and nets that take several frames in one run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from camera_node.onnx_session import providers
from tests.camera_node.test_detector import open_net, picture
from tests.camera_node.tiny_onnx import always_sees, sees_light

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"


def test_nothing_is_noted_about_this_machine_and_nobody_is_told(tmp_path: Path) -> None:
    """ONNX Runtime's own telemetry writes an id of the device into the cache folder, and then looks for its collector."""
    (tmp_path / "tiny.onnx").write_bytes(always_sees("handgun"))
    program = (
        "import pathlib, sys; from camera_node import onnx_session; "
        "onnx_session.open_session(pathlib.Path(sys.argv[1]).read_bytes(), 'tiny', 1)"
    )
    (tmp_path / "home").mkdir()
    silent = {
        "CI",
        "GITLAB_CI",
        "CIRCLECI",
        "GITHUB_ACTIONS",
        "TF_BUILD",
        "ORT_DISABLE_TELEMETRY",
        "ORT_RUNNING_UNIT_TESTS",
    }
    environment = {name: value for name, value in os.environ.items() if name not in silent}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "tiny.onnx")], env=environment, check=True, timeout=60,
                   cwd=Path(__file__).parents[2])  # fmt: skip
    assert [file.name for file in (tmp_path / "home").rglob("*")] == []


@pytest.mark.parametrize("package", ["relay", "hardware", "models", "camera_node", "command_center"])
def test_no_part_imports_onnx_runtime_before_it_is_told_to_be_silent(package: str) -> None:
    for file in (Path(__file__).parents[2] / package).rglob("*.py"):
        before, found, _ = file.read_text().partition("\nimport onnxruntime")
        assert not found or '"ORT_DISABLE_TELEMETRY"] = "1"' in before, file


def test_the_best_provider_that_is_there_comes_first_and_the_processor_last() -> None:
    assert providers([CPU]) == [CPU]
    assert providers([CPU, CUDA, TENSORRT]) == [TENSORRT, CUDA, CPU]
    assert providers(["OpenVINOExecutionProvider", CPU]) == [CPU], "nobody has tried it with these nets"
    assert providers([]) == [CPU]


@pytest.mark.parametrize(("works", "tried", "said"), [
    ({TENSORRT, CUDA, CPU}, [[TENSORRT, CUDA, CPU]], "Tensorrt"),
    ({CUDA, CPU}, [[TENSORRT, CUDA, CPU], [CUDA, CPU]], "CUDA, not Tensorrt"),
    ({CPU}, [[TENSORRT, CUDA, CPU], [CUDA, CPU], [CPU]], "CPU, not Tensorrt"),
])  # fmt: skip
def test_a_provider_that_does_not_start_gives_way_to_the_next_and_that_is_said(
    works: set[str], tried: list[list[str]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stand-in for a board with a GPU: its sessions start on the providers that work, and compute on this processor."""
    asked: list[list[str]] = []
    real = onnxruntime.InferenceSession

    class Session:
        def __init__(self, weights: bytes, options: object, *, providers: list[str]) -> None:
            asked.append(providers)
            if providers[0] not in works:
                raise RuntimeError("libcublas.so.12: cannot open shared object file")
            self._real, self._providers = real(weights, options, providers=[CPU]), providers

        def get_providers(self) -> list[str]:
            return self._providers

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU, CUDA, TENSORRT])
    detector = open_net(always_sees("handgun"))
    assert asked == tried
    assert detector.provider == said
    assert [found.label for found in detector.detect(picture(np.zeros((64, 64, 3), np.uint8)))] == ["handgun"]


def test_a_net_with_a_free_batch_axis_gives_each_frame_what_it_gives_it_alone() -> None:
    detector = open_net(sees_light("lamp"), least_confidence=0.05)
    assert detector.most_at_once == 8
    frames = [picture(np.full((48, 80, 3), level, np.uint8)) for level in (40, 240, 120, 0, 200)]
    together = detector.detect_many(frames)
    assert [len(found) for found in together] == [1] * 5, "padding is gray, so that even the dark frame is not black"
    scores = [found[0].confidence for found in together]
    assert sorted(scores) == [scores[index] for index in (3, 0, 2, 4, 1)], "each has its own light"
    for frame, found in zip(frames, together, strict=True):
        (alone,) = detector.detect(frame)
        assert alone.confidence == pytest.approx(found[0].confidence, abs=1e-6)
        np.testing.assert_allclose(alone.bbox_xyxy_px, found[0].bbox_xyxy_px, atol=1e-4)


def test_colors_reach_the_net_in_its_own_order() -> None:
    """The light of the red plane alone: OpenCV's pictures are BGR, the net's are RGB."""
    detector = open_net(sees_light("lamp", plane=0), least_confidence=0.0)
    red, blue = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[:, :, 2], blue[:, :, 0] = 255, 255
    assert detector.detect(picture(red))[0].confidence == pytest.approx(1.0, abs=1e-3)
    assert all(found.confidence < 1e-3 for found in detector.detect(picture(blue)))


def test_weights_with_free_edges_get_an_input_of_the_camera_s_own_shape() -> None:
    """Light is the mean of the whole input: padding would show in it."""
    square, free = (open_net(sees_light("lamp", is_free=is_free), least_confidence=0.0) for is_free in (False, True))
    wide, tall = np.zeros((90, 180, 3), np.uint8), np.zeros((200, 100, 3), np.uint8)
    for pixels in (wide, tall):
        padded = [found.confidence for found in square.detect(picture(pixels))]
        assert padded == [pytest.approx(114 / 255 / 2, abs=1e-3)], "half of a square is gray"
        assert free.detect(picture(pixels))[0].confidence < 1e-6
    (odd,) = free.detect(picture(np.zeros((100, 180, 3), np.uint8)))
    assert 0 < odd.confidence < 0.25, "up to the next multiple of the stride"
    shapes = [wide, tall, np.full((64, 64, 3), 255, np.uint8)]
    together = [found[0].confidence for found in free.detect_many([picture(pixels) for pixels in shapes])]
    assert together == [pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6)]
    (found,) = free.detect(picture(np.full((100, 200, 3), 200, np.uint8)))
    np.testing.assert_allclose(found.bbox_xyxy_px, [75, 62.5, 125, 100], atol=1)
