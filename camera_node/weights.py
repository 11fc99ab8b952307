"""Which weights this node may open: a verified model, or plain ONNX that the operator named with open eyes.

A PyTorch checkpoint is a pickle, and a pickle runs code while it is read: bare ones are refused, whatever they are
called. Called by ``node`` and ``preflight`` before any eye is started; opens nothing with a machine-learning library.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from camera_node.config import ModelConfig
from camera_node.errors import ModelRefused
from models.checkpoint import FileKind, kind_of
from models.errors import BundleRefused, RegistryError, SignerKeyError
from models.manifest import WeightsFormat
from models.registry import Registry, VerifiedModel
from models.signers import read_trust_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights that may be opened."""

    name: str
    """Name and version, or the file's name; at most 48 bytes."""
    file: Path
    sha256: bytes
    labels: tuple[str, ...]
    is_verified: bool
    """From a signed bundle; else the operator vouches for it."""


def choose(config: ModelConfig, *, state_dir: Path) -> Weights:
    """Verify what the configuration names.

    Raises:
        ModelRefused: missing, unsigned, changed, or of a format that the chosen detector does not read.
    """
    if config.weights_file is not None:
        return _plain(config, config.weights_file)
    if config.signers_file is None:
        raise ModelRefused("expected [model] signers_file beside registry_dir or bundle_file: whose models are trusted")
    try:
        trusted = read_trust_file(config.signers_file)
        if config.bundle_file is not None:
            registry = Registry(state_dir / "models", trusted)
            model = registry.open(registry.install(config.bundle_file))
        else:
            model = Registry(config.registry_dir or state_dir / "models", trusted).open_active()
    except (BundleRefused, RegistryError, SignerKeyError) as error:
        raise ModelRefused(str(error)) from error
    except OSError as error:
        raise ModelRefused(f"can't read the model: {error}") from error
    return _verified(config, model)


def _verified(config: ModelConfig, model: VerifiedModel) -> Weights:
    manifest = model.manifest
    if config.detector == "onnx" and manifest.format is not WeightsFormat.ONNX:
        raise ModelRefused(
            f"the detector 'onnx' reads ONNX, {model.id} is {manifest.format.value}: set detector = \"ultralytics\" in [model]"
        )
    return Weights(name=_short(f"{manifest.name} {manifest.version}"), file=model.weights_file,
                   sha256=bytes.fromhex(manifest.weights_sha256), labels=tuple(config.labels or manifest.labels),
                   is_verified=True)  # fmt: skip


def _plain(config: ModelConfig, weights_file: Path) -> Weights:
    if not weights_file.is_file():
        raise ModelRefused(
            f"expected weights in {weights_file}, found {'a folder' if weights_file.is_dir() else 'no such file'}"
        )
    try:
        kind = kind_of(weights_file)
        if kind is not FileKind.OTHER or weights_file.suffix != ".onnx":
            found = kind.value if kind is not FileKind.OTHER else f"a file ending in {weights_file.suffix or 'nothing'}"
            raise ModelRefused(
                f"expected plain ONNX weights in {weights_file}, found {found}: only a signed bundle may hold anything else, "
                "because reading a checkpoint runs the code in it. Pack it with `model-bundle pack`, or export it to ONNX"
            )
        with weights_file.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").digest()
    except OSError as error:
        raise ModelRefused(f"can't read the weights in {weights_file}: {error.strerror}") from error
    return Weights(name=_short(weights_file.stem), file=weights_file, sha256=digest, labels=config.labels,
                   is_verified=False)  # fmt: skip


def _short(name: str) -> str:
    return name.encode()[:48].decode(errors="ignore")
