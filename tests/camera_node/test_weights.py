"""A signed bundle is taken in and opened; one of a stranger's, or a changed one, is not."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from camera_node.config import ModelConfig
from camera_node.detector_catalog import load
from camera_node.errors import ModelRefused
from camera_node.messages import ModelOrder
from camera_node.weights import Weights, choose
from models import bundle
from models.manifest import ModelManifest, Task, WeightsFormat
from tests.camera_node.tiny_onnx import always_sees


def pack(tmp_path: Path, key: SigningKey) -> Path:
    weights_file = tmp_path / "tiny.onnx"
    weights_file.write_bytes(always_sees("handgun"))
    manifest = ModelManifest(
        name="tiny", version="1.0", task=Task.DETECT, labels=("handgun",), input_height_px=64, input_width_px=64,
        format=WeightsFormat.ONNX, weights_file="tiny.onnx", weights_size_bytes=weights_file.stat().st_size,
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


def order(weights: Weights) -> ModelOrder:
    return ModelOrder(name=weights.name, weights_file=str(weights.file), sha256=weights.sha256, detector="onnx",
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


def test_bundle_of_a_stranger_is_refused(tmp_path: Path) -> None:
    config = ModelConfig(bundle_file=pack(tmp_path, SigningKey.generate()),
                         signers_file=trust(tmp_path, SigningKey.generate()))  # fmt: skip
    with pytest.raises(ModelRefused):
        choose(config, state_dir=tmp_path / "state")


def test_registry_without_an_active_model_says_what_to_do(tmp_path: Path) -> None:
    config = ModelConfig(registry_dir=tmp_path / "none", signers_file=trust(tmp_path, SigningKey.generate()))
    with pytest.raises(ModelRefused, match="model-bundle activate"):
        choose(config, state_dir=tmp_path / "state")
