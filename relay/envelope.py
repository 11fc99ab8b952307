"""The envelope: a signed header and a sealed body. ``[version, header, signature, body]`` in msgpack.

The signature covers the header only; the header holds the SHA-256 of the *plaintext* body, so the evidence stays
verifiable after decryption. Relays check who and how urgent; they can't read what. A random salt inside every body
keeps its hash from giving away a guessable content.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import msgpack
import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

from relay import dsse, limits
from relay.errors import CannotOpen, Malformed, UnsupportedVersion
from relay.header import Header
from relay.header import decode as decode_header
from relay.ids import EnvelopeId, envelope_id_of

VERSION: Final = 1
_TAG_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One envelope as it travels, with the parsed view of its header beside the exact signed bytes."""

    header: Header
    header_bytes: bytes
    signature: bytes
    sealed_body: bytes
    id: EnvelopeId
    wire: bytes


def seal(header: Header, body: bytes, *, signing: SigningKey, shared_secret: bytes) -> Envelope:
    """Sign and encrypt. ``header.body_sha256`` must be the SHA-256 of ``body``.

    The nonce is the first 24 bytes of the header's SHA-256: the header holds the body's hash, so two different bodies
    never share a nonce, even on a node that lost its counters.
    """
    if len(body) > limits.MAX_BODY_BYTES:
        raise Malformed(
            f"expected a body of at most {limits.MAX_BODY_BYTES} bytes, found {len(body)}: send it in chunks"
        )
    if hashlib.sha256(body).digest() != header.body_sha256:
        raise ValueError("the header's body_sha256 is not the SHA-256 of this body")
    header_bytes = header.encode()
    identifier = envelope_id_of(header_bytes)
    signature = dsse.sign(dsse.HEADER_TYPE, header_bytes, signing)
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(body, header_bytes, identifier[:24], shared_secret)
    wire: bytes = msgpack.packb([VERSION, header_bytes, signature, sealed], use_bin_type=True)
    return Envelope(
        header=header,
        header_bytes=header_bytes,
        signature=signature,
        sealed_body=sealed,
        id=identifier,
        wire=wire,
    )


def _unpack(wire: bytes) -> list[object]:
    if len(wire) > limits.MAX_ENVELOPE_BYTES:
        raise Malformed(f"expected an envelope of at most {limits.MAX_ENVELOPE_BYTES} bytes, found {len(wire)}")
    try:
        value = msgpack.unpackb(
            wire, max_array_len=4, max_bin_len=limits.MAX_BODY_BYTES + _TAG_BYTES, max_str_len=0, max_map_len=0,
            max_ext_len=0,
        )  # fmt: skip
    except (ValueError, msgpack.UnpackException) as error:
        raise Malformed(f"expected one msgpack array within its bounds: {error or type(error).__name__}") from error
    if not isinstance(value, list):
        raise Malformed(f"expected a msgpack array, found {type(value).__name__}")
    return value


def parse(wire: bytes) -> Envelope:
    """Take an envelope apart.

    Not checked: the signature (``verify``) and the body (``open_body``).

    Raises:
        Malformed: not an envelope, or over a bound.
        UnsupportedVersion: a format that this release does not speak.
    """
    parts = _unpack(wire)
    if not parts or not isinstance(parts[0], int):
        raise Malformed("expected a version number first")
    if parts[0] != VERSION:
        raise UnsupportedVersion(f"expected envelope version {VERSION}, found {parts[0]}: update this machine")
    if len(parts) != 4:
        raise Malformed(f"expected [version, header, signature, body], found {len(parts)} parts")
    _, header_bytes, signature, sealed = parts
    if not (isinstance(header_bytes, bytes) and isinstance(signature, bytes) and isinstance(sealed, bytes)):
        raise Malformed("header, signature and body must be byte strings")
    if len(signature) != _SIGNATURE_BYTES or len(sealed) < _TAG_BYTES:
        raise Malformed(f"expected a signature of {_SIGNATURE_BYTES} bytes and a body of at least {_TAG_BYTES}")
    return Envelope(
        header=decode_header(header_bytes), header_bytes=header_bytes, signature=signature, sealed_body=sealed,
        id=envelope_id_of(header_bytes), wire=wire,
    )  # fmt: skip


def verify(envelope: Envelope, signing_key: bytes) -> None:
    """Check that the holder of this key signed the header.

    Not checked: that the key belongs to ``header.origin`` (the caller looked it up by that), and the body.

    Raises:
        BadSignature: it did not.
    """
    dsse.verify(dsse.HEADER_TYPE, envelope.header_bytes, envelope.signature, signing_key)


def open_body(envelope: Envelope, shared_secret: bytes) -> bytes:
    """Decrypt the body and check it against the signed hash.

    Raises:
        CannotOpen: sealed for somebody else, changed on the way, or not what was signed.
    """
    try:
        body = crypto_aead_xchacha20poly1305_ietf_decrypt(
            envelope.sealed_body, envelope.header_bytes, envelope.id[:24], shared_secret
        )
    except CryptoError:
        raise CannotOpen("the body does not open: it was changed, or sealed for another authority") from None
    if hashlib.sha256(body).digest() != envelope.header.body_sha256:
        raise CannotOpen("the body opens, but is not the one whose hash was signed")
    return body


SharedSecretOf = Callable[[bytes], bytes]
"""Maps a peer's sealing key to the shared secret."""
