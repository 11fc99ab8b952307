"""Who is behind a request, and whether they may: each route names one permission of ``accounts.permissions`` here.

A browser comes with the session's cookie; what it changes must carry the session's CSRF token. A program comes with
``Authorization: Bearer`` and an API token; no browser sends that by itself, so there is nothing to forge.
"""

import hmac
import ipaddress
from typing import Annotated, Final

from fastapi import Depends, Request

from command_center.accounts import Permission, SignedIn, Stage
from command_center.errors import AccessDenied
from command_center.services import Services

COOKIE: Final = "heard_session"
DEVICE_COOKIE: Final = "heard_device"
CSRF_HEADER: Final = "X-Heard-CSRF"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PASSED_ON: Final = frozenset(
    {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
)
"""What proxies add."""
_ASKED_BY_THE_SIGN_IN: Final = frozenset({"/api/v1/session"})
"""The console asks who is there before anybody is: no denial."""


def services(request: Request) -> Services:
    """The center's parts, as ``app`` was given them."""
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(services)]


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "local"


def agent_of(request: Request) -> str:
    """What the browser calls itself; for its owner, who looks for a session that is not theirs."""
    return request.headers.get("User-Agent", "")[:200]


async def anyone(request: Request, parts: Parts) -> SignedIn:
    """Whoever has a session or a token, even one whose sign-in is not complete; CSRF is checked.

    Raises:
        AccessDenied: nobody, or the session expired; or the session's token is missing from a change.
    """
    found = await behind(request, parts)
    if found is None:
        if "authorization" not in request.headers and request.url.path not in _ASKED_BY_THE_SIGN_IN:
            await parts.door.deny_stranger(address_of(request), request.url.path)
        raise AccessDenied("sign in first: there is no session, or it has expired")
    if request.method not in _SAFE_METHODS and not found.token_name:
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), found.csrf.encode()):
            await parts.door.deny("csrf", found.username, address_of(request), request.url.path)
            raise AccessDenied(f"expected the session's token in {CSRF_HEADER}: reload the page", status=403)
    return found


async def behind(request: Request, parts: Services) -> SignedIn | None:
    """Whoever has a session or a token; CSRF is not checked here."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "bearer":
        return await parts.door.who_by_token(secret.strip(), address_of(request))
    return await parts.door.who(request.cookies.get(COOKIE))


Anyone = Annotated[SignedIn, Depends(anyone)]


class Needs:
    """The dependency of a route: somebody with this permission. Each refusal is journalled.

    Raises:
        AccessDenied: not signed in, the sign-in is not complete, or not this role or token.
    """

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request, parts: Parts, someone: Anyone) -> SignedIn:
        """The person."""
        if someone.may(self.permission):
            return someone
        if someone.stage is not Stage.FULL:
            raise AccessDenied(f"this sign-in is not complete: its next step is {someone.stage.value}")
        await parts.door.deny(self.permission.value, someone.username, address_of(request), request.url.path)
        if someone.token_name and self.permission in someone.role.permissions:
            raise AccessDenied(f"this token may not: it lacks the scope {self.permission.value}", status=403)
        raise AccessDenied(f"a {someone.role.value} may not: it takes {self.permission.value}", status=403)


class UnlessBeside:
    """The same, but a program on this machine that asks for itself needs nobody's name: the agent that scrapes metrics.

    Behind a proxy everybody comes from the loopback. So what a proxy adds, a foreign name in ``Host`` (a web page that leads here
    by DNS) and ``[sessions] requires_https`` (which says that there is a proxy) each take the exemption away.

    Raises:
        AccessDenied: as ``Needs``.
    """

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self._needs = Needs(permission)

    async def __call__(self, request: Request, parts: Parts) -> None:
        """Let through, or refuse."""
        if not is_beside(request, parts):
            await self._needs(request, parts, await anyone(request, parts))


def is_beside(request: Request, parts: Services) -> bool:
    """Whether a request comes from this machine itself, and not through a proxy on it."""
    if parts.config.sessions.requires_https or _PASSED_ON & set(request.headers.keys()):
        return False
    return _is_loopback(address_of(request)) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


Own = Annotated[SignedIn, Depends(Needs(Permission.OWN_ACCOUNT))]
Person = Annotated[SignedIn, Depends(Needs(Permission.INCIDENTS_READ))]
Dispatcher = Annotated[SignedIn, Depends(Needs(Permission.INCIDENTS_ACT))]
Shelver = Annotated[SignedIn, Depends(Needs(Permission.SOURCES_SHELVE))]
Suppressor = Annotated[SignedIn, Depends(Needs(Permission.ALARMS_SUPPRESS))]
PictureViewer = Annotated[SignedIn, Depends(Needs(Permission.PICTURES_SEE))]
VideoWatcher = Annotated[SignedIn, Depends(Needs(Permission.VIDEO_WATCH))]
FleetReader = Annotated[SignedIn, Depends(Needs(Permission.FLEET_READ))]
FleetManager = Annotated[SignedIn, Depends(Needs(Permission.FLEET_MANAGE))]
QualityReader = Annotated[SignedIn, Depends(Needs(Permission.QUALITY_READ))]
UnitReader = Annotated[SignedIn, Depends(Needs(Permission.UNITS_READ))]
UnitDispatcher = Annotated[SignedIn, Depends(Needs(Permission.UNITS_DISPATCH))]
FieldUnit = Annotated[SignedIn, Depends(Needs(Permission.UNIT_OWN))]
Sharer = Annotated[SignedIn, Depends(Needs(Permission.INCIDENTS_SHARE))]
CallbackReader = Annotated[SignedIn, Depends(Needs(Permission.CALLBACKS_READ))]
CallbackResender = Annotated[SignedIn, Depends(Needs(Permission.CALLBACKS_RESEND))]
MetricsReader = Annotated[None, Depends(UnlessBeside(Permission.METRICS_READ))]
JournalReader = Annotated[SignedIn, Depends(Needs(Permission.JOURNAL_READ))]
EvidenceExporter = Annotated[SignedIn, Depends(Needs(Permission.EVIDENCE_EXPORT))]
EvidenceHolder = Annotated[SignedIn, Depends(Needs(Permission.EVIDENCE_HOLD))]
AccountReader = Annotated[SignedIn, Depends(Needs(Permission.ACCOUNTS_READ))]
AccountManager = Annotated[SignedIn, Depends(Needs(Permission.ACCOUNTS_MANAGE))]

changer = anyone
"""CSRF is checked for whoever changes anything, by every dependency above."""
Changer = Anyone
