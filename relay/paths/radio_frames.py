"""Frames for a radio modem on a serial line, and what is in them.

On the line: KISS with a checksum (SMACK): ``C0 80 content checksum C0``, where ``C0`` and ``DB`` inside are escaped, and the checksum is
CRC-16/ARC over everything from ``80``, low byte first. Modems that speak KISS without it are accepted (``00``), since the radio has a CRC of
its own. In a frame of at most 233 bytes: ``tag (2), sealed parcel``; or, for a longer parcel, ``tag (2), 20, transfer, number and total
(4 bits each), piece``. The tag names the pair of stations to the two of them only.

Source: "The KISS TNC" (Chepponis and Karn, 1987), commands 0 to 3; "SMACK" (Jan Schiefer, 1991).
"""

from dataclasses import dataclass
from typing import Final

from relay import limits
from relay.errors import Malformed
from relay.paths.assembly import cut
from relay.paths.tiny_seal import OVERHEAD_BYTES, TAG_BYTES

FRAME_BYTES: Final = limits.LORA_FRAME_BYTES
MOST_PIECES: Final = 4
_PIECE_HEAD_BYTES: Final = TAG_BYTES + 3
PIECE_BYTES: Final = FRAME_BYTES - _PIECE_HEAD_BYTES
MTU: Final = MOST_PIECES * PIECE_BYTES - OVERHEAD_BYTES
_PIECE: Final = 0x20
_END: Final = 0xC0
_ESCAPE: Final = 0xDB
_ESCAPED: Final = {_END: 0xDC, _ESCAPE: 0xDD}
_MEANT: Final = {0xDC: _END, 0xDD: _ESCAPE}
_DATA: Final = 0x00
_DATA_CHECKED: Final = 0x80
_PERSISTENCE: Final = 0x02
_SLOT_TIME: Final = 0x03
_MOST_RAW_BYTES: Final = 2 * (FRAME_BYTES + 3)


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC_TABLE: Final = tuple(_crc_of_byte(byte) for byte in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One frame's content: a whole sealed parcel (``total`` 1), or a piece of one."""

    tag: bytes
    data: bytes
    transfer: int = 0
    number: int = 1
    total: int = 1


def frames_of(tag: bytes, sealed: bytes, transfer: int) -> list[bytes]:
    """The frames that carry a sealed parcel: one if it fits.

    Raises:
        Malformed: it would take more than ``MOST_PIECES``.
    """
    if TAG_BYTES + len(sealed) <= FRAME_BYTES:
        return [tag + sealed]
    pieces = cut(sealed, PIECE_BYTES)
    if len(pieces) > MOST_PIECES:
        raise Malformed(f"expected at most {MOST_PIECES * PIECE_BYTES} bytes for the radio, found {len(sealed)}")
    return [
        tag + bytes((_PIECE, transfer & 0xFF, number << 4 | len(pieces))) + piece
        for number, piece in enumerate(pieces, start=1)
    ]


def room(size_bytes: int) -> int:
    """How much fits into the frames that a sealed parcel of so many bytes takes."""
    if TAG_BYTES + size_bytes <= FRAME_BYTES:
        return FRAME_BYTES - TAG_BYTES
    return -(-size_bytes // PIECE_BYTES) * PIECE_BYTES


def parse(frame: bytes) -> Piece:
    """Take a frame apart.

    Not checked: whose it is; the seal inside says so.

    Raises:
        Malformed: not one of ours, or over a bound.
    """
    if not TAG_BYTES < len(frame) <= FRAME_BYTES:
        raise Malformed(f"expected a frame of {TAG_BYTES + 1} to {FRAME_BYTES} bytes, found {len(frame)}")
    tag, content = frame[:TAG_BYTES], frame[TAG_BYTES:]
    if content[0] != _PIECE:
        return Piece(tag=tag, data=content)
    if len(content) < 4:
        raise Malformed(f"expected a piece of at least 4 bytes, found {len(content)}")
    number, total = content[2] >> 4, content[2] & 0x0F
    if not 1 <= number <= total <= MOST_PIECES:
        raise Malformed(f"expected a piece numbered 1 … {MOST_PIECES}, found {number} of {total}")
    return Piece(tag=tag, data=content[3:], transfer=content[1], number=number, total=total)


def crc16(data: bytes) -> int:
    """CRC-16/ARC: polynomial 0x8005 reflected, from 0."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def to_line(frame: bytes) -> bytes:
    """A frame as the modem takes it."""
    checked = bytes((_DATA_CHECKED,)) + frame
    return _escaped(checked + crc16(checked).to_bytes(2, "little"))


def settings_to_line(*, persistence: float, slot_s: float) -> bytes:
    """How the modem shares the air: listens, and sends into a free slot with this probability."""
    share = max(0, min(255, round(persistence * 256) - 1))
    slot = max(1, min(255, round(slot_s * 100)))
    return _escaped(bytes((_PERSISTENCE, share))) + _escaped(bytes((_SLOT_TIME, slot)))


def _escaped(content: bytes) -> bytes:
    out = bytearray((_END,))
    for byte in content:
        if byte in _ESCAPED:
            out += bytes((_ESCAPE, _ESCAPED[byte]))
        else:
            out.append(byte)
    out.append(_END)
    return bytes(out)


class LineDecoder:
    """Frames out of a modem's bytes. Never raises: what is no frame is counted and forgotten."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._is_too_long = False
        self.damaged = 0
        """Frames with a wrong checksum, a wrong escape, or over the bound."""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what came; the whole frames in it, each with its KISS command."""
        found: list[tuple[int, bytes]] = []
        for byte in data:
            if byte != _END:
                self._is_too_long = self._is_too_long or len(self._raw) >= _MOST_RAW_BYTES
                if not self._is_too_long:
                    self._raw.append(byte)
                continue
            raw, is_too_long = bytes(self._raw), self._is_too_long
            self._raw.clear()
            self._is_too_long = False
            if not raw and not is_too_long:
                continue
            frame = None if is_too_long else _checked(raw)
            if frame is None:
                self.damaged += 1
            else:
                found.append(frame)
        return found


def _checked(raw: bytes) -> tuple[int, bytes] | None:
    content = bytearray()
    at = 0
    while at < len(raw):
        byte = raw[at]
        if byte == _ESCAPE:
            at += 1
            if at >= len(raw) or raw[at] not in _MEANT:
                return None
            byte = _MEANT[raw[at]]
        content.append(byte)
        at += 1
    if content[0] & 0x0F == _DATA and content[0] & 0x80:
        if len(content) < 3 or crc16(bytes(content[:-2])) != int.from_bytes(content[-2:], "little"):
            return None
        return _DATA, bytes(content[1:-2])
    return content[0] & 0x0F, bytes(content[1:])


def is_data(command: int) -> bool:
    """Whether a frame from the line came over the air."""
    return command == _DATA
