"""Who may act: accounts, sign-in, sessions. Every success and every denial is an entry of the journal.

Passwords are kept as Argon2id (argon2-cffi's RFC 9106 low-memory profile). A session is a random token whose SHA-256 is
stored; the CSRF token is derived from it. Wrong names cost the same time as wrong passwords. Hashing takes tens of
milliseconds on purpose and runs on a worker thread, at most two at once.
"""

import asyncio
import contextlib
import enum
import hashlib
import re
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from command_center import facts, journal
from command_center.config import SessionConfig
from command_center.errors import AccessDenied, BadRequest
from command_center.facts import Remark
from command_center.metrics import Metrics
from command_center.readers import Readers
from relay.clock import Clock
from relay.database import Database
from relay.errors import OperatorError

SCHEMA: Final = (
    """
CREATE TABLE account (
  name          TEXT    PRIMARY KEY,
  role          TEXT    NOT NULL,
  password_hash TEXT    NOT NULL,           -- Argon2id, encoded
  is_disabled   INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  token_sha256  BLOB    PRIMARY KEY,
  account       TEXT    NOT NULL,
  address       TEXT    NOT NULL,
  opened_at_ms  INTEGER NOT NULL,
  used_at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_in_failure (
  at_ms         INTEGER NOT NULL,
  account       TEXT    NOT NULL,
  address       TEXT    NOT NULL
) STRICT;
CREATE INDEX sign_in_failure_at ON sign_in_failure (at_ms);
""",
)

FAILURES_ALLOWED: Final = 5
FAILURES_ALLOWED_WIDE: Final = 25
"""For one name from any address, and for one address with any name: guessing from many places, or many names."""
FAILURE_WINDOW_MS: Final = 15 * 60 * 1000
MIN_PASSWORD_CHARACTERS: Final = 12
MOST_WAITING_PASSWORDS: Final = 32
_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,31}$")
_USE_NOTED_EVERY_MS: Final = 60_000


class UserRole(enum.Enum):
    """What a person may do."""

    DISPATCHER = "dispatcher"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"

    @property
    def may_act(self) -> bool:
        """Whether incidents may be acknowledged and closed: an auditor only looks."""
        return self is not UserRole.AUDITOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's account, without its secret."""

    name: str
    role: UserRole
    is_disabled: bool
    created_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person behind a request."""

    username: str
    role: UserRole
    csrf: str
    token_sha256: bytes


class Passwords:
    """Argon2id on worker threads."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="password")
        self._waiting = 0
        self._decoy = self._hasher.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """The encoded hash. Blocking."""
        return self._hasher.hash(password)

    async def is_right(self, encoded: str | None, password: str) -> bool:
        """Whether the password matches; for None it takes as long and is False.

        Raises:
            AccessDenied: too many wait already; guessing must not use up this machine.
        """
        if self._waiting >= MOST_WAITING_PASSWORDS:
            raise AccessDenied("too many people sign in at this moment: try again in a few seconds", status=429)
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            matches = await loop.run_in_executor(self._executor, self._verify, encoded or self._decoy, password)
        finally:
            self._waiting -= 1
        return matches and encoded is not None

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown(wait=True)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except VerificationError:
            return False


def add(connection: sqlite3.Connection, *, name: str, role: UserRole, password_hash: str, at_ms: int, by: str) -> None:
    """Make an account.

    Raises:
        BadRequest: the name is taken or not one.
    """
    if not _NAME.match(name):
        raise BadRequest(f"expected a user name of a-z, 0-9, dot, dash, underscore (at most 32), found {name!r}")
    if connection.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone():
        raise BadRequest(f"there is a user {name!r} already: command-center user list shows them")
    connection.execute("INSERT INTO account VALUES (?, ?, ?, 0, ?)", (name, role.value, password_hash, at_ms))
    _remark(connection, "user-added", by, name, Remark(what=role.value), at_ms)


def disable(connection: sqlite3.Connection, *, name: str, at_ms: int, by: str) -> None:
    """End an account and its sessions.

    Raises:
        BadRequest: there is none.
    """
    if connection.execute("UPDATE account SET is_disabled = 1 WHERE name = ?", (name,)).rowcount == 0:
        raise BadRequest(f"there is no user {name!r}: command-center user list shows them")
    connection.execute("DELETE FROM session WHERE account = ?", (name,))
    _remark(connection, "user-disabled", by, name, Remark(what="disabled"), at_ms)


def accounts(connection: sqlite3.Connection) -> list[Account]:
    """Every account, by name."""
    rows = connection.execute("SELECT name, role, is_disabled, created_at_ms FROM account ORDER BY name")
    return [Account(name=r[0], role=UserRole(r[1]), is_disabled=bool(r[2]), created_at_ms=r[3]) for r in rows]


def require_good_password(password: str) -> None:
    """Refuse what is too short to be worth hashing.

    Raises:
        BadRequest: it is.
    """
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise BadRequest(
            f"expected a password of at least {MIN_PASSWORD_CHARACTERS} characters, found {len(password)}: "
            "several words are easier to remember than signs"
        )


