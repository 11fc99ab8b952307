"""Makes manifests, keys and bundles for the tests of this folder."""

import hashlib
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from nacl.signing import SigningKey

from models.bundle import Signer, VerifiedBundle, pack
from models.manifest import Measurement, ModelManifest, Task, WeightsFormat

KEY = SigningKey(bytes(range(32)))
SIGNER = Signer(bytes(KEY.verify_key))
TRUSTED = frozenset({SIGNER})
STRANGER = SigningKey(bytes(range(1, 33)))
WEIGHTS = bytes(range(256)) * 40


def manifest_for(weights: bytes, *, version: str = "1.0.0", file_name: str = "yard.onnx") -> ModelManifest:
    return ModelManifest(
        name="yard-detector",
        version=version,
        task=Task.DETECT,
        labels=("person", "handgun"),
        input_height_px=384,
        input_width_px=640,
        format=WeightsFormat(file_name.rsplit(".", 1)[1]),
        weights_file=file_name,
        weights_size_bytes=len(weights),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        license="Apache-2.0",
        data_source="made up for a test",
        measured=(
            Measurement(
                data="ten pictures", label="handgun", score=0.4, iou=0.5, precision=0.9, recall=0.8, truth_boxes=10
            ),
        ),
        created_at_utc=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def changed(manifest: ModelManifest, **fields: object) -> ModelManifest:
    return msgspec.structs.replace(manifest, **fields)


def packed(folder: Path, *, weights: bytes = WEIGHTS, version: str = "1.0.0", key: SigningKey = KEY) -> VerifiedBundle:
    weights_file = folder / "weights.bin"
    weights_file.write_bytes(weights)
    return pack(manifest_for(weights, version=version), weights_file, key, folder / f"{version}.heardmodel")


def zip_by_hand(members: list[tuple[bytes, bytes]], *, method: int = 0, extra: bytes = b"", tail: bytes = b"") -> bytes:
    """A zip archive written field by field, so that it can say what `zipfile` would not write."""
    body, directory = b"", b""
    for name, content in members:
        stored = content if method == 0 else zlib.compress(content, 9, -15)
        common = struct.pack(
            "<HHHHHIIIHH", 20, 0, method, 0, 0x21, zlib.crc32(content), len(stored), len(content), len(name), len(extra)
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 0x0314) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0o644 << 16, len(body)) + name + extra
        body += b"PK\x03\x04" + common + name + extra + stored
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return (
        body + tail + directory + (end if not tail else end[:16] + struct.pack("<I", len(body) + len(tail)) + end[20:])
    )
