"""Signatures after Standard Webhooks (https://www.standardwebhooks.com): ``v1a`` is Ed25519, ``v1`` HMAC-SHA-256.

Signed is ``<webhook-id>.<webhook-timestamp>.<body>``, the body byte for byte as it is sent. ``v1a`` is always there: a receiver
checks it with a public key and can't forge it. ``v1`` is added for receivers that know nothing else.
"""

import base64
import hashlib
import hmac
from typing import Final

from nacl.signing import SigningKey

PUBLIC_PREFIX: Final = "whpk_"
_LEAST_DIFFERENT: Final = 12
"""Of 24 random bytes at least 17 differ, but for one in a million."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  how Standard Webhooks begins one


def headers(key: SigningKey, secret: bytes | None, *, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """What goes with a request."""
    signed = f"{message_id}.{at_s}.".encode() + body
    signatures = [f"v1a,{base64.b64encode(key.sign(signed).signature).decode()}"]
    if secret is not None:
        signatures.append(f"v1,{base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()}")
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": " ".join(signatures)}


def public_text(key: SigningKey) -> str:
    """The public key as Standard Webhooks writes it."""
    return PUBLIC_PREFIX + base64.b64encode(bytes(key.verify_key)).decode()


def secret_of(text: str) -> bytes:
    """The bytes of a ``whsec_…`` secret.

    Raises:
        ValueError: it is none, or shorter than 24 bytes.
    """
    secret = base64.b64decode(text.strip().removeprefix(SECRET_PREFIX), validate=True)
    if not 24 <= len(secret) <= 64:
        raise ValueError(f"expected 24 to 64 bytes in base64 after {SECRET_PREFIX}, found {len(secret)}")
    if len(set(secret)) < _LEAST_DIFFERENT:
        raise ValueError(
            "expected random bytes, found a pattern that anybody may try: openssl rand -base64 24 makes a secret"
        )
    return secret
