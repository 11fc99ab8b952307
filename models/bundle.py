"""A model bundle: one file with a manifest, a signature over it, and the weights.

A `.heardmodel` file is a zip archive, stored and not compressed, of exactly three members in this order:
`manifest.json`, `manifest.sig` (the 64-byte Ed25519 signature over the DSSE encoding of the manifest), and the weights
under the name that the manifest gives. The order of trust is fixed and is this file's whole business:

1. The size of the file and the layout of its directory, within bounds.
2. The signature over the manifest's bytes, by a signer that the caller trusts.
3. The manifest's fields.
4. The weights' name, size and SHA-256.

Only then does the caller get a `VerifiedBundle`, and only from that can weights be had. Nothing here hands bytes to a
machine-learning library, and none of these steps needs one.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NewType

from nacl.signing import SigningKey

from models.checkpoint import NO_ZIP, FileKind, kind_of, refuse_legacy_checkpoint
from models.errors import BundleMalformed, BundleUnsigned, ManifestInvalid, UnsignedWeights, WeightsChanged
from models.manifest import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    MAX_WEIGHTS_BYTES,
    ModelManifest,
    WeightsFormat,
    decode_manifest,
    encode_manifest,
)
from relay import dsse
from relay.errors import BadSignature

Signer = NewType("Signer", bytes)  # a 32-byte Ed25519 public key

MANIFEST_MEMBER: Final = "manifest.json"
SIGNATURE_MEMBER: Final = "manifest.sig"
SIGNATURE_BYTES: Final = 64
MEMBERS: Final = 3
MAX_DIRECTORY_BYTES: Final = 1024  # three entries of 46 bytes and their names
LOCAL_HEADER_BYTES: Final = 30
END_RECORD_BYTES: Final = 22
MAX_BUNDLE_BYTES: Final = MAX_WEIGHTS_BYTES + MAX_MANIFEST_BYTES + 4096
BLOCK_BYTES: Final = 1024 * 1024
WRITTEN_AT: Final = (1980, 1, 1, 0, 0, 0)  # the same manifest and weights make the same file
WEIGHTS_BY_HAND: Final = frozenset({".pt", ".pth", ".onnx", ".engine", ".torchscript"})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle that passed every step. `manifest_bytes` are the exact bytes that were signed."""

    bundle_file: Path
    manifest: ModelManifest
    manifest_bytes: bytes
    signature: bytes
    signer: Signer

    def weights(self) -> Iterator[bytes]:
        """The weights in blocks, checked once more on their way out: the file may have changed since.

        Raises:
            WeightsChanged: at the end, when they aren't what was signed; discard what was written.
            BundleMalformed: the file is no longer a bundle.
        """
        with _opened(self.bundle_file) as archive:
            members = _members(archive, self.bundle_file)
            yield from _checked_weights(archive, members[2], self.manifest)


def pack(manifest: ModelManifest, weights_file: Path, key: SigningKey, bundle_file: Path) -> VerifiedBundle:
    """Makes a bundle and verifies it. The manifest's size, hash and file name must be those of the weights.

    *Guarantees*: `bundle_file` is whole and fsynced, or is not there.

    Raises:
        ManifestInvalid: a field is out of its bounds, or is not true of the weights.
        BundleMalformed: the weights are of a kind that must not be packed.
    """
    payload = encode_manifest(manifest)
    if manifest.format is WeightsFormat.PYTORCH:
        refuse_legacy_checkpoint(weights_file)
    partial = bundle_file.with_name(f".{bundle_file.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
            archive.writestr(_entry(MANIFEST_MEMBER), payload)
            archive.writestr(_entry(SIGNATURE_MEMBER), dsse.sign(MANIFEST_TYPE, payload, key))
            entry = _entry(manifest.weights_file)
            entry.file_size = manifest.weights_size_bytes
            with archive.open(entry, "w") as sink, weights_file.open("rb") as source:
                while block := source.read(BLOCK_BYTES):
                    sink.write(block)
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        try:
            verify(partial, frozenset({Signer(bytes(key.verify_key))}))
        except WeightsChanged as error:
            raise ManifestInvalid(f"the manifest does not describe {weights_file}: {error}") from error
        partial.replace(bundle_file)
    finally:
        partial.unlink(missing_ok=True)
    return verify(bundle_file, frozenset({Signer(bytes(key.verify_key))}))


def verify(bundle_file: Path, trusted: frozenset[Signer]) -> VerifiedBundle:
    """Checks a bundle from the outside in; see the steps at the head of this file.

    *Not checked*: whether the model is any good, or newer than the one in use.

    Raises:
        UnsignedWeights: these are bare weights, not a bundle.
        BundleMalformed, BundleUnsigned, ManifestInvalid, WeightsChanged: at the step of that name.
    """
    _refuse_bare_weights(bundle_file)
    with _opened(bundle_file) as archive:
        members = _members(archive, bundle_file)
        payload, signature = (_small(archive, member) for member in members[:2])
        signer = signed_by(payload, signature, trusted)
        manifest = decode_manifest(payload)
        for _ in _checked_weights(archive, members[2], manifest):
            pass
    return VerifiedBundle(
        bundle_file=bundle_file, manifest=manifest, manifest_bytes=payload, signature=signature, signer=signer
    )


def signed_by(payload: bytes, signature: bytes, trusted: frozenset[Signer]) -> Signer:
    """Which trusted signer signed these manifest bytes.

    Raises:
        BundleUnsigned: none of them did.
    """
    for signer in sorted(trusted):
        try:
            dsse.verify(MANIFEST_TYPE, payload, signature, signer)
        except BadSignature:
            continue
        return signer
    known = ", ".join(signer.hex()[:16] for signer in sorted(trusted)) or "none"
    raise BundleUnsigned(
        f"expected a manifest signed by a trusted signer ({known}), found a signature that none of them made: "
        "the manifest was changed, or another key signed it; get the bundle again, or name its signer"
    )


def matches_manifest(blocks: Iterator[bytes], manifest: ModelManifest) -> Iterator[bytes]:
    """Passes blocks on while it counts and hashes them; raises at the end unless they are the signed weights.

    Raises:
        WeightsChanged: too many bytes (at once), too few, or others (at the end).
    """
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        size += len(block)
        if size > manifest.weights_size_bytes:
            raise WeightsChanged(
                f"expected {manifest.weights_size_bytes} bytes of weights, found more: get the model again"
            )
        digest.update(block)
        yield block
    if size != manifest.weights_size_bytes or digest.hexdigest() != manifest.weights_sha256:
        raise WeightsChanged(
            f"expected weights of {manifest.weights_size_bytes} bytes with SHA-256 {manifest.weights_sha256[:16]}…, "
            f"found {size} bytes with {digest.hexdigest()[:16]}…: get the model again"
        )


def blocks_of(file: Path) -> Iterator[bytes]:
    """A file's bytes, a block at a time."""
    with file.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            yield block


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, WRITTEN_AT)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry


