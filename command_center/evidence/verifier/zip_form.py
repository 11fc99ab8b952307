"""The one form of ZIP that an export has: stored, without timestamps or comments, members one after another.

Every byte of the archive follows from the names, sizes and contents of its members, so that a change anywhere shows; and
there is nothing to unpack, so that there are no bombs. Writer and reader share these functions.
Source: PKWARE APPNOTE 6.3.9, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOCAL: Final = b"PK\x03\x04"
FIXED_BYTES: Final = 30
"""Length of a local header before its name."""
LIMIT: Final = 0xFFFFFFFF
"""From this size or offset on, the 64-bit field is used."""
_UTF8, _DATE, _MODE = 0x0800, 0x0021, 0o100644 << 16
"""Flag bit 11; 1980-01-01; a regular file."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive."""

    name: str
    size: int
    crc: int
    offset: int
    """Of its local header."""

    @property
    def data_offset(self) -> int:
        """Where its content begins."""
        return self.offset + len(local_header(self.name, self.size, self.crc))


def local_header(name: str, size: int, crc: int) -> bytes:
    """What stands before a member's content."""
    is_large = size >= LIMIT
    shown, extra = (LIMIT, struct.pack("<HHQQ", 1, 16, size, size)) if is_large else (size, b"")
    label = name.encode()
    fixed = struct.pack("<4sHHHHHIIIHH", LOCAL, 45 if is_large else 20, _UTF8, 0, 0, _DATE, crc, shown, shown,
                        len(label), len(extra))  # fmt: skip
    return fixed + label + extra


def _central_header(member: Member) -> bytes:
    fields = [member.size, member.size] if member.size >= LIMIT else []
    fields += [member.offset] if member.offset >= LIMIT else []
    extra = struct.pack(f"<HH{len(fields)}Q", 1, 8 * len(fields), *fields) if fields else b""
    size, offset, label = min(member.size, LIMIT), min(member.offset, LIMIT), member.name.encode()
    fixed = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 0x031E, 45 if fields else 20, _UTF8, 0, 0, _DATE,
                        member.crc, size, size, len(label), len(extra), 0, 0, 0, _MODE, offset)  # fmt: skip
    return fixed + label + extra


def trailer(members: Iterable[Member], offset: int) -> Iterable[bytes]:
    """What stands after the last member, in pieces; ``offset`` is where it begins."""
    count = size = 0
    for member in members:
        piece = _central_header(member)
        count, size = count + 1, size + len(piece)
        yield piece
    if count >= 0xFFFF or size >= LIMIT or offset >= LIMIT:
        yield struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, size, offset)
        yield struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + size, 1)
    shown = min(count, 0xFFFF)
    yield struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, shown, shown, min(size, LIMIT), min(offset, LIMIT), 0)
