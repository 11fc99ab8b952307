"""Every route names what it needs, and each role gets exactly what the table says."""

import re
from collections.abc import Iterable, Iterator

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from command_center.accounts import Permission, UserRole
from command_center.accounts.permissions import NEVER_BY_TOKEN, TABLE
from command_center.api.access import Needs, UnlessBeside, anyone
from command_center.api.app import create_app
from tests.command_center.house import PASSWORD, House

OPEN = {
    "/healthz", "/readyz", "/api/v1/session/ways", "/api/v1/session/oidc", "/api/v1/session/oidc/callback",
    "/api/v1/callbacks/key",
}  # fmt: skip
"""For machines that watch, and for people who are about to sign in."""
OWN_PROOF = {
    "/u/{token}",
    "/u/{token}/picture",
    "/aid/{token}",
    "/aid/{token}/picture",
    "/cap/{token}/feed.xml",
    "/cap/{token}/{number}.xml",
    "/api/v1/enrollments",
    "/api/v1/witness/add-checkpoint",
}
"""A capability in the address, or a one-time code in the body."""
PHONE = {"/phone.css", "/unit", "/unit/sign-in", "/unit/sign-out", "/unit/code", "/unit/picture"}
"""Small pages for people: they ask by hand, and answer with a page to sign in at (``test_unit_page``)."""
ANY_STAGE = {"/api/v1/session", "/api/v1/session/second-factor", "/api/v1/account/password", "/api/v1/account/second-factor",
             "/api/v1/account/second-factor/confirm"}  # fmt: skip
"""Part of signing in, and of signing out."""


def _calls(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


def _flat(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (router := getattr(route, "original_router", None)) is not None:  # how FastAPI keeps an included router
            yield from _flat(router.routes)


def _routes(house: House) -> list[tuple[str, str, list[object]]]:
    found = [(method, route.path, list(_calls(route.dependant))) for route in _flat(create_app(house.services).routes)
             for method in sorted(route.methods or ())]  # fmt: skip
    assert len(found) > 40, "the walk must see the routes"
    return found


def _permission(calls: list[object]) -> Permission | None:
    found = {call.permission for call in calls if isinstance(call, Needs | UnlessBeside)}
    assert len(found) <= 1, f"a route names one permission, found {found}"
    return next(iter(found), None)


async def test_each_route_names_its_permission_or_is_open_on_purpose(house: House) -> None:
    for method, path, calls in _routes(house):
        if _permission(calls) is None and path not in OPEN | OWN_PROOF | PHONE:
            assert anyone in calls or (method, path) == ("POST", "/api/v1/session"), (
                f"{method} {path} asks nobody who they are"
            )
            assert path in ANY_STAGE, f"{method} {path} needs no permission"


@pytest.mark.parametrize("role", list(UserRole))
async def test_a_role_reaches_exactly_the_routes_of_its_permissions(house: House, role: UserRole) -> None:
    async with house.signed_in(role=role) as client:
        refused = 0
        for method, path, calls in _routes(house):
            needed = _permission(calls)
            if needed is None or path == "/api/v1/events":  # a stream that goes on: it has tests of its own
                continue
            answer = await _ask(client, method, path)
            if needed in TABLE[role]:
                assert answer.status_code not in {401, 403}, f"{role.value}: {method} {path} {answer.text}"
            else:
                refused += 1
                assert answer.status_code == 403, f"{role.value}: {method} {path} {answer.status_code} {answer.text}"
                assert needed.value in answer.json()["detail"] or role is UserRole.AUDITOR, (
                    "auditors meet a wall before the table"
                )
            if not (await client.get("/api/v1/session")).is_success:  # it signed itself out, as the route is for
                await _sign_in(client)
    assert refused or role is UserRole.ADMINISTRATOR
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(refused,)]


async def test_strangers_reach_only_what_is_open(house: House) -> None:
    async with house.browser() as client:
        for method, path, calls in _routes(house):
            if _permission(calls) or anyone in calls:
                assert (await _ask(client, method, path)).status_code == 401, f"{method} {path}"


@pytest.mark.parametrize(
    "how", ["signed out", "expired", "disabled", "half signed in", "revoked token", "expired token"]
)
async def test_what_is_over_reaches_no_route(house: House, how: str) -> None:
    """Of an administrator, who reached every one of them before."""
    async with house.signed_in(role=UserRole.ADMINISTRATOR) as client, house.signed_in("root1", UserRole.ADMINISTRATOR) as other:  # fmt: skip
        if "token" in how:
            scopes = sorted(scope.value for scope in TABLE[UserRole.ADMINISTRATOR] - NEVER_BY_TOKEN)
            made = await client.post("/api/v1/account/tokens", json={"name": "a", "scopes": scopes, "days": 1})
            client.headers["Authorization"] = f"Bearer {made.json()['secret']}"
        assert (await client.get("/api/v1/incidents")).status_code == 200
        kept = dict(client.cookies)
        match how:
            case "signed out":
                await client.delete("/api/v1/session")
            case "expired":
                house.clock.advance(13 * 3_600_000)
            case "disabled":
                assert (await other.patch("/api/v1/accounts/alice", json={"is_disabled": True})).status_code == 200
            case "half signed in":
                await house.query("UPDATE session SET stage = 'second_factor' WHERE account = 'alice'")
            case "revoked token":
                await house.query("UPDATE api_token SET revoked_at_ms = 1")
            case _:
                house.clock.advance(25 * 3_600_000)
        client.cookies.update(kept)
        asked = 0
        for method, path, calls in _routes(house):
            if _permission(calls) is not None:
                asked += 1
                answer = await _ask(client, method, path)
                assert answer.status_code == 401, f"{how}: {method} {path} {answer.status_code}"
        assert asked > 40


async def _ask(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    """A request that gets past the check of its shape or does not: who asks is checked before either."""
    filled = re.sub(r"\{(\w*id)\}", "1", path)
    filled = re.sub(r"\{sha256\}", "0" * 64, re.sub(r"\{\w+\}", "nobody", filled))
    return await client.request(method, filled, json={} if method in {"POST", "PATCH", "PUT"} else None)


async def _sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/session", json={"username": "alice", "password": PASSWORD})
    client.headers["X-Heard-CSRF"] = answer.json()["csrf"]


def test_an_auditor_changes_nothing_and_a_field_unit_sees_only_its_own() -> None:
    changes = {Permission.INCIDENTS_ACT, Permission.SOURCES_SHELVE, Permission.UNITS_DISPATCH, Permission.ACCOUNTS_MANAGE,
               Permission.CALLBACKS_RESEND, Permission.INCIDENTS_SHARE, Permission.EVIDENCE_HOLD, Permission.FLEET_MANAGE}  # fmt: skip
    assert not changes & TABLE[UserRole.AUDITOR]
    assert TABLE[UserRole.FIELD_UNIT] == {Permission.OWN_ACCOUNT, Permission.UNIT_OWN}
    assert {Permission.ACCOUNTS_MANAGE, Permission.FLEET_MANAGE} <= NEVER_BY_TOKEN
    assert set(TABLE) == set(UserRole)
