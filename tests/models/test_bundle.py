"""A bundle is opened only as it was signed."""

import pickle
import zipfile
from pathlib import Path
from random import Random

import pytest
from nacl.signing import SigningKey

from models.bundle import MANIFEST_MEMBER, SIGNATURE_MEMBER, Signer, pack, verify
from models.errors import (
    BundleMalformed,
    BundleRefused,
    BundleUnsigned,
    ManifestInvalid,
    UnsignedWeights,
    WeightsChanged,
)
from models.manifest import MANIFEST_TYPE, encode_manifest
from relay import dsse
from tests.models.packing import KEY, SIGNER, STRANGER, TRUSTED, WEIGHTS, manifest_for, packed, zip_by_hand


def signed_parts(weights: bytes = WEIGHTS, key: SigningKey = KEY) -> list[tuple[bytes, bytes]]:
    payload = encode_manifest(manifest_for(weights))
    return [
        (MANIFEST_MEMBER.encode(), payload),
        (SIGNATURE_MEMBER.encode(), dsse.sign(MANIFEST_TYPE, payload, key)),
        (b"yard.onnx", weights),
    ]


def written(folder: Path, content: bytes) -> Path:
    file = folder / "given.heardmodel"
    file.write_bytes(content)
    return file


def test_bundle_gives_back_exactly_what_was_packed(tmp_path: Path) -> None:
    bundle = packed(tmp_path)
    again = verify(bundle.bundle_file, TRUSTED)
    assert again == bundle
    assert again.signer == SIGNER
    assert b"".join(again.weights()) == WEIGHTS
    assert again.manifest == manifest_for(WEIGHTS)


def test_same_manifest_and_weights_make_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert packed(one).bundle_file.read_bytes() == packed(other).bundle_file.read_bytes()


def test_archive_written_by_hand_is_accepted_when_it_says_the_same(tmp_path: Path) -> None:
    """Shows that the refusals below are for what they change, and not for how the test writes zips."""
    assert verify(written(tmp_path, zip_by_hand(signed_parts())), TRUSTED).manifest.name == "yard-detector"


def test_no_changed_byte_changes_what_is_trusted(tmp_path: Path) -> None:
    """Flips every byte in turn. Either the bundle is refused, or what comes out is what was signed."""
    content = packed(tmp_path, weights=bytes(range(200))).bundle_file.read_bytes()
    expected = encode_manifest(manifest_for(bytes(range(200))))
    refused = 0
    survived = []
    for position in range(len(content)):
        forged = bytearray(content)
        forged[position] ^= 0x41
        try:
            bundle = verify(written(tmp_path, bytes(forged)), TRUSTED)
            assert bundle.manifest_bytes == expected
            assert b"".join(bundle.weights()) == bytes(range(200))
            survived.append(position)
        except BundleRefused:
            refused += 1
    # Dates, versions and attributes in the zip directory say nothing that anyone reads.
    assert refused > len(content) - 120, survived


def test_bytes_changed_by_chance_are_refused_and_never_crash(tmp_path: Path) -> None:
    content = packed(tmp_path, weights=bytes(100)).bundle_file.read_bytes()
    random = Random(20_260)
    refused = 0
    for _ in range(2_000):
        forged = bytearray(content)
        near = random.choice([0, len(content) - 260])
        for _ in range(random.randint(1, 6)):
            forged[near + random.randrange(260)] = random.choice([0, 255, random.randrange(256)])
        try:
            assert b"".join(verify(written(tmp_path, bytes(forged)), TRUSTED).weights()) == bytes(100)
        except BundleRefused:
            refused += 1
    assert refused > 1_000


