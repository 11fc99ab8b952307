"""Dead Simple Signing Envelope, v1: what exactly is signed.

Source: DSSE 1.0.2 (secure-systems-lab/dsse, protocol.md). The pre-authentication encoding binds a payload to its type,
so that a signature over a receipt can't be passed off as one over a header. An auditor rebuilds these bytes with a
one-line script and checks the signature with ``openssl pkeyutl -verify -rawin``.
"""

import functools
from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from relay.errors import BadSignature

HEADER_TYPE: Final = "application/vnd.heard.envelope-header.v1"
RECEIPT_TYPE: Final = "application/vnd.heard.receipt.v1"
PASSPORT_TYPE: Final = "application/vnd.heard.passport.v1"
ROSTER_TYPE: Final = "application/vnd.heard.roster.v1"
INTRODUCTION_TYPE: Final = "application/vnd.heard.introduction.v1"
ENROLLMENT_TYPE: Final = "application/vnd.heard.enrollment.v1"


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of a payload: the bytes that are signed."""
    return _prefix(payload_type, len(payload)) + payload


@functools.lru_cache(maxsize=1024)
def _prefix(payload_type: str, payload_bytes: int) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d " % (len(kind), kind, payload_bytes)


def sign(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """The 64-byte Ed25519 signature over ``pae(payload_type, payload)``."""
    return key.sign(pae(payload_type, payload)).signature


def verify(payload_type: str, payload: bytes, signature: bytes, public_key: bytes) -> None:
    """Check an Ed25519 signature.

    Not checked: who holds the key, and whether it may say this. That is the passport's part.

    Raises:
        BadSignature: the signature is not by this key over this payload as this type.
    """
    if len(signature) != 64 or len(public_key) != 32:
        raise BadSignature(
            f"expected a 64-byte signature and a 32-byte key, found {len(signature)} and {len(public_key)}"
        )
    try:
        crypto_sign_open(signature + pae(payload_type, payload), public_key)
    except BadSignatureError:
        raise BadSignature(
            f"the Ed25519 signature over {payload_type} ({len(payload)} bytes) does not match: "
            "the bytes were changed, or another key signed them"
        ) from None
