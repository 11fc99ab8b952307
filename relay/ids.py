"""Names of things on the wire: who, and which envelope.

A node's id is the first 8 bytes of the SHA-256 of its signing key; an envelope's id is the SHA-256 of its
signed header bytes. Both follow from the content, so nobody hands them out and nobody can choose them.
"""

import functools
import hashlib
from typing import Final, NewType

NodeId = NewType("NodeId", bytes)
"""8 bytes."""

EnvelopeId = NewType("EnvelopeId", bytes)
"""32 bytes."""

AUTHORITY: Final = NodeId(bytes(8))
"""The destination "whichever command center serves my authority": all zero, no key hashes to it by chance."""


@functools.lru_cache(maxsize=4096)
def node_id_of(signing_key: bytes) -> NodeId:
    """The id of the holder of this Ed25519 public key (32 bytes). Kept: it is asked for with every parcel."""
    return NodeId(hashlib.sha256(signing_key).digest()[:8])


def envelope_id_of(header: bytes) -> EnvelopeId:
    """The id of the envelope with exactly these signed header bytes."""
    return EnvelopeId(hashlib.sha256(header).digest())


def short(identifier: bytes) -> str:
    """The first 8 hexadecimal digits, for people."""
    return identifier[:4].hex()
