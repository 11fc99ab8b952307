"""A manifest says what is possible, and nothing unknown."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.errors import ManifestInvalid
from models.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_WEIGHTS_BYTES,
    WeightsFormat,
    decode_manifest,
    encode_manifest,
    model_id,
)
from tests.models.packing import WEIGHTS, changed, manifest_for

GOOD = manifest_for(WEIGHTS)


def test_manifest_survives_the_way_through_json() -> None:
    assert decode_manifest(encode_manifest(GOOD)) == GOOD


def test_manifest_is_readable_by_people_and_other_programs() -> None:
    shown = json.loads(encode_manifest(GOOD))
    assert shown["created_at_utc"] == "2026-01-02T03:04:05Z"
    assert (shown["format"], shown["task"]) == ("onnx", "detect")
    assert encode_manifest(GOOD).count(b"\n") > 15


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "../x"),
        ("name", "Yard"),
        ("name", "a" * 65),
        ("name", "yard\n"),
        ("version", ""),
        ("version", "one"),
        ("version", "1.0/../.."),
        ("labels", ()),
        ("labels", ("",)),
        ("labels", ("person", "person")),
        ("labels", tuple(str(number) for number in range(1001))),
        ("input_height_px", 0),
        ("input_height_px", 100),
        ("input_width_px", 4128),
        ("weights_file", "../yard.onnx"),
        ("weights_file", "a/yard.onnx"),
        ("weights_file", ".onnx"),
        ("weights_file", "yard.pt"),
        ("weights_file", "yard.onnx\n"),
        ("weights_size_bytes", 0),
        ("weights_size_bytes", MAX_WEIGHTS_BYTES + 1),
        ("weights_sha256", "0" * 63),
        ("weights_sha256", "A" * 64),
        ("license", ""),
        ("data_source", "x" * 2001),
        ("measured", GOOD.measured * 101),
        ("measured", ({"data": "x"},)),
        ("format", WeightsFormat.TENSORRT),
        ("created_at_utc", datetime(2026, 1, 1)),
        ("created_at_utc", datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_field_out_of_its_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(ManifestInvalid):
        encode_manifest(changed(GOOD, **{field: value}))


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan"), float("inf")])
def test_measurement_beyond_a_share_is_refused(share: float) -> None:
    shown = json.loads(encode_manifest(GOOD))
    shown["measured"][0]["recall"] = share
    with pytest.raises(ManifestInvalid):
        decode_manifest(json.dumps(shown).encode())


@pytest.mark.parametrize("field", sorted(json.loads(encode_manifest(GOOD))))
def test_missing_field_is_refused_by_name(field: str) -> None:
    shown = json.loads(encode_manifest(GOOD))
    del shown[field]
    with pytest.raises(ManifestInvalid, match=field):
        decode_manifest(json.dumps(shown).encode())


def test_unknown_field_is_refused_by_name() -> None:
    shown = json.loads(encode_manifest(GOOD)) | {"run_after_install": "rm -rf /"}
    with pytest.raises(ManifestInvalid, match="run_after_install"):
        decode_manifest(json.dumps(shown).encode())


def test_oversized_manifest_is_refused_unread() -> None:
    with pytest.raises(ManifestInvalid, match="at most"):
        decode_manifest(b"{" * (MAX_MANIFEST_BYTES + 1))


@given(some.binary(max_size=300))
def test_any_bytes_are_refused_or_decoded_and_never_crash(payload: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        decode_manifest(payload)


def test_id_is_a_safe_file_name_and_differs_with_every_byte() -> None:
    payload = encode_manifest(GOOD)
    assert model_id(GOOD, payload).startswith("yard-detector@1.0.0-")
    assert model_id(GOOD, payload) != model_id(GOOD, payload + b" ")
    assert "/" not in model_id(GOOD, payload)
