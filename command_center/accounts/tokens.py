"""API tokens: for programs, in the name of an account, with fewer permissions than it has, and with an end.

Only a token's SHA-256 is kept; the token itself is shown once. Its prefix lets secret scanners find one that got into a
repository. What a token may do is its scopes *and* what its owner may do at that moment. Called inside ``Database.run``.
"""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from command_center.accounts.permissions import NEVER_BY_TOKEN, Permission
from command_center.accounts.register import account as account_of
from command_center.accounts.register import remark
from command_center.errors import NotFound, NotPossible
from command_center.facts import Remark

PREFIX: Final = "heard_token_"
MOST_DAYS: Final = 366
MOST_OF_ONE: Final = 50
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token, without itself."""

    id: str
    account: str
    name: str
    scopes: frozenset[Permission]
    created_at_ms: int
    expires_at_ms: int
    used_at_ms: int | None
    used_from: str
    revoked_at_ms: int | None


def make(connection: sqlite3.Connection, *, account: str, name: str, scopes: Iterable[Permission], days: float, at_ms: int,
         by: str) -> tuple[str, Token]:  # fmt: skip
    """A new token and its row.

    Raises:
        NotFound: no such account.
        NotPossible: no name, a scope that the owner lacks or that no token may have, a bad duration, or too many tokens.
    """
    owner, wanted = account_of(connection, account), frozenset(scopes)
    if not name.strip() or len(name) > 64:
        raise NotPossible("expected a name of 1 to 64 characters for the token: what will use it?")
    if not 0 < days <= MOST_DAYS:
        raise NotPossible(f"expected between 0 and {MOST_DAYS} days, found {days:g}")
    if not wanted:
        raise NotPossible("expected at least one scope, found none")
    if refused := sorted(scope.value for scope in wanted - (owner.role.permissions - NEVER_BY_TOKEN)):
        raise NotPossible(f"a token of {account} ({owner.role.value}) can't have {', '.join(refused)}")
    alive = connection.execute(
        "SELECT COUNT(*) FROM api_token WHERE account = ? AND revoked_at_ms IS NULL AND expires_at_ms > ?",
        (account, at_ms),
    ).fetchone()[0]
    if alive >= MOST_OF_ONE:
        raise NotPossible(f"{account} has {alive} tokens already: revoke some")
    secret = PREFIX + secrets.token_urlsafe(32)
    token_id = secrets.token_hex(6)
    expires_at_ms = at_ms + int(days * _DAY_MS)
    texts = " ".join(sorted(scope.value for scope in wanted))
    connection.execute(
        "INSERT INTO api_token VALUES (?, ?, ?, ?, ?, ?, ?, NULL, '', NULL)",
        (hash_of(secret), token_id, account, name.strip(), texts, at_ms, expires_at_ms),
    )
    made = Remark(what=f"{token_id} {name.strip()}", detail=f"{texts}; {days:g} days"[:400])
    remark(connection, "token-made", by, account, made, at_ms)
    return secret, find(connection, token_id)


def revoke(connection: sqlite3.Connection, *, token_id: str, account: str | None, at_ms: int, by: str) -> Token:
    """End a token, of this account where one is named.

    Raises:
        NotFound: there is none that is still good.
    """
    token = find(connection, token_id)
    if token.revoked_at_ms is not None or account not in {None, token.account}:
        raise NotFound(f"there is no token {token_id[:32]!r}")
    connection.execute("UPDATE api_token SET revoked_at_ms = ? WHERE id = ?", (at_ms, token_id))
    remark(connection, "token-revoked", by, token.account, Remark(what=f"{token_id} {token.name}"), at_ms)
    return token


def tokens(connection: sqlite3.Connection, account: str | None = None) -> list[Token]:
    """Every token, or those of one account; the latest first."""
    return _select(connection, "?1 IS NULL OR account = ?1", account)


def find(connection: sqlite3.Connection, token_id: str) -> Token:
    """One token.

    Raises:
        NotFound: there is none.
    """
    found = _select(connection, "id = ?1", token_id)
    if not found:
        raise NotFound(f"there is no token {token_id[:32]!r}")
    return found[0]


def hash_of(secret: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode()).digest()


def _select(connection: sqlite3.Connection, condition: str, value: str | None) -> list[Token]:
    rows = connection.execute(
        "SELECT id, account, name, scopes, created_at_ms, expires_at_ms, used_at_ms, used_from, revoked_at_ms "  # noqa: S608  constants
        f"FROM api_token WHERE {condition} ORDER BY created_at_ms DESC, id",
        (value,),
    )
    return [Token(id=r[0], account=r[1], name=r[2], scopes=scopes_of(r[3]), created_at_ms=r[4], expires_at_ms=r[5],
                  used_at_ms=r[6], used_from=r[7], revoked_at_ms=r[8]) for r in rows]  # fmt: skip


def scopes_of(texts: str) -> frozenset[Permission]:
    """Scopes as kept; one that a newer release has dropped gives nothing."""
    known = {permission.value: permission for permission in Permission}
    return frozenset(known[text] for text in texts.split() if text in known)
