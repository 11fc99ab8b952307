"""Every value survives its encoding, and no bytes from outside make a decoder do anything but accept or refuse."""

import resource
import struct
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import header, hop, limits, receipt
from relay.clock import ClockQuality
from relay.enrollment import make_code, parse_code
from relay.errors import EnrollmentRefused, SenderError
from relay.header import Header, Kind
from relay.identity import AuthorityKeys, Identity
from relay.ids import AUTHORITY, NodeId
from relay.kinds import alert
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.precedence import Precedence
from relay.ranges import RangeSet
from tests.fuzz.decoders import DECODERS

IDENTITY = Identity.from_seed(bytes(range(32)))
node_ids = st.binary(min_size=8, max_size=8).map(NodeId)
u32 = st.integers(0, (1 << 32) - 1)
u48 = st.integers(0, limits.MAX_CLOCK_MS)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    kind = draw(st.sampled_from(Kind))
    return Header(
        kind=kind, quality=draw(st.sampled_from(ClockQuality)), precedence=draw(st.sampled_from(Precedence)),
        origin=draw(node_ids), destination=draw(node_ids) if kind.goes_down else AUTHORITY, series=draw(u32),
        boot=draw(st.integers(0, 65535)), sequence=draw(st.integers(1, (1 << 32) - 1)), wall_ms=draw(u48),
        monotonic_ms=draw(u48), ttl_s=draw(u32), link=draw(st.binary(min_size=8, max_size=8)),
        body_sha256=draw(st.binary(min_size=32, max_size=32)),
    )  # fmt: skip


@given(headers())
def test_header_survives_its_encoding(value: Header) -> None:
    assert header.decode(value.encode()) == value
    assert header.decode(value.encode()).encode() == value.encode()


def tags(least: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
        lambda text: least <= len(text.encode()) <= limits.MAX_TAG_BYTES
    )


@given(
    label=tags(1), camera=tags(1), zone=tags(0), confidence=st.integers(0, 255),
    box=st.tuples(*[st.integers(0, 255)] * 4), rule=st.sampled_from(Rule), track=st.integers(0, 65535), age_ms=u32,
    model=st.binary(min_size=4, max_size=4), salt=st.binary(min_size=8, max_size=8),
)  # fmt: skip
def test_alert_survives_its_encoding(
    label: str, camera: str, zone: str, confidence: int, box: tuple[int, int, int, int], rule: Rule, track: int,
    age_ms: int, model: bytes, salt: bytes,
) -> None:  # fmt: skip
    x1, y1, x2, y2 = (edge / 255 for edge in box)
    value = Alert(label=label, camera=camera, zone=zone, confidence=confidence / 255, box_xyxy=(x1, y1, x2, y2),
                  rule=rule, track=track, age_ms=age_ms, model_sha256_prefix=model, salt=salt)  # fmt: skip
    assert len(value.encode()) <= alert.MAX_BYTES
    assert alert.decode(value.encode()) == value


numbers = st.integers(1, 60)
ranges = st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=12)


def as_set(found: RangeSet) -> set[int]:
    return {number for first, last in found for number in range(first, last + 1)}


@given(ranges, ranges)
def test_range_set_is_a_set(added: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    here, there = RangeSet(added), RangeSet(others)
    model = {number for first, last in added for number in range(first, last + 1)}
    other_model = {number for first, last in others for number in range(first, last + 1)}
    assert as_set(here) == model
    assert here.count == len(model)
    assert here.highest == max(model, default=0)
    assert bool(here) == bool(model)
    assert all((number in here) == (number in model) for number in range(1, 62))
    parts = list(here)
    assert all(parts[i][1] + 1 < parts[i + 1][0] for i in range(len(parts) - 1)), "sorted, disjoint, not touching"
    contiguous = next(number for number in range(62) if number + 1 not in model)
    assert here.contiguous == contiguous
    assert as_set(RangeSet(here.above_contiguous())) == {number for number in model if number > contiguous}
    assert as_set(RangeSet(here.gaps())) == set(range(1, here.highest + 1)) - model
    assert as_set(here.minus(there)) == model - other_model
    assert as_set(here) == model, "minus changes nothing"
    assert (here == there) == (model == other_model)


@given(first=st.integers(-3, 3), last=st.integers(-3, 3))
def test_range_set_refuses_what_is_no_range(first: int, last: int) -> None:
    if 1 <= first <= last:
        return
    with pytest.raises(ValueError, match="expected 1 <= first <= last"):
        RangeSet().add(first, last)


wide = st.integers(1, (1 << 32) - 1)


@given(
    st.lists(st.tuples(wide, st.integers(0, 5000)), max_size=90), node_ids, st.integers(1, (1 << 32) - 1), u32
)  # fmt: skip
def test_receipt_survives_its_encoding(spans: list[tuple[int, int]], origin: NodeId, series: int, at_s: int) -> None:
    stored = RangeSet((first, min(first + more, (1 << 32) - 1)) for first, more in spans)
    issued = receipt.issue(stored, signer=IDENTITY.node_id, signing=IDENTITY.signing, stored_at_s=at_s, origin=origin,
                           series=series)  # fmt: skip
    parsed = receipt.parse(issued.wire)
    assert parsed == issued
    receipt.verify(parsed, IDENTITY.signing_key)
    assert not parsed.ranges().minus(stored), "a receipt never says more than was stored"
    assert parsed.upto == stored.contiguous
    assert len(parsed.further) <= limits.RECEIPT_RANGES_NAMED
    assert parsed.is_full or parsed.ranges() == stored
    assert receipt.is_receipt(issued.wire)
    assert not hop.is_note(issued.wire)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80), st.binary(min_size=8, max_size=8),
       st.binary(min_size=16, max_size=16))  # fmt: skip
