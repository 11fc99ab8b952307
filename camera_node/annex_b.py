"""H.264 as WebRTC wants it: NAL units behind start codes (ISO 14496-10, Annex B), parameter sets before every key frame.

Cameras send it so already, or with their parameter sets only in the SDP; files and some encoders put a length before each
unit (ISO 14496-15). What has the wrong form plays nowhere and says nothing [M]. Pure functions over bytes.
"""

import struct
from dataclasses import dataclass
from typing import Final

START_CODE: Final = b"\x00\x00\x00\x01"
_SHORT_START_CODE: Final = b"\x00\x00\x01"
_SEQUENCE_PARAMETERS: Final = 7
_LEAST_RECORD_BYTES: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamForm:
    """How a stream's packets are put together."""

    length_bytes: int
    """Bytes of the length before each unit; 0: start codes."""
    parameters: bytes
    """Sequence and picture parameter sets behind start codes; empty where the packets carry them."""


def form_of(extradata: bytes) -> StreamForm:
    """The form of a stream, from what its container or SDP says of it.

    Raises:
        ValueError: it begins like an AVC configuration record and is none.
    """
    if not extradata or extradata[0] != 1:
        is_annex_b = extradata.startswith((START_CODE, _SHORT_START_CODE))
        return StreamForm(length_bytes=0, parameters=extradata if is_annex_b else b"")
    if len(extradata) < _LEAST_RECORD_BYTES:
        raise ValueError(f"expected an AVC configuration record, found {len(extradata)} bytes")
    units: list[bytes] = []
    at = 5
    try:
        for mask in (0x1F, 0xFF):  # sequence parameter sets, then picture parameter sets
            count = extradata[at] & mask
            at += 1
            for _ in range(count):
                (size,) = struct.unpack_from(">H", extradata, at)
                units.append(_exactly(extradata, at + 2, size))
                at += 2 + size
    except (IndexError, struct.error) as error:
        raise ValueError(f"expected an AVC configuration record, found one that ends early: {error}") from error
    return StreamForm(length_bytes=(extradata[4] & 3) + 1, parameters=b"".join(START_CODE + unit for unit in units))


def to_annex_b(packet: bytes, form: StreamForm, *, is_key: bool) -> bytes:
    """One picture behind start codes; a key frame with its parameter sets in front.

    Raises:
        ValueError: the lengths in it don't add up.
    """
    if form.length_bytes:
        units: list[bytes] = []
        at = 0
        while at < len(packet):
            size = int.from_bytes(packet[at : at + form.length_bytes], "big")
            units.append(START_CODE + _exactly(packet, at + form.length_bytes, size))
            at += form.length_bytes + size
        packet = b"".join(units)
    if is_key and form.parameters and not _has_parameters(packet):
        return form.parameters + packet
    return packet


def _exactly(data: bytes, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if not size or len(found) != size:
        raise ValueError(f"expected a unit of {size} bytes at {at}, found {len(found)}")
    return found


def _has_parameters(packet: bytes) -> bool:
    at = packet.find(_SHORT_START_CODE)
    while 0 <= at < len(packet) - 3:
        if packet[at + 3] & 0x1F == _SEQUENCE_PARAMETERS:
            return True
        if at > 200:
            return False  # parameter sets come first, or not at all
        at = packet.find(_SHORT_START_CODE, at + 3)
    return False
