"""The bytes on the wire are the ones that machines in the field know, and others can check them without our code."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgpack
import msgspec
import pytest

from relay import dsse, enrollment, envelope, hop, limits, passport, receipt
from relay.errors import BadSignature, CannotOpen, EnrollmentRefused, HeardError, Malformed, SenderError
from relay.kinds import body, exhibit, roster
from relay.kinds.acknowledgement import Acknowledgement
from relay.kinds.alert import decode as decode_alert
from relay.kinds.answer import MAX_STILL_BYTES, Answer, Still
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.chunk import Chunk
from relay.kinds.cosignature import Cosignature
from relay.kinds.exhibit import ClipExhibit, Exhibit
from relay.kinds.heartbeat import Heartbeat, Room
from relay.kinds.instruction import MAX_SDP_CHARACTERS, CloseStream, Instruction, OpenStream
from relay.kinds.pulse import Pulse
from relay.kinds.retraction import Retraction
from relay.kinds.trace import Trace
from relay.ranges import RangeSet
from tests.vectors.make_vectors import AUTHORITY_IDENTITY, CAMERA, CENTER, FOLDER_DIR, SERIES, files, make_all

ENVELOPES = [
    "alert",
    "alert_largest",
    "exhibit",
    "exhibit_clip",
    "chunk",
    "heartbeat",
    "pulse",
    "pulse_largest",
    "acknowledgement",
    "retraction",
    "trace",
    "checkpoint",
    "cosignature",
    "roster_envelope",
    "instruction_send_clip",
    "instruction_hold_clip",
    "instruction_release_clip",
    "instruction_open_stream",
    "instruction_close_stream",
    "instruction_act",
    "instruction_suppress",
    "instruction_unsuppress",
    "answer_followed",
    "answer_stream_opened",
    "answer_stream_refused",
    "answer_stream_ended",
    "answer_stream_rung",
    "answer_still",
]
BODIES: dict[str, Callable[[bytes], object]] = {
    "alert": decode_alert,
    "alert_largest": decode_alert,
    "exhibit": lambda data: body.decode(data, Exhibit),
    "exhibit_clip": lambda data: (body.decode(data, ClipExhibit), exhibit.decode(data)),
    "chunk": lambda data: body.decode(data, Chunk),
    "heartbeat": lambda data: body.decode(data, Heartbeat),
    "pulse": lambda data: body.decode(data, Pulse),
    "pulse_largest": lambda data: body.decode(data, Pulse),
    "acknowledgement": lambda data: body.decode(data, Acknowledgement),
    "retraction": lambda data: body.decode(data, Retraction),
    "trace": lambda data: body.decode(data, Trace),
    "checkpoint": lambda data: body.decode(data, SubmittedCheckpoint),
    "cosignature": lambda data: body.decode(data, Cosignature),
    "roster_envelope": lambda data: body.decode(data, roster.Roster),
    **{name: lambda data: body.decode(data, Instruction) for name in ENVELOPES if name.startswith("instruction_")},
    **{name: lambda data: body.decode(data, Answer) for name in ENVELOPES if name.startswith("answer_")},
}


def golden(name: str) -> bytes:
    return (FOLDER_DIR / name).read_bytes()


@pytest.mark.parametrize("name", sorted(files()))
def test_encoding_makes_the_golden_bytes(name: str) -> None:
    assert golden(name) == files()[name], (
        f"{name} moved: machines in the field can't read it. If that is meant, raise the format's version first."
    )


def test_no_golden_file_is_left_over() -> None:
    there = {file.name for file in FOLDER_DIR.iterdir() if file.suffix in {".bin", ".json"}}
    assert there == set(files())


def understand(name: str, wire: bytes) -> None:
    """Take a vector in as its receiver would, signature included."""
    if name in ENVELOPES:
        parsed = envelope.parse(wire)
        signer, reader = (CENTER, CAMERA) if parsed.header.kind.goes_down else (CAMERA, AUTHORITY_IDENTITY)
        envelope.verify(parsed, signer.signing_key)
        BODIES[name](envelope.open_body(parsed, reader.shared_secret(signer.sealing_key)))
    elif name.startswith("receipt"):
        receipt.verify(receipt.parse(wire), CENTER.signing_key)
    elif name == "passport":
        passport.verify(wire, AUTHORITY_IDENTITY.signing_key)
    elif name == "enrollment_code":
        enrollment.parse_code(wire.decode())
    elif name == "enrollment_request":
        enrollment.check_request(wire, lambda invite_id: bytes(range(16)) if invite_id == b"invite-1" else None)
    else:
        note = hop.decode(wire)
        if isinstance(note, hop.Hello | hop.Welcome):
            passport.verify(note.passport, AUTHORITY_IDENTITY.signing_key)
        elif isinstance(note, hop.Passports):
            passport.verify(note.passports[0], AUTHORITY_IDENTITY.signing_key)
        elif isinstance(note, hop.RosterNote):
            roster.verify(
                roster.Roster(statement=note.statement, signature=note.signature), AUTHORITY_IDENTITY.signing_key
            )


@pytest.mark.parametrize("name", sorted(make_all()))
def test_golden_bytes_are_understood(name: str) -> None:
    understand(name, golden(f"{name}.bin"))


@pytest.mark.parametrize("name", sorted(make_all()))
def test_forged_twin_is_refused(name: str) -> None:
    with pytest.raises((BadSignature, EnrollmentRefused, Malformed)) as refusal:
        understand(name, golden(f"{name}.forged.bin"))
    if name in ENVELOPES or name.startswith(("receipt", "passport")):
        assert refusal.type is BadSignature


@pytest.mark.parametrize("name", sorted(make_all()))
def test_truncated_twin_is_refused_wherever_it_is_cut(name: str) -> None:
    with pytest.raises((SenderError, EnrollmentRefused)):
        understand(name, golden(f"{name}.truncated.bin"))
    wire = golden(f"{name}.bin")
    for size in range(len(wire)):
        with pytest.raises(HeardError):
            understand(name, wire[:size])


@pytest.mark.parametrize("name", ENVELOPES)
def test_no_bit_of_an_envelope_can_be_flipped(name: str) -> None:
    wire = golden(f"{name}.bin")
    for at in range(0, len(wire), 1 if len(wire) < 300 else 3):
        changed = bytearray(wire)
        changed[at] ^= 1 << at % 8
        with pytest.raises(SenderError):
            understand(name, bytes(changed))


def test_sealed_body_of_one_envelope_does_not_open_under_another_header() -> None:
    first, second = (envelope.parse(golden(f"{name}.bin")) for name in ("alert", "alert_largest"))
    mixed = golden("alert.bin").replace(first.sealed_body, second.sealed_body[: len(first.sealed_body)])
    with pytest.raises(CannotOpen):
        envelope.open_body(envelope.parse(mixed), AUTHORITY_IDENTITY.shared_secret(CAMERA.sealing_key))


def test_a_heartbeat_from_before_it_told_of_room_and_refusals_is_still_understood() -> None:
    earlier = bytes.fromhex(
        "9ec4080001020304050607a5302e312e30ce000151800a9501000203cd019007ce0001e240cf00000002540be40002929203049209099196a46761746501cb"
        "40230000000000006801a09195a36c7465c3cb404840000000000063cd04b0af64656d6f6e7374726174696f6e2031c420" + "00" * 32
    )  # fmt: skip
    found = body.decode(earlier, Heartbeat)
    assert (found.room, found.refusals, found.model) == (Room.FREE, (), "demonstration 1")


def test_largest_alert_fits_one_radio_frame() -> None:
    size = len(golden("alert_largest.bin"))
    parsed = decode_alert(bytes.fromhex(json.loads(golden("alert_largest.json"))["body"]))
    assert [len(text.encode()) for text in (parsed.label, parsed.camera, parsed.zone)] == [limits.MAX_TAG_BYTES] * 3
    assert size <= limits.LORA_FRAME_BYTES == 233
    assert size < limits.SHORT_BURST_BYTES


def test_largest_offer_and_largest_still_fit_an_envelope_and_one_more_byte_is_refused() -> None:
    offer = OpenStream(session=bytes(16), camera="gate", offer="v" * MAX_SDP_CHARACTERS)
    still = Still(session=bytes(16), number=1, captured_wall_ms=1, age_ms=0, width_px=640, height_px=360,
                  jpeg=b"\xff" * MAX_STILL_BYTES)  # fmt: skip
    for said in (Instruction(order=offer), Answer(word=still)):
        assert len(body.encode(said)) <= limits.MAX_BODY_BYTES
    for over in (
        Instruction(order=msgspec.structs.replace(offer, offer=offer.offer + "v")),
        Answer(word=msgspec.structs.replace(still, jpeg=still.jpeg + b"\xff")),
    ):
        with pytest.raises(Malformed):
            body.encode(over)


def test_order_that_this_release_does_not_know_is_malformed_and_not_something_else() -> None:
    known = body.encode(Instruction(order=CloseStream(session=bytes(16))))
    parts = msgpack.unpackb(known)
    parts[1][0] = 200
    with pytest.raises(Malformed, match="200"):
        body.decode(msgpack.packb(parts), Instruction)


def test_receipt_for_one_node_fits_100_bytes_at_the_end_of_its_numbering() -> None:
    assert len(golden("receipt.bin")) <= 100
    assert receipt.parse(golden("receipt.bin")).upto == (1 << 32) - 1


def test_receipt_grows_by_at_most_ten_bytes_a_range() -> None:
    stored = RangeSet((n * 60_000_000 + 1, n * 60_000_000 + 30_000_000) for n in range(1, 71))
    issued = receipt.issue(stored, signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=0, origin=CAMERA.node_id,
                           series=SERIES)  # fmt: skip
    assert len(issued.further) == limits.RECEIPT_RANGES_NAMED
    assert len(issued.wire) <= 110 + 10 * limits.RECEIPT_RANGES_NAMED
    assert receipt.parse(issued.wire) == issued


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
@pytest.mark.parametrize("name", ["alert", "acknowledgement"])
def test_openssl_agrees_with_the_signature(name: str, tmp_path: Path) -> None:
    told = json.loads(golden(f"{name}.json"))
    # SubjectPublicKeyInfo of an Ed25519 key: RFC 8410, section 4.
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100" + told["signing_key"]))
    (tmp_path / "signature").write_bytes(bytes.fromhex(told["signature"]))
    parsed = envelope.parse(golden(f"{name}.bin"))
    assert parsed.signature.hex() == told["signature"]
    pae = b"DSSEv1 %d %b %d %b" % (
        len(dsse.HEADER_TYPE),
        dsse.HEADER_TYPE.encode(),
        len(parsed.header_bytes),
        parsed.header_bytes,
    )
    for content, expected in ((pae, 0), (pae[:-1] + b"\x00", 1)):
        (tmp_path / "pae").write_bytes(content)
        run = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "key.der",
             "-sigfile", tmp_path / "signature", "-in", tmp_path / "pae"], capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert run.returncode == expected, run.stdout + run.stderr
