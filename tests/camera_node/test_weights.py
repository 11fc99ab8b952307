"""A signed bundle is taken in and opened; one of a stranger's, or a changed one, is not."""

import hashlib
import io
import pickle
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from camera_node.config import DetectorName, ModelConfig
from camera_node.detector_catalog import load
from camera_node.errors import ModelRefused
from camera_node.messages import ModelOrder
from camera_node.weights import Weights, choose
from models import bundle
from models.manifest import ModelManifest, Task, WeightsFormat
from tests.camera_node.tiny_onnx import always_sees


def pack(tmp_path: Path, key: SigningKey, *, name: str = "tiny.onnx", content: bytes | None = None,
         labels: tuple[str, ...] = ("handgun",)) -> Path:  # fmt: skip
    weights_file = tmp_path / name
    weights_file.write_bytes(always_sees("handgun") if content is None else content)
    manifest = ModelManifest(
        name="tiny", version="1.0", task=Task.DETECT, labels=labels, input_height_px=64, input_width_px=64,
        format=WeightsFormat(weights_file.suffix[1:]), weights_file=name,
        weights_size_bytes=weights_file.stat().st_size,
        weights_sha256=hashlib.sha256(weights_file.read_bytes()).hexdigest(), license="test", data_source="none",
        measured=(), created_at_utc=datetime.now(UTC),
    )  # fmt: skip
    bundle_file = tmp_path / "tiny.heardmodel"
    bundle.pack(manifest, weights_file, key, bundle_file)
    return bundle_file


def trust(tmp_path: Path, key: SigningKey) -> Path:
    trust_file = tmp_path / "signers"
    trust_file.write_text(bytes(key.verify_key).hex() + "  # the model office\n")
    return trust_file


def order(weights: Weights, detector: DetectorName = "onnx") -> ModelOrder:
    return ModelOrder(name=weights.name, weights_file=str(weights.file), sha256=weights.sha256, detector=detector,
                      least_confidence=0.25, threads=1, labels=weights.labels)  # fmt: skip


def test_signed_bundle_is_verified_taken_in_and_runs(tmp_path: Path) -> None:
    key = SigningKey.generate()
    config = ModelConfig(bundle_file=pack(tmp_path, key), signers_file=trust(tmp_path, key))
    weights = choose(config, state_dir=tmp_path / "state")
    assert weights.is_verified
    assert weights.name == "tiny 1.0"
    assert load(order(weights)).labels == ("handgun",)
    weights.file.write_bytes(always_sees("person"))
    with pytest.raises(ModelRefused, match="changed since they were verified"):
        load(order(weights))


@pytest.mark.parametrize("name", ["board.engine", "board.pt"])
def test_what_only_ultralytics_reads_is_refused_by_the_onnx_detector_with_the_setting_named(
    name: str, tmp_path: Path
) -> None:
    key = SigningKey.generate()
    content = checkpoint() if name.endswith(".pt") else b"\x10\x00\x00\x00engine"
    config = ModelConfig(bundle_file=pack(tmp_path, key, name=name, content=content), signers_file=trust(tmp_path, key))
    with pytest.raises(ModelRefused, match=r'set detector = "ultralytics" in \[model\]'):
        choose(config, state_dir=tmp_path / "state")


def checkpoint() -> bytes:
    """A file with the shape of PyTorch's, and nothing in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("board/data.pkl", pickle.dumps({}, 2))
    return file.getvalue()


def test_bundle_of_a_stranger_is_refused(tmp_path: Path) -> None:
    config = ModelConfig(bundle_file=pack(tmp_path, SigningKey.generate()),
                         signers_file=trust(tmp_path, SigningKey.generate()))  # fmt: skip
    with pytest.raises(ModelRefused):
        choose(config, state_dir=tmp_path / "state")


def test_registry_without_an_active_model_says_what_to_do(tmp_path: Path) -> None:
    config = ModelConfig(registry_dir=tmp_path / "none", signers_file=trust(tmp_path, SigningKey.generate()))
    with pytest.raises(ModelRefused, match="model-bundle activate"):
        choose(config, state_dir=tmp_path / "state")
