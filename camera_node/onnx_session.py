"""What every ONNX model here has in common: opened from memory, on the best provider that is there, its own metadata read.

Providers: TensorRT and CUDA where ONNX Runtime was built with them and they load, else the CPU; which one it became is said
in the node's log and status. ONNX Runtime is imported here alone, and tells nobody. A provider that is there and does not work must not keep a camera from seeing, so the CPU always
stands behind it.
"""

import ast
import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from camera_node.errors import ModelRefused

# Since 1.29 the builds for Linux tell their maker of each session, with hashes of the weights, unless this stands there at the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

MAX_METADATA_CHARS: Final = 200_000
PREFERRED: Final = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


def providers(available: Sequence[str] | None = None) -> list[str]:
    """Those of the preferred that are there, best first, the CPU always last."""
    found = set(onnxruntime.get_available_providers() if available is None else available)
    return [name for name in PREFERRED if name in found or name == PREFERRED[-1]]


def open_session(weights: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    """A session on the best provider that works.

    Raises:
        ModelRefused: not ONNX.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads burn a core that other cameras need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = providers()
    while True:
        try:
            return onnxruntime.InferenceSession(weights, options, providers=wanted)
        except Exception as error:
            if len(wanted) > 1:  # a driver that does not fit: the next one, and at last the processor
                wanted = wanted[1:]
                continue
            raise ModelRefused(
                f"{name}: expected YOLO weights in ONNX, found something else: {first_line(error)}"
            ) from error


def provider_of(session: onnxruntime.InferenceSession) -> str:
    """What it runs on, and which better one is there and did not start: ``CUDA``, or ``CPU, not CUDA``."""
    used, best = (name.removesuffix("ExecutionProvider") for name in (session.get_providers()[0], providers()[0]))
    return used if used == best else f"{used}, not {best}"


def run(session: onnxruntime.InferenceSession, tensor: NDArray[Any], name: str, output: str = "") -> NDArray[Any]:
    """The named output (empty: the first), with its batch axis.

    Raises:
        ModelRefused: the weights choke on this input.
    """
    wanted = output or session.get_outputs()[0].name
    try:
        return np.asarray(session.run([wanted], {session.get_inputs()[0].name: tensor})[0])
    except Exception as error:
        raise ModelRefused(f"{name}: the weights don't run: {first_line(error)}") from error


def metadata(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """What the exporter wrote about the model."""
    return {str(key): str(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}


def input_size(shape: Sequence[object], metadata: dict[str, str], *, default_px: int) -> tuple[int, int]:
    """(height, width); from the input itself, else the metadata, else the default."""
    height, width = shape[2], shape[3]
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    size = _literal(metadata.get("imgsz", ""))
    if isinstance(size, list) and len(size) == 2 and all(isinstance(edge, int) and 32 <= edge <= 8192 for edge in size):
        return size[0], size[1]
    return default_px, default_px


def stride(metadata: dict[str, str]) -> int:
    """Which numbers of pixels an input may have, in multiples; from the metadata, else that of nearly every YOLO."""
    said = _literal(metadata.get("stride", ""))
    return said if isinstance(said, int) and 1 <= said <= 256 else 32


def names(metadata: dict[str, str], name: str) -> tuple[str, ...]:
    """The class names that the weights carry; none if they carry none.

    Raises:
        ModelRefused: they carry something that can't be read as names.
    """
    if "names" not in metadata:
        return ()
    value = _literal(metadata["names"])
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or sorted(value) != list(range(len(value))) or not value:
        raise ModelRefused(f"{name}: the weights' own class names can't be read: name them in [model] labels")
    return tuple(str(value[index]) for index in range(len(value)))


def first_line(error: Exception) -> str:
    """An error of ONNX Runtime's, without its page of context."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _literal(text: str) -> object:
    if len(text) > MAX_METADATA_CHARS:
        return None
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value