class Door:
    """Signs people in and out, and knows who is behind a token."""

    def __init__(self, *, database: Database, readers: Readers, clock: Clock, passwords: Passwords,
                 config: SessionConfig, metrics: Metrics) -> None:  # fmt: skip
        self._database = database
        self._readers = readers
        self._clock = clock
        self._passwords = passwords
        self._idle_ms = int(config.idle_h * 3_600_000)
        self._absolute_ms = int(config.absolute_h * 3_600_000)
        self._metrics = metrics
        self._limited_noted: dict[str, int] = {}

    async def sign_in(self, name: str, password: str, address: str) -> tuple[str, SignedIn]:
        """Check a password and open a session; returns its token.

        Raises:
            AccessDenied: wrong, disabled, or too many wrong ones before; all but the last read the same.
        """
        now = self._clock.wall_ms()
        if await self._readers.run(lambda connection: _is_limited(connection, name, address, now)):
            self._metrics.count("sign_ins_limited")
            # One entry a minute and address: whoever hammers at the door must not fill the journal.
            if now - self._limited_noted.get(address, 0) > 60_000:
                self._limited_noted = {a: at for a, at in self._limited_noted.items() if now - at < FAILURE_WINDOW_MS}
                self._limited_noted[address] = now
                await self.deny("sign-in", name, address, "too many failures")
            raise AccessDenied(
                f"too many wrong passwords in the last {FAILURE_WINDOW_MS // 60_000} minutes: wait, or ask an administrator",
                status=429,
            )
        row = await self._readers.run(
            lambda connection: connection.execute(
                "SELECT password_hash, role, is_disabled FROM account WHERE name = ?", (name,)
            ).fetchone()
        )
        is_right = await self._passwords.is_right(row[0] if row else None, password)
        if row is None or not is_right or row[2]:
            await self._database.run(
                lambda connection: connection.execute(
                    "INSERT INTO sign_in_failure VALUES (?, ?, ?)", (now, name[:64], address)
                )
            )
            await self.deny("sign-in", name, address, "disabled" if row and is_right else "wrong name or password")
            raise AccessDenied("wrong name or password")
        token = secrets.token_urlsafe(32)
        person = SignedIn(username=name, role=UserRole(row[1]), csrf=_csrf_of(token), token_sha256=_sha256(token))
        await self._database.run(lambda connection: self._open(connection, person, address, now))
        self._metrics.count("sign_ins")
        return token, person

    async def who(self, token: str | None) -> SignedIn | None:
        """The person behind a token; None if it is unknown or expired."""
        if not token or len(token) > 100:
            return None
        digest, now = _sha256(token), self._clock.wall_ms()
        row = await self._readers.run(
            lambda connection: connection.execute(
                "SELECT s.account, a.role, s.opened_at_ms, s.used_at_ms FROM session s JOIN account a ON a.name = s.account "
                "WHERE s.token_sha256 = ? AND NOT a.is_disabled",
                (digest,),
            ).fetchone()
        )
        if row is None or now - row[2] > self._absolute_ms or now - row[3] > self._idle_ms:
            return None
        if now - row[3] > _USE_NOTED_EVERY_MS:
            with contextlib.suppress(
                OperatorError
            ):  # a full disk ends the session early at worst, and must not end it now
                await self._database.run(
                    lambda connection: connection.execute(
                        "UPDATE session SET used_at_ms = ? WHERE token_sha256 = ?", (now, digest)
                    )
                )
        return SignedIn(username=row[0], role=UserRole(row[1]), csrf=_csrf_of(token), token_sha256=digest)

    async def sign_out(self, person: SignedIn) -> None:
        """End a session."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM session WHERE token_sha256 = ?", (person.token_sha256,))
            _remark(connection, "signed-out", f"user:{person.username}", person.username, Remark(what="signed out"),
                    self._clock.wall_ms())  # fmt: skip

        await self._database.run(work)

    async def deny(self, what: str, name: str, address: str, detail: str) -> None:
        """Count and journal a denial."""
        self._metrics.count("denials")
        fact = Remark(what=what[:100], detail=detail[:200], address=address)
        await self._database.run(
            lambda connection: _remark(
                connection, "denied", f"user:{name[:64]}", name[:64], fact, self._clock.wall_ms()
            )
        )

    def _open(self, connection: sqlite3.Connection, person: SignedIn, address: str, now: int) -> None:
        connection.execute("DELETE FROM session WHERE opened_at_ms < ?", (now - self._absolute_ms,))
        connection.execute("DELETE FROM sign_in_failure WHERE at_ms < ?", (now - FAILURE_WINDOW_MS,))
        connection.execute("DELETE FROM sign_in_failure WHERE account = ? AND address = ?", (person.username, address))
        connection.execute(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?)", (person.token_sha256, person.username, address, now, now)
        )
        _remark(connection, "signed-in", f"user:{person.username}", person.username,
                Remark(what=person.role.value, address=address), now)  # fmt: skip


def _is_limited(connection: sqlite3.Connection, name: str, address: str, now: int) -> bool:
    since = now - FAILURE_WINDOW_MS
    both: int
    by_name: int
    by_address: int
    both, by_name, by_address = connection.execute(
        "SELECT COALESCE(SUM(account = ?1 AND address = ?2), 0), COALESCE(SUM(account = ?1), 0), "
        "COALESCE(SUM(address = ?2), 0) FROM sign_in_failure WHERE at_ms > ?3",
        (name[:64], address, since),
    ).fetchone()
    return both >= FAILURES_ALLOWED or max(by_name, by_address) >= FAILURES_ALLOWED_WIDE


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _csrf_of(token: str) -> str:
    return hashlib.blake2b(token.encode(), digest_size=16, person=b"heard/csrf").hexdigest()


def _remark(connection: sqlite3.Connection, kind: str, actor: str, name: str, fact: Remark, at_ms: int) -> None:
    journal.append(connection, at_ms=at_ms, kind=kind, actor=actor, subject=f"user:{name}", payload=facts.encode(fact))
