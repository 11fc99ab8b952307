"""Performs administrators' commands on accounts and tokens, in the running center or on its database while nothing runs."""

import sqlite3

import msgspec

from command_center.accounts import register, second_factor, sessions, tokens
from command_center.accounts.permissions import Permission, UserRole
from command_center.commands import (
    AccountCommand,
    Outcome,
    TokenAdd,
    TokenList,
    TokenRevoke,
    UserAdd,
    UserDisable,
    UserEnable,
    UserList,
    UserResetSecondFactor,
    UserSetPassword,
    UserSetRole,
    UserSignOut,
)
from command_center.errors import ActionRefused, BadRequest
from command_center.facts import Remark


def perform(connection: sqlite3.Connection, command: AccountCommand, *, by: str, now_ms: int) -> Outcome:
    """Do it.

    Raises:
        BadRequest: it can't be done, and why.
    """
    try:
        if isinstance(command, TokenAdd | TokenList | TokenRevoke):
            return _token(connection, command, by=by, now_ms=now_ms)
        return _user(connection, command, by=by, now_ms=now_ms)
    except ActionRefused as error:
        raise BadRequest(str(error)) from error


_UserCommand = (
    UserAdd | UserList | UserDisable | UserEnable | UserSetRole | UserSetPassword | UserResetSecondFactor | UserSignOut
)


def _user(connection: sqlite3.Connection, command: _UserCommand, *, by: str, now_ms: int) -> Outcome:
    match command:
        case UserList():
            return _list(connection)
        case UserAdd():
            register.add(connection, name=command.name, role=UserRole(command.role), unit=command.unit, by=by, at_ms=now_ms,
                         password_hash=command.password_hash, must_change=command.must_change)  # fmt: skip
            said = f"{command.name} may sign in as {command.role}"
        case UserDisable():
            register.disable(connection, name=command.name, at_ms=now_ms, by=by)
            said = f"{command.name} can no longer sign in, and is signed out everywhere"
        case UserEnable():
            register.enable(connection, name=command.name, at_ms=now_ms, by=by)
            said = f"{command.name} may sign in again"
        case UserSetRole():
            register.set_role(
                connection, name=command.name, role=UserRole(command.role), unit=command.unit, at_ms=now_ms, by=by
            )
            said = f"{command.name} is {command.role} from the next sign-in on, and is signed out everywhere"
        case UserSetPassword():
            register.set_password(connection, name=command.name, password_hash=command.password_hash,
                                  must_change=command.must_change, at_ms=now_ms, by=by)  # fmt: skip
            said = f"{command.name} has a new password, and is signed out everywhere"
        case UserResetSecondFactor():
            second_factor.remove(connection, command.name, at_ms=now_ms, by=by)
            sessions.end(connection, command.name)
            said = f"{command.name} has no second factor any more, and is signed out everywhere"
        case UserSignOut():
            register.account(connection, command.name)
            count = sessions.end(connection, command.name)
            register.remark(connection, "sessions-ended", by, command.name, Remark(what=f"{count} ended"), now_ms)
            said = f"{command.name} is signed out everywhere ({count} sessions)"
    return Outcome(lines=(said,))


def _list(connection: sqlite3.Connection) -> Outcome:
    found = register.accounts(connection)
    lines = [f"{a.name:<24} {a.role.value:<14} {_notes(a)}".rstrip() for a in found]
    data = [{"name": a.name, "role": a.role.value, "is_disabled": a.is_disabled, "unit": a.unit,
             "has_second_factor": a.has_second_factor, "is_external": a.is_external} for a in found]  # fmt: skip
    return Outcome(lines=tuple(lines or ["no users yet: command-center user add NAME --role dispatcher"]),
                   data=msgspec.Raw(msgspec.json.encode(data)))  # fmt: skip


def _notes(account: register.Account) -> str:
    notes = [("disabled", account.is_disabled), ("second factor", account.has_second_factor),
             ("single sign-on", account.is_external), (f"unit {account.unit}", bool(account.unit)),
             ("must change the password", account.must_change)]  # fmt: skip
    return ", ".join(text for text, holds in notes if holds)


def _token(connection: sqlite3.Connection, command: TokenAdd | TokenList | TokenRevoke, *, by: str, now_ms: int) -> Outcome:  # fmt: skip
    if isinstance(command, TokenAdd):
        known = {permission.value: permission for permission in Permission}
        if unknown := [text for text in command.scopes if text not in known]:
            raise BadRequest(f"expected scopes among {', '.join(sorted(known))}; found {', '.join(unknown)}")
        secret, token = tokens.make(connection, account=command.account, name=command.name, days=command.days, by=by,
                                    scopes=[known[text] for text in command.scopes], at_ms=now_ms)  # fmt: skip
        return Outcome(lines=("Token (shown only now):", secret),
                       data=msgspec.Raw(msgspec.json.encode({"id": token.id, "secret": secret})))  # fmt: skip
    if isinstance(command, TokenRevoke):
        token = tokens.revoke(connection, token_id=command.id, account=None, at_ms=now_ms, by=by)
        return Outcome(lines=(f"token {token.id} ({token.name}, of {token.account}) is good for nothing any more",))
    found = tokens.tokens(connection)
    lines = [f"{t.id}  {t.account:<16} {t.name:<24} {_state(t, now_ms):<8} {' '.join(sorted(s.value for s in t.scopes))}"
             for t in found]  # fmt: skip
    data = [{"id": t.id, "account": t.account, "name": t.name, "state": _state(t, now_ms), "used_at_ms": t.used_at_ms,
             "scopes": sorted(s.value for s in t.scopes)} for t in found]  # fmt: skip
    return Outcome(lines=tuple(lines or ["no tokens"]), data=msgspec.Raw(msgspec.json.encode(data)))


def _state(token: tokens.Token, now_ms: int) -> str:
    if token.revoked_at_ms is not None:
        return "revoked"
    return "expired" if token.expires_at_ms <= now_ms else "good"
