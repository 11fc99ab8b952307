"""Accounts of people whom an identity provider has checked: made at their first sign-in, and kept in step with what it says."""

import sqlite3

from command_center.accounts import register
from command_center.accounts.oidc import Claims
from command_center.errors import AccessDenied, BadRequest

BY = "identity-provider"


def account_of(connection: sqlite3.Connection, claims: Claims, at_ms: int) -> str:
    """The name of this person's account here, with today's role.

    Raises:
        AccessDenied: it is disabled, or somebody else has the name.
    """
    row = connection.execute(
        "SELECT name, role, unit, is_disabled FROM account WHERE subject = ?", (claims.subject,)
    ).fetchone()
    if row is None:
        try:
            register.add(connection, name=claims.name, role=claims.role, password_hash="", at_ms=at_ms, by=BY,
                         unit=claims.unit, subject=claims.subject)  # fmt: skip
        except BadRequest as error:
            raise AccessDenied(
                f"the name {claims.name!r} belongs to another account here: an administrator has to decide who keeps it",
                status=403,
            ) from error
        return claims.name
    name, role, unit, is_disabled = row
    if is_disabled:
        raise AccessDenied(f"the account {name} is disabled", status=403)
    if (role, unit) != (claims.role.value, claims.unit):
        register.set_role(connection, name=name, role=claims.role, unit=claims.unit, at_ms=at_ms, by=BY)
    return str(name)
