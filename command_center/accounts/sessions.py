"""Sessions: a random token whose SHA-256 is kept; the CSRF token follows from it. Called inside a transaction."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from command_center.accounts import second_factor, tokens
from command_center.accounts.permissions import UserRole
from command_center.accounts.person import SignedIn, Stage
from command_center.config import AccountsConfig, SessionConfig
from command_center.errors import NotFound

UNFINISHED_MS: Final = 10 * 60 * 1000
"""How long a sign-in may take from the password to the last step."""
_MOST_TOKEN_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser that somebody is signed in at."""

    id: str
    address: str
    agent: str
    opened_at_ms: int
    used_at_ms: int
    token_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long a session lasts, ms."""

    idle_ms: int
    absolute_ms: int

    @classmethod
    def of(cls, config: SessionConfig) -> "Lifetimes":
        """As configured."""
        return cls(idle_ms=int(config.idle_h * 3_600_000), absolute_ms=int(config.absolute_h * 3_600_000))


def stage_after(connection: sqlite3.Connection, policy: AccountsConfig, name: str, *, has_shown_code: bool) -> Stage:
    """What a sign-in with the right password still lacks."""
    role, must_change = connection.execute("SELECT role, must_change FROM account WHERE name = ?", (name,)).fetchone()
    if second_factor.is_confirmed(connection, name):
        if not has_shown_code:
            return Stage.SECOND_FACTOR
    elif role in policy.second_factor_for:
        return Stage.ENROLLMENT
    return Stage.PASSWORD if must_change else Stage.FULL


def open_session(connection: sqlite3.Connection, *, name: str, stage: Stage, address: str, agent: str, now_ms: int) -> tuple[str, SignedIn]:  # fmt: skip
    """A new session and its token, which is kept nowhere."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO session (token_sha256, account, address, opened_at_ms, used_at_ms, stage, agent) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (hash_of(token), name, address, now_ms, now_ms, stage.value, agent[:200]),
    )
    role, unit = connection.execute("SELECT role, unit FROM account WHERE name = ?", (name,)).fetchone()
    return token, _person(name, role, unit, stage.value, token)


def behind(connection: sqlite3.Connection, token: str, lives: Lifetimes, now_ms: int) -> tuple[SignedIn | None, bool]:
    """The person behind a session's token, None if it is unknown or over; and whether its use is worth noting."""
    if not token or len(token) > _MOST_TOKEN_CHARACTERS:
        return None, False
    row = connection.execute(
        "SELECT s.account, a.role, a.unit, s.stage, s.opened_at_ms, s.used_at_ms FROM session s "
        "JOIN account a ON a.name = s.account WHERE s.token_sha256 = ? AND NOT a.is_disabled",
        (hash_of(token),),
    ).fetchone()
    if row is None or not _stands(row[3], row[4], row[5], lives, now_ms):
        return None, False
    return _person(row[0], row[1], row[2], row[3], token), now_ms - row[5] > 60_000


def behind_token(connection: sqlite3.Connection, secret: str, now_ms: int) -> tuple[SignedIn | None, bool]:
    """The same for an API token."""
    if not secret.startswith(tokens.PREFIX) or len(secret) > _MOST_TOKEN_CHARACTERS:
        return None, False
    digest = tokens.hash_of(secret)
    row = connection.execute(
        "SELECT t.account, a.role, a.unit, t.name, t.scopes, COALESCE(t.used_at_ms, 0) FROM api_token t "
        "JOIN account a ON a.name = t.account WHERE t.token_sha256 = ? AND t.revoked_at_ms IS NULL AND t.expires_at_ms > ? "
        "AND NOT a.is_disabled",
        (digest, now_ms),
    ).fetchone()
    if row is None:
        return None, False
    role = UserRole(row[1])
    person = SignedIn(username=row[0], role=role, csrf="", token_sha256=digest, token_name=row[3], unit=row[2],
                      permissions=role.permissions & tokens.scopes_of(row[4]))  # fmt: skip
    return person, now_ms - row[5] > 60_000