@pytest.mark.parametrize("part", [0, 1, 2])
def test_part_changed_with_its_checksum_is_refused(tmp_path: Path, part: int) -> None:
    """A forger can repair the zip's own CRC; the signature and the hash must catch it."""
    for position in (0, 31, -1):
        parts = signed_parts()
        forged = bytearray(parts[part][1])
        forged[position] ^= 1
        parts[part] = (parts[part][0], bytes(forged))
        with pytest.raises((BundleUnsigned, WeightsChanged)):
            verify(written(tmp_path, zip_by_hand(parts)), TRUSTED)


def test_every_shorter_file_is_refused(tmp_path: Path) -> None:
    content = packed(tmp_path, weights=bytes(50)).bundle_file.read_bytes()
    for length in range(len(content)):
        with pytest.raises(BundleRefused):
            verify(written(tmp_path, content[:length]), TRUSTED)


def test_bytes_before_between_or_after_are_refused(tmp_path: Path) -> None:
    content = zip_by_hand(signed_parts())
    for forged in (b"#!/bin/sh\n" + content, content + b"\0", zip_by_hand(signed_parts(), tail=b"hidden")):
        with pytest.raises(BundleMalformed):
            verify(written(tmp_path, forged), TRUSTED)


@pytest.mark.parametrize("name", [b"extra.txt", b"yard.onnx", b"../../etc/cron.d/x"])
def test_extra_member_is_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(BundleMalformed):
        verify(written(tmp_path, zip_by_hand([*signed_parts(), (name, b"x")])), TRUSTED)


@pytest.mark.parametrize("name", [b"../yard.onnx", b"/yard.onnx", b"a/yard.onnx", b"yard.onnx\0.txt", b"YARD.onnx"])
def test_weights_under_another_name_are_refused(tmp_path: Path, name: bytes) -> None:
    parts = signed_parts()
    parts[2] = (name, WEIGHTS)
    with pytest.raises(BundleRefused):
        verify(written(tmp_path, zip_by_hand(parts)), TRUSTED)


def test_members_in_another_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleMalformed):
        verify(written(tmp_path, zip_by_hand(signed_parts()[::-1])), TRUSTED)


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    zeros = bytes(50_000_000)
    bomb = zip_by_hand(
        [(MANIFEST_MEMBER.encode(), zeros), (SIGNATURE_MEMBER.encode(), bytes(64)), (b"w", b"")], method=8
    )
    assert len(bomb) < 100_000
    with pytest.raises(BundleMalformed, match="packed in another way"):
        verify(written(tmp_path, bomb), TRUSTED)


def test_directory_of_a_million_entries_is_refused_unread(tmp_path: Path) -> None:
    crowd = tmp_path / "crowd.heardmodel"
    with zipfile.ZipFile(crowd, "w") as archive:
        for number in range(5_000):
            archive.writestr(str(number), b"")
    with pytest.raises(BundleMalformed, match="3 members"):
        verify(crowd, TRUSTED)


def test_oversized_manifest_is_refused(tmp_path: Path) -> None:
    payload = b" " * 70_000
    parts = [
        (MANIFEST_MEMBER.encode(), payload),
        (SIGNATURE_MEMBER.encode(), dsse.sign(MANIFEST_TYPE, payload, KEY)),
        (b"w.onnx", b"x"),
    ]
    with pytest.raises(BundleMalformed, match="at most 65536"):
        verify(written(tmp_path, zip_by_hand(parts)), TRUSTED)


def test_local_extra_fields_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleMalformed):
        verify(written(tmp_path, zip_by_hand(signed_parts(), extra=b"UT\x05\x00\x01abcd")), TRUSTED)


def test_other_signer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleUnsigned):
        verify(written(tmp_path, zip_by_hand(signed_parts(key=STRANGER))), TRUSTED)


def test_nobody_trusted_means_nothing_opens(tmp_path: Path) -> None:
    with pytest.raises(BundleUnsigned):
        verify(packed(tmp_path).bundle_file, frozenset())