def _refuse_bare_weights(file: Path) -> None:
    try:
        kind = kind_of(file)
    except OSError as error:
        raise BundleMalformed(f"expected a model bundle at {file}, could not read it: {error.strerror}") from error
    bare = kind in (FileKind.PICKLE, FileKind.PYTORCH_ARCHIVE)
    if bare or file.suffix in WEIGHTS_BY_HAND:
        danger = ", and opening a pickle runs whatever it contains" if bare else ""
        raise UnsignedWeights(
            f"expected a signed model bundle, found bare weights ({file}): nobody vouches for them{danger}; "
            "sign them with `model-bundle pack`"
        )


def _opened(bundle_file: Path) -> zipfile.ZipFile:
    """The archive, once its end record shows that its directory is small. `zipfile` would read any directory."""
    size = bundle_file.stat().st_size
    if not END_RECORD_BYTES < size <= MAX_BUNDLE_BYTES:
        raise BundleMalformed(f"expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, found {size}: {bundle_file}")
    with bundle_file.open("rb") as source:
        source.seek(size - END_RECORD_BYTES)
        end = source.read(END_RECORD_BYTES)
    entries = int.from_bytes(end[10:12], "little")
    directory_bytes = int.from_bytes(end[12:16], "little")
    starts_at = int.from_bytes(end[16:20], "little")
    if (
        end[:4] != b"PK\x05\x06"
        or end[4:8] != bytes(4)
        or end[8:10] != end[10:12]
        or end[20:22] != bytes(2)
        or entries != MEMBERS
        or directory_bytes > MAX_DIRECTORY_BYTES
        or starts_at + directory_bytes + END_RECORD_BYTES != size
    ):
        raise BundleMalformed(
            f"expected a model bundle (a stored zip of {MEMBERS} members and nothing else), found another file, "
            f"or a part of one: {bundle_file}; get it again"
        )
    try:
        return zipfile.ZipFile(bundle_file)
    except NO_ZIP as error:
        raise BundleMalformed(f"the bundle's directory is damaged ({error}): {bundle_file}; get it again") from error


def _members(archive: zipfile.ZipFile, bundle_file: Path) -> tuple[zipfile.ZipInfo, ...]:
    """The three members, provided that they fill the file from its first byte to its directory."""
    members = tuple(archive.infolist())
    position = 0
    for member in members:
        plain = (
            member.compress_type == zipfile.ZIP_STORED
            and member.flag_bits == 0
            and not member.extra
            and not member.comment
            and member.compress_size == member.file_size
            and member.header_offset == position
            and member.orig_filename == member.filename
        )
        if not plain:
            raise BundleMalformed(
                f"expected stored members, one after the other, found {member.filename!r} packed in another way: "
                f"{bundle_file}; make it with `model-bundle pack`"
            )
        position += LOCAL_HEADER_BYTES + len(member.filename.encode()) + member.file_size
    names = tuple(member.filename for member in members)
    if position != archive.start_dir or names[:2] != (MANIFEST_MEMBER, SIGNATURE_MEMBER):
        raise BundleMalformed(
            f"expected {MANIFEST_MEMBER}, {SIGNATURE_MEMBER} and the weights, found {', '.join(map(repr, names))}: "
            f"{bundle_file}"
        )
    if members[0].file_size > MAX_MANIFEST_BYTES or members[1].file_size != SIGNATURE_BYTES:
        raise BundleMalformed(
            f"expected a manifest of at most {MAX_MANIFEST_BYTES} bytes and a signature of {SIGNATURE_BYTES}, "
            f"found {members[0].file_size} and {members[1].file_size}: {bundle_file}"
        )
    return members


def _small(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    except NO_ZIP as error:
        raise BundleMalformed(f"{member.filename} is damaged in the bundle ({error}): get it again") from error


def _checked_weights(archive: zipfile.ZipFile, member: zipfile.ZipInfo, manifest: ModelManifest) -> Iterator[bytes]:
    if member.filename != manifest.weights_file or member.file_size != manifest.weights_size_bytes:
        raise WeightsChanged(
            f"expected {manifest.weights_file} of {manifest.weights_size_bytes} bytes, "
            f"found {member.filename!r} of {member.file_size}: get the bundle again"
        )

    def blocks() -> Iterator[bytes]:
        try:
            with archive.open(member) as source:
                while block := source.read(BLOCK_BYTES):
                    yield block
        except NO_ZIP as error:
            raise WeightsChanged(f"the weights are damaged in the bundle ({error}): get it again") from error

    yield from matches_manifest(blocks(), manifest)
