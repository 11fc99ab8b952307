"""What an identity provider says, read: its metadata, its keys, its answer to a code, and an ID token. Anything may be in them.

Pure; ``oidc`` fetches, and checks what needs to know who asked for what. Each refusal is said in words that a person at the sign-in page can pass on.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from command_center.errors import AccessDenied

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "ES384", "ES512")
_MOST_KEYS: Final = 64


class Discovery(msgspec.Struct, frozen=True):
    """The parts of a provider's metadata that are used here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, str | list[str] | bool | int | None]]


class UnknownKey(AccessDenied):
    """No key that was given signed this token: there may be newer ones."""


def discovery_in(content: bytes, issuer: str) -> Discovery:
    """The metadata of the provider that calls itself ``issuer``, whose endpoints are safe to use.

    Raises:
        AccessDenied: not such a document.
    """
    try:
        found = msgspec.json.decode(content, type=Discovery)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AccessDenied(f"the identity provider's discovery document is not one: {error}") from error
    if found.issuer != issuer:
        raise AccessDenied(
            f"the identity provider calls itself {found.issuer[:200]!r}, and the configuration says otherwise"
        )
    for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
        if not is_safe(endpoint):
            raise AccessDenied(f"the identity provider names {endpoint[:200]!r}: expected https")
    return found


def id_token_in(content: bytes) -> str:
    """The ID token in a provider's answer to a code.

    Raises:
        AccessDenied: none is in it.
    """
    try:
        return msgspec.json.decode(content, type=_Tokens).id_token
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AccessDenied(f"the identity provider gave no ID token for this code ({type(error).__name__})") from error


def claims_in(id_token: str, keys: bytes, registry: jwt.JWTClaimsRegistry) -> Mapping[str, object]:
    """The claims of a token that one of these keys (a JWK set) signed, and that hold by ``registry``.

    Raises:
        UnknownKey: the keys can't be read, none of them signed it, or a claim does not hold.
    """
    try:
        known = msgspec.json.decode(keys, type=_Keys)
        if len(known.keys) > _MOST_KEYS:
            raise UnknownKey(f"the identity provider publishes {len(known.keys)} keys: expected at most {_MOST_KEYS}")
        token = jwt.decode(id_token, KeySet.import_key_set({"keys": known.keys}), algorithms=list(ALGORITHMS))  # type: ignore[typeddict-item]
        registry.validate(token.claims)
    except (msgspec.DecodeError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The last two: a library that meets a number where it expects text.
        raise UnknownKey(f"the identity provider's ID token does not hold: {error}") from error
    if not isinstance(token.claims, dict):
        raise UnknownKey("the identity provider's ID token holds no claims")
    return token.claims


def is_safe(url: str) -> bool:
    """Whether what is said to this address is said to it alone: https, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return bool(host)
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False
