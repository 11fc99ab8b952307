"""``/api/v1/account``: one's own account: password, second factor, sessions, tokens."""

import sqlite3
from typing import Final

from fastapi import APIRouter, Request, Response

from command_center.accounts import Permission, SignedIn, Stage, require_good_password, second_factor, sessions, tokens
from command_center.accounts import account as account_of
from command_center.accounts.permissions import NEVER_BY_TOKEN
from command_center.accounts.register import remark, set_password
from command_center.accounts.totp import base32_of, uri_of
from command_center.api.access import Anyone, Own, Parts, address_of, agent_of
from command_center.api.account_shapes import (
    Enrollment,
    GivenCode,
    MadeToken,
    MakeToken,
    NewPassword,
    OwnAccount,
    RecoveryCodes,
    Session,
    SessionRow,
    TokenRow,
)
from command_center.api.session import set_session, shape_of
from command_center.api.shapes import Problem
from command_center.errors import AccessDenied, BadRequest, NotPossible
from command_center.facts import Remark
from command_center.services import Services

router = APIRouter(
    prefix="/api/v1/account", tags=["account"], responses={401: {"model": Problem}, 403: {"model": Problem}}
)
_NO: Final[dict[int | str, dict[str, object]]] = {code: {"model": Problem} for code in (404, 422, 429)}


@router.get("")
async def own(person: Own, parts: Parts) -> OwnAccount:
    """Everything about one's own account that is not secret."""
    now = parts.clock.wall_ms()

    def read(connection: sqlite3.Connection) -> OwnAccount:
        found = account_of(connection, person.username)
        return OwnAccount(
            username=found.name, role=found.role.value, unit=found.unit, is_external=found.is_external,
            has_second_factor=found.has_second_factor,
            needs_second_factor=not found.is_external and found.role.value in parts.config.accounts.second_factor_for,
            recovery_codes_left=second_factor.recovery_codes_left(connection, found.name),
            sessions=session_rows(sessions.of_account(connection, found.name, parts.door.lives, now), person),
            tokens=[token_row(token) for token in tokens.tokens(connection, found.name)],
            possible_scopes=sorted(scope.value for scope in found.role.permissions - NEVER_BY_TOKEN),
        )  # fmt: skip

    return await parts.readers.run(read)


@router.post("/password", responses=_NO)
async def change_password(
    body: NewPassword, person: Anyone, request: Request, response: Response, parts: Parts
) -> Session:
    """Choose another password. Every other session of the account ends."""
    if person.stage not in {Stage.FULL, Stage.PASSWORD} or person.token_name:
        raise AccessDenied("a password is changed by a person whose sign-in is complete", status=403)
    try:
        require_good_password(body.new, person.username)
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    if body.new == body.current:
        raise NotPossible("expected another password, found the same")
    await _prove(parts, person, body.current, request)
    encoded = await parts.door.passwords.hashed(body.new)
    by, now = f"user:{person.username}", parts.clock.wall_ms()
    await parts.door.change(
        lambda c: set_password(c, name=person.username, password_hash=encoded, must_change=False, at_ms=now, by=by,
                               keep_session=person.token_sha256)
    )  # fmt: skip
    token, person = await parts.door.go_on(person, address_of(request), agent=agent_of(request))
    return set_session(response, parts, token, person)


@router.post("/second-factor", responses=_NO)
async def offer_second_factor(person: Anyone, parts: Parts) -> Enrollment:
    """A new secret for an authenticator app. It counts when ``confirm`` has seen the first code."""
    _require_person(person, Stage.FULL, Stage.ENROLLMENT)

    def work(connection: sqlite3.Connection) -> bytes:
        if account_of(connection, person.username).is_external:
            raise NotPossible("this account signs in at the identity provider: its second factor is kept there")
        return second_factor.offer(connection, parts.door.sealing, person.username)

    secret = await parts.database.run(work)
    issuer = f"Heard {parts.config.name}"
    return Enrollment(secret=base32_of(secret), uri=uri_of(secret, account=person.username, issuer=issuer))


@router.post("/second-factor/confirm", responses=_NO)
async def confirm_second_factor(body: GivenCode, person: Anyone, request: Request, response: Response, parts: Parts) -> RecoveryCodes:  # fmt: skip
    """The first code of the authenticator app. Answers with recovery codes, and goes on with the sign-in."""
    _require_person(person, Stage.FULL, Stage.ENROLLMENT)
    now = parts.clock.wall_ms()
    codes = await parts.database.run(
        lambda c: second_factor.confirm(c, parts.door.sealing, person.username, body.code, now)
    )
    if codes is None:
        await parts.door.deny("second-factor", person.username, address_of(request), "wrong first code")
        raise NotPossible("this code is wrong: is the phone's clock right? Take the one that it shows now")
    token, person = await parts.door.go_on(person, address_of(request), agent=agent_of(request))
    return RecoveryCodes(codes=codes, session=set_session(response, parts, token, person))