def test_enrollment_code_survives_being_copied(url: str, invite_id: bytes, secret: bytes) -> None:
    keys = AuthorityKeys(signing_key=IDENTITY.signing_key, sealing_key=IDENTITY.sealing_key)
    code = make_code(url, keys, invite_id, secret)
    for copied in (code, code.lower(), f" {code[:9]}\n {code[9:]} "):
        parsed = parse_code(copied)
        assert (parsed.url, parsed.invite_id, parsed.secret) == (url, invite_id, secret)
        assert parsed.fingerprint == keys.fingerprint


@given(st.data())
def test_mistyped_enrollment_code_is_refused_or_the_same(data: st.DataObject) -> None:
    keys = AuthorityKeys(signing_key=IDENTITY.signing_key, sealing_key=IDENTITY.sealing_key)
    code = make_code("http://10.0.0.1:8480", keys, b"invite-1", bytes(16))
    at = data.draw(st.integers(7, len(code) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
    try:
        parsed = parse_code(code[:at] + letter + code[at + 1 :])
    except EnrollmentRefused:
        return
    # One in 65,536 slips past the check digits; a wrong secret or fingerprint is then found out at the center.
    assert (parsed.url, parsed.invite_id) == ("http://10.0.0.1:8480", b"invite-1") or letter == code[at]


# ------------------------------------------------------------------------------------------------ hostile bytes


VALID = sorted({wire for decoder in DECODERS.values() for wire in decoder.valid.values()})


def survives(name: str, data: bytes) -> None:
    DECODERS[name].take(data)


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=400))
def test_decoder_takes_any_bytes(name: str, data: bytes) -> None:
    survives(name, data)
    hop.is_note(data)
    receipt.is_receipt(data)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.binary(max_size=80)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("name", DECODERS)
@given(value=plain)
def test_decoder_takes_any_well_formed_value(name: str, value: object) -> None:
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    survives(name, packed)
    if name in {"enrollment_request", "enrollment_reply"}:
        survives(name, msgspec.json.encode(repr(value)))


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_decoder_takes_any_mutation_of_the_real_thing(name: str, data: st.DataObject) -> None:
    own = sorted(DECODERS[name].valid.values()) or VALID
    wire = bytearray(data.draw(st.sampled_from(own) | st.sampled_from(VALID)))
    if not wire:
        return
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire) - 1))
        what = data.draw(st.sampled_from(["set", "cut", "insert", "double"]))
        if what == "set":
            wire[at] = data.draw(st.integers(0, 255))
        elif what == "cut":
            del wire[at : at + data.draw(st.integers(1, 9))]
        elif what == "insert":
            wire[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        else:
            wire += wire[at:]
        if not wire:
            break
    survives(name, bytes(wire))


HUGE = [
    prefix + claim + b"\x00" * 20
    for prefix in (b"", b"\x92", b"\x93\x01", b"\x94\x01", b"\x92\xa6stored", b"\x92\xa9passports", b"\x95\xc4\x08" + bytes(8),
                   b"\x93\xc4\x08" + bytes(8), b"\x93\xc4\x08" + bytes(8) + b"\xc4\x20" + bytes(32), b"\x93\x01\x02")
    for claim in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
                  b"\xc9\xff\xff\xff\xff\x01", b"\xdd\x7f\xff\xff\xff")
]  # fmt: skip


@pytest.mark.parametrize("name", DECODERS)
def test_claim_of_four_billion_elements_costs_nothing(name: str) -> None:
    # The claim of 2^32 array elements alone would take 32 GiB: with 2 GiB more than now there is no hiding it.
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        now_bytes = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now_bytes + (256 << 20), before[1]))
    try:
        for data in HUGE:
            survives(name, data)
            survives(name, b"[" * 100_000)
            survives(name, b"\x91" * 60_000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", ["enrollment_request", "enrollment_reply"])
def test_json_with_bytes_that_are_no_utf_8_is_refused(name: str) -> None:
    for data in (b'{"\x80nvite_id": "x"}', b'{"state": "\xff"}', b'{"invite_id": "\xc3"}', b"\xff\xfe{}"):
        survives(name, data)


def test_numbers_at_their_bounds_round_trip() -> None:
    assert struct.calcsize(">BB8sIHI6s6sI8s32s") == header.UP_BYTES
    assert Role(3) == Role.CENTER


def test_alert_that_can_not_be_said_is_refused() -> None:
    fields: dict[str, Any] = {"label": "gun", "camera": "gate", "confidence": 0.5, "rule": Rule.EMITTED}
    for wrong in ({"label": ""}, {"label": "thirteen bytes"}, {"camera": "é" * 7}, {"confidence": 1.1},
                  {"confidence": float("nan")}, {"box_xyxy": (0, 0, 2, 0)}, {"track": 65536}, {"age_ms": -1},
                  {"model_sha256_prefix": b"abc"}, {"label": "\ud800"}, {"salt": b"short"}):  # fmt: skip
        with pytest.raises(SenderError):
            Alert(**{**fields, **wrong}).encode()
