"""What ``jtop`` tells on a Jetson beside the kernel's files: the load of the GPU, the power mode, the board's total draw.

Optional: without the package, without its service (``/run/jtop.sock``) or without the right to it, nothing is added and nothing
breaks. Not run here on a Jetson: tested against a stand-in with jetson-stats 7's documented attributes.
"""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JetsonStats:
    """One reading."""

    gpu_percent: float | None = None
    power_w: float | None = None
    power_mode: str = ""


def read(module: str = "jtop") -> JetsonStats | None:
    """One reading; None where there is no jtop, or it does not answer. Takes up to a second: not for the event loop."""
    try:
        jtop: Any = importlib.import_module(module)
        with jtop.jtop() as board:
            if not board.ok():
                return None
            gpus = [entry.get("status", {}).get("load") for entry in dict(board.gpu).values()]
            total = dict(board.power).get("tot", {}).get("power")
            return JetsonStats(
                gpu_percent=max((float(load) for load in gpus if load is not None), default=None),
                power_w=None if total is None else float(total) / 1000, power_mode=str(board.nvpmodel or ""),
            )  # fmt: skip
    except Exception:  # noqa: BLE001  jtop raises its own, OSError and AttributeError by release; all of them mean: not to be had
        return None
