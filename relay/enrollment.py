"""How a machine joins: a one-time code pins the authority, an administrator approves, the passport comes back.

The code carries where to ask, the authority's fingerprint, and a secret. The secret never travels: the request holds a MAC
made with it. The answer is believed only if its authority keys have the pinned fingerprint and its passport is theirs and
for our keys; so enrolling over plain HTTP gives an eavesdropper nothing, and a man in the middle can only break it off.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from relay import dsse
from relay import passport as passports
from relay.errors import EnrollmentRefused, KeyFileError, Malformed, NetworkError
from relay.identity import AuthorityKeys, Identity, sync_dir
from relay.passport import SignedPassport

PREFIX: Final = "HEARD1-"
_MAX_REPLY_BYTES: Final = 200_000
_POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCode:
    """What an administrator hands to whoever installs the machine."""

    url: str
    fingerprint: bytes
    invite_id: bytes
    secret: bytes


class _CodeParts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    url: Annotated[str, msgspec.Meta(max_length=200)]
    fingerprint: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    invite_id: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    secret: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    check: Annotated[bytes, msgspec.Meta(min_length=2, max_length=2)]


def _check_of(url: str, *parts: bytes) -> bytes:
    return hashlib.sha256(url.encode() + b"".join(parts)).digest()[:2]


def make_code(url: str, authority: AuthorityKeys, invite_id: bytes, secret: bytes) -> str:
    """The code for one invite: ``invite_id`` has 8 bytes, ``secret`` 16."""
    check = _check_of(url, authority.fingerprint, invite_id, secret)
    parts = _CodeParts(url, authority.fingerprint, invite_id, secret, check)
    return PREFIX + base64.b32encode(msgspec.msgpack.encode(parts)).decode().rstrip("=")


def parse_code(code: str) -> EnrollmentCode:
    """Take a code apart. White space and case don't matter.

    Raises:
        EnrollmentRefused: not a code, or mistyped.
    """
    text = "".join(code.split()).upper()
    if not text.startswith(PREFIX):
        raise EnrollmentRefused(f"expected an enrollment code that starts with {PREFIX}, found {code[:12]!r}…")
    text = text.removeprefix(PREFIX)
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
        parts = msgspec.msgpack.decode(data, type=_CodeParts)
    except (ValueError, msgspec.DecodeError) as error:  # binascii.Error and UnicodeDecodeError are ValueErrors
        raise EnrollmentRefused(f"the enrollment code is cut off or mistyped ({error}): copy it whole") from error
    if parts.check != _check_of(parts.url, parts.fingerprint, parts.invite_id, parts.secret):
        raise EnrollmentRefused("the enrollment code is mistyped: its check digits don't match; copy it whole")
    return EnrollmentCode(url=parts.url, fingerprint=parts.fingerprint, invite_id=parts.invite_id, secret=parts.secret)


Hex8 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Hex64 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/enrollments``, all in hexadecimal."""

    invite_id: Hex8
    signing_key: Hex32
    sealing_key: Hex32
    transport_key: Hex32
    proof: Hex32
    """HMAC-SHA256 with the invite's secret over the DSSE encoding of id and keys."""
    signature: Hex64
    """Ed25519 by ``signing_key`` over the same: the asker holds the secret half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRequest:
    """A request whose proof and signature hold."""

    invite_id: bytes
    signing_key: bytes
    sealing_key: bytes
    transport_key: bytes


class AuthorityHex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The authority's public keys in a reply."""

    signing_key: Hex32
    sealing_key: Hex32


class EnrollmentReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer, as JSON; byte strings travel as base64."""

    state: Literal["pending", "approved", "refused"]
    message: str = ""
    authority: AuthorityHex | None = None
    passport: bytes | None = None
    peers: tuple[bytes, ...] = ()
    """Passports of the command center and of relays."""


def _statement(invite_id: bytes, signing_key: bytes, sealing_key: bytes, transport_key: bytes) -> bytes:
    return invite_id + signing_key + sealing_key + transport_key


def _mac(secret: bytes, statement: bytes) -> bytes:
    return hmac.digest(secret, dsse.pae(dsse.ENROLLMENT_TYPE, statement), "sha256")


def build_request(code: EnrollmentCode, identity: Identity) -> bytes:
    """The body to POST."""
    statement = _statement(code.invite_id, identity.signing_key, identity.sealing_key, identity.transport_key)
    request = _Request(
        invite_id=code.invite_id.hex(), signing_key=identity.signing_key.hex(), sealing_key=identity.sealing_key.hex(),
        transport_key=identity.transport_key.hex(), proof=_mac(code.secret, statement).hex(),
        signature=dsse.sign(dsse.ENROLLMENT_TYPE, statement, identity.signing).hex(),
    )  # fmt: skip
    return msgspec.json.encode(request)


def check_request(data: bytes, secret_of: Callable[[bytes], bytes | None]) -> EnrollmentRequest:
    """Check a request against the invite that it names; ``secret_of`` maps an invite's id to its secret, or None.

    Raises:
        Malformed: not a request.
        EnrollmentRefused: unknown, used or expired invite, or wrong proof; the message does not say which.
        BadSignature: the asker does not hold the secret half of its signing key.
    """
    try:
        request = msgspec.json.decode(data, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"expected an enrollment request: {error}") from error
    invite_id, *keys = (bytes.fromhex(value) for value in
                        (request.invite_id, request.signing_key, request.sealing_key, request.transport_key))  # fmt: skip
    statement = _statement(invite_id, *keys)
    secret = secret_of(invite_id)
    # The MAC is computed in any case, so that the time taken does not tell known invites from unknown ones.
    is_right = hmac.compare_digest(_mac(secret or bytes(16), statement), bytes.fromhex(request.proof))
    if secret is None or not is_right:
        raise EnrollmentRefused("the enrollment code is unknown, used up or expired: ask for a new one")
    dsse.verify(dsse.ENROLLMENT_TYPE, statement, bytes.fromhex(request.signature), keys[0])
    return EnrollmentRequest(invite_id=invite_id, signing_key=keys[0], sealing_key=keys[1], transport_key=keys[2])


class Enrollment(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a machine keeps of its enrollment, in ``enrollment.msgpack``."""

    authority_signing_key: bytes
    authority_sealing_key: bytes
    passport: bytes
    peers: tuple[bytes, ...]

    @property
    def authority(self) -> AuthorityKeys:
        """The pinned authority."""
        return AuthorityKeys(signing_key=self.authority_signing_key, sealing_key=self.authority_sealing_key)

    def own_passport(self) -> SignedPassport:
        """Our passport, verified against the pinned authority."""
        return passports.verify(self.passport, self.authority_signing_key)

    def save(self, state_dir: Path) -> None:
        """Write it durably, in place of an earlier one.

        Raises:
            KeyFileError: it can't be written; the earlier one, if any, stays.
        """
        file = state_dir / "enrollment.msgpack"
        temporary_file = file.with_suffix(".new")
        try:
            with temporary_file.open("wb") as stream:
                stream.write(msgspec.msgpack.encode(self))
                stream.flush()
                os.fsync(stream.fileno())
            temporary_file.replace(file)
            sync_dir(state_dir)
        except OSError as error:
            raise KeyFileError(
                f"can't write {file}: {error.strerror}; mend that, then enroll with the same code again"
            ) from error

    @classmethod
    def load(cls, state_dir: Path) -> "Enrollment":
        """Read it.

        Raises:
            KeyFileError: not enrolled, or the file is damaged.
        """
        file = state_dir / "enrollment.msgpack"
        try:
            return msgspec.msgpack.decode(file.read_bytes(), type=cls)
        except FileNotFoundError:
            raise KeyFileError(
                f"expected an enrollment in {file}, found none: ask the command center for a code "
                "(`command-center node invite`) and run the enroll command with it"
            ) from None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{file} can't be read ({error}): enroll this machine anew") from error


