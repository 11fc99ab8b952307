"""The decoders of outside bytes above the relay: of nodes (other programs, browsers, their own unprivileged children), models and centers."""

import struct
from pathlib import Path
from typing import Final

import msgspec

from camera_node import annex_b, clip_segment, detector_wire, messages, packet_tap
from camera_node.frigate import FrigateEvents, FrigateSettings
from camera_node.live import named_candidates, orders
from command_center.errors import BadRequest
from command_center.evidence.verifier import der, timestamp
from command_center.responses import plan_file
from command_center.witness import cosigning
from models.errors import ManifestInvalid, SignerKeyError
from models.manifest import decode_manifest
from models.signers import parse_signer
from relay.counters import Counters
from relay.errors import ConfigError
from relay.kinds import offer
from tests.fuzz.decoder import Decoder

_FRIGATE: Final = FrigateEvents(
    FrigateSettings(
        broker="mqtt://127.0.0.1:1883", labels={"person": "IMMEDIATE"}, detect_size_px={"gate": (1280, 720)}
    ),
    counters=Counters(),
)
_EVENT: Final = (
    b'{"type": "new", "before": {}, "after": {"id": "1790000000.1-abc", "camera": "gate", "label": "person", "top_score": 0.91, "score": 0.9, '
    b'"false_positive": false, "frame_time": 1790000000.1, "box": [10, 20, 300, 400], "current_zones": ["yard"], "entered_zones": []}}'
)
_LOG: Final = cosigning.KnownLog(name="center.example", key=bytes(32))
_SUBMISSION: Final = cosigning.request(
    cosigning.Submission(
        old_size=3, proof=(bytes(32), b"\x01" * 32), note="center.example\n5\nAAAA\n\n\u2014 center.example AAAA\n"
    )
)
_PLAN: Final = b'[[plan]]\nname = "weapon"\nlabels = ["handgun"]\n'
_BROWSER_OFFER: Final = (
    b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n"
    b"a=rtpmap:102 H264/90000\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 AB:CD\r\n"
    b"a=candidate:1 1 udp 2130706431 5b3b1b6e-0f4c-4ac0-a4d3-6f1f3c1f2a11.local 50000 typ host\r\na=end-of-candidates\r\n"
)
_SETS: Final = (b"\x67\x42\xc0\x1e\xd9", b"\x68\xce\x3c\x80")
_KEY_FRAME: Final = b"".join(b"\x00\x00\x00\x01" + unit for unit in (*_SETS, b"\x65\x88\x84\x00"))
_AVCC: Final = (
    b"\x01\x42\xc0\x1e\xff\xe1"
    + struct.pack(">H", len(_SETS[0]))
    + _SETS[0]
    + b"\x01"
    + struct.pack(">H", len(_SETS[1]))
    + _SETS[1]
)
_RECORD: Final = bytes((len(_AVCC),)) + _AVCC + b"\x00\x00\x00\x04\x65\x88\x84\x00"
_CHILD: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What the node's supervisor takes as "this child talks nonsense": it is ended and started again."""


def _viewer_s_offer(data: bytes) -> object:
    """As a node reads it: bounds first, then what aiortc would wait for."""
    text = data.decode("latin-1")
    offer.check(text)
    return named_candidates.taken_out(text)


def _camera_s_stream(data: bytes) -> object:
    """What a camera's container says of its stream, a length before it, and one packet of it."""
    size = data[0] if data else 0
    form = annex_b.form_of(data[1 : 1 + size])
    packet = data[1 + size :]
    return clip_segment.sequence_parameters("h264", annex_b.to_annex_b(packet, form, is_key=True))


def _witness_line(data: bytes) -> object:
    note, _, line = data.decode("latin-1").partition("\n\n")
    return cosigning.cosigned_at(note, line, _LOG.name, _LOG.key)


def _timestamp(data: bytes) -> object:
    """What ``timestamp.check`` takes as a token that is none."""
    return timestamp.parse(data)


_TOKENS_DIR: Final = Path(__file__).parents[1] / "corpora" / "timestamp_token"
_GRANTED: Final = {kind: (_TOKENS_DIR / f"found-granted-{kind}.bin").read_bytes() for kind in ("rsa", "ec")}
"""Of an authority that `openssl ts` played (tests/evidence/tsa.py), with either kind of key."""

UPSTAIRS: Final[dict[str, Decoder]] = {
    "frigate_event": Decoder(read=lambda data: _FRIGATE.take("frigate/events", data), valid={"new": _EVENT}),
    "viewer_offer": Decoder(read=_viewer_s_offer, valid={"named": _BROWSER_OFFER}),
    "camera_stream": Decoder(read=_camera_s_stream, valid={"record": _RECORD, "start codes": b"\x00" + _KEY_FRAME}, refuses_with=(ValueError,)),
    "eye_report": Decoder(read=messages.decode_report, valid={}, refuses_with=_CHILD),
    "eye_order": Decoder(read=messages.decode_order, valid={}, refuses_with=_CHILD),
    "eye_tap": Decoder(read=packet_tap.decode, valid={"ended": msgspec.msgpack.encode(packet_tap.TapEnded())}, refuses_with=_CHILD),
    "detector_request": Decoder(read=lambda data: detector_wire.decode_request(data, models=2), refuses_with=(ValueError,),
                                valid={"frame": detector_wire.Request(model=0, height_px=720, width_px=1280).encode()}),
    "stage_word": Decoder(read=orders.decode_from_stage, valid={}, refuses_with=_CHILD),
    "stage_order": Decoder(read=orders.decode_to_stage, valid={}, refuses_with=_CHILD),
    "model_manifest": Decoder(read=decode_manifest, valid={}, refuses_with=(ManifestInvalid,)),
    "model_signer": Decoder(read=lambda data: parse_signer(data.decode("latin-1")), valid={"key": b"ab" * 32}, refuses_with=(SignerKeyError,)),
    "witness_request": Decoder(read=cosigning.parse_request, valid={"grown": _SUBMISSION}, refuses_with=(BadRequest,)),
    "witness_key": Decoder(read=lambda data: cosigning.parse_key(data.decode("latin-1")), valid={"unfit": b"name+01234567+AAAA"},
                           refuses_with=(BadRequest,), accepts_valid=False),
    "witness_line": Decoder(read=_witness_line, valid={"short": "center.example\n5\nAAAA\n\n\u2014 center.example AAAA".encode()}),
    "response_plans": Decoder(read=lambda data: plan_file.parse(data, "plans.toml"), valid={"weapon": _PLAN}, refuses_with=(ConfigError,),
                              accepts_valid=False),
    "der": Decoder(read=der.parse, valid={"sequence": bytes.fromhex("3006020101020102")}, refuses_with=(ValueError, IndexError)),
    "timestamp_token": Decoder(read=_timestamp, valid={"refused": bytes.fromhex("30053003020102"), **_GRANTED}, accepts_valid=False,
                               refuses_with=(ValueError, IndexError, KeyError, OverflowError)),
}  # fmt: skip
