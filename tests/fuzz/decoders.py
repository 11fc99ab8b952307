"""Every decoder of bytes that come from outside this process, with real examples of what it is made for.

A decoder may accept or refuse; a refusal is one of the errors named beside it. ``tests/properties`` throws hypothesis at these, the corpus
in ``tests/corpora`` is replayed by ``test_corpora``, and ``search`` runs atheris on from there.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from relay import courier, enrollment, envelope, header, hop, passport, receipt, survey, tracing
from relay.door import _Question
from relay.emitter import EmitRequest, RetractRequest
from relay.enrollment import accept_reply, check_request, make_code, parse_code
from relay.errors import EnrollmentRefused, Malformed, Oversized, PathDown, SenderError
from relay.identity import AuthorityKeys, Identity
from relay.interfaces import Interfaces
from relay.kinds import alert, body, exhibit, offer, roster
from relay.kinds.acknowledgement import Acknowledgement
from relay.kinds.answer import Answer
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.chunk import Chunk
from relay.kinds.cosignature import Cosignature
from relay.kinds.heartbeat import Heartbeat
from relay.kinds.instruction import Instruction
from relay.kinds.pulse import Pulse
from relay.kinds.retraction import Retraction
from relay.kinds.trace import Trace
from relay.passport import Role
from relay.path import Lane
from relay.paths import announcement, direct_ip, parcels, radio_frames, sms_pdu, tiny_batch, tls_proof
from relay.paths.assembly import Assembly
from relay.paths.at_modem import LineReader
from relay.paths.direct_ip import Confirmation, ForModem, FromModem
from relay.paths.https import _session_name
from relay.paths.short_burst_answers import burst_of, unframed
from relay.paths.sms_modem import listed
from relay.paths.tiny_seal import TinySeal
from relay.paths.tls_connection import TlsConnection, Turns
from tests.fuzz.decoder import Decoder
from tests.fuzz.decoders_center import CENTER
from tests.fuzz.decoders_upstairs import UPSTAIRS
from tests.vectors.make_vectors import make_all

IDENTITY: Final = Identity.from_seed(bytes(range(32)))
AUTHORITY_IDENTITY: Final = Identity.from_seed(bytes(32))
AUTHORITY: Final = AuthorityKeys(signing_key=AUTHORITY_IDENTITY.signing_key, sealing_key=AUTHORITY_IDENTITY.sealing_key)
CODE: Final = parse_code(make_code("http://center:8480", AUTHORITY, b"invite-1", b"0123456789abcdef"))
IMEI: Final = "300234010753370"


def _seal(own: Identity, peer: Identity) -> TinySeal:
    signed = passport.issue(AUTHORITY_IDENTITY.signing, role=Role.CAMERA, name="peer", site="yard", agency="city",
                            keys=(peer.signing_key, peer.sealing_key, peer.transport_key), not_before_ms=0, not_after_ms=1, serial=1)  # fmt: skip
    return TinySeal(own, signed.passport)


_WIRES: Final = {name: wire for name, (wire, _) in make_all().items()}
_BODIES: Final = {name: bytes.fromhex(str(told["body"])) for name, (_, told) in make_all().items() if "body" in told}
_SEALED: Final = {
    name: _seal(AUTHORITY_IDENTITY, IDENTITY).seal(_WIRES[name])
    for name in ("alert", "receipt", "acknowledgement", "note_stored")
}
_SEVERAL: Final = _seal(AUTHORITY_IDENTITY, IDENTITY).seal(_WIRES["receipt"], _WIRES["alert"], _WIRES["note_stored"])
_FRAMES: Final = {f"{name}-{at}": frame for name, sealed in _SEALED.items()
                  for at, frame in enumerate(radio_frames.frames_of(b"ab", sealed, 7))}  # fmt: skip
_SUBMITS: Final = sms_pdu.submits("+15551230000", _SEALED["alert"], 0x1234)
_DELIVERS: Final = {
    f"part-{at}": sms_pdu.deliver("+15551230001", sms_pdu.parse_submit(submit.pdu)[1])
    for at, submit in enumerate(_SUBMITS)
}


def _wires(*beginnings: str) -> dict[str, bytes]:
    return {name: wire for name, wire in _WIRES.items() if name.startswith(beginnings)}


def _bodies(*beginnings: str) -> dict[str, bytes]:
    return {name: content for name, content in _BODIES.items() if name.startswith(beginnings)}


def _read_line_frames(data: bytes) -> object:
    decoder, assembly = radio_frames.LineDecoder(), Assembly(most_groups=4, most_age_s=10)
    for at in range(0, len(data), 7):
        for _, frame in decoder.feed(data[at : at + 7]):
            try:
                piece = radio_frames.parse(frame)
            except Malformed:
                continue
            assembly.add(
                (piece.tag, piece.transfer), number=piece.number, total=piece.total, piece=piece.data, now_s=at
            )
    return decoder.damaged


def _read_modem_lines(data: bytes) -> object:
    reader, found = LineReader(), list[object]()
    for at in range(0, len(data), 7):
        reader.feed(data[at : at + 7])
        found.append(reader.line())
    found += [reader.prompt(), reader.exactly(3), reader.line()]
    return found


def _read_announcement(data: bytes) -> object:
    """``key=value`` lines as the TXT record, then addresses and a port: what a DNS library hands over."""
    properties: dict[bytes, bytes | None] = {}
    for line in data.split(b"\n")[:20]:
        key, is_there, value = line.partition(b"=")
        properties[key] = value if is_there else None
    port = int.from_bytes(data[:2], "big")
    return announcement.parse(properties, [data[-20:].decode("latin-1").strip(), "192.168.1.7"], port)


def _typed(kind: type) -> Callable[[bytes], object]:
    """As the door decodes what other programs say: msgspec's errors are answered with words there."""

    def read(data: bytes) -> object:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(str(error)) from error

    return read


