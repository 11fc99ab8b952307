"""Sign-in at an identity provider: OpenID Connect, authorization code with PKCE (RFC 7636), as OAuth 2.1 asks for it.

It fetches the provider's documents, makes the request, exchanges the code and checks the ID token: signature by the
provider's published keys (asymmetric algorithms only), issuer, audience, expiry, nonce. It decides nothing about accounts but
which name, role and unit the claims stand for. What is under way is kept in memory, bounded and for ten minutes: a restart in
between costs the person one more click.

Not checked: revocation at the provider after the sign-in; this center's sessions end by their own clock, or here.
Source: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7; RFC 9700.
"""

import base64
import hashlib
import hmac
import re
import secrets
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
from joserfc import jwt

from command_center.accounts.oidc_documents import Discovery, UnknownKey, claims_in, discovery_in, id_token_in, is_safe
from command_center.accounts.permissions import UserRole
from command_center.config import OidcConfig
from command_center.errors import AccessDenied
from command_center.networks import place_of
from relay.clock import Clock
from relay.errors import ConfigError

LASTS_MS: Final = 10 * 60 * 1000
MOST_UNDER_WAY: Final = 1000
MOST_OF_ONE: Final = 500
"""Of one place: whoever begins without end forgets only what they began themselves."""
_MOST_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 10.0
_LEEWAY_S: Final = 60
_CACHED_MS: Final = 10 * 60 * 1000
_POOR_SECRETS: Final = frozenset(
    {"secret", "changeme", "change-me", "password", "client-secret", "client_secret", "default"}
)


class NotBegun(AccessDenied):
    """Anybody can come back from nowhere, as often as they like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A request that a browser takes to the provider."""

    url: str
    state: str
    """Kept by that browser in a cookie, too: nobody else can finish what it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Who came back."""

    subject: str
    """Issuer, a space, and its name for the person: for good, unlike names for people."""
    name: str
    role: UserRole
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    nonce: str
    verifier: str
    began_ms: int
    place: str


