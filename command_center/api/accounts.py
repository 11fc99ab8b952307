"""``/api/v1/accounts``: everybody's accounts, for administrators; auditors look."""

import sqlite3
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Response

from command_center.accounts import SignedIn, UserRole, require_good_password, second_factor, sessions, tokens
from command_center.accounts import account as account_of
from command_center.accounts import accounts as all_accounts
from command_center.accounts.passwords import generated
from command_center.accounts.register import Account, add, disable, enable, remark, set_password, set_role
from command_center.api.access import AccountManager, AccountReader, Parts
from command_center.api.account import session_rows, token_row
from command_center.api.account_shapes import (
    AccountList,
    AccountRow,
    AddAccount,
    ChangeAccount,
    MadePassword,
    SessionList,
    TokenList,
)
from command_center.api.shapes import Problem
from command_center.errors import BadRequest, NotPossible
from command_center.facts import Remark
from command_center.services import Services

router = APIRouter(
    prefix="/api/v1/accounts", tags=["accounts"], responses={401: {"model": Problem}, 403: {"model": Problem}}
)
_NO: Final[dict[int | str, dict[str, object]]] = {code: {"model": Problem} for code in (404, 422)}


@router.get("")
async def every(_: AccountReader, parts: Parts) -> AccountList:
    """Every account."""

    def read(connection: sqlite3.Connection) -> AccountList:
        return AccountList(accounts=[_row(connection, parts, item) for item in all_accounts(connection)])

    return await parts.readers.run(read)


@router.post("", status_code=201, responses=_NO)
async def add_account(body: AddAccount, person: AccountManager, parts: Parts) -> MadePassword:
    """Let somebody in. Whoever chose the password, its owner must choose another at the first sign-in."""
    password = body.password or generated()
    encoded = await _encoded(parts, password, body.name)
    now = parts.clock.wall_ms()
    await _change(parts, lambda c: add(c, name=body.name, role=UserRole(body.role), password_hash=encoded, unit=body.unit,
                                       must_change=True, at_ms=now, by=_by(person)))  # fmt: skip
    return MadePassword(name=body.name, password=None if body.password else password)


@router.patch("/{name}", responses=_NO)
async def change_account(name: str, body: ChangeAccount, person: AccountManager, parts: Parts) -> AccountRow:
    """Change a role or a unit, end an account, or let it in again. What its sessions have open ends at once."""
    now = parts.clock.wall_ms()

    def work(connection: sqlite3.Connection) -> None:
        found = account_of(connection, name)
        if found.is_external and (body.role is not None or body.unit is not None):
            raise NotPossible(f"the role and unit of {name} follow from the identity provider: change them there")
        if body.role is not None or body.unit is not None:
            role = UserRole(body.role) if body.role else found.role
            unit = found.unit if body.unit is None else body.unit
            set_role(connection, name=name, role=role, unit=unit, at_ms=now, by=_by(person))
        if body.is_disabled is not None and body.is_disabled != found.is_disabled:
            (disable if body.is_disabled else enable)(connection, name=name, at_ms=now, by=_by(person))

    await _change(parts, work)
    return await parts.readers.run(lambda c: _row(c, parts, account_of(c, name)))


@router.post("/{name}/password", responses=_NO)
async def reset_password(name: str, person: AccountManager, parts: Parts) -> MadePassword:
    """A new password, shown once; its owner must choose another at the next sign-in, and is signed out everywhere."""
    await parts.readers.run(lambda c: account_of(c, name))
    password, now = generated(), parts.clock.wall_ms()
    encoded = await _encoded(parts, password, name)
    await _change(parts, lambda c: set_password(c, name=name, password_hash=encoded, must_change=True, at_ms=now,
                                                by=_by(person)))  # fmt: skip
    return MadePassword(name=name, password=password)


@router.delete("/{name}/second-factor", status_code=204, responses=_NO)
async def reset_second_factor(name: str, person: AccountManager, parts: Parts) -> Response:
    """For a lost phone: the next sign-in does without, or sets up a new one where the role must have it."""
    now = parts.clock.wall_ms()

    def work(connection: sqlite3.Connection) -> None:
        account_of(connection, name)
        second_factor.remove(connection, name, at_ms=now, by=_by(person))
        sessions.end(connection, name)

    await _change(parts, work)
    return Response(status_code=204)


@router.get("/{name}/sessions", responses=_NO)
async def sessions_of(name: str, person: AccountReader, parts: Parts) -> SessionList:
    """Where somebody is signed in."""
    now = parts.clock.wall_ms()

    def read(connection: sqlite3.Connection) -> SessionList:
        account_of(connection, name)
        return SessionList(sessions=session_rows(sessions.of_account(connection, name, parts.door.lives, now), person))

    return await parts.readers.run(read)


@router.delete("/{name}/sessions", status_code=204, responses=_NO)
async def end_sessions(name: str, person: AccountManager, parts: Parts) -> Response:
    """Sign somebody out everywhere, at once."""
    now = parts.clock.wall_ms()

    def work(connection: sqlite3.Connection) -> None:
        account_of(connection, name)
        count = sessions.end(connection, name)
        remark(connection, "sessions-ended", _by(person), name, Remark(what=f"{count} ended"), now)

    await _change(parts, work)
    return Response(status_code=204)


@router.get("/{name}/tokens", responses=_NO)
async def tokens_of(name: str, _: AccountReader, parts: Parts) -> TokenList:
    """The API tokens of an account."""

    def read(connection: sqlite3.Connection) -> TokenList:
        account_of(connection, name)
        return TokenList(tokens=[token_row(token) for token in tokens.tokens(connection, name)])

    return await parts.readers.run(read)


@router.delete("/{name}/tokens/{token_id}", status_code=204, responses=_NO)
async def revoke_token(name: str, token_id: str, person: AccountManager, parts: Parts) -> Response:
    """End a token of somebody's."""
    now = parts.clock.wall_ms()
    await _change(parts, lambda c: tokens.revoke(c, token_id=token_id, account=name, at_ms=now, by=_by(person)))
    return Response(status_code=204)


async def _encoded(parts: Services, password: str, name: str) -> str:
    try:
        require_good_password(password, name)
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return await parts.door.passwords.hashed(password)


async def _change(parts: Services, work: Callable[[sqlite3.Connection], object]) -> None:
    """What the command line calls a bad request is an answer of 422 here."""
    try:
        await parts.door.change(work)
    except BadRequest as error:
        raise NotPossible(str(error)) from error


def _by(person: SignedIn) -> str:
    return f"user:{person.username}"


def _row(connection: sqlite3.Connection, parts: Services, found: Account) -> AccountRow:
    open_sessions = sessions.of_account(connection, found.name, parts.door.lives, parts.clock.wall_ms())
    return AccountRow(
        name=found.name, role=found.role.value, unit=found.unit, is_disabled=found.is_disabled,
        is_external=found.is_external, must_change=found.must_change, has_second_factor=found.has_second_factor,
        needs_second_factor=not found.is_external and found.role.value in parts.config.accounts.second_factor_for,
        created_at_ms=found.created_at_ms, session_count=len(open_sessions),
    )  # fmt: skip
