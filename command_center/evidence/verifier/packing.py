"""The part of msgpack that journal entries, envelopes and passports use: arrays, integers, text, bytes, floats, booleans.

Bounded: nesting to 8, lengths to what is there. Source: github.com/msgpack/msgpack, spec.md.
"""

import struct
from typing import Final

Value = None | bool | int | float | str | bytes | list["Value"]

_MAX_DEPTH: Final = 8


def pack(value: Value) -> bytes:
    """The shortest encoding, which is the one that the center signs."""
    if isinstance(value, bool) or value is None or isinstance(value, float):
        raise TypeError(f"expected an integer, text, bytes or a list, found {value!r}")
    if isinstance(value, int):
        return _pack_int(value)
    if isinstance(value, str):
        data = value.encode()
        if len(data) < 32:
            return bytes([0xA0 | len(data)]) + data
        return _head(len(data), 0xD9, 0xDA, 0xDB) + data
    if isinstance(value, bytes):
        return _head(len(value), 0xC4, 0xC5, 0xC6) + value
    if len(value) > 15:
        raise TypeError(f"expected at most 15 elements, found {len(value)}")
    return bytes([0x90 | len(value)]) + b"".join(pack(item) for item in value)


def _head(length: int, short: int, middle: int, large: int) -> bytes:
    if length < 1 << 8:
        return struct.pack(">BB", short, length)
    return struct.pack(">BH", middle, length) if length < 1 << 16 else struct.pack(">BI", large, length)


def _pack_int(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes([value])
    for code, width in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if 0 <= value < 1 << 8 * width:
            return bytes([code]) + value.to_bytes(width, "big")
    raise TypeError(f"expected an integer of 64 bits without sign, found {value}")


def unpack(data: bytes) -> Value:
    """One value, all of ``data``.

    Raises:
        ValueError: it is not one.
    """
    try:
        value, at = _unpack(data, 0, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not msgpack: {error}") from error
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many after a msgpack value")
    return value


_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_NUMBERS: Final = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
                   0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}  # fmt: skip
_PLAIN: Final[dict[int, bool | None]] = {0xC0: None, 0xC2: False, 0xC3: True}


def _unpack(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    code, at = data[at], at + 1
    if code < 0x80:
        return code, at
    if code >= 0xE0:
        return code - 0x100, at
    if code in _PLAIN:
        return _PLAIN[code], at
    if code in _NUMBERS:
        number: int | float = struct.unpack_from(_NUMBERS[code], data, at)[0]
        return number, at + struct.calcsize(_NUMBERS[code])
    if 0xA0 <= code < 0xC0 or code in _SIZED:
        width = _SIZED.get(code, 0)
        length = int.from_bytes(data[at : at + width], "big") if width else code & 0x1F
        at += width
        piece = data[at : at + length]
        if len(piece) != length:
            raise ValueError("not msgpack: it ends within a string")
        return (piece if code in {0xC4, 0xC5, 0xC6} else piece.decode()), at + length
    if 0x90 <= code < 0xA0 or code in {0xDC, 0xDD}:
        return _unpack_list(data, at, code, depth)
    raise ValueError(f"not a msgpack value that is used here: 0x{code:02x}")


def _unpack_list(data: bytes, at: int, code: int, depth: int) -> tuple[Value, int]:
    width = {0xDC: 2, 0xDD: 4}.get(code, 0)
    length = int.from_bytes(data[at : at + width], "big") if width else code & 0x0F
    at += width
    if depth >= _MAX_DEPTH or length > len(data) - at:
        raise ValueError("not msgpack: nested too deeply, or more elements than bytes")
    items: list[Value] = []
    for _ in range(length):
        item, at = _unpack(data, at, depth + 1)
        items.append(item)
    return items, at
