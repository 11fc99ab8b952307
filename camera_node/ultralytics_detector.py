"""The Ultralytics detector, for weights that only it reads. AGPL-3.0, in its own process, never imported unless chosen.

Guards, each against something that it does by default: it looks for the net and posts usage events (``YOLO_OFFLINE``,
settings.sync), installs packages (``YOLO_AUTOINSTALL``), unpickles whatever it is given (``ULTRALYTICS_SAFE_LOAD``),
downloads weights that are missing (the file is checked first), writes into the home folder (``YOLO_CONFIG_DIR``). Only
``predict`` on arrays is used: its video loader ends every camera when one dies, and its trackers are shared by all.
Source: ultralytics 8.4.190, read in the wheel; `docs/decisions/0011-ultralytics-guards.md` says more.
"""

import atexit
import importlib.machinery
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camera_node.detector import Detection
from camera_node.errors import ModelRefused
from camera_node.frame import Frame
from models.checkpoint import FileKind, kind_of, refuse_legacy_checkpoint
from models.errors import BundleRefused


class UltralyticsDetector:
    """A Detector on ``ultralytics.YOLO``. Its file must come from a verified bundle: see ``weights``."""

    def __init__(self, weights_file: Path, *, name: str, least_confidence: float, threads: int) -> None:
        """Load the weights.

        Raises:
            ModelRefused: Ultralytics is not installed, or does not read these weights.
        """
        if not weights_file.is_file():  # before Ultralytics sees the name: it would try to download it
            raise ModelRefused(f"expected weights in {weights_file}, found no such file")
        if kind_of(weights_file) is not FileKind.OTHER:
            try:
                refuse_legacy_checkpoint(weights_file)
            except BundleRefused as error:
                raise ModelRefused(f"{name}: {error}") from error
        self._name = name
        self._least_confidence = least_confidence
        yolo_class = _import_guarded(threads)
        try:
            self._model: Any = yolo_class(str(weights_file), task="detect", verbose=False)
            names = dict(self._model.names)
        except Exception as error:
            raise ModelRefused(f"{name}: Ultralytics can't read the weights: {str(error).splitlines()[:1]}") from error
        self._labels = {int(index): str(label) for index, label in names.items()}

    @property
    def labels(self) -> Sequence[str]:
        """Every label that it may give."""
        return list(self._labels.values())

    @property
    def provider(self) -> str:
        """What it runs on, as Ultralytics chose it."""
        return f"Ultralytics {getattr(self._model, 'device', 'cpu')}"[:40]

    def detect(self, frame: Frame) -> list[Detection]:
        """What is on this frame.

        Raises:
            ModelRefused: the weights don't run here: an engine of another TensorRT, or of another board.
        """
        try:
            results = self._model.predict(frame.pixels, conf=self._least_confidence, verbose=False, stream=False)
        except Exception as error:  # its backends open an exported file only now
            raise ModelRefused(
                f"{self._name}: Ultralytics can't run the weights: {str(error).splitlines()[:1]}"
            ) from error
        boxes = results[0].boxes
        if boxes is None:
            return []
        corners = np.asarray(boxes.xyxy.cpu().numpy(), np.float32)
        scores, classes = boxes.conf.cpu().numpy(), boxes.cls.cpu().numpy()
        return [
            Detection(
                label=self._labels.get(int(index), f"class {int(index)}"), confidence=float(score), bbox_xyxy_px=box
            )
            for box, score, index in zip(corners, scores, classes, strict=True)
        ]

    def close(self) -> None:
        """Give its memory back."""
        del self._model


def _import_guarded(threads: int) -> Any:
    """``ultralytics.YOLO``, made to stay at home."""
    settings_dir = tempfile.mkdtemp(prefix="heard-yolo-")
    atexit.register(shutil.rmtree, settings_dir, ignore_errors=True)
    os.environ.update({
        "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0", "YOLO_CONFIG_DIR": settings_dir,
        "ULTRALYTICS_SAFE_LOAD": "1", "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    })  # fmt: skip
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        import ultralytics
    except ImportError as error:
        raise ModelRefused(
            f"the detector 'ultralytics' needs the extra of that name ({error}): pip install 'heard[ultralytics]', or export "
            'the model to ONNX and set detector = "onnx"'
        ) from error
    ultralytics.settings.update({"sync": False})
    _ensure_torchvision()
    return ultralytics.YOLO


def _ensure_torchvision() -> None:
    """Where torchvision's compiled operators don't load (a CPU torch beside a CUDA build), lend it torch's own NMS."""
    try:
        import torchvision

        torchvision.extension._assert_has_ops()  # noqa: SLF001  the only way to ask
    except Exception:  # noqa: BLE001  ImportError, RuntimeError or OSError, by platform
        from ultralytics.utils.nms import TorchNMS

        for loaded in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
            del sys.modules[loaded]
        stand_in, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        stand_in.__spec__ = importlib.machinery.ModuleSpec("torchvision", None)
        operators.__spec__ = importlib.machinery.ModuleSpec("torchvision.ops", None)
        stand_in.__path__ = []
        vars(operators)["nms"] = TorchNMS.nms
        vars(stand_in).update(ops=operators, __version__="0.0+stand-in")
        sys.modules.update({"torchvision": stand_in, "torchvision.ops": operators})