@router.post("/second-factor/remove", status_code=204, responses=_NO)
async def remove_second_factor(body: GivenCode, person: Own, request: Request, parts: Parts) -> Response:
    """Do without; takes a code, and a role that may."""
    if person.role.value in parts.config.accounts.second_factor_for:
        raise NotPossible(
            f"a {person.role.value} must have a second factor: an administrator can reset it for a new phone"
        )
    await _prove_code(parts, person, body.code, request)
    now, by = parts.clock.wall_ms(), f"user:{person.username}"
    await parts.door.change(lambda c: second_factor.remove(c, person.username, at_ms=now, by=by))
    return Response(status_code=204)


@router.post("/recovery-codes", responses=_NO)
async def renew_recovery_codes(body: GivenCode, person: Own, request: Request, parts: Parts) -> RecoveryCodes:
    """Ten new recovery codes; the old ones are good no longer."""
    await _prove_code(parts, person, body.code, request)
    now = parts.clock.wall_ms()
    codes = await parts.database.run(lambda c: second_factor.renew_recovery_codes(c, person.username, now))
    return RecoveryCodes(codes=codes, session=shape_of(person))


@router.delete("/sessions/{session_id}", status_code=204, responses=_NO)
async def end_session(session_id: str, person: Own, parts: Parts) -> Response:
    """Sign out another browser."""
    await _end(parts, person, session_id)
    return Response(status_code=204)


@router.delete("/sessions", status_code=204, responses=_NO)
async def end_all_sessions(person: Own, parts: Parts) -> Response:
    """Sign out everywhere, here too."""
    await _end(parts, person, None)
    return Response(status_code=204)


@router.post("/tokens", status_code=201, responses=_NO)
async def make_token(body: MakeToken, person: Own, parts: Parts) -> MadeToken:
    """A token for a program. It may do what its scopes say, and never more than its owner."""
    known = {permission.value: permission for permission in Permission}
    if unknown := sorted(set(body.scopes) - set(known)):
        raise NotPossible(f"expected scopes among {', '.join(sorted(known))}, found {', '.join(unknown)[:200]}")
    scopes, now = [known[text] for text in body.scopes], parts.clock.wall_ms()
    secret, token = await parts.database.run(
        lambda c: tokens.make(c, account=person.username, name=body.name, scopes=scopes, days=body.days, at_ms=now,
                              by=f"user:{person.username}")
    )  # fmt: skip
    return MadeToken(secret=secret, token=token_row(token))


@router.delete("/tokens/{token_id}", status_code=204, responses=_NO)
async def revoke_token(token_id: str, person: Own, parts: Parts) -> Response:
    """End a token, and what is open in its name."""
    now, by = parts.clock.wall_ms(), f"user:{person.username}"
    await parts.door.change(lambda c: tokens.revoke(c, token_id=token_id, account=person.username, at_ms=now, by=by))
    return Response(status_code=204)


def session_rows(found: list[sessions.Session], person: SignedIn) -> list[SessionRow]:
    """Sessions as browsers see them."""
    return [SessionRow(id=item.id, address=item.address, agent=item.agent, opened_at_ms=item.opened_at_ms,
                       used_at_ms=item.used_at_ms, is_this=item.token_sha256 == person.token_sha256) for item in found]  # fmt: skip


def token_row(token: tokens.Token) -> TokenRow:
    """A token as browsers see it."""
    return TokenRow(id=token.id, account=token.account, name=token.name, scopes=sorted(s.value for s in token.scopes),
                    created_at_ms=token.created_at_ms, expires_at_ms=token.expires_at_ms, used_at_ms=token.used_at_ms,
                    used_from=token.used_from, revoked_at_ms=token.revoked_at_ms)  # fmt: skip


def _require_person(person: SignedIn, *stages: Stage) -> None:
    if person.stage not in stages or person.token_name:
        raise AccessDenied("this takes a person, at the right step of a sign-in", status=403)


async def _prove(parts: Services, person: SignedIn, password: str, request: Request) -> None:
    """The person at the keyboard is still the one who signed in."""
    row = await parts.readers.run(
        lambda c: c.execute("SELECT password_hash FROM account WHERE name = ?", (person.username,)).fetchone()
    )
    if not await parts.door.prove_password(person, row[0] or None, password, address_of(request)):
        raise NotPossible("the current password is wrong")


async def _prove_code(parts: Services, person: SignedIn, code: str, request: Request) -> None:
    if not await parts.door.prove_code(person, code, address_of(request)):
        raise NotPossible("this code is wrong, or was used before: wait for the next one")


async def _end(parts: Services, person: SignedIn, session_id: str | None) -> None:
    now, by = parts.clock.wall_ms(), f"user:{person.username}"

    def work(connection: sqlite3.Connection) -> None:
        count = sessions.end(connection, person.username, session_id)
        remark(connection, "sessions-ended", by, person.username, Remark(what=f"{count} ended"), now)

    await parts.door.change(work)
