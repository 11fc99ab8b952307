"""Who is at either end of a TLS connection: no certificate authority, no dates, nothing to renew or to install.

*The listener* makes a fresh TLS key when it starts, and signs a certificate for it with its signing key; who calls knows that key from the
listener's passport, and takes no other certificate. Dates mean nothing here, because the clock of a machine that has just started may say
1970. *The caller* says in its first words which transport key it has, and proves it as CURVE does: by what only the two of them can
compute, from its secret and the listener's public transport key, over this attempt, its lane and the listener's certificate. So the words
are worth nothing to anybody else, nor to a listener that has started again; and who could read them sits behind the listener's signature.

Private to ``relay/paths/tls.py`` and ``tls_listen.py``. Sources: RFC 8446 (TLS 1.3), RFC 8410 (Ed25519 in certificates).
"""

import datetime as dt
import hashlib
import hmac
import os
import ssl
import struct
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from nacl.bindings import crypto_scalarmult
from nacl.exceptions import CryptoError

from relay.errors import BadSignature, Malformed, UnsupportedVersion
from relay.identity import Identity
from relay.path import Lane

ATTEMPT_BYTES: Final = 16
_VERSION: Final = 1
_OPENING: Final = struct.Struct(f">BB{ATTEMPT_BYTES}s32s32s")
"""Version, lane, the attempt, the caller's transport key, its proof."""
OPENING_BYTES: Final = _OPENING.size
_LANES: Final = {int(lane): lane for lane in Lane}
_FIRST_DAY: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST_DAY: Final = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
"""RFC 5280, section 4.1.2.5: no well-defined end."""


def listening_context(identity: Identity) -> tuple[ssl.SSLContext, bytes]:
    """How a listener speaks TLS, with a key that lives as long as this; and its certificate's SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certificate_for(key.public_key(), identity, serial=x509.random_serial_number())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody resumes: some hundred bytes less on a metered path
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    descriptor = os.memfd_create("tls")  # ``ssl`` reads files only, and this key is to be on no disk
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context, hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def certificate_for(key: ec.EllipticCurvePublicKey, identity: Identity, *, serial: int) -> x509.Certificate:
    """A TLS key that speaks for a node: signed with the node's signing key, and without an end."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.node_id.hex())])
    return (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key).serial_number(serial)
        .not_valid_before(_FIRST_DAY).not_valid_after(_LAST_DAY)
        .sign(Ed25519PrivateKey.from_private_bytes(bytes(identity.signing)), None)
    )  # fmt: skip


def calling_context() -> ssl.SSLContext:
    """How a caller speaks TLS. It takes any certificate, and looks at it itself: ``require_issued_by``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def require_issued_by(certificate: bytes | None, signing_key: bytes) -> bytes:
    """Check the certificate (DER) that a listener has shown; its SHA-256.

    Raises:
        BadSignature: it is none, or not signed with the Ed25519 key of 32 bytes: somebody else answers there.
    """
    try:
        shown = x509.load_der_x509_certificate(certificate or b"")
        Ed25519PublicKey.from_public_bytes(signing_key).verify(shown.signature, shown.tbs_certificate_bytes)
    except (ValueError, InvalidSignature, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise BadSignature("expected a certificate that the neighbor signed, found another one: somebody else answers at this address, "
                           "such as a captive portal or a proxy that opens TLS") from error  # fmt: skip
    return hashlib.sha256(certificate or b"").digest()


def opening(
    attempt: bytes, lane: Lane, *, identity: Identity, listener_transport_key: bytes, certificate_sha256: bytes
) -> bytes:
    """A caller's first words on a connection. ``attempt``: 16 random bytes, the same on both lanes of a session."""
    secret = crypto_scalarmult(identity.transport_secret, listener_transport_key)
    proof = _proof(secret, attempt, lane, identity.transport_key, certificate_sha256)
    return _OPENING.pack(_VERSION, lane, attempt, identity.transport_key, proof)


def require_opening(data: bytes, *, identity: Identity, certificate_sha256: bytes) -> tuple[bytes, Lane, bytes]:
    """The attempt, the lane and the proved transport key of a caller.

    Raises:
        Malformed: not an opening.
        UnsupportedVersion: one of a later release.
        BadSignature: the caller does not have the key that it names, or did not mean us.
    """
    if len(data) != OPENING_BYTES:
        raise Malformed(f"expected {OPENING_BYTES} bytes to open a connection, found {len(data)}")
    version, number, attempt, transport_key, proof = _OPENING.unpack(data)
    if version != _VERSION:
        raise UnsupportedVersion(f"expected version {_VERSION} of the opening, found {version}")
    if number not in _LANES:
        raise Malformed(f"expected a lane among {sorted(_LANES)}, found {number}")
    try:
        secret = crypto_scalarmult(identity.transport_secret, transport_key)
    except (CryptoError, RuntimeError) as error:  # a point of small order
        raise BadSignature("expected a transport key, found bytes that are none") from error
    wanted = _proof(secret, attempt, _LANES[number], transport_key, certificate_sha256)
    if not hmac.compare_digest(proof, wanted):
        raise BadSignature("the caller does not hold the transport key that it names, or means another listener")
    return attempt, _LANES[number], transport_key


def _proof(secret: bytes, attempt: bytes, lane: Lane, transport_key: bytes, certificate_sha256: bytes) -> bytes:
    said = bytes([_VERSION, lane]) + attempt + transport_key + certificate_sha256
    return hashlib.blake2b(said, key=secret, digest_size=32, person=b"heard/tls").digest()
