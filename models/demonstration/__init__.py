"""The demonstration scene and detector: where their files are, and the scene's ground truth as a typed value.

Reading the truth needs neither OpenCV nor PyAV. The scripts beside this file made everything that is shipped here:
`render_scene` the clip and its truth, `train_detector` the weights. `MODEL_CARD.md` says what they are not good for.
"""

from pathlib import Path
from typing import Final

import msgspec

DEMONSTRATION_DIR: Final = Path(__file__).resolve().parent
SCENE_FILE: Final = DEMONSTRATION_DIR / "scene.mp4"
TRUTH_FILE: Final = DEMONSTRATION_DIR / "scene.truth.json"
WEIGHTS_FILE: Final = DEMONSTRATION_DIR / "demonstration_detector.onnx"
MODEL_CARD_FILE: Final = DEMONSTRATION_DIR / "MODEL_CARD.md"


class TruthBox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One visible thing in one frame; `track` is the person who is it, or carries it."""

    label: str
    track: int
    bbox_xyxy_px: tuple[int, int, int, int]


class FrameTruth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything visible in one frame. Look-alikes have no box: they must not be reported."""

    index: int
    boxes: tuple[TruthBox, ...]


class ArmedEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One weapon's stay in view, from its first visible frame to its last."""

    first_frame: int
    last_frame: int
    label: str
    track: int
    zone: str


class Zone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named part of the picture; corners as shares of width and height."""

    name: str
    polygon_xy: tuple[tuple[float, float], ...]


class SceneTruth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What really happens in the clip. The clip loops: its last frame leads into its first."""

    width_px: int
    height_px: int
    frames_per_second: int
    frame_count: int
    seed: int
    zones: tuple[Zone, ...]
    events: tuple[ArmedEvent, ...]
    frames: tuple[FrameTruth, ...]


def load_truth(truth_file: Path = TRUTH_FILE) -> SceneTruth:
    """The ground truth of the shipped clip, or of one rendered anew."""
    return msgspec.json.decode(truth_file.read_bytes(), type=SceneTruth)


__all__ = [
    "DEMONSTRATION_DIR",
    "MODEL_CARD_FILE",
    "SCENE_FILE",
    "TRUTH_FILE",
    "WEIGHTS_FILE",
    "ArmedEvent",
    "FrameTruth",
    "SceneTruth",
    "TruthBox",
    "Zone",
    "load_truth",
]