class Provider:
    """One identity provider."""

    def __init__(self, config: OidcConfig, *, base_url: str, clock: Clock, state_dir: Path) -> None:
        """``base_url`` is where people reach this center.

        Raises:
            ConfigError: a part is missing, or is not safe to use.
        """
        _require_usable(config)
        self.config = config
        self._clock = clock
        self._redirect_uri = base_url.rstrip("/") + "/api/v1/session/oidc/callback"
        self._secret = _secret_in(state_dir, config.client_secret_file)
        self._context = ssl.create_default_context(cafile=config.ca_file or None)
        self._under_way: OrderedDict[str, _UnderWay] = OrderedDict()
        self._documents: dict[str, tuple[int, bytes]] = {}

    async def begin(self, address: str = "") -> Begun:
        """Where to send a browser that comes from ``address``.

        Raises:
            AccessDenied: the provider can't be reached, or does not say what it must.
        """
        discovery = await self._discovery()
        state, now = secrets.token_urlsafe(32), self._clock.monotonic_ms()
        under_way = _UnderWay(nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), began_ms=now,
                              place=place_of(address))  # fmt: skip
        own = [known for known, one in self._under_way.items() if one.place == under_way.place]
        if under_way.place and len(own) >= MOST_OF_ONE:
            del self._under_way[own[0]]
        self._under_way[state] = under_way
        while len(self._under_way) > MOST_UNDER_WAY or now - next(iter(self._under_way.values())).began_ms > LASTS_MS:
            self._under_way.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(under_way.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code", "client_id": self.config.client_id, "redirect_uri": self._redirect_uri,
            "scope": " ".join(self.config.scopes), "state": state, "nonce": under_way.nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        joint = "&" if "?" in discovery.authorization_endpoint else "?"
        return Begun(url=f"{discovery.authorization_endpoint}{joint}{urlencode(asked)}", state=state)

    async def finish(self, *, state: str, kept_state: str, code: str, refusal: str = "") -> Claims:
        """Who a browser that comes back speaks for.

        Raises:
            AccessDenied: not begun by this browser, too late, refused by the provider, or not what was asked for.
        """
        is_own = hmac.compare_digest(state.encode(), kept_state.encode())
        under_way = self._under_way.pop(state, None) if is_own else None
        if under_way is None or self._clock.monotonic_ms() - under_way.began_ms > LASTS_MS:
            raise NotBegun("this sign-in was not begun here, or took too long: begin again")
        if refusal or not code:
            raise AccessDenied(f"the identity provider let nobody in: {refusal[:100] or 'it gave no code'}")
        discovery = await self._discovery()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri,
                "code_verifier": under_way.verifier}  # fmt: skip
        if not self._secret:
            form["client_id"] = self.config.client_id
        auth = httpx.BasicAuth(self.config.client_id, self._secret) if self._secret else None
        async with self._client() as client:
            try:
                answer = await client.post(discovery.token_endpoint, data=form, auth=auth)  # type: ignore[arg-type]
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise AccessDenied(
                    f"the identity provider gave no ID token for this code ({type(error).__name__})"
                ) from error
        return self._claims(await self._verified(discovery, id_token_in(answer.content), under_way.nonce))

    # ------------------------------------------------------------------ the ID token

    async def _verified(self, discovery: Discovery, id_token: str, nonce: str) -> dict[str, object]:
        registry = jwt.JWTClaimsRegistry(
            now=self._clock.wall_ms() // 1000, leeway=_LEEWAY_S, iss={"essential": True, "value": self.config.issuer},
            aud={"essential": True, "value": self.config.client_id}, exp={"essential": True}, iat={"essential": True},
            nonce={"essential": True, "value": nonce}, sub={"essential": True},
        )  # fmt: skip
        for is_fresh in (False, True):  # an unknown key may be newer than what was fetched last
            keys = await self._fetch(discovery.jwks_uri, is_fresh=is_fresh)
            try:
                claims = dict(claims_in(id_token, keys, registry))
            except UnknownKey:
                if is_fresh:
                    raise
                continue
            audience = claims.get("aud")
            if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.config.client_id:
                raise AccessDenied(
                    "the identity provider's ID token is for somebody else: azp does not name this center"
                )
            return claims
        raise AssertionError

    def _claims(self, claims: dict[str, object]) -> Claims:
        config = self.config
        name = _name_of(str(claims.get(config.name_claim) or claims.get("email") or claims["sub"]))
        said = claims.get(config.role_claim)
        values = {str(item) for item in said} if isinstance(said, list) else {str(said)} if said is not None else set()
        role = next((role for value, role in config.roles.items() if value in values), None)
        if role is None:
            raise AccessDenied(
                f"{name} is known at the identity provider, and has no role here: ask an administrator", status=403
            )
        unit = str(claims.get(config.unit_claim) or "") if config.unit_claim else ""
        return Claims(subject=f"{config.issuer} {claims['sub']}", name=name, role=UserRole(role), unit=unit[:64])

    # ------------------------------------------------------------------ the provider's documents

    async def _discovery(self) -> Discovery:
        url = self.config.issuer.rstrip("/") + "/.well-known/openid-configuration"
        return discovery_in(await self._fetch(url), self.config.issuer)

    async def _fetch(self, url: str, *, is_fresh: bool = False) -> bytes:
        now = self._clock.monotonic_ms()
        at_ms, kept = self._documents.get(url, (0, b""))
        if kept and not is_fresh and now - at_ms < _CACHED_MS:
            return kept
        async with self._client() as client:
            try:
                answer = await client.get(url)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise AccessDenied(
                    f"the identity provider can't be reached ({type(error).__name__}): local accounts still sign in",
                    status=503,
                ) from error
        if len(answer.content) > _MOST_BYTES:
            raise AccessDenied("the identity provider's answer is too large", status=503)
        self._documents[url] = (now, answer.content)
        return answer.content

    def _client(self) -> httpx.AsyncClient:
        """No redirects and no proxies from the environment: only what the configuration names is asked."""
        return httpx.AsyncClient(verify=self._context, timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)


def _name_of(claim: str) -> str:
    """An account's name from what the provider calls somebody."""
    name = re.sub(r"[^a-z0-9._-]+", "-", claim.casefold()).strip("-._")[:32]
    if not name:
        raise AccessDenied("the identity provider names nobody in the configured claim")
    return name


def _require_usable(config: OidcConfig) -> None:
    if not is_safe(config.issuer):
        raise ConfigError(f"[oidc] issuer: expected https://…, found {config.issuer!r}")
    if not config.client_id:
        raise ConfigError("[oidc] client_id: expected the name under which the provider knows this center, found none")
    if not config.roles:
        raise ConfigError(
            '[oidc.roles]: expected at least one line such as "dispatch-team" = "dispatcher": nobody could sign in'
        )
    if "openid" not in config.scopes:
        raise ConfigError("[oidc] scopes: expected openid among them")


def _secret_in(state_dir: Path, file_name: str) -> str:
    if not file_name:
        return ""
    file = state_dir / file_name
    try:
        mode, secret = file.stat().st_mode, file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"[oidc] client_secret_file: can't read {file}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"{file} can be read by other users (mode {mode & 0o777:o}): run chmod 600 {file}")
    if len(secret) < 12 or secret.casefold() in _POOR_SECRETS:
        raise ConfigError(f"{file} holds a default or a very short secret: have the provider make a real one")
    return secret
