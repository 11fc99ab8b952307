"""Writes tiny ONNX files by hand: nets that answer every picture with the same numbers, or with its light. No `onnx` package needed.

The graph is ``output = constant + 0 * sum(images)``, or ``constant + gain * mean(images)``. Source: onnx.proto3, field numbers as of IR version 8.
"""

import numpy as np
from numpy.typing import NDArray


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, array: NDArray[np.float32]) -> bytes:
    dims = b"".join(_field(1, size) for size in array.shape)
    return dims + _field(2, 1) + _field(8, name) + _field(9, array.astype("<f4").tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _node(kind: str, inputs: list[str], output: str, attributes: bytes = b"") -> bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind) + attributes


def constant_detector(output: NDArray[np.float32], *, height_px: int = 64, width_px: int = 64,
                      metadata: dict[str, str] | None = None) -> bytes:  # fmt: skip
    """An ONNX file with one input (1, 3, height, width) that always gives ``output``."""
    keep_dims = _field(5, _field(1, "keepdims") + _field(3, 0) + _field(20, 2))
    graph = b"".join(
        _field(1, node)
        for node in (
            _node("ReduceSum", ["images"], "sum", keep_dims),
            _node("Mul", ["sum", "nothing"], "zero"),
            _node("Add", ["answer", "zero"], "output0"),
        )
    )
    graph += _field(2, "tiny")
    graph += _field(5, _tensor("answer", output)) + _field(5, _tensor("nothing", np.zeros(1, np.float32)))
    graph += _field(11, _value("images", (1, 3, height_px, width_px))) + _field(12, _value("output0", output.shape))
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
    for key, value in (metadata or {}).items():
        model += _field(14, _field(1, key) + _field(2, value))
    return model


def always_sees(label: str, *, confidence: float = 0.9, box_xywh: tuple[float, float, float, float] = (32, 32, 16, 24),
                size_px: int = 64) -> bytes:  # fmt: skip
    """A YOLO11-like detector that sees one thing in the same place of every picture."""
    count = sum((size_px // stride) ** 2 for stride in (8, 16, 32))
    output = np.zeros((1, 5, count), np.float32)
    output[0, :4, 0] = box_xywh
    output[0, 4, 0] = confidence
    names = {"names": repr({0: label}), "stride": "32", "imgsz": f"[{size_px}, {size_px}]", "task": "detect"}
    return constant_detector(output, height_px=size_px, width_px=size_px, metadata=names)


def sees_light(label: str, *, size_px: int = 64, plane: int | None = None, is_free: bool = False) -> bytes:
    """A YOLO11-like detector with a free batch axis: one thing in the same place, as sure as the picture is light.

    ``plane``: of this one of the net's three color planes alone. ``is_free``: height and width are free, too.
    """
    count = sum((size_px // stride) ** 2 for stride in (8, 16, 32))
    answer, gain = np.zeros((1, 5, count), np.float32), np.zeros((1, 5, count), np.float32)
    answer[0, :4, 0] = (32, 32, 16, 24)
    gain[0, 4, 0] = 1.0
    weights = np.full((1, 3, 1, 1), 1 / 3, np.float32)
    if plane is not None:
        weights[:] = 0
        weights[0, plane] = 1
    graph = b"".join(
        _field(1, node)
        for node in (
            _node("Conv", ["images", "weights"], "gray"),
            _node("GlobalAveragePool", ["gray"], "light"),  # (N, 1, 1, 1)
            _node("Flatten", ["light"], "flat"),  # (N, 1)
            _node("Reshape", ["flat", "column"], "lights"),  # (N, 1, 1)
            _node("Mul", ["lights", "gain"], "scaled"),
            _node("Add", ["scaled", "answer"], "output0"),
        )
    )
    column = _field(1, 3) + _field(2, 7) + _field(8, "column") + _field(9, np.array([-1, 1, 1], "<i8").tobytes())
    tensors = {"weights": weights, "gain": gain, "answer": answer}
    graph += _field(2, "light") + b"".join(_field(5, _tensor(name, array)) for name, array in tensors.items())
    graph += _field(5, column)
    edges: tuple[int | str, ...] = ("height", "width") if is_free else (size_px, size_px)
    graph += _field(11, _value("images", ("batch", 3, *edges)))
    graph += _field(12, _value("output0", ("batch", 5, count)))
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
    names = {"names": repr({0: label}), "stride": "32", "imgsz": f"[{size_px}, {size_px}]", "task": "detect"}
    for key, value in names.items():
        model += _field(14, _field(1, key) + _field(2, value))
    return model
