"""Time-based one-time codes (RFC 6238 over RFC 4226): SHA-1, six digits, 30 s, as every authenticator app reads them. Pure.

A code is taken for its own step and the one before and after, so that a clock may be 30 s off. Which steps were used is
the caller's part (``second_factor``): a code that somebody read over a shoulder must not work a second time.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import quote, urlencode

SECRET_BYTES: Final = 20
STEP_S: Final = 30
DIGITS: Final = 6
STEPS_APART: Final = 1


def new_secret() -> bytes:
    """160 random bits, the length that RFC 4226 recommends."""
    return secrets.token_bytes(SECRET_BYTES)


def code_at(secret: bytes, step: int) -> str:
    """The code of a step (RFC 4226, 5.3)."""
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_at(wall_ms: int) -> int:
    """The step of a moment."""
    return wall_ms // (STEP_S * 1000)


def matching_step(secret: bytes, code: str, wall_ms: int, *, after_step: int) -> int | None:
    """The step whose code this is, if it is near now and later than the last one used; None where it is not."""
    now = step_at(wall_ms)
    matches = [step for step in range(now - STEPS_APART, now + STEPS_APART + 1)
               if hmac.compare_digest(code_at(secret, step).encode(), code.encode())]  # fmt: skip
    return next((step for step in matches if step > after_step), None)


def base32_of(secret: bytes) -> str:
    """The secret as people type it."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri_of(secret: bytes, *, account: str, issuer: str) -> str:
    """What an authenticator app reads from a QR code (the Key URI format)."""
    label = quote(f"{issuer}:{account}", safe=":")
    fields = urlencode(
        {"secret": base32_of(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_S}, quote_via=quote
    )
    return f"otpauth://totp/{label}?{fields}"
