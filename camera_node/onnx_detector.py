"""YOLO weights in ONNX, run by ONNX Runtime: no torch, no Ultralytics, 140-220 MB of memory.

Reads names, size and stride from the weights' own metadata; weights without names must be given them, except that 80
classes are taken to be COCO's. Weights with free height and width (exported with ``dynamic=True``) get an input of the camera's own
shape and no more: a 16:9 picture in a square is nearly half gray. The bytes are hashed and loaded from memory, so that what runs is what was verified.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from camera_node import onnx_session, yolo_head
from camera_node.coco import COCO_LABELS
from camera_node.detector import Detection
from camera_node.errors import ModelRefused
from camera_node.frame import Frame, Pixels
from camera_node.letterbox import Fit, letterbox
from camera_node.yolo_head import Head

_DEFAULT_SIZE_PX = 640
_MOST_AT_ONCE = 8


class OnnxDetector:
    """A Detector on whichever of ONNX Runtime's providers is there."""

    def __init__(self, weights: bytes, *, name: str, least_confidence: float, threads: int,
                 labels: Sequence[str] = (), overlap: float = 0.6) -> None:  # fmt: skip
        """Load the weights and run them once.

        Raises:
            ModelRefused: not ONNX, not a detector, or its class names are unknown.
        """
        self._name = name
        self._least_confidence = least_confidence
        self._overlap = overlap
        self._session = onnx_session.open_session(weights, name, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in {3, "channels"}:
            shapes = [tuple(item.shape) for item in inputs]
            raise ModelRefused(f"{name}: expected one input of shape (1, 3, height, width), found {shapes}")
        self._most_at_once = 1 if isinstance(inputs[0].shape[0], int) else _MOST_AT_ONCE
        self._input_type = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
        metadata = onnx_session.metadata(self._session)
        self._height_px, self._width_px = onnx_session.input_size(
            inputs[0].shape, metadata, default_px=_DEFAULT_SIZE_PX
        )
        self._is_free = not any(isinstance(edge, int) for edge in inputs[0].shape[2:])
        self._stride_px = onnx_session.stride(metadata)
        task = metadata.get("task", "detect")
        if task != "detect":
            raise ModelRefused(f"{name}: expected weights for the task detect, found {task}: export a detector")
        given = tuple(labels) or onnx_session.names(metadata, name)
        self._output_name = outputs[0].name
        trial = self._infer([np.zeros((self._height_px, self._width_px, 3), np.uint8)], is_grid=False)[0]
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
    def provider(self) -> str:
        """What it runs on: ``CPU``, ``CUDA``, ``Tensorrt``; and what it should run on, if that did not start."""
        return onnx_session.provider_of(self._session)

    @property
    def head(self) -> Head:
        """Which kind of output these weights have."""
        return self._head

    def detect(self, frame: Frame) -> list[Detection]:
        """What is on this frame."""
        return self.detect_many([frame])[0]

    def _detections(self, output: NDArray[np.float32], fit: Fit, height_px: int, width_px: int) -> list[Detection]:
        boxes = yolo_head.decode(self._head, output, least_score=self._least_confidence, width_px=width_px,
                                 height_px=height_px)  # fmt: skip
        if self._head is not Head.END_TO_END:
            boxes = yolo_head.suppress(boxes, overlap=self._overlap)
        return [
            Detection(label=self._label(int(index)), confidence=min(1.0, float(score)), bbox_xyxy_px=box)
            for box, score, index in zip(fit.to_frame(boxes.xyxy), boxes.scores, boxes.classes, strict=True)
            if box[2] - box[0] >= 1 and box[3] - box[1] >= 1
        ]

    @property
    def most_at_once(self) -> int:
        """How many frames one run takes: several where the weights' batch axis is free."""
        return self._most_at_once

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        """What is on each frame, in one run; for weights whose batch axis is free."""
        sizes = {self._input_size(frame) for frame in frames}
        if len(sizes) > 1:  # cameras of different shapes can't share a run
            return [self.detect(frame) for frame in frames]
        height_px, width_px = sizes.pop()
        is_grid = self._head is Head.GRID
        fitted = [letterbox(f.pixels, width_px, height_px, is_centered=not is_grid) for f in frames]
        outputs = self._infer([image for image, _ in fitted], is_grid=is_grid)
        return [self._detections(output, fit, height_px, width_px)
                for output, (_, fit) in zip(outputs, fitted, strict=True)]  # fmt: skip

    def _input_size(self, frame: Frame) -> tuple[int, int]:
        """(height, width) of the input for this frame: the weights' own, or as much of it as a picture of this shape fills."""
        if not self._is_free:
            return self._height_px, self._width_px
        scale = min(self._width_px / frame.width_px, self._height_px / frame.height_px)
        stride = self._stride_px
        return (min(self._height_px, stride * math.ceil(round(frame.height_px * scale) / stride)),
                min(self._width_px, stride * math.ceil(round(frame.width_px * scale) / stride)))  # fmt: skip

    def close(self) -> None:
        """Give its memory back."""
        del self._session

    def _label(self, index: int) -> str:
        return self._labels[index] if 0 <= index < len(self._labels) else f"class {index}"

    def _infer(self, images: Sequence[Pixels], *, is_grid: bool) -> NDArray[np.float32]:
        """Pictures of the input's size, (H, W, 3) BGR, to as many outputs."""
        # Plane by plane: half the time of a transposed copy. cv2.dnn's blobFromImages takes eight times as long, in threads of its own.
        tensor = np.empty((len(images), 3, *images[0].shape[:2]), self._input_type)
        for place, image in zip(tensor, images, strict=True):
            # YOLOX (since 0.1.1) is trained on BGR 0 … 255, all others on RGB 0 … 1.
            planes = cv2.split(image) if is_grid else cv2.split(image)[::-1]
            for plane, values in zip(place, planes, strict=True):
                np.multiply(values, np.float32(1.0 if is_grid else 1 / 255), out=plane)
        output = onnx_session.run(self._session, tensor, self._name, self._output_name)
        return np.asarray(output, np.float32)
