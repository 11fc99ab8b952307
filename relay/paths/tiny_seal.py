"""How a parcel travels on a tiny path: proved to come from the neighbor, and as small as it can be made.

Where a frame takes two seconds, or a burst costs money, there is no room for a hello. Both ends are configured with each other's
name, so each holds the other's passport, and their transport keys (X25519) give a secret that only the two can compute. Every
parcel carries 8 bytes made with it: so its neighbor is proved without a word before, and the tag of a radio frame names the two to
nobody else. A recorded parcel can be said again; envelopes, receipts and notes all say the same the second time.

A sealed parcel is ``code (1 byte), proof (8 bytes), content``. An envelope's msgpack framing is left out and put back, which makes
the largest alert and its proof fit one LoRa frame. Several small parcels go under one proof where the neighbor reads that (``tiny_batch``).
"""

import enum
import hashlib
import hmac
from typing import Final

import msgpack
from nacl.bindings import crypto_scalarmult

from relay import envelope, header
from relay.errors import BadSignature, Malformed, SenderError
from relay.identity import Identity
from relay.ids import NodeId
from relay.passport import Passport
from relay.paths.tiny_batch import Reads, pack, unpack

PROOF_BYTES: Final = 8
"""A forger needs 2^63 tries on average, each over the air; what is behind it is signed with Ed25519 all the same."""
OVERHEAD_BYTES: Final = 1 + PROOF_BYTES
TAG_BYTES: Final = 2
_SIGNATURE_BYTES: Final = 64


class _Code(enum.IntEnum):
    """What the content is."""

    AS_IT_IS = 0x10
    ENVELOPE_UP = 0x11
    """Header of 76 bytes, signature, sealed body; nothing between them."""
    ENVELOPE_DOWN = 0x12
    """The same with a header of 84 bytes."""
    SEVERAL = 0x13
    """Parts, each of one of the codes above (``tiny_batch``)."""


_HEADER_BYTES: Final[dict[int, int]] = {_Code.ENVELOPE_UP: header.UP_BYTES, _Code.ENVELOPE_DOWN: header.DOWN_BYTES}


class TinySeal:
    """Seals for one neighbor and opens what comes from it."""

    def __init__(self, identity: Identity, peer: Passport) -> None:
        shared = crypto_scalarmult(identity.transport_secret, peer.transport_key)
        self._key = hashlib.blake2b(shared, digest_size=32, person=b"heard/tiny").digest()
        self._own_id = identity.node_id
        self.peer_id: NodeId = peer.node_id
        self.transport_key = peer.transport_key
        """The neighbor's; it proves with each parcel that it holds its secret."""
        self.tag = hashlib.blake2b(key=self._key, digest_size=TAG_BYTES, person=b"heard/tag").digest()
        """Names this pair on a shared medium, to the two of them only."""
        self.reads = Reads()
        """What the neighbor is known to understand; it outlives the sessions."""

    def seal(self, parcel: bytes, *others: bytes) -> bytes:
        """The bytes for the carrier: of one parcel at most ``OVERHEAD_BYTES`` more than it has, 1 to 2 for an envelope.

        ``others`` go along: 2 to 3 bytes more than each has, or up to 4 less.
        """
        code, content = _compact(parcel)
        if others:
            code, content = _Code.SEVERAL, pack([(code, content), *(_compact(other) for other in others)])
        return bytes((code,)) + self._proof(self._own_id, code, content) + content

    def open(self, data: bytes) -> tuple[bytes, ...]:
        """The parcels again, as its neighbor said them; nearly always one.

        Raises:
            Malformed: not a sealed parcel.
            BadSignature: not from this neighbor, or changed on the way.
        """
        if len(data) <= OVERHEAD_BYTES:
            raise Malformed(f"expected a sealed parcel of more than {OVERHEAD_BYTES} bytes, found {len(data)}")
        code, proof, content = data[0], data[1:OVERHEAD_BYTES], data[OVERHEAD_BYTES:]
        if not hmac.compare_digest(proof, self._proof(self.peer_id, code, content)):
            raise BadSignature(f"a parcel does not carry the proof of {self.peer_id.hex()}, whose address it came from")
        if code != _Code.SEVERAL:
            return (_expanded(code, content),)
        parcels = tuple(_expanded(*part) for part in unpack(content))
        self.reads.said_several()
        return parcels

    def _proof(self, sender: NodeId, code: int, content: bytes) -> bytes:
        return hashlib.blake2b(
            sender + bytes((code,)) + content, key=self._key, digest_size=PROOF_BYTES, person=b"heard/proof"
        ).digest()


def _compact(parcel: bytes) -> tuple[int, bytes]:
    """Leave out what an envelope's framing says twice; anything else stays as it is."""
    try:
        parsed = envelope.parse(parcel)
    except SenderError:
        return _Code.AS_IT_IS, parcel
    code = _Code.ENVELOPE_DOWN if parsed.header.kind.goes_down else _Code.ENVELOPE_UP
    content = parsed.header_bytes + parsed.signature + parsed.sealed_body
    return (code, content) if _expanded(code, content) == parcel else (_Code.AS_IT_IS, parcel)


def _expanded(code: int, content: bytes) -> bytes:
    if code == _Code.AS_IT_IS:
        return content
    size = _HEADER_BYTES.get(code)
    if size is None or len(content) < size + _SIGNATURE_BYTES:
        raise Malformed(f"expected a code of a sealed parcel and its content, found {code:#x} and {len(content)} bytes")
    parts = [
        envelope.VERSION,
        content[:size],
        content[size : size + _SIGNATURE_BYTES],
        content[size + _SIGNATURE_BYTES :],
    ]
    packed: bytes = msgpack.packb(parts, use_bin_type=True)
    return packed
