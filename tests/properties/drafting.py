"""Envelopes and receipts for the properties, signed once and remembered: signing is what costs time."""

import functools
import hashlib

from relay import envelope, receipt
from relay.clock import ClockQuality
from relay.envelope import Envelope
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.receipt import Receipt

CENTER = Identity.from_seed(hashlib.sha256(b"center").digest())
OTHERS = [Identity.from_seed(hashlib.sha256(b"other %d" % n).digest()) for n in range(2)]


@functools.cache
def signed(origin: int, series: int, sequence: int, content: int, precedence: Precedence = Precedence.FLASH,
           ttl_s: int = 0, size_bytes: int = 60) -> Envelope:  # fmt: skip
    """An envelope of one of two other nodes."""
    body = bytes([content]) * size_bytes
    header = Header(
        kind=Kind.ALERT if precedence.is_alert else Kind.CHUNK, quality=ClockQuality.UNSET, precedence=precedence,
        origin=OTHERS[origin].node_id, destination=AUTHORITY, series=series, boot=1, sequence=sequence, wall_ms=1,
        monotonic_ms=1, ttl_s=ttl_s, link=bytes(8), body_sha256=hashlib.sha256(body).digest(),
    )  # fmt: skip
    return envelope.seal(header, body, signing=OTHERS[origin].signing, shared_secret=bytes(32))


def receipt_for(origin: Identity, series: int, stored: RangeSet, signer: Identity = CENTER) -> Receipt:
    """A receipt of the center."""
    return receipt.issue(stored, signer=signer.node_id, signing=signer.signing, stored_at_s=0, origin=origin.node_id,
                         series=series)  # fmt: skip
