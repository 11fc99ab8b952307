"""Makes the golden bytes: `python -m tests.vectors.make_vectors` writes them, the test beside it compares.

Everything is fixed: seeds, salts, clocks, series. If a release changes any of these bytes, machines in the field that run
the one before can't talk to it: raise the version instead, and keep the old vectors.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

import msgpack
import msgspec

from relay import dsse, enrollment, envelope, hop, passport, receipt
from relay.clock import ClockQuality
from relay.enrollment import EnrollmentCode
from relay.envelope import Envelope
from relay.header import Header, Kind
from relay.identity import AuthorityKeys, Identity
from relay.ids import AUTHORITY
from relay.kinds import answer as answers
from relay.kinds import body, roster
from relay.kinds import instruction as instructions
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.alert import Alert, Rule
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.chunk import Chunk
from relay.kinds.cosignature import Cosignature
from relay.kinds.exhibit import ClipExhibit, Exhibit, ExhibitItem
from relay.kinds.heartbeat import CameraHealth, CameraState, Heartbeat, PathHealth, Room
from relay.kinds.pulse import MOST_CAMERAS, MOST_PATHS, Pulse
from relay.kinds.retraction import Ground, Retraction
from relay.kinds.trace import Leg, Passage, Trace, Way
from relay.passport import Role
from relay.precedence import Precedence
from relay.ranges import RangeSet

FOLDER_DIR: Final = Path(__file__).parent
SALT: Final = bytes(range(8))
WALL_MS: Final = 1_790_000_000_123
MONOTONIC_MS: Final = 86_400_123
SERIES: Final = 0xC0FFEE01

AUTHORITY_IDENTITY: Final = Identity.from_seed(hashlib.sha256(b"vector authority").digest())
CAMERA: Final = Identity.from_seed(hashlib.sha256(b"vector camera").digest())
CENTER: Final = Identity.from_seed(hashlib.sha256(b"vector center").digest())

Described = tuple[bytes, dict[str, object]]


def _sealed(kind: Kind, precedence: Precedence, content: bytes, sequence: int = 1, ttl_s: int = 0) -> Envelope:
    signer, peer = (CENTER, CAMERA) if kind.goes_down else (CAMERA, AUTHORITY_IDENTITY)
    header = Header(
        kind=kind, quality=ClockQuality.SYNCHRONIZED, precedence=precedence, origin=signer.node_id,
        destination=CAMERA.node_id if kind.goes_down else AUTHORITY, series=SERIES, boot=7, sequence=sequence,
        wall_ms=WALL_MS, monotonic_ms=MONOTONIC_MS, ttl_s=ttl_s, link=bytes(8) if sequence == 1 else b"previous",
        body_sha256=hashlib.sha256(content).digest(),
    )  # fmt: skip
    return envelope.seal(header, content, signing=signer.signing, shared_secret=signer.shared_secret(peer.sealing_key))


def _envelopes() -> dict[str, tuple[Envelope, bytes]]:
    picture = b"\xff\xd8 a picture"
    drafts = {
        "alert": (Kind.ALERT, Precedence.FLASH, Alert(
            label="handgun", camera="gate", zone="yard", confidence=0.91, box_xyxy=(0.1, 0.2, 0.3, 0.9),
            rule=Rule.CLASS_OF_INTEREST, track=17, age_ms=412, model_sha256_prefix=b"\xde\xad\xbe\xef", salt=SALT,
        ).encode()),
        "alert_largest": (Kind.ALERT, Precedence.FLASH, Alert(
            label="twelve bytes", camera="camera-00012", zone="зона-001", confidence=1.0, box_xyxy=(1.0, 1.0, 1.0, 1.0),
            rule=Rule.TAMPER, track=65535, age_ms=(1 << 32) - 1, model_sha256_prefix=b"\xff" * 4, salt=b"\xff" * 8,
        ).encode()),
        "retraction": (Kind.RETRACTION, Precedence.FLASH, body.encode(Retraction(
            salt=SALT, alert_id=b"a" * 32, ground=Ground.SECOND_STAGE, note="an umbrella"))),
        "exhibit": (Kind.EXHIBIT, Precedence.PRIORITY, body.encode(Exhibit(salt=SALT, alert_id=b"a" * 32, items=(
            ExhibitItem(media_type="image/jpeg", sha256=hashlib.sha256(picture).digest(), size_bytes=len(picture),
                        chunk_bytes=4096, width_px=1280, height_px=720, captured_wall_ms=WALL_MS,
                        captured_monotonic_ms=MONOTONIC_MS),)))),
        "exhibit_clip": (Kind.EXHIBIT, Precedence.PRIORITY, body.encode(ClipExhibit(salt=SALT, alert_id=b"a" * 32, items=(
            ExhibitItem(media_type="video/mp4", sha256=hashlib.sha256(picture).digest(), size_bytes=len(picture),
                        chunk_bytes=4096, width_px=1280, height_px=720, captured_wall_ms=WALL_MS,
                        captured_monotonic_ms=MONOTONIC_MS),), segments=(
            (4, hashlib.sha256(picture[:4]).digest()), (len(picture) - 4, hashlib.sha256(picture[4:]).digest()))))),
        "chunk": (Kind.CHUNK, Precedence.BULK, body.encode(Chunk(
            salt=SALT, object_sha256=hashlib.sha256(picture).digest(), offset_bytes=0, content=picture))),
        "heartbeat": (Kind.HEARTBEAT, Precedence.ROUTINE, body.encode(Heartbeat(
            salt=SALT, release="0.1.0", uptime_s=86400, interval_s=10, backlog=(1, 0, 2, 3, 400), oldest_waiting_s=7,
            spool_bytes=123456, disk_free_bytes=10**10, refused=2, forgone=((3, 4), (9, 9)),
            cameras=(CameraHealth(camera="gate", state=CameraState.SEEING, frames_per_s=9.5, last_frame_age_ms=104,
                                  reconnects=1),),
            paths=(PathHealth(path="lte", is_up=True, rtt_ms=48.5, bytes_sent=99, last_heard_age_ms=1200),),
            model="demonstration 1", model_sha256=bytes(32)))),
        "pulse": (Kind.PULSE, Precedence.ROUTINE, body.encode(Pulse(
            salt=SALT, interval_s=1800, is_narrow=True, alerts_waiting=3, oldest_waiting_s=7, room=Room.DISK_FULL,
            cameras=bytes((CameraState.SEEING, CameraState.LOST)), paths_up=0b10))),
        "pulse_largest": (Kind.PULSE, Precedence.ROUTINE, body.encode(Pulse(
            salt=b"\xff" * 8, interval_s=(1 << 32) - 1, is_narrow=True, alerts_waiting=(1 << 32) - 1, oldest_waiting_s=(1 << 32) - 1,
            room=Room.NONE, cameras=b"\x03" * MOST_CAMERAS, paths_up=(1 << MOST_PATHS) - 1))),
        "acknowledgement": (Kind.ACKNOWLEDGEMENT, Precedence.FLASH, body.encode(Acknowledgement(
            salt=SALT, alert_ids=(b"a" * 32,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=WALL_MS))),
        "trace": (Kind.TRACE, Precedence.ROUTINE, body.encode(Trace(
            salt=SALT, ways=(Way(path="lte", carrier="zeromq", provider="Provider A", is_metered=True),),
            passages=(Passage(alert=b"a" * 8, came_from=b"fromnode", came_over="wifi", had_ms=1000, heard_ms=1300, legs=(
                Leg(way=0, to=b"tocenter", sent_ms=1003, answered_ms=1200, tries=2, is_receipt=True),)),)))),
        "checkpoint": (Kind.CHECKPOINT, Precedence.ROUTINE, body.encode(SubmittedCheckpoint(
            salt=SALT, note="heard/0011223344556677\n40\nAAAA\n\n\u2014 heard/0011223344556677 BBBB\n", key="heard/0011223344556677+00112233+AQAA",
            old_size=32, proof=(b"p" * 32, b"q" * 32)))),
        "cosignature": (Kind.COSIGNATURE, Precedence.ROUTINE, body.encode(Cosignature(
            salt=SALT, submission_id=b"i" * 32, size=40, line="\u2014 heard/8899aabbccddeeff CCCC"))),
        **_orders(),
        **_words(),
        "roster_envelope": (Kind.ROSTER, Precedence.IMMEDIATE, body.encode(_roster())),
    }  # fmt: skip
    return {
        name: (_sealed(kind, precedence, content, (1 << 32) - 1 if name == "alert_largest" else 1), content)
        for name, (kind, precedence, content) in drafts.items()
    }


def _orders() -> dict[str, tuple[Kind, Precedence, bytes]]:
    server = instructions.IceServer(
        url="turn:center.example:3478?transport=udp", username="1790003600:node", credential="c2VjcmV0"
    )
    orders: dict[str, instructions.Order] = {
        "send_clip": instructions.SendClip(alert_id=b"a" * 32, reason="for the report"),
        "hold_clip": instructions.HoldClip(alert_id=b"a" * 32, reason="court order 7", until_wall_ms=WALL_MS),
        "release_clip": instructions.ReleaseClip(alert_id=b"a" * 32),
        "open_stream": instructions.OpenStream(session=bytes(range(16)), camera="gate", offer="v=0\r\n",
                                               ice_servers=(server,), is_relay_only=True, longest_s=600),
        "close_stream": instructions.CloseStream(session=bytes(range(16)), reason="the session was revoked"),
        "act": instructions.Act(action="siren", for_s=30, by="dana", reason="run card 3"),
        "suppress": instructions.Suppress(alert_id=b"a" * 32, for_s=7 * 86_400, by="sam", reason="the poster"),
        "unsuppress": instructions.Unsuppress(alert_id=b"a" * 32, by="sam"),
    }  # fmt: skip
    return {
        f"instruction_{name}": (Kind.INSTRUCTION, Precedence.PRIORITY if "clip" in name else Precedence.IMMEDIATE,
                                body.encode(instructions.Instruction(salt=SALT, order=order)))
        for name, order in orders.items()
    }  # fmt: skip


def _words() -> dict[str, tuple[Kind, Precedence, bytes]]:
    session = bytes(range(16))
    words: dict[str, answers.Word] = {
        "followed": answers.Followed(instruction_id=b"i" * 32, outcome=answers.Outcome.UNDER_WAY, detail="3 segments"),
        "stream_opened": answers.StreamOpened(session=session, answer="v=0\r\n"),
        "stream_refused": answers.StreamRefused(session=session, reason="4 people watch already", is_busy=True),
        "stream_ended": answers.StreamEnded(session=session, reason="the viewer left", shown_ms=61_000, sent_bytes=10**7),
        "stream_rung": answers.StreamRung(session=session, rung="relay-stills", reason="no connection came about"),
        "still": answers.Still(session=session, number=3, captured_wall_ms=WALL_MS, age_ms=40, width_px=640,
                               height_px=360, jpeg=b"\xff\xd8 a picture"),
    }  # fmt: skip
    return {
        f"answer_{name}": (Kind.ANSWER, Precedence.PRIORITY if name in {"followed", "still"} else Precedence.IMMEDIATE,
                           body.encode(answers.Answer(salt=SALT, word=word)))
        for name, word in words.items()
    }  # fmt: skip


def _roster() -> roster.Roster:
    statement = roster.RosterStatement(number=3, issued_at_ms=WALL_MS, revoked=(b"revoked1",))
    return roster.issue(AUTHORITY_IDENTITY.signing, statement)


def _passport() -> passport.SignedPassport:
    return passport.issue(
        AUTHORITY_IDENTITY.signing, role=Role.CAMERA, name="gate-camera", site="north yard", agency="city",
        keys=(CAMERA.signing_key, CAMERA.sealing_key, CAMERA.transport_key), not_before_ms=0,
        not_after_ms=1 << 47, serial=12,
    )  # fmt: skip


def _receipt(stored: RangeSet) -> bytes:
    return receipt.issue(stored, signer=CENTER.node_id, signing=CENTER.signing, stored_at_s=WALL_MS // 1000,
                         origin=CAMERA.node_id, series=SERIES).wire  # fmt: skip


def authority_keys() -> AuthorityKeys:
    """The authority of every vector."""
    return AuthorityKeys(signing_key=AUTHORITY_IDENTITY.signing_key, sealing_key=AUTHORITY_IDENTITY.sealing_key)


def enrollment_code() -> EnrollmentCode:
    """The code of the vectors, parsed."""
    code = enrollment.make_code("http://center.example:8480", authority_keys(), b"invite-1", bytes(range(16)))
    return enrollment.parse_code(code)


def make_all() -> dict[str, Described]:
    """Name to bytes, and to what a reader needs to check them with other tools."""
    made: dict[str, Described] = {}
    for name, (sealed, content) in _envelopes().items():
        made[name] = (sealed.wire, {
            "kind": sealed.header.kind.name, "id": sealed.id.hex(), "header": sealed.header_bytes.hex(),
            "signature": sealed.signature.hex(), "pae": dsse.pae(dsse.HEADER_TYPE, sealed.header_bytes).hex(),
            "body": content.hex(), "signing_key": (CENTER if sealed.header.kind.goes_down else CAMERA).signing_key.hex(),
        })  # fmt: skip
    made["receipt"] = (_receipt(RangeSet([(1, (1 << 32) - 1)])), {"upto": (1 << 32) - 1, "further": []})
    made["receipt_gaps"] = (
        _receipt(RangeSet([(1, 5), (7, 7), (300, 70_000)])),
        {"upto": 5, "further": [[7, 7], [300, 70_000]]},
    )
    made["receipt_from_2"] = (_receipt(RangeSet([(2, 2)])), {"upto": 0, "further": [[2, 2]]})
    wire = _passport().wire
    made["passport"] = (wire, {"authority": AUTHORITY_IDENTITY.signing_key.hex(), "node_id": CAMERA.node_id.hex()})
    signed = _roster()
    notes: dict[str, hop.Note] = {
        "hello": hop.Hello(wire, 3, bytes(range(16))), "welcome": hop.Welcome(wire, 3, bytes(range(16)), bytes(range(64))),
        "proved": hop.Proved(bytes(range(64))), "who": hop.Who(), "ping": hop.Ping(MONOTONIC_MS),
        "pong": hop.Pong(MONOTONIC_MS), "stored": hop.Stored((b"a" * 32, b"b" * 32)),
        "holds": hop.Holds((hop.HeldSeries(CAMERA.node_id, bytes(8), SERIES, ((1, 5), (7, 7))),)),
        "refused": hop.Refused(b"a" * 32, "bad_signature", "the Ed25519 signature does not match"),
        "unknown": hop.Unknown(b"unknown1"), "passports": hop.Passports((wire,)),
        "roster": hop.RosterNote(signed.statement, signed.signature), "over": hop.Over("lte", "zeromq", "Provider A"),
        "probe": hop.Probe(7, 4096, True, b"padding"), "echo": hop.Echo(7, b"padding"),
    }  # fmt: skip
    for name, note in notes.items():
        made[f"note_{name}"] = (hop.encode(note), {"note": type(note).__name__})
    code = enrollment.make_code("http://center.example:8480", authority_keys(), b"invite-1", bytes(range(16)))
    made["enrollment_code"] = (code.encode(), {"url": "http://center.example:8480", "invite_id": b"invite-1".hex()})
    made["enrollment_request"] = (
        enrollment.build_request(enrollment_code(), CAMERA),
        {"secret": bytes(range(16)).hex()},
    )
    return made


def forge(name: str, wire: bytes) -> bytes:
    """The forged twin: what is signed or proved says something else; an unsigned note has something added."""
    if name == "enrollment_code":
        return wire[:60] + (b"A" if wire[60:61] != b"A" else b"B") + wire[61:]
    if name == "enrollment_request":
        request = json.loads(wire)
        request["transport_key"] = "00" * 32
        return msgspec.json.encode(request)
    parts = msgpack.unpackb(wire)
    if name in {"note_hello", "note_welcome"}:
        parts[1] = forge("passport", parts[1])
    elif name == "note_passports":
        parts[1] = [forge("passport", parts[1][0])]
    elif name == "note_roster":
        parts[1] = parts[1][:-1] + bytes([parts[1][-1] ^ 1])
    elif name.startswith("note_"):
        parts.append("more")
    else:
        at = 0 if name == "passport" else 1
        data = bytearray(parts[at])
        data[20 if name.startswith("receipt") else -1] ^= 1  # a receipt for somebody else's envelopes
        parts[at] = bytes(data)
    packed: bytes = msgpack.packb(parts, use_bin_type=True)
    return packed


def files() -> dict[str, bytes]:
    """Every file of this folder that is made, by name."""
    made: dict[str, bytes] = {}
    for name, (wire, told) in make_all().items():
        made[f"{name}.bin"] = wire
        made[f"{name}.truncated.bin"] = wire[:-1]
        made[f"{name}.forged.bin"] = forge(name, wire)
        made[f"{name}.json"] = (json.dumps({"bytes": len(wire), **told}, indent=2) + "\n").encode()
    return made


def main() -> None:
    """Write them all."""
    for name, content in files().items():
        (FOLDER_DIR / name).write_bytes(content)
    print(f"{len(files())} files in {FOLDER_DIR}")


if __name__ == "__main__":
    main()
