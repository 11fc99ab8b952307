"""How bodies are encoded: msgpack arrays, decoded into typed values, a random salt first."""

import secrets
from typing import Annotated, TypeVar

import msgspec

from relay import limits
from relay.errors import Malformed

SALT_BYTES = 8
Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Sha256 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Name = Annotated[str, msgspec.Meta(max_length=limits.MAX_NAME_BYTES)]

B = TypeVar("B", bound=msgspec.Struct)


def new_salt() -> bytes:
    """8 random bytes: keeps the signed hash of a body from giving away a guessable body."""
    return secrets.token_bytes(SALT_BYTES)


def encode(body: msgspec.Struct) -> bytes:
    """The bytes of a body.

    Raises:
        Malformed: a field is outside its bounds.
    """
    data = msgspec.msgpack.encode(body)
    decode(data, type(body))  # what we send must pass what they check
    return data


def decode(data: bytes, kind: type[B]) -> B:
    """The typed view of a body's bytes.

    Raises:
        Malformed: not a body of this kind, or a field outside its bounds.
    """
    if len(data) > limits.MAX_BODY_BYTES:
        raise Malformed(f"expected a body of at most {limits.MAX_BODY_BYTES} bytes, found {len(data)}")
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"expected the body of {kind.__name__}: {error}") from error
