"""An auditor only looks, by construction: every request that could change something is refused unless it stands in this list.

The guard is a dependency of the whole application, so a router that somebody adds tomorrow is covered before it is written. What is
listed changes nothing that an auditor is there to judge: it signs in and out, is about the auditor's own account, or leaves its own record in the journal.
"""

from typing import Final

from fastapi import Request

from command_center.accounts import UserRole
from command_center.api.access import Parts, address_of, behind
from command_center.errors import AccessDenied

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
AUDITORS_MAY: Final = frozenset({
    ("POST", "/api/v1/session"), ("DELETE", "/api/v1/session"),
    ("POST", "/api/v1/session/second-factor"), ("POST", "/api/v1/account/password"), ("POST", "/api/v1/account/second-factor"),
    ("POST", "/api/v1/account/second-factor/confirm"), ("POST", "/api/v1/account/second-factor/remove"),
    ("POST", "/api/v1/account/recovery-codes"), ("DELETE", "/api/v1/account/sessions"),
    ("DELETE", "/api/v1/account/sessions/{session_id}"), ("POST", "/api/v1/account/tokens"),
    ("DELETE", "/api/v1/account/tokens/{token_id}"),
    ("POST", "/api/v1/exports"), ("DELETE", "/api/v1/exports/{identifier}"), ("POST", "/api/v1/verifications"),
})  # fmt: skip


async def auditors_only_look(request: Request, parts: Parts) -> None:
    """Refuse an auditor's request that could change something.

    Raises:
        AccessDenied: it could; the denial is journalled.
    """
    template = getattr(request.scope.get("route"), "path", request.url.path)
    if request.method in SAFE or (request.method, template) in AUDITORS_MAY:
        return
    someone = await behind(request, parts)
    if someone is not None and someone.role is UserRole.AUDITOR:
        await parts.door.deny("act", someone.username, address_of(request), request.url.path)
        raise AccessDenied("an auditor may look, not act", status=403)