def _emit(data: bytes) -> object:
    request = _typed(EmitRequest)(data)
    assert isinstance(request, EmitRequest)
    return request.alert_draft(AUTHORITY.sealing_key)


class _Upstairs:
    """Whom a connection tells; it hangs up where a parcel is over the bound."""

    def __init__(self) -> None:
        self.parcels: list[bytes] = []

    def connection_made(self, connection: TlsConnection) -> None:
        """Nothing to do."""

    def parcel_came(self, connection: TlsConnection, parcel: bytes) -> None:
        self.parcels.append(parcel)

    def oversized_came(self, connection: TlsConnection, error: Oversized) -> None:
        raise error

    def connection_lost(self, connection: TlsConnection, reason: str) -> None:
        """Nothing to do."""


class _Silent(asyncio.Transport):
    """Takes whatever is said."""

    def abort(self) -> None:
        """Nothing to do."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to do."""

    def pause_reading(self) -> None:
        """Nothing to do."""

    def resume_reading(self) -> None:
        """Nothing to do."""


class _Everybody(Turns):
    """Each has its turn when the test says so."""

    def __init__(self) -> None:
        """Without an event loop."""

    def wait_for(self, connection: TlsConnection) -> None:
        """It comes."""


def _read_tls_stream(data: bytes) -> object:
    """What comes over a connection, in pieces."""
    upstairs = _Upstairs()
    connection = TlsConnection(upstairs, _Everybody())
    connection.connection_made(_Silent())
    for at in range(0, len(data), 7):
        connection.data_received(data[at : at + 7])
        while connection.hand_one_up():
            pass
    return upstairs.parcels


def _opening(lane: Lane) -> bytes:
    return tls_proof.opening(bytes(tls_proof.ATTEMPT_BYTES), lane, identity=IDENTITY, listener_transport_key=AUTHORITY_IDENTITY.transport_key,
                             certificate_sha256=bytes(32))  # fmt: skip


_CERTIFICATE: Final = tls_proof.certificate_for(
    ec.derive_private_key(7, ec.SECP256R1()).public_key(), IDENTITY, serial=1
).public_bytes(Encoding.DER)


def _read_netlink(data: bytes) -> object:
    """What the kernel says of interfaces, which anybody who may add one can shape."""
    known = Interfaces()
    known.take(_LINK_UP)
    return known.take(data)


def _read_stick_file(data: bytes) -> object:
    """A file of a stick: by its name an envelope or a receipt, and both are tried."""
    return receipt.parse(data) if receipt.is_receipt(data) else envelope.parse(data)


def _carry_order(data: bytes) -> object:
    return courier.order_of(msgspec.Raw(data))


