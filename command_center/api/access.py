"""Who is behind a request, and whether they may: used by every router as a dependency."""

import hmac
from typing import Annotated, Final

from fastapi import Depends, Request

from command_center.accounts import SignedIn, UserRole
from command_center.errors import AccessDenied
from command_center.services import Services

COOKIE: Final = "heard_session"
CSRF_HEADER: Final = "X-Heard-CSRF"


def services(request: Request) -> Services:
    """The centre's parts, as ``app`` was given them."""
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(services)]


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "local"


async def person(request: Request, parts: Parts) -> SignedIn:
    """The signed-in person.

    Raises:
        AccessDenied: nobody, or the session expired.
    """
    found = await parts.door.who(request.cookies.get(COOKIE))
    if found is None:
        raise AccessDenied("sign in first: there is no session, or it has expired")
    return found


Person = Annotated[SignedIn, Depends(person)]


async def changer(request: Request, parts: Parts, someone: Person) -> SignedIn:
    """A signed-in person whose request changes something: it must carry the session's CSRF token.

    Raises:
        AccessDenied: the token is missing or wrong.
    """
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), someone.csrf.encode()):
        await parts.door.deny("csrf", someone.username, address_of(request), request.url.path)
        raise AccessDenied(f"expected the session's token in {CSRF_HEADER}: reload the page", status=403)
    return someone


Changer = Annotated[SignedIn, Depends(changer)]


async def dispatcher(request: Request, parts: Parts, someone: Changer) -> SignedIn:
    """Somebody who may act on incidents.

    Raises:
        AccessDenied: an auditor only looks.
    """
    if not someone.role.may_act:
        await parts.door.deny("act", someone.username, address_of(request), request.url.path)
        raise AccessDenied(f"a {someone.role.value} may look, not act", status=403)
    return someone


Dispatcher = Annotated[SignedIn, Depends(dispatcher)]


async def journal_reader(request: Request, parts: Parts, someone: Person) -> SignedIn:
    """Somebody who may read the journal.

    Raises:
        AccessDenied: a dispatcher may not.
    """
    if someone.role is UserRole.DISPATCHER:
        await parts.door.deny("journal", someone.username, address_of(request), request.url.path)
        raise AccessDenied("the journal is open to supervisors, administrators and auditors", status=403)
    return someone


JournalReader = Annotated[SignedIn, Depends(journal_reader)]
