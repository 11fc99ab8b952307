"""Short messages as a modem takes and gives them in PDU mode: hexadecimal, 8-bit data, in several parts where it must be.

Bytes only; ``sms`` talks to the modem. Source: 3GPP TS 23.040, sections 9.2.2 (SMS-SUBMIT, SMS-DELIVER), 9.1.2.5 (addresses) and
9.2.3.24.1/8 (concatenation); TS 23.038 section 4 (data coding).
"""

import binascii
from dataclasses import dataclass
from typing import Final

from relay.errors import Malformed
from relay.paths.assembly import cut

DATA_BYTES: Final = 140
"""User data of one message."""
_PART_HEADER_BYTES: Final = 7
"""1 of length, and a 16-bit concatenation element of 6."""
PART_BYTES: Final = DATA_BYTES - _PART_HEADER_BYTES
MOST_PARTS: Final = 4
MAX_PDU_CHARACTERS: Final = 2 * (1 + 11 + 1 + 1 + 12 + 1 + 1 + 7 + 1 + DATA_BYTES)
_SUBMIT: Final = 0b01
_DELIVER: Final = 0b00
_RELATIVE_VALIDITY: Final = 0b10 << 3
_HAS_HEADER: Final = 0x40
_VALID_FOR_A_DAY: Final = 167
_EIGHT_BIT: Final = 0x04
_INTERNATIONAL: Final = 0x91
_NATIONAL: Final = 0x81
_ALPHANUMERIC: Final = 0b101
_CONCATENATED_8: Final = 0x00
_CONCATENATED_16: Final = 0x08
_MOST_DIGITS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message as it arrived. ``total`` is 1 where it is whole."""

    sender: str
    """Digits, with ``+`` where the number is international."""
    data: bytes
    reference: int = 0
    number: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """One message for the modem."""

    pdu: bytes
    """Hexadecimal, the empty service center address in front included."""
    length: int
    """What ``AT+CMGS=`` is told: bytes without that address."""


def submits(number: str, data: bytes, reference: int) -> list[Submit]:
    """The messages that carry ``data`` to a number: one if it fits, else parts under a common reference (16 bits).

    Raises:
        Malformed: more than ``MOST_PARTS`` would be needed.
    """
    if len(data) <= DATA_BYTES:
        return [_submit(number, b"", data)]
    pieces = cut(data, PART_BYTES)
    if len(pieces) > MOST_PARTS:
        raise Malformed(f"expected at most {MOST_PARTS * PART_BYTES} bytes for a short message, found {len(data)}")
    heads = [
        bytes((6, _CONCATENATED_16, 4, reference >> 8 & 0xFF, reference & 0xFF, len(pieces), at))
        for at in range(1, len(pieces) + 1)
    ]
    return [_submit(number, head, piece) for head, piece in zip(heads, pieces, strict=True)]


def room(size_bytes: int) -> int:
    """How much fits into the messages that so many bytes take."""
    return DATA_BYTES if size_bytes <= DATA_BYTES else -(-size_bytes // PART_BYTES) * PART_BYTES


def _submit(number: str, head: bytes, data: bytes) -> Submit:
    first = _SUBMIT | _RELATIVE_VALIDITY | (_HAS_HEADER if head else 0)
    user_data = head + data
    body = bytes((first, 0)) + _address(number) + bytes((0, _EIGHT_BIT, _VALID_FOR_A_DAY, len(user_data))) + user_data
    return Submit(pdu=binascii.hexlify(b"\x00" + body).upper(), length=len(body))


def parse_submit(pdu: bytes) -> tuple[str, Part]:
    """Take an SMS-SUBMIT apart: its destination, and the rest with an empty sender. For whoever stands in for a network.

    Raises:
        Malformed: not one.
    """
    reader = _Reader(_unhex(pdu))
    reader.take(reader.byte())
    first = reader.byte()
    if first & 0b11 != _SUBMIT:
        raise Malformed(f"expected an SMS-SUBMIT, found a message of type {first & 0b11}")
    reader.byte()
    destination = reader.address()
    _, coding = reader.byte(), reader.byte()
    reader.take((0, 7, 1, 7)[first >> 3 & 0b11])
    return destination, _part(reader, first, coding, "")


def deliver(sender: str, part: Part, *, coding: int = _EIGHT_BIT) -> bytes:
    """An SMS-DELIVER in hexadecimal, as a network hands it to a modem. For whoever stands in for one."""
    head = b""
    if part.total > 1:
        head = bytes((6, _CONCATENATED_16, 4, part.reference >> 8, part.reference & 0xFF, part.total, part.number))
    stamp = bytes.fromhex("62115291020080")
    user_data = head + part.data
    body = bytes((_DELIVER | (_HAS_HEADER if head else 0),)) + _address(sender) + bytes((0, coding)) + stamp
    return binascii.hexlify(b"\x00" + body + bytes((len(user_data),)) + user_data).upper()


def parse_deliver(pdu: bytes) -> Part:
    """Take a message apart that came to the modem.

    Not checked: that the sender is who the network says.

    Raises:
        Malformed: not an SMS-DELIVER of 8-bit data, or over a bound.
    """
    reader = _Reader(_unhex(pdu))
    reader.take(reader.byte())  # the service center
    first = reader.byte()
    if first & 0b11 != _DELIVER:
        raise Malformed(f"expected an SMS-DELIVER, found a message of type {first & 0b11}")
    sender = reader.address()
    _, coding = reader.byte(), reader.byte()
    reader.take(7)  # when the service center had it
    return _part(reader, first, coding, sender)


def _part(reader: "_Reader", first: int, coding: int, sender: str) -> Part:
    is_eight_bit = coding & 0xCC == _EIGHT_BIT or coding & 0xF4 == 0xF4
    if not is_eight_bit:
        raise Malformed(f"expected 8-bit data, found a text or another coding ({coding:#x})")
    user_data = reader.take(reader.byte())
    reader.end()
    if len(user_data) > DATA_BYTES:
        raise Malformed(f"expected at most {DATA_BYTES} bytes of user data, found {len(user_data)}")
    if not first & _HAS_HEADER:
        return Part(sender=sender, data=user_data)
    inner = _Reader(user_data)
    head = _Reader(inner.take(inner.byte()))
    reference, total, number = 0, 1, 1
    while not head.is_at_end:
        kind = head.byte()
        content = head.take(head.byte())
        if kind == _CONCATENATED_16 and len(content) == 4:
            reference, total, number = int.from_bytes(content[:2], "big"), content[2], content[3]
        elif kind == _CONCATENATED_8 and len(content) == 3:
            reference, total, number = content
    if not 1 <= number <= total <= MOST_PARTS:
        raise Malformed(f"expected a part numbered 1 … {MOST_PARTS}, found {number} of {total}")
    return Part(sender=sender, data=inner.rest(), reference=reference, number=number, total=total)


def _unhex(pdu: bytes) -> bytes:
    if len(pdu) > MAX_PDU_CHARACTERS:
        raise Malformed(f"expected a PDU of at most {MAX_PDU_CHARACTERS} characters, found {len(pdu)}")
    try:
        return binascii.unhexlify(pdu)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"expected a PDU in hexadecimal: {error}") from error


def _address(number: str) -> bytes:
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        raise Malformed(f"expected a phone number of at most {_MOST_DIGITS} digits, found {number!r}")
    padded = digits + "F" * (len(digits) % 2)
    swapped = "".join(padded[at + 1] + padded[at] for at in range(0, len(padded), 2))
    kind = _INTERNATIONAL if number.startswith("+") else _NATIONAL
    return bytes((len(digits), kind)) + bytes.fromhex(swapped)


class _Reader:
    """Takes bytes one after the other; never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise Malformed(f"expected {count} more bytes at {self._at}, found the end after {len(self._data)}")
        self._at += count
        return taken

    def rest(self) -> bytes:
        return self._data[self._at :]

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._data)

    def end(self) -> None:
        if not self.is_at_end:
            raise Malformed(f"expected the end at {self._at}, found {len(self._data) - self._at} bytes more")

    def address(self) -> str:
        count, kind = self.byte(), self.byte()
        raw = self.take((count + 1) // 2)
        if kind >> 4 & 0b111 == _ALPHANUMERIC:
            raise Malformed("expected a sender with a number, found one with a name")
        digits = "".join(f"{byte & 0xF:X}{byte >> 4:X}" for byte in raw)[:count]
        if count > _MOST_DIGITS or not digits.isdecimal():
            raise Malformed(f"expected a phone number of at most {_MOST_DIGITS} digits, found {digits[:24]!r}")
        return ("+" if kind == _INTERNATIONAL else "") + digits