_MO: Final = FromModem(
    imei=IMEI, status=0, momsn=7, mtmsn=3, sent_at_s=1_790_000_000, call_record=9, payload=_SEALED["alert"]
)
_TXT: Final = b"\n".join(
    f"{key}={value}".encode()
    for key, value in announcement.properties_of(AUTHORITY.signing_key, IDENTITY.transport_key).items()
)
_OFFER: Final = (
    b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n"
    b"a=rtpmap:102 H264/90000\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 AB:CD\r\n"
    b"a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host\r\n"
)
_LINK_UP: Final = (
    struct.pack("=IHHII", 52, 16, 0, 0, 0) + struct.pack("=BxHiII", 0, 1, 2, 0x10001, 0) + struct.pack("=HH", 10, 3) + b"wwan0\0\0\0"
    + struct.pack("=HH", 8, 4) + bytes(4)
)  # fmt: skip
_EMIT: Final = b'{"label": "handgun", "camera": "gate", "confidence": 0.9}'

DECODERS: Final[dict[str, Decoder]] = {
    "header": Decoder(read=header.decode, valid={name: envelope.parse(_WIRES[name]).header_bytes for name in ("alert", "acknowledgement")}),
    "envelope": Decoder(read=envelope.parse, valid=_wires("alert", "acknowledgement", "chunk", "heartbeat", "exhibit")),
    "receipt": Decoder(read=receipt.parse, valid=_wires("receipt")),
    "hop_note": Decoder(read=hop.decode, valid=_wires("note_")),
    "passport": Decoder(read=lambda data: passport.verify(data, AUTHORITY_IDENTITY.signing_key), valid=_wires("passport"), accepts_valid=False),
    "alert": Decoder(read=alert.decode, valid=_bodies("alert")),
    "acknowledgement": Decoder(read=lambda data: body.decode(data, Acknowledgement), valid=_bodies("acknowledgement")),
    "retraction": Decoder(read=lambda data: body.decode(data, Retraction), valid=_bodies("retraction")),
    "exhibit": Decoder(read=exhibit.decode, valid=_bodies("exhibit")),
    "chunk": Decoder(read=lambda data: body.decode(data, Chunk), valid=_bodies("chunk")),
    "heartbeat": Decoder(read=lambda data: body.decode(data, Heartbeat), valid=_bodies("heartbeat")),
    "pulse": Decoder(read=lambda data: body.decode(data, Pulse), valid=_bodies("pulse")),
    "roster": Decoder(read=lambda data: body.decode(data, roster.Roster), valid=_bodies("roster")),
    "instruction": Decoder(read=lambda data: body.decode(data, Instruction), valid=_bodies("instruction")),
    "answer": Decoder(read=lambda data: body.decode(data, Answer), valid=_bodies("answer")),
    "webrtc_offer": Decoder(read=lambda data: offer.check(data.decode("latin-1")), valid={"video": _OFFER}),
    "trace": Decoder(read=lambda data: body.decode(data, Trace), valid=_bodies("trace")),
    "checkpoint": Decoder(read=lambda data: body.decode(data, SubmittedCheckpoint), valid=_bodies("checkpoint")),
    "cosignature": Decoder(read=lambda data: body.decode(data, Cosignature), valid=_bodies("cosignature")),
    "enrollment_code": Decoder(read=lambda data: parse_code("HEARD1-" + data.decode("latin-1")), refuses_with=(SenderError, EnrollmentRefused),
                              valid={"code": _WIRES["enrollment_code"].removeprefix(b"HEARD1-")}),
    "enrollment_request": Decoder(read=lambda data: check_request(data, lambda _: bytes(16)), valid=_wires("enrollment_request"),
                                 refuses_with=(SenderError, EnrollmentRefused), accepts_valid=False),
    "enrollment_reply": Decoder(read=lambda data: accept_reply(data, CODE, IDENTITY), valid={"pending": b'{"state": "pending"}'},
                               refuses_with=(SenderError, EnrollmentRefused), accepts_valid=False),
    "parcels": Decoder(read=parcels.split, valid={"none": b"", "three": parcels.join([b"one", b"", _WIRES["alert"]])}),
    "tls_stream": Decoder(read=_read_tls_stream, valid={"three": parcels.join([b"one", b"", _WIRES["alert"]])}),
    "tls_opening": Decoder(read=lambda data: tls_proof.require_opening(data, identity=AUTHORITY_IDENTITY, certificate_sha256=bytes(32)),
                           valid={lane.name.lower(): _opening(lane) for lane in Lane}),
    "tls_certificate": Decoder(read=lambda data: tls_proof.require_issued_by(data, IDENTITY.signing_key), valid={"ours": _CERTIFICATE}),
    "https_session_name": Decoder(read=_session_name, valid={"name": b"0123456789abcdef" * 2}, refuses_with=(PathDown,)),
    "sealed_parcel": Decoder(read=_seal(IDENTITY, AUTHORITY_IDENTITY).open, valid={"several": _SEVERAL, **_SEALED}),
    "tiny_batch": Decoder(read=tiny_batch.unpack, valid={"three": tiny_batch.pack([(0x10, _WIRES["receipt"]), (0x10, b"x"), (0x11, bytes(200))])}),
    "radio_frame": Decoder(read=radio_frames.parse, valid=_FRAMES),
    "radio_line": Decoder(read=_read_line_frames, valid={name: radio_frames.to_line(frame) for name, frame in _FRAMES.items()}),
    "modem_lines": Decoder(read=_read_modem_lines, valid={"answer": b"AT+CSQF\r\r\n+CSQF:5\r\n\r\nOK\r\n", "prompt": b"\r\n> ", "ring": b"\r\nSBDRING\r\n"}),
    "burst_status": Decoder(read=lambda data: burst_of(data.decode("latin-1")), valid={"sent": b" 0, 7, 1, 3, 109, 0", "no network": b" 32, 7, 2, 3, 0, 0"}),
    "burst_message": Decoder(read=unframed, valid={name: sealed + (sum(sealed) & 0xFFFF).to_bytes(2, "big") for name, sealed in _SEALED.items()}),
    "sms_deliver": Decoder(read=sms_pdu.parse_deliver, valid=_DELIVERS),
    "sms_submit": Decoder(read=sms_pdu.parse_submit, valid={f"part-{at}": submit.pdu for at, submit in enumerate(_SUBMITS)}),
    "sms_list": Decoder(read=lambda data: listed(tuple(data.decode("latin-1").split("\n"))),
                        valid={"two": b"+CMGL: 1,0,,158\n" + _DELIVERS["part-0"] + b"\n+CMGL: 2,0,,9\n" + _DELIVERS["part-1"]}),
    "direct_ip_mo": Decoder(read=direct_ip.parse_from_modem, valid={"alert": _MO.encode()}),
    "direct_ip_mt": Decoder(read=direct_ip.parse_for_modem, valid={"receipt": ForModem(imei=IMEI, reference=b"abcd", payload=_SEALED["receipt"]).encode()}),
    "direct_ip_confirmation": Decoder(read=direct_ip.parse_confirmation, valid={"queued": Confirmation(imei=IMEI, reference=b"abcd", status=1).encode()}),
    "announcement": Decoder(read=_read_announcement, valid={"ours": _TXT}),
    "door_question": Decoder(read=_typed(_Question), valid={"status": b'{"verb": "status"}', "emit": b'{"verb": "emit", "body": ' + _EMIT + b"}"}),
    "door_emit": Decoder(read=_emit, valid={"alert": _EMIT}),
    "door_retract": Decoder(read=_typed(RetractRequest), valid={}, accepts_valid=False),
    "door_survey": Decoder(read=lambda data: survey.order_of(msgspec.Raw(data)), valid={"one": b'{"paths": ["lte"], "interrupts": false}'}),
    "door_trace": Decoder(read=lambda data: tracing.wanted_in(msgspec.Raw(data)), valid={"beginning": b'{"alert": "a1b2c3d4"}'}),
    "enrollment_refusal": Decoder(read=enrollment._reason, valid={"words": b'{"message": "the code is used up"}', "deep": b"[" * 3000}),
    "netlink": Decoder(read=_read_netlink, valid={"link": _LINK_UP}),
    "stick_file": Decoder(read=_read_stick_file, valid=_wires("alert", "receipt")),
    "door_carry": Decoder(read=_carry_order, valid={"stick": b'{"medium_dir": "/media/stick"}'}),
    **UPSTAIRS,
    **CENTER,
}  # fmt: skip
