"""Trains the demonstration detector on rendered pictures and exports it to ONNX.

Run it: `python -m models.demonstration.train_detector --to DIR`. Needs the `node` and `ultralytics` extras, no GPU and
no net; it takes about 15 minutes on two idle cores. Ultralytics is AGPL-3.0: see `MODEL_CARD.md` before reusing the
weights. The pictures are rendered anew from their seed, so nothing but this folder is needed.
"""

import argparse
import importlib.machinery
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Final

from .render_scene import LABELS, write_pictures

TRAINING_SEED: Final = 7
HELD_OUT_SEED: Final = 1_000_007
INPUT_HEIGHT_PX: Final = 384
INPUT_WIDTH_PX: Final = 640
OPSET: Final = 17

DESCRIPTION: Final = (
    "Heard demonstration detector: learnt from rendered pictures only, not for real use; see MODEL_CARD.md"
)

# YOLO11's shape at half the width of its smallest size, three classes: with a leaner box head: about 0.7 million parameters.
ARCHITECTURE: Final = """
nc: 3
reg_max: 8
scales:
  p: [0.50, 0.125, 1024]
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 2, C3k2, [256, False, 0.25]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 2, C3k2, [512, False, 0.25]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 2, C3k2, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 2, C3k2, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
  - [-1, 2, C2PSA, [1024]]
head:
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 2, C3k2, [256, False]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 13], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 10], 1, Concat, [1]]
  - [-1, 2, C3k2, [1024, True]]
  - [[16, 19, 22], 1, Detect, [nc]]
"""


def guard_ultralytics() -> None:
    """Keeps Ultralytics off the net, and usable beside a torchvision without its compiled operators.

    Must run before `ultralytics` is imported: it reads its environment then.
    """
    os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_CONFIG_DIR=tempfile.mkdtemp(prefix="yolo-"))
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    from ultralytics import settings

    settings.update({"sync": False})
    try:
        import torchvision

        torchvision.extension._assert_has_ops()  # noqa: SLF001  # the only question torchvision answers about itself
    except (ImportError, RuntimeError):
        from ultralytics.utils.nms import TorchNMS

        for name in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        package, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        package.__spec__ = importlib.machinery.ModuleSpec("torchvision", None, is_package=True)
        package.__path__ = []
        operators.nms = TorchNMS.nms  # type: ignore[attr-defined]
        package.ops = operators  # type: ignore[attr-defined]
        package.__version__ = "0"  # type: ignore[attr-defined]
        sys.modules["torchvision"], sys.modules["torchvision.ops"] = package, operators


def use_every_core(_trainer: object) -> None:
    """Undoes Ultralytics' choice of one thread fewer than there are cores, which on two cores is one."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)


def train(to_dir: Path, *, pictures: int, epochs: int, batch: int) -> Path:
    """Renders, trains and exports; returns the ONNX file."""
    to_dir = to_dir.resolve()
    data_dir = to_dir / "data"
    for part, count, seed in (("train", pictures, TRAINING_SEED), ("held_out", max(pictures // 5, 8), HELD_OUT_SEED)):
        if not (data_dir / part).exists():
            write_pictures(data_dir / part, count, seed)
    names = "".join(f"  {number}: {label}\n" for number, label in enumerate(LABELS))
    data_file, shape_file = data_dir / "data.yaml", to_dir / "demonstration_detector.yaml"
    data_file.write_text(f"path: {data_dir}\ntrain: train/images\nval: held_out/images\nnames:\n{names}", "utf-8")
    shape_file.write_text(ARCHITECTURE, "utf-8")
    guard_ultralytics()
    from ultralytics import YOLO

    model = YOLO(str(shape_file), task="detect")
    model.add_callback("on_train_start", use_every_core)
    model.train(
        data=str(data_file),
        epochs=epochs,
        batch=batch,
        imgsz=INPUT_WIDTH_PX,
        rect=True,
        device="cpu",
        workers=0,
        cache="ram",
        optimizer="AdamW",
        lr0=0.004,
        cos_lr=True,
        warmup_epochs=1.0,
        weight_decay=0.001,
        hsv_h=0.02,
        hsv_s=0.4,
        hsv_v=0.3,
        scale=0.25,
        translate=0.08,
        mosaic=0.0,
        erasing=0.0,
        auto_augment=None,
        amp=False,
        val=False,
        plots=False,
        seed=TRAINING_SEED,
        project=str(to_dir),
        name="run",
        exist_ok=True,
    )
    trained = YOLO(str(to_dir / "run" / "weights" / "last.pt"))
    exported = trained.export(
        format="onnx", imgsz=(INPUT_HEIGHT_PX, INPUT_WIDTH_PX), opset=OPSET, simplify=True, dynamic=False, device="cpu"
    )
    weights_file = to_dir / "demonstration_detector.onnx"
    shutil.copyfile(exported, weights_file)
    describe(weights_file)
    return weights_file


def describe(weights_file: Path) -> None:
    """Replaces the exporter's description, which names a folder of the machine it ran on; the rest is kept."""
    import onnx

    network = onnx.load(str(weights_file))
    for entry in network.metadata_props:
        if entry.key == "description":
            entry.value = DESCRIPTION
    onnx.save(network, str(weights_file))


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder for pictures, run and weights")
    parser.add_argument("--pictures", type=int, default=480)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    chosen = parser.parse_args()
    weights_file = train(chosen.to, pictures=chosen.pictures, epochs=chosen.epochs, batch=chosen.batch)
    print(f"weights: {weights_file} ({weights_file.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
