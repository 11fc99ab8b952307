"""The rows of accounts: made, changed and ended, each with its journal entry. Called inside ``Database.run``.

An account is never deleted: the journal names it for good, and nobody else may ever get its name.
"""

import re
import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import facts, journal
from command_center.accounts.permissions import Permission, UserRole
from command_center.errors import BadRequest, NotFound, NotPossible
from command_center.facts import Remark

_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,31}$")
_COLUMNS: Final = (
    "a.name, a.role, a.is_disabled, a.created_at_ms, a.subject, a.unit, a.must_change, "
    "EXISTS (SELECT 1 FROM second_factor f WHERE f.account = a.name AND f.confirmed_at_ms IS NOT NULL)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's account, without its secrets."""

    name: str
    role: UserRole
    is_disabled: bool
    created_at_ms: int
    is_external: bool = False
    """Signs in at the identity provider; its role follows from what that says."""
    unit: str = ""
    """The field unit that it speaks for."""
    must_change: bool = False
    """Its password was chosen by somebody else, and is good for choosing another only."""
    has_second_factor: bool = False


def add(
    connection: sqlite3.Connection, *, name: str, role: UserRole, password_hash: str, at_ms: int, by: str, unit: str = "",
    must_change: bool = False, subject: str = "",
) -> None:  # fmt: skip
    """Make an account.

    Raises:
        BadRequest: the name is taken or not one.
    """
    if not _NAME.match(name):
        raise BadRequest(f"expected a user name of a-z, 0-9, dot, dash, underscore (at most 32), found {name[:80]!r}")
    if connection.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone():
        raise BadRequest(f"there is a user {name!r} already: command-center user list shows them")
    connection.execute(
        "INSERT INTO account (name, role, password_hash, is_disabled, created_at_ms, subject, unit, must_change) "
        "VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
        (name, role.value, password_hash, at_ms, subject, unit[:64], must_change),
    )
    remark(
        connection, "user-added", by, name, Remark(what=role.value, detail=f"unit {unit}"[:80] if unit else ""), at_ms
    )


def disable(connection: sqlite3.Connection, *, name: str, at_ms: int, by: str) -> None:
    """End an account, its sessions and its tokens.

    Raises:
        BadRequest: there is none.
        NotPossible: it is the last administrator's.
    """
    account = _known(connection, name)
    _keep_an_administrator(connection, account)
    connection.execute("UPDATE account SET is_disabled = 1 WHERE name = ?", (name,))
    connection.execute("DELETE FROM session WHERE account = ?", (name,))
    revoked = connection.execute(  # for good: whoever lets the account in again later does not have the token in mind
        "UPDATE api_token SET revoked_at_ms = ? WHERE account = ? AND revoked_at_ms IS NULL AND expires_at_ms > ?",
        (at_ms, name, at_ms),
    ).rowcount
    detail = f"API tokens revoked: {revoked}" if revoked else ""
    remark(connection, "user-disabled", by, name, Remark(what="disabled", detail=detail), at_ms)


def enable(connection: sqlite3.Connection, *, name: str, at_ms: int, by: str) -> None:
    """Let a disabled account in again.

    Raises:
        BadRequest: there is none.
    """
    _known(connection, name)
    connection.execute("UPDATE account SET is_disabled = 0 WHERE name = ?", (name,))
    remark(connection, "user-enabled", by, name, Remark(what="enabled"), at_ms)


def set_role(connection: sqlite3.Connection, *, name: str, role: UserRole, unit: str, at_ms: int, by: str) -> None:
    """Change what somebody may do; every session of theirs ends, so that nothing goes on with the old permissions.

    Raises:
        BadRequest: there is none.
        NotPossible: it is the last administrator's.
    """
    account = _known(connection, name)
    if role is not UserRole.ADMINISTRATOR:
        _keep_an_administrator(connection, account)
    connection.execute("UPDATE account SET role = ?, unit = ? WHERE name = ?", (role.value, unit[:64], name))
    connection.execute("DELETE FROM session WHERE account = ?", (name,))
    what = Remark(what=role.value, detail=f"was {account.role.value}" + (f"; unit {unit[:64]}" if unit else ""))
    remark(connection, "role-changed", by, name, what, at_ms)


def set_password(
    connection: sqlite3.Connection, *, name: str, password_hash: str, must_change: bool, at_ms: int, by: str,
    keep_session: bytes = b"",
) -> None:  # fmt: skip
    """Replace a password; every other session of the account ends.

    Raises:
        BadRequest: there is no such account, or it signs in elsewhere.
    """
    if _known(connection, name).is_external:
        raise BadRequest(f"{name} signs in at the identity provider: its password is not kept here")
    connection.execute(
        "UPDATE account SET password_hash = ?, must_change = ? WHERE name = ?", (password_hash, must_change, name)
    )
    connection.execute("DELETE FROM session WHERE account = ? AND token_sha256 <> ?", (name, keep_session))
    what = Remark(what="must be changed at the next sign-in" if must_change else "changed")
    remark(connection, "password-changed", by, name, what, at_ms)


def accounts(connection: sqlite3.Connection) -> list[Account]:
    """Every account, by name."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM account a ORDER BY a.name")  # noqa: S608  a constant
    return [_from_row(row) for row in rows]


def account(connection: sqlite3.Connection, name: str) -> Account:
    """One account.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(f"SELECT {_COLUMNS} FROM account a WHERE a.name = ?", (name,)).fetchone()  # noqa: S608  a constant
    if row is None:
        raise NotFound(f"there is no user {name[:80]!r}")
    return _from_row(row)


def may(connection: sqlite3.Connection, name: str) -> frozenset[Permission]:
    """What an account may do now; nothing where it is disabled or gone."""
    row = connection.execute("SELECT role FROM account WHERE name = ? AND NOT is_disabled", (name,)).fetchone()
    return UserRole(row[0]).permissions if row else frozenset()


def remark(connection: sqlite3.Connection, kind: str, actor: str, name: str, fact: Remark, at_ms: int) -> None:
    """Journal something about an account."""
    journal.append(connection, at_ms=at_ms, kind=kind, actor=actor, subject=f"user:{name}", payload=facts.encode(fact))


def _known(connection: sqlite3.Connection, name: str) -> Account:
    try:
        return account(connection, name)
    except NotFound:
        raise BadRequest(f"there is no user {name[:80]!r}: command-center user list shows them") from None


def _keep_an_administrator(connection: sqlite3.Connection, ended: Account) -> None:
    """The web must not be able to lock everybody out of the administration; the local command line lets people in again."""
    if ended.role is not UserRole.ADMINISTRATOR or ended.is_disabled:
        return
    others = connection.execute(
        "SELECT COUNT(*) FROM account WHERE role = 'administrator' AND NOT is_disabled AND name <> ?", (ended.name,)
    ).fetchone()[0]
    if not others:
        raise NotPossible(f"{ended.name} is the last administrator: make another one first")


def _from_row(row: tuple[str, str, int, int, str, str, int, int]) -> Account:
    name, role, is_disabled, created_at_ms, subject, unit, must_change, has_factor = row
    return Account(name=name, role=UserRole(role), is_disabled=bool(is_disabled), created_at_ms=created_at_ms,
                   is_external=bool(subject), unit=unit, must_change=bool(must_change), has_second_factor=bool(has_factor))  # fmt: skip
