"""Iridium's DirectIP: how a short burst leaves the satellite operator's gateway, and how one for a modem enters it.

A message is ``1 (revision), length (2 bytes, big-endian)`` and information elements of ``id (1), length (2), content``. The gateway
connects to us for what modems sent (MO) and closes; we connect to it for what modems shall get (MT), and it answers with a confirmation.
Bytes only; the sockets are ``short_burst_gateway``'s.

Source: "Iridium Short Burst Data Service Developers Guide", sections on the DirectIP client and server interface.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from relay.errors import Malformed

REVISION: Final = 1
PREFIX: Final = struct.Struct(">BH")
MAX_MESSAGE_BYTES: Final = 4096
"""An MO message has at most 1,960 bytes of payload on any modem, and some 60 around it."""
_ELEMENT: Final = struct.Struct(">BH")
_MO_HEADER: Final = struct.Struct(">I15sBHHI")
_MT_HEADER: Final = struct.Struct(">4s15sH")
_MT_CONFIRMATION: Final = struct.Struct(">4s15sIh")
MO_HEADER: Final = 0x01
MO_PAYLOAD: Final = 0x02
MO_CONFIRMATION: Final = 0x05
MT_HEADER: Final = 0x41
MT_PAYLOAD: Final = 0x42
MT_CONFIRMATION: Final = 0x44
IMEI_BYTES: Final = 15

MT_REFUSALS: Final = {
    -1: "invalid IMEI",
    -2: "unknown IMEI: it is not provisioned with the provider",
    -3: "the payload is too large for this modem",
    -4: "no payload",
    -5: "the modem's queue is full",
    -6: "the gateway has no resources now",
    -7: "not understood",
    -8: "ring alerts are disabled for this IMEI",
    -9: "the IMEI is not attached: the modem has not registered for ring alerts",
    -10: "this address may not send here: tell the provider which one may",
    -11: "the number given to the message is out of range",
}
LASTING_REFUSALS: Final = frozenset({-1, -2, -3, -4, -7, -8, -10, -11})
"""No use trying again: a person must act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromModem:
    """An MO message. ``payload`` is empty for a mailbox check."""

    imei: str
    status: int
    """0, 1 and 2: the burst is complete."""
    momsn: int
    mtmsn: int
    sent_at_s: int
    call_record: int
    payload: bytes

    def encode(self) -> bytes:
        """As the gateway sends it."""
        head = _MO_HEADER.pack(
            self.call_record, self.imei.encode("ascii"), self.status, self.momsn, self.mtmsn, self.sent_at_s
        )
        return _message([(MO_HEADER, head), *([(MO_PAYLOAD, self.payload)] if self.payload else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class ForModem:
    """An MT message."""

    imei: str
    reference: bytes
    """4 bytes that the confirmation repeats."""
    payload: bytes

    def encode(self) -> bytes:
        """As the gateway expects it."""
        return _message(
            [(MT_HEADER, _MT_HEADER.pack(self.reference, self.imei.encode("ascii"), 0)), (MT_PAYLOAD, self.payload)]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the gateway says to an MT message."""

    imei: str
    reference: bytes
    status: int
    """Above 0: the place in the modem's queue. Below: see ``MT_REFUSALS``."""

    def encode(self) -> bytes:
        """As the gateway sends it."""
        return _message(
            [(MT_CONFIRMATION, _MT_CONFIRMATION.pack(self.reference, self.imei.encode("ascii"), 0, self.status))]
        )


def confirmed(is_taken: bool) -> bytes:
    """Our answer to an MO message, where the provider was asked to wait for one."""
    return _message([(MO_CONFIRMATION, bytes([is_taken]))])


def length_of(prefix: bytes) -> int:
    """How many bytes follow a message's first three.

    Raises:
        Malformed: another revision, or over the bound.
    """
    if len(prefix) != PREFIX.size:
        raise Malformed(f"expected {PREFIX.size} bytes in front of a DirectIP message, found {len(prefix)}")
    revision, length = PREFIX.unpack(prefix)
    if revision != REVISION:
        raise Malformed(f"expected DirectIP revision {REVISION}, found {revision}: is that the provider's gateway?")
    if length > MAX_MESSAGE_BYTES:
        raise Malformed(f"expected a DirectIP message of at most {MAX_MESSAGE_BYTES} bytes, found {length}")
    return int(length)


def parse_from_modem(data: bytes) -> FromModem:
    """Take an MO message apart, its first three bytes included.

    Not checked: who sent it. DirectIP has no proof of origin; the payload carries its own.

    Raises:
        Malformed: not one.
    """
    found = _elements(data)
    call_record, imei, status, momsn, mtmsn, sent_at_s = _unpacked(_MO_HEADER, found, MO_HEADER)
    return FromModem(imei=_imei(imei), status=status, momsn=momsn, mtmsn=mtmsn, sent_at_s=sent_at_s, call_record=call_record,
                     payload=found.get(MO_PAYLOAD, b""))  # fmt: skip


def parse_for_modem(data: bytes) -> ForModem:
    """Take an MT message apart.

    Raises:
        Malformed: not one.
    """
    found = _elements(data)
    reference, imei, _ = _unpacked(_MT_HEADER, found, MT_HEADER)
    return ForModem(imei=_imei(imei), reference=reference, payload=found.get(MT_PAYLOAD, b""))


def parse_confirmation(data: bytes) -> Confirmation:
    """Take the gateway's answer apart.

    Raises:
        Malformed: not one.
    """
    reference, imei, _, status = _unpacked(_MT_CONFIRMATION, _elements(data), MT_CONFIRMATION)
    return Confirmation(imei=_imei(imei), reference=reference, status=status)


def _message(elements: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(_ELEMENT.pack(kind, len(content)) + content for kind, content in elements)
    return PREFIX.pack(REVISION, len(body)) + body


def _elements(data: bytes) -> dict[int, bytes]:
    length = length_of(data[: PREFIX.size])
    body = data[PREFIX.size :]
    if len(body) != length:
        raise Malformed(f"expected {length} bytes of DirectIP elements, found {len(body)}")
    found: dict[int, bytes] = {}
    at = 0
    while at < len(body):
        if at + _ELEMENT.size > len(body):
            raise Malformed(f"expected a DirectIP element at {at}, found the end after {len(body)}")
        kind, size = _ELEMENT.unpack_from(body, at)
        at += _ELEMENT.size
        if at + size > len(body):
            raise Malformed(f"expected a DirectIP element of {size} bytes at {at}, found the end after {len(body)}")
        if kind in found:
            raise Malformed(f"the DirectIP element {kind:#x} is there twice")
        found[kind] = body[at : at + size]
        at += size
    return found


def _unpacked(layout: struct.Struct, found: dict[int, bytes], kind: int) -> tuple[Any, ...]:
    content = found.get(kind)
    if content is None or len(content) != layout.size:
        size = "none" if content is None else f"one of {len(content)}"
        raise Malformed(f"expected a DirectIP element {kind:#x} of {layout.size} bytes, found {size}")
    return layout.unpack(content)


def _imei(raw: bytes) -> str:
    if not raw.isdigit():
        raise Malformed("the IMEI in a DirectIP message is not 15 digits")
    return raw.decode("ascii")
