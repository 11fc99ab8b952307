"""An image classifier in ONNX, as Ultralytics exports it (``task: classify``): one crop in, a share for each label out.

For the second stage only. The bytes are loaded from memory, as the detector's are, so that what runs is what was verified.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from camera_node import onnx_session
from camera_node.errors import ModelRefused
from camera_node.frame import Pixels


class OnnxClassifier:
    """On whichever of ONNX Runtime's providers is there."""

    def __init__(self, weights: bytes, *, name: str, threads: int, labels: Sequence[str] = ()) -> None:
        """Load the weights and run them once.

        Raises:
            ModelRefused: not ONNX, not a classifier, or its class names are unknown.
        """
        self._name = name
        self._session = onnx_session.open_session(weights, name, threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ModelRefused(f"{name}: expected one input of shape (1, 3, height, width), found {inputs[0].shape}")
        metadata = onnx_session.metadata(self._session)
        self._height_px, self._width_px = onnx_session.input_size(inputs[0].shape, metadata, default_px=224)
        self._labels = tuple(labels) or onnx_session.names(metadata, name)
        shares = self._shares(np.zeros((self._height_px, self._width_px, 3), np.uint8))
        if not self._labels or len(shares) != len(self._labels):
            raise ModelRefused(
                f"{name}: expected a classifier with a name for each of its {len(shares)} classes, found {len(self._labels)} "
                "names: export it with task classify, or name them in [second_stage.model] labels"
            )

    @property
    def labels(self) -> Sequence[str]:
        """Every label that it knows."""
        return self._labels

    def classify(self, crop: Pixels) -> dict[str, float]:
        """The share of each label, of (H, W, 3) uint8 BGR; shares sum to 1."""
        return dict(zip(self._labels, self._shares(crop), strict=True))

    def _shares(self, crop: Pixels) -> list[float]:
        """Resized on the shorter side and cut in the middle, RGB, 0 … 1: Ultralytics' own preparation."""
        height, width = crop.shape[:2]
        scale = max(self._height_px / height, self._width_px / width)
        size = (max(self._width_px, round(width * scale)), max(self._height_px, round(height * scale)))
        fitted = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        top, left = (size[1] - self._height_px) // 2, (size[0] - self._width_px) // 2
        inner = fitted[top : top + self._height_px, left : left + self._width_px, ::-1]
        tensor = np.ascontiguousarray(inner.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        output = onnx_session.run(self._session, tensor, self._name)
        shares = np.asarray(output, np.float64).reshape(-1)
        if not np.isfinite(shares).all() or shares.min() < 0 or not 0.99 <= shares.sum() <= 1.01:
            shares = np.exp(shares - shares.max())  # logits: the export left the softmax out
            shares = shares / shares.sum()
        return [float(share) for share in shares]
