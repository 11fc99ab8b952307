"""What a model says about itself: the manifest, which is the signed part of a bundle.

The manifest names the weights by size and SHA-256, so its signature covers them too. It is JSON, because people read
it; the bytes that were signed are kept as they are and are never written anew. This file decodes and checks; it
trusts nobody: `bundle.py` verifies the signature before it calls here.
"""

import hashlib
from datetime import datetime
from enum import Enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from models.errors import ManifestInvalid

MANIFEST_TYPE: Final = "application/vnd.heard.model-manifest.v1+json"
MAX_MANIFEST_BYTES: Final = 64 * 1024
MAX_WEIGHTS_BYTES: Final = 1024 * 1024 * 1024  # the largest TensorRT engines of today are a third of this

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*\Z", max_length=64)]
Version = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+){1,3}([+-][0-9A-Za-z]+)?\Z", max_length=32)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]
SidePx = Annotated[int, Meta(ge=32, le=4096, multiple_of=32)]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*\Z", max_length=128)]
Sha256Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Prose = Annotated[str, Meta(min_length=1, max_length=2000)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Task(Enum):
    """What the model does with a picture."""

    DETECT = "detect"


class WeightsFormat(Enum):
    """How the weights are stored; also the ending of their file's name."""

    ONNX = "onnx"
    PYTORCH = "pt"
    TENSORRT = "engine"


class Measurement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How well the model did on some data, at one score and one overlap."""

    data: Prose
    label: Label
    score: Share
    iou: Share
    precision: Share
    recall: Share
    truth_boxes: Annotated[int, Meta(ge=1)]


class ModelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signed statement about one set of weights."""

    name: Name
    version: Version
    task: Task
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=1000)]
    input_height_px: SidePx
    input_width_px: SidePx
    format: WeightsFormat
    weights_file: FileName
    weights_size_bytes: Annotated[int, Meta(ge=1, le=MAX_WEIGHTS_BYTES)]
    weights_sha256: Sha256Hex
    license: Prose
    data_source: Prose
    measured: Annotated[tuple[Measurement, ...], Meta(max_length=100)]
    created_at_utc: Annotated[datetime, Meta(tz=True)]

    def __post_init__(self) -> None:
        """Checks what one field alone can't show."""
        if len(set(self.labels)) != len(self.labels):
            raise ManifestInvalid(f"labels must differ from each other, found {', '.join(self.labels)}")
        ending = "." + self.format.value
        if not self.weights_file.endswith(ending) or self.weights_file == ending:
            raise ManifestInvalid(f"weights_file must end in {ending}, found {self.weights_file}")
        offset = self.created_at_utc.utcoffset()
        if offset is None or offset.total_seconds() != 0:
            raise ManifestInvalid(f"created_at_utc must be in UTC, found {self.created_at_utc.isoformat()}")


def encode_manifest(manifest: ModelManifest) -> bytes:
    """The JSON bytes to sign.

    Raises:
        ManifestInvalid: a field is out of its bounds.
    """
    payload = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    decode_manifest(payload)  # a Struct checks its types only when it is decoded
    return payload


def decode_manifest(payload: bytes) -> ModelManifest:
    """A manifest from its JSON bytes, every field within its bounds, no field unknown.

    Not checked: who signed it.

    Raises:
        ManifestInvalid: too long, not JSON, an unknown or missing field, or a field out of its bounds.
    """
    if len(payload) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"expected a manifest of at most {MAX_MANIFEST_BYTES} bytes, found {len(payload)}")
    try:
        return msgspec.json.decode(payload, type=ModelManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestInvalid(
            f"expected a model manifest, version 1; {error}. Pack the model again with `model-bundle pack`."
        ) from error


def model_id(manifest: ModelManifest, payload: bytes) -> str:
    """The name that a registry keeps a model under: readable, a safe file name, and one for each manifest."""
    return f"{manifest.name}@{manifest.version}-{hashlib.sha256(payload).hexdigest()[:12]}"