def accept_reply(data: bytes, code: EnrollmentCode, identity: Identity) -> Enrollment | None:
    """Check the center's answer; None while it is pending.

    Raises:
        EnrollmentRefused: refused, or not from the authority that the code pins, or a passport for other keys.
    """
    try:
        reply = msgspec.json.decode(data, type=EnrollmentReply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnrollmentRefused(
            f"expected an enrollment reply from {code.url}, found something else: {error}"
        ) from error
    if reply.state == "pending":
        return None
    if reply.state == "refused" or reply.authority is None or reply.passport is None:
        raise EnrollmentRefused(f"the command center refused: {reply.message or 'no reason given'}")
    authority = AuthorityKeys(signing_key=bytes.fromhex(reply.authority.signing_key),
                              sealing_key=bytes.fromhex(reply.authority.sealing_key))  # fmt: skip
    if not hmac.compare_digest(authority.fingerprint, code.fingerprint):
        raise EnrollmentRefused(
            f"{code.url} is not the authority that this code pins (fingerprint {authority.fingerprint.hex()}, expected "
            f"{code.fingerprint.hex()}): somebody stands in between, or the code is for another center"
        )
    own = passports.verify(reply.passport, authority.signing_key)
    ours = (identity.signing_key, identity.sealing_key, identity.transport_key)
    if (own.passport.signing_key, own.passport.sealing_key, own.passport.transport_key) != ours:
        raise EnrollmentRefused("the passport that came back is for other keys than ours: ask for a new code")
    for peer in reply.peers:
        passports.verify(peer, authority.signing_key)
    return Enrollment(authority_signing_key=authority.signing_key, authority_sealing_key=authority.sealing_key,
                      passport=reply.passport, peers=reply.peers)  # fmt: skip


def enroll(code_text: str, state_dir: Path, *, wait_s: float = 600.0) -> Enrollment:
    """Make keys if there are none, ask the center, wait for the approval, keep the result.

    Raises:
        EnrollmentRefused: the center says no, or not in time.
        KeyFileError: keys or passport can't be read or written.
        NetworkError: it can't be reached.
    """
    code = parse_code(code_text)
    key_file = state_dir / "identity.key"
    if key_file.exists():
        identity = Identity.load(key_file)
    else:
        identity = Identity.generate()
        identity.save(key_file)
    request = build_request(code, identity)
    deadline_s = time.monotonic() + wait_s
    while True:
        enrollment = accept_reply(_post(code.url, request), code, identity)
        if enrollment is not None:
            enrollment.save(state_dir)
            return enrollment
        if time.monotonic() > deadline_s:
            raise EnrollmentRefused(
                f"nobody approved within {wait_s:.0f} s: ask for `command-center node approve`, then run this again"
            )
        time.sleep(_POLL_S)


def _post(url: str, body: bytes) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise EnrollmentRefused(f"the enrollment code names {url!r}, expected an http(s) address")
    try:
        request = urllib.request.Request(  # noqa: S310  the scheme is checked above
            f"{url}/api/v1/enrollments", data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
    except ValueError as error:
        raise EnrollmentRefused(f"the enrollment code names {url!r}, which is no address ({error})") from error
    try:
        with urllib.request.urlopen(request, timeout=20, context=_any_certificate()) as response:  # noqa: S310
            data: bytes = response.read(_MAX_REPLY_BYTES)
            return data
    except urllib.error.HTTPError as error:
        with error:
            reason = _reason(error.read(_MAX_REPLY_BYTES))
        if error.code >= 500:
            raise NetworkError(f"{url} answered {error.code}: {reason}; try again, or look at its log") from error
        raise EnrollmentRefused(f"{url} answered {error.code}: {reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise NetworkError(
            f"can't reach the command center at {url} ({_why(error)}): check that it runs and that this machine reaches it, then "
            "try again"
        ) from error


def _why(error: Exception) -> str:
    """The system's own word, without the wrappings of urllib."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)


def _any_certificate() -> ssl.SSLContext:
    """TLS without a look at the certificate: the enrollment proves both ends by itself.

    The code's secret authenticates the request, and the authority's fingerprint in it the reply; the center's own
    certificate authority is not known here yet.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(data: bytes) -> str:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return data[:200].decode(errors="replace")
    if isinstance(parsed, dict):
        return str(parsed.get("message") or parsed.get("detail") or parsed)[:300]
    return str(parsed)[:300]
