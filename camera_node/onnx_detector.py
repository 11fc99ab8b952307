"""YOLO weights in ONNX, run by ONNX Runtime: no torch, no Ultralytics, 140-220 MB of memory.

Reads names, size and stride from the weights' own metadata; weights without names must be given them, except that 80
classes are taken to be COCO's. The bytes are hashed and loaded from memory, so that what runs is what was verified.
"""

import ast
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from camera_node import yolo_head
from camera_node.coco import COCO_LABELS
from camera_node.detector import Detection
from camera_node.errors import ModelRefused
from camera_node.frame import Frame
from camera_node.letterbox import letterbox
from camera_node.yolo_head import Head

_MAX_METADATA_CHARS = 200_000
_DEFAULT_SIZE_PX = 640


class OnnxDetector:
    """A Detector on ONNX Runtime's CPU provider."""

    def __init__(self, weights: bytes, *, name: str, least_confidence: float, threads: int,
                 labels: Sequence[str] = (), overlap: float = 0.6) -> None:  # fmt: skip
        """Load the weights and run them once.

        Raises:
            ModelRefused: not ONNX, not a detector, or its class names are unknown.
        """
        self._name = name
        self._least_confidence = least_confidence
        self._overlap = overlap
        self._session = _open(weights, name, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in {3, "channels"}:
            shapes = [tuple(item.shape) for item in inputs]
            raise ModelRefused(f"{name}: expected one input of shape (1, 3, height, width), found {shapes}")
        self._input_name = inputs[0].name
        self._input_type = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
        metadata = {str(key): str(value) for key, value in self._session.get_modelmeta().custom_metadata_map.items()}
        self._height_px, self._width_px = _input_size(inputs[0].shape, metadata)
        task = metadata.get("task", "detect")
        if task != "detect":
            raise ModelRefused(f"{name}: expected weights for the task detect, found {task}: export a detector")
        given = tuple(labels) or _names(metadata, name)
        self._output_name = outputs[0].name
        trial = self._infer(np.zeros((self._height_px, self._width_px, 3), np.uint8), scale=1.0)
        if trial.ndim != 2:
            raise ModelRefused(f"{name}: expected an output of 3 axes, found {trial.ndim + 1}: export a detector")
        try:
            self._head, class_count = yolo_head.recognize(
                (trial.shape[0], trial.shape[1]), len(given) or None, width_px=self._width_px,
                height_px=self._height_px, is_end_to_end=metadata.get("end2end") == "True",
            )  # fmt: skip
        except ModelRefused as error:
            raise ModelRefused(f"{name}: {error}") from None
        if not given and class_count != len(COCO_LABELS):
            raise ModelRefused(
                f"{name}: the weights carry no class names and have {class_count} classes: name them in [model] labels"
            )
        self._labels = given or COCO_LABELS

    @property
    def labels(self) -> Sequence[str]:
        """Every label that it may give."""
        return self._labels

    @property
    def head(self) -> Head:
        """Which kind of output these weights have."""
        return self._head

    def detect(self, frame: Frame) -> list[Detection]:
        """What is on this frame."""
        is_grid = self._head is Head.GRID
        fitted, fit = letterbox(frame.pixels, self._width_px, self._height_px, is_centered=not is_grid)
        # YOLOX (since 0.1.1) is trained on BGR 0 … 255, all others on RGB 0 … 1.
        output = self._infer(fitted if is_grid else fitted[:, :, ::-1], scale=1.0 if is_grid else 1 / 255)
        boxes = yolo_head.decode(self._head, output, least_score=self._least_confidence, width_px=self._width_px,
                                 height_px=self._height_px)  # fmt: skip
        if self._head is not Head.END_TO_END:
            boxes = yolo_head.suppress(boxes, overlap=self._overlap)
        return [
            Detection(label=self._label(int(index)), confidence=min(1.0, float(score)), bbox_xyxy_px=box)
            for box, score, index in zip(fit.to_frame(boxes.xyxy), boxes.scores, boxes.classes, strict=True)
            if box[2] - box[0] >= 1 and box[3] - box[1] >= 1
        ]

    def close(self) -> None:
        """Give its memory back."""
        del self._session

    def _label(self, index: int) -> str:
        return self._labels[index] if 0 <= index < len(self._labels) else f"class {index}"

    def _infer(self, image: NDArray[np.uint8], *, scale: float) -> NDArray[np.float32]:
        """Output without its batch axis. ``image`` is (H, W, 3) in the net's channel order."""
        tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=self._input_type)
        if scale != 1.0:
            np.multiply(tensor, self._input_type(scale), out=tensor)
        try:
            output = self._session.run([self._output_name], {self._input_name: tensor})[0]
        except Exception as error:
            raise ModelRefused(f"{self._name}: the weights don't run: {_first_line(error)}") from error
        result: NDArray[np.float32] = np.asarray(output, np.float32)[0]
        return result


def _open(weights: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads burn a core that other cameras need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelRefused(
            f"{name}: expected YOLO weights in ONNX, found something else: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _literal(text: str) -> object:
    if len(text) > _MAX_METADATA_CHARS:
        return None
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value


def _input_size(shape: Sequence[object], metadata: dict[str, str]) -> tuple[int, int]:
    """(height, width); from the input itself, else the metadata, else 640."""
    height, width = shape[2], shape[3]
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    size = _literal(metadata.get("imgsz", ""))
    if isinstance(size, list) and len(size) == 2 and all(isinstance(edge, int) and 32 <= edge <= 8192 for edge in size):
        return size[0], size[1]
    return _DEFAULT_SIZE_PX, _DEFAULT_SIZE_PX


def _names(metadata: dict[str, str], name: str) -> tuple[str, ...]:
    if "names" not in metadata:
        return ()
    value = _literal(metadata["names"])
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or sorted(value) != list(range(len(value))) or not value:
        raise ModelRefused(f"{name}: the weights' own class names can't be read: name them in [model] labels")
    return tuple(str(value[index]) for index in range(len(value)))
