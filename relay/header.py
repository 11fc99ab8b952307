"""The signed header of an envelope: a fixed layout, so that one value has one encoding and nothing needs canonicalizing.

Layout, big-endian, 76 bytes upwards and 84 downwards (``docs/decisions/0003-fixed-header.md`` says why not msgpack):

====== ===== ==============================================================
offset bytes field
====== ===== ==============================================================
0      1     kind
1      1     clock quality (high 4 bits), precedence (low 4 bits)
2      8     origin: the signer's node id
10     4     series: one unbroken numbering; lasts as long as the spool file
14     2     boot: which start within the series (the boot epoch)
16     4     sequence within the series, from 1
20     6     wall clock, ms since 1970
26     6     monotonic clock, ms since boot
32     4     time to live, s; 0 = for ever
36     8     link: first 8 bytes of the previous header's SHA-256; 0 at sequence 1
44     32    SHA-256 of the plaintext body
76     8     destination node id; only in kinds that go down (kind ≥ 0x40)
====== ===== ==============================================================
"""

import enum
import struct
from typing import Final

import msgspec

from relay.clock import ClockQuality
from relay.errors import Malformed
from relay.ids import AUTHORITY, NodeId
from relay.precedence import Precedence

UP_BYTES: Final = 76
DOWN_BYTES: Final = 84
LINK_BYTES: Final = 8

_FIXED: Final = struct.Struct(">BB8sIHI6s6sI8s32s")


class Kind(enum.IntEnum):
    """What an envelope says. Below 0x40 it goes up to the authority, from 0x40 down to one node."""

    ALERT = 0x01
    RETRACTION = 0x02
    EXHIBIT = 0x03
    CHUNK = 0x04
    HEARTBEAT = 0x05
    ANSWER = 0x06
    TRACE = 0x07
    CHECKPOINT = 0x08
    PULSE = 0x09
    ACKNOWLEDGEMENT = 0x41
    INSTRUCTION = 0x42
    ROSTER = 0x43
    COSIGNATURE = 0x44

    @property
    def goes_down(self) -> bool:
        """Whether the header names a destination."""
        return self >= 0x40


_KINDS: Final = {int(kind): kind for kind in Kind}
_QUALITIES: Final = {int(quality): quality for quality in ClockQuality}
_PRECEDENCES: Final = {int(precedence): precedence for precedence in Precedence}
"""Looking a number up costs a sixth of calling the enumeration, and every header that arrives asks three times."""


class Header(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The parsed view of header bytes."""

    kind: Kind
    quality: ClockQuality
    precedence: Precedence
    origin: NodeId
    destination: NodeId
    series: int
    boot: int
    sequence: int
    wall_ms: int
    monotonic_ms: int
    ttl_s: int
    link: bytes
    body_sha256: bytes

    def encode(self) -> bytes:
        """The one encoding of this header."""
        fixed = _FIXED.pack(
            self.kind, self.quality << 4 | self.precedence, self.origin, self.series, self.boot, self.sequence,
            self.wall_ms.to_bytes(6, "big"), self.monotonic_ms.to_bytes(6, "big"), self.ttl_s, self.link,
            self.body_sha256,
        )  # fmt: skip
        return fixed + self.destination if self.kind.goes_down else fixed


def decode(data: bytes) -> Header:
    """Parse header bytes.

    Not checked: the signature. Nothing in a header means anything before ``envelope.verify``.

    Raises:
        Malformed: wrong length, or a field outside its range.
    """
    if len(data) not in {UP_BYTES, DOWN_BYTES}:
        raise Malformed(f"expected a header of {UP_BYTES} or {DOWN_BYTES} bytes, found {len(data)}")
    kind_code, flags, origin, series, boot, sequence, wall, monotonic, ttl_s, link, body = _FIXED.unpack_from(data)
    kind, quality, precedence = _KINDS.get(kind_code), _QUALITIES.get(flags >> 4), _PRECEDENCES.get(flags & 0xF)
    if kind is None or quality is None or precedence is None:
        raise Malformed(
            f"the header names something that this release does not know: expected a known kind, clock quality and precedence, "
            f"found {kind_code}, {flags >> 4} and {flags & 0xF}"
        )
    if kind.goes_down != (len(data) == DOWN_BYTES):
        raise Malformed(f"a header of kind {kind.name} does not have {len(data)} bytes")
    if sequence == 0:
        raise Malformed("sequence numbers start at 1, found 0")
    return Header(
        kind=kind, quality=quality, precedence=precedence, origin=NodeId(origin),
        destination=NodeId(data[UP_BYTES:]) if kind.goes_down else AUTHORITY, series=series, boot=boot,
        sequence=sequence, wall_ms=int.from_bytes(wall, "big"), monotonic_ms=int.from_bytes(monotonic, "big"),
        ttl_s=ttl_s, link=link, body_sha256=body,
    )  # fmt: skip