def standing(connection: sqlite3.Connection, digests: Iterable[bytes], lives: Lifetimes, now_ms: int) -> set[bytes]:
    """Which of these sessions and tokens are still good."""
    found: set[bytes] = set()
    for digest in digests:
        row = connection.execute(
            "SELECT s.stage, s.opened_at_ms, s.used_at_ms FROM session s JOIN account a ON a.name = s.account "
            "WHERE s.token_sha256 = ? AND NOT a.is_disabled",
            (digest,),
        ).fetchone()
        if (row is not None and _stands(row[0], row[1], row[2], lives, now_ms)) or connection.execute(
            "SELECT 1 FROM api_token t JOIN account a ON a.name = t.account WHERE t.token_sha256 = ? "
            "AND t.revoked_at_ms IS NULL AND t.expires_at_ms > ? AND NOT a.is_disabled",
            (digest, now_ms),
        ).fetchone():
            found.add(digest)
    return found


def of_account(connection: sqlite3.Connection, name: str, lives: Lifetimes, now_ms: int) -> list[Session]:
    """Where somebody is signed in; the latest first."""
    rows = connection.execute(
        "SELECT token_sha256, address, agent, opened_at_ms, used_at_ms, stage FROM session WHERE account = ? "
        "ORDER BY opened_at_ms DESC",
        (name,),
    )
    return [Session(id=id_of(r[0]), address=r[1], agent=r[2], opened_at_ms=r[3], used_at_ms=r[4], token_sha256=r[0])
            for r in rows if _stands(r[5], r[3], r[4], lives, now_ms)]  # fmt: skip


def end(connection: sqlite3.Connection, name: str, session_id: str | None = None) -> int:
    """End one session of an account, or all of them; returns how many.

    Raises:
        NotFound: there is none with this id.
    """
    ended = [row[0] for row in connection.execute("SELECT token_sha256 FROM session WHERE account = ?", (name,))
             if session_id in {None, id_of(row[0])}]  # fmt: skip
    if session_id is not None and not ended:
        raise NotFound(f"{name} has no session {session_id[:32]!r}")
    connection.executemany("DELETE FROM session WHERE token_sha256 = ?", [(digest,) for digest in ended])
    return len(ended)


def forget_old(connection: sqlite3.Connection, lives: Lifetimes, now_ms: int) -> int:
    """Rows of sessions that are over; returns how many."""
    return connection.execute(
        "DELETE FROM session WHERE opened_at_ms < ? OR used_at_ms < ? OR (stage <> 'full' AND opened_at_ms < ?)",
        (now_ms - lives.absolute_ms, now_ms - lives.idle_ms, now_ms - UNFINISHED_MS),
    ).rowcount


def bring_back(connection: sqlite3.Connection, now_ms: int) -> None:
    """What began later than now began under a clock that was set back since: it lasts no longer for that, counted from now."""
    connection.execute("UPDATE session SET opened_at_ms = ?1 WHERE opened_at_ms > ?1", (now_ms,))
    connection.execute("UPDATE session SET used_at_ms = ?1 WHERE used_at_ms > ?1", (now_ms,))
    connection.execute(
        "UPDATE api_token SET expires_at_ms = expires_at_ms - created_at_ms + ?1, created_at_ms = ?1 WHERE created_at_ms > ?1",
        (now_ms,),
    )


def id_of(token_sha256: bytes) -> str:
    """What a session is called where people see it."""
    return hashlib.sha256(b"session id" + token_sha256).hexdigest()[:16]


def hash_of(token: str) -> bytes:
    """What is kept of a session's token."""
    return hashlib.sha256(token.encode()).digest()


def _stands(stage: str, opened_at_ms: int, used_at_ms: int, lives: Lifetimes, now_ms: int) -> bool:
    if stage != Stage.FULL.value and now_ms - opened_at_ms > UNFINISHED_MS:
        return False
    return now_ms - opened_at_ms <= lives.absolute_ms and now_ms - used_at_ms <= lives.idle_ms


def _person(name: str, role: str, unit: str, stage: str, token: str) -> SignedIn:
    known = UserRole(role)
    csrf = hashlib.blake2b(token.encode(), digest_size=16, person=b"heard/csrf").hexdigest()
    permissions = known.permissions if stage == Stage.FULL.value else frozenset()
    return SignedIn(username=name, role=known, csrf=csrf, token_sha256=hash_of(token), unit=unit, stage=Stage(stage),
                    permissions=permissions)  # fmt: skip
