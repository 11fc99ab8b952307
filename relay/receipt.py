"""A receipt: "these are stored durably", signed by whoever stored them. The only thing that frees the sender's copy.

``[version, statement, signature]``; it has no body, its statement is everything, and one for one node with nothing
missing fits in 100 bytes. It is cumulative: the latest one says all that the earlier ones said, so any may be lost. But where a node's
numbers came with very many gaps (on a radio what is no alert stays away, for days) one that is *full* names what it answers, and the highest;
of what it does not name it says nothing.

Statement, big-endian:

====== ===== ==================================================================
offset bytes field
====== ===== ==================================================================
0      1     kind = 0x80
1      8     signer's node id
9      4     signer's wall clock, s since 1970 (a hint for nodes whose clock is not set)
13     8     origin: whose envelopes were stored
21     4     series
25     1–5   everything from 1 to this was stored (LEB128)
…      pairs skipped, stored: that many missing, then that many stored (LEB128)
====== ===== ==================================================================
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgpack
from nacl.signing import SigningKey

from relay import dsse, limits, varint
from relay.errors import Malformed, UnsupportedVersion
from relay.ids import NodeId
from relay.ranges import RangeSet

VERSION: Final = 1
_KIND: Final = 0x80
_FIXED: Final = struct.Struct(">B8sI8sI")
_MAX_STATEMENT_BYTES: Final = _FIXED.size + 5 + limits.MAX_RECEIPT_RANGES * 10
_MAX_SEQUENCE: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One receipt as it travels."""

    signer: NodeId
    stored_at_s: int
    origin: NodeId
    series: int
    upto: int
    """Everything from 1 to this, included."""
    further: tuple[tuple[int, int], ...]
    """Ranges above ``upto``, both ends included."""
    statement: bytes
    signature: bytes
    wire: bytes

    def covers(self, sequence: int) -> bool:
        """Whether this receipt says that the envelope with this number is stored."""
        return 0 < sequence <= self.upto or any(first <= sequence <= last for first, last in self.further)

    @property
    def is_full(self) -> bool:
        """Whether more may be stored than it has room to name."""
        return len(self.further) >= limits.RECEIPT_RANGES_NAMED

    def ranges(self) -> RangeSet:
        """What is stored, as a set."""
        covered = RangeSet(self.further)
        if self.upto:
            covered.add(1, self.upto)
        return covered


def is_receipt(wire: bytes) -> bool:
    """Whether these bytes claim to be a receipt: an array of three that starts with a version number."""
    return len(wire) > 2 and wire[0] == 0x93 and wire[1] < 0x80


def issue(stored: RangeSet, *, signer: NodeId, signing: SigningKey, stored_at_s: int, origin: NodeId,
          series: int, answers: Iterable[int] = ()) -> Receipt:  # fmt: skip
    """Sign a receipt for what was stored of one series. The caller has committed and fsynced it before.

    ``answers``: the numbers that came now, new or again. They are named in any case: who sent them waits for that.
    """
    upto = stored.contiguous
    further = _named(stored.above_contiguous(), answers)
    out = bytearray(_FIXED.pack(_KIND, signer, stored_at_s & 0xFFFFFFFF, origin, series))
    varint.put(out, upto)
    at = upto
    for first, last in further:
        varint.put(out, first - at - 1)
        varint.put(out, last - first + 1)
        at = last
    statement = bytes(out)
    signature = dsse.sign(dsse.RECEIPT_TYPE, statement, signing)
    wire: bytes = msgpack.packb([VERSION, statement, signature], use_bin_type=True)
    return Receipt(signer=signer, stored_at_s=stored_at_s, origin=origin, series=series, upto=upto, further=further,
                   statement=statement, signature=signature, wire=wire)  # fmt: skip


def _named(further: list[tuple[int, int]], answers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    if len(further) <= limits.RECEIPT_RANGES_NAMED:
        return tuple(further)
    starts = [first for first, _ in further]
    places = {bisect_right(starts, number) - 1 for number in answers}
    answered = [further[place] for place in places if place >= 0]
    chosen = set(sorted(answered)[-limits.RECEIPT_RANGES_NAMED :])
    for item in reversed(further):
        if len(chosen) >= limits.RECEIPT_RANGES_NAMED:
            break
        chosen.add(item)
    return tuple(sorted(chosen))


def parse(wire: bytes) -> Receipt:
    """Take a receipt apart.

    Not checked: the signature (``verify``), and whether the signer may sign receipts (its passport).

    Raises:
        Malformed: not a receipt, or over a bound.
        UnsupportedVersion: a format that this release does not speak.
    """
    try:
        parts = msgpack.unpackb(wire, max_array_len=3, max_bin_len=_MAX_STATEMENT_BYTES, max_str_len=0, max_map_len=0,
                                max_ext_len=0)  # fmt: skip
    except (ValueError, msgpack.UnpackException) as error:
        raise Malformed(f"expected one msgpack array within its bounds: {error or type(error).__name__}") from error
    if not isinstance(parts, list) or len(parts) != 3:
        raise Malformed("expected a receipt [version, statement, signature]")
    version, statement, signature = parts
    if version != VERSION:
        raise UnsupportedVersion(f"expected receipt version {VERSION}, found {version!r}: update this machine")
    if not (isinstance(statement, bytes) and isinstance(signature, bytes)) or len(statement) <= _FIXED.size:
        raise Malformed("the receipt's statement or signature is not a byte string of the right length")
    kind, signer, stored_at_s, origin, series = _FIXED.unpack_from(statement)
    if kind != _KIND:
        raise Malformed(f"expected kind {_KIND:#x} in a receipt, found {kind:#x}")
    upto, further = _ranges(statement)
    return Receipt(signer=NodeId(signer), stored_at_s=stored_at_s, origin=NodeId(origin), series=series, upto=upto,
                   further=further, statement=statement, signature=signature, wire=wire)  # fmt: skip


def _ranges(statement: bytes) -> tuple[int, tuple[tuple[int, int], ...]]:
    upto, offset = varint.take(statement, _FIXED.size)
    further: list[tuple[int, int]] = []
    at = upto
    while offset < len(statement):
        skipped, offset = varint.take(statement, offset)
        stored, offset = varint.take(statement, offset)
        if stored == 0 or (skipped == 0 and (further or upto)):
            raise Malformed("the receipt names an empty range, or two that touch")
        further.append((at + skipped + 1, at + skipped + stored))
        at = further[-1][1]
    if at > _MAX_SEQUENCE or len(further) > limits.MAX_RECEIPT_RANGES:
        raise Malformed("the receipt names numbers over 32 bits, or too many ranges")
    return upto, tuple(further)


def verify(receipt: Receipt, signing_key: bytes) -> None:
    """Check that the holder of this key signed the receipt.

    Raises:
        BadSignature: it did not.
    """
    dsse.verify(dsse.RECEIPT_TYPE, receipt.statement, receipt.signature, signing_key)