def test_any_of_several_trusted_signers_will_do(tmp_path: Path) -> None:
    trusted = TRUSTED | {Signer(bytes(STRANGER.verify_key))}
    assert verify(packed(tmp_path, key=STRANGER).bundle_file, trusted).signer == bytes(STRANGER.verify_key)


def test_signature_for_another_payload_type_is_refused(tmp_path: Path) -> None:
    parts = signed_parts()
    parts[1] = (parts[1][0], dsse.sign("application/vnd.heard.passport.v1", parts[0][1], KEY))
    with pytest.raises(BundleUnsigned):
        verify(written(tmp_path, zip_by_hand(parts)), TRUSTED)


def test_signature_is_checked_before_the_manifest_is_read(tmp_path: Path) -> None:
    parts = signed_parts()
    parts[0] = (parts[0][0], b"not json")
    with pytest.raises(BundleUnsigned):
        verify(written(tmp_path, zip_by_hand(parts)), TRUSTED)


def test_weights_swapped_after_verification_are_noticed(tmp_path: Path) -> None:
    bundle = packed(tmp_path)
    parts = signed_parts()
    parts[2] = (parts[2][0], WEIGHTS[::-1])
    bundle.bundle_file.write_bytes(zip_by_hand(parts))
    with pytest.raises(WeightsChanged):
        b"".join(bundle.weights())


class RunsWhenUnpickled:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('was_run').touch()",))


def test_bare_pickle_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("evil.pt", "evil.heardmodel"):
        file = tmp_path / name
        file.write_bytes(pickle.dumps(RunsWhenUnpickled()))
        with pytest.raises(UnsignedWeights, match="pickle"):
            verify(file, TRUSTED)
    assert not (tmp_path / "was_run").exists()


def test_bare_checkpoint_and_bare_onnx_are_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "renamed.heardmodel"
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps({"model": 1}))
    bare = tmp_path / "yolo.onnx"
    bare.write_bytes(b"\x08\x08anything")
    for file in (checkpoint, bare):
        with pytest.raises(UnsignedWeights, match="model-bundle pack"):
            verify(file, TRUSTED)


def checkpoint_naming(folder: Path, module: str, *, protocol: int) -> Path:
    """A checkpoint as torch writes it, whose pickle names a class of `module`; nothing is ever unpickled."""
    named = f"c{module}\nModel\n." if protocol == 0 else None
    text = module.encode()
    stacked = b"\x80\x04\x8c" + bytes([len(text)]) + text + b"\x8c\x05Model\x93."
    file = folder / "best.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("best/data.pkl", named.encode() if named else stacked)
    return file


@pytest.mark.parametrize("protocol", [0, 4])
def test_legacy_checkpoint_that_wants_a_package_named_models_is_not_packed(tmp_path: Path, protocol: int) -> None:
    file = checkpoint_naming(tmp_path, "models.yolo", protocol=protocol)
    manifest = manifest_for(file.read_bytes(), file_name="best.pt")
    with pytest.raises(BundleMalformed, match=r"legacy one that needs models\.yolo"):
        pack(manifest, file, KEY, tmp_path / "out.heardmodel")
    assert not (tmp_path / "out.heardmodel").exists()


def test_current_checkpoint_is_packed_and_opens_as_verified(tmp_path: Path) -> None:
    file = checkpoint_naming(tmp_path, "ultralytics.nn.tasks", protocol=4)
    manifest = manifest_for(file.read_bytes(), file_name="best.pt")
    bundle = pack(manifest, file, KEY, tmp_path / "out.heardmodel")
    assert b"".join(bundle.weights()) == file.read_bytes()


def test_manifest_that_is_not_true_of_the_weights_is_not_packed(tmp_path: Path) -> None:
    weights_file = tmp_path / "w"
    weights_file.write_bytes(WEIGHTS + b"one more")
    with pytest.raises(ManifestInvalid):
        pack(manifest_for(WEIGHTS), weights_file, KEY, tmp_path / "out.heardmodel")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["w"]
