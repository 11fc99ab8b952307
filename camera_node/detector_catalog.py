"""Every detector there is, by the name that it has in the configuration. Explicit: nothing registers itself.

The weights are read once and compared with the SHA-256 that the node found when it verified them; ONNX weights are then
loaded from memory, so that no file can be swapped between the check and the use.
"""

import hashlib
from pathlib import Path
from typing import Final

from camera_node.crop_check import ClassifierCropCheck, CropCheck, DetectorCropCheck, Scales
from camera_node.detector import Detector
from camera_node.errors import ModelRefused
from camera_node.messages import ModelOrder, SecondStageOrder
from camera_node.shared_detector import DetectorLine, SharedDetector

MAX_WEIGHTS_BYTES: Final = 2 * 1024 * 1024 * 1024


def load(order: ModelOrder) -> Detector:
    """The detector that the order describes, ready to detect.

    Raises:
        ModelRefused: the weights are missing, changed since they were verified, or not what this detector reads.
    """
    weights_file = Path(order.weights_file)
    weights = read_weights(weights_file, order.sha256)
    if order.detector == "ultralytics":
        from camera_node.ultralytics_detector import UltralyticsDetector

        return UltralyticsDetector(weights_file, name=order.name, least_confidence=order.least_confidence,
                                   threads=order.threads)  # fmt: skip
    from camera_node.onnx_detector import OnnxDetector

    return OnnxDetector(weights, name=order.name, least_confidence=order.least_confidence, threads=order.threads,
                        labels=order.labels)  # fmt: skip


def load_crop_check(
    order: SecondStageOrder | None, first_stage: Detector, line: DetectorLine | None = None
) -> CropCheck | None:
    """The second stage that the order describes; None: none is wanted.

    Raises:
        ModelRefused: its weights are missing, changed, or neither a detector nor a classifier.
    """
    if order is None:
        return None
    scales = Scales(look_alikes=order.look_alikes, least_confidence=order.least_confidence, margin=order.margin)
    if order.model is None:
        return DetectorCropCheck(first_stage, scales)
    if order.is_on_gateway and line is not None:
        return DetectorCropCheck(SharedDetector(line, model=1), scales)
    if order.model.detector == "onnx":
        from camera_node import onnx_session
        from camera_node.onnx_classifier import OnnxClassifier

        weights = read_weights(Path(order.model.weights_file), order.model.sha256)
        session = onnx_session.open_session(weights, order.model.name, 1)
        if onnx_session.metadata(session).get("task") == "classify":
            classifier = OnnxClassifier(weights, name=order.model.name, threads=order.model.threads,
                                        labels=order.model.labels)  # fmt: skip
            return ClassifierCropCheck(classifier, scales)
    return DetectorCropCheck(load(order.model), scales)


def read_weights(weights_file: Path, sha256: bytes) -> bytes:
    """The bytes of the weights, as they were verified.

    Raises:
        ModelRefused: missing, or changed since.
    """
    try:
        if weights_file.stat().st_size > MAX_WEIGHTS_BYTES:
            raise ModelRefused(f"expected weights of at most {MAX_WEIGHTS_BYTES} bytes in {weights_file}")
        weights = weights_file.read_bytes()
    except FileNotFoundError:
        raise ModelRefused(f"expected weights in {weights_file}, found no such file") from None
    except OSError as error:
        raise ModelRefused(f"can't read the weights in {weights_file}: {error.strerror}") from error
    if hashlib.sha256(weights).digest() != sha256:
        raise ModelRefused(f"the weights in {weights_file} changed since they were verified: install the model again")
    return weights
