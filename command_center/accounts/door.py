"""Signs people in and out, and knows who is behind a token. Every success and every denial is an entry of the journal.

A sign-in is complete when the password, the second factor and, where it was chosen by somebody else, a new password are
done; until then its session may do nothing but go on. The token changes with each step, so that one learnt before a step is
worth nothing after it.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Final

from command_center.accounts import external, failures, register, second_factor, sessions
from command_center.accounts.failures import Devices
from command_center.accounts.live import LiveStreams
from command_center.accounts.oidc import Claims
from command_center.accounts.passwords import Passwords
from command_center.accounts.person import SignedIn, Stage
from command_center.accounts.second_factor import Sealing
from command_center.accounts.sessions import Lifetimes
from command_center.config import AccountsConfig, SessionConfig
from command_center.errors import AccessDenied
from command_center.facts import Remark
from command_center.metrics import Metrics
from command_center.networks import network_of
from command_center.readers import Readers
from relay.clock import Clock
from relay.database import Database
from relay.errors import OperatorError
from relay.identity import Identity

_MOST_TRIES: Final = 5
"""Wrong codes in one sign-in."""
_NOTED_AGAIN_MS: Final = 60_000
_MOST_NOTED: Final = 1000
"""In a minute: a thousand addresses that hammer are an entry each; beyond, they are counted."""


class Door:
    """Where everybody comes in."""

    def __init__(self, *, database: Database, readers: Readers, clock: Clock, passwords: Passwords, identity: Identity,
                 config: SessionConfig, policy: AccountsConfig, metrics: Metrics) -> None:  # fmt: skip
        self._database = database
        self._readers = readers
        self._clock = clock
        self.passwords = passwords
        self.sealing = Sealing(identity)
        self.devices = Devices(identity)
        self.live = LiveStreams()
        self.lives = Lifetimes.of(config)
        self.policy = policy
        self._metrics = metrics
        self._denials_noted: dict[tuple[str, str], int] = {}

    async def sign_in(self, name: str, password: str, address: str, *, device: str = "", agent: str = "") -> tuple[str, SignedIn]:  # fmt: skip
        """Check a password and open a session, which may still lack steps; returns its token.

        Raises:
            AccessDenied: wrong, disabled, or too many wrong ones before; all but the last read the same.
        """
        now = self._clock.wall_ms()
        origin, is_known = self.devices.origin(name, address, device)
        if await self._readers.run(lambda c: failures.is_limited(c, name, origin, now, is_known=is_known)):
            self._metrics.count("sign_ins_limited")
            await self.deny_seldom("sign-in", name, address, "too many failures")
            raise AccessDenied(
                f"too many wrong passwords in the last {failures.WINDOW_MS // 60_000} minutes: wait, or ask an administrator",
                status=429,
            )
        row = await self._readers.run(
            lambda connection: connection.execute(
                "SELECT password_hash, is_disabled, subject FROM account WHERE name = ?", (name,)
            ).fetchone()
        )
        is_local = row is not None and not row[2] and bool(row[0])
        is_right = await self.passwords.is_right(row[0] if is_local else None, password, origin)
        if row is None or not is_right or row[1]:
            await self._database.run(lambda c: self._note_failure(c, name, origin, now, is_known=is_known))
            await self.deny("sign-in", name, address, "disabled" if row and is_right else "wrong name or password")
            raise AccessDenied("wrong name or password")

        def work(connection: sqlite3.Connection) -> tuple[str, SignedIn]:
            self._require_tries(connection, name, origin, now, is_known=is_known)
            stage = sessions.stage_after(connection, self.policy, name, has_shown_code=False)
            if stage is not Stage.SECOND_FACTOR:  # a right password alone wipes no wrong codes
                failures.forgive(connection, name, origin)
            return self._open(connection, name, stage, address, agent, now)

        return await self._database.run(work)

    async def show_code(self, person: SignedIn, code: str, address: str, *, device: str = "", agent: str = "") -> tuple[str, SignedIn]:  # fmt: skip
        """Take the second factor of a sign-in that waits for it.

        Raises:
            AccessDenied: wrong, used before, or too many wrong ones.
        """
        now, name = self._clock.wall_ms(), person.username
        origin, is_known = self.devices.origin(name, address, device)

        def work(connection: sqlite3.Connection) -> tuple[str, SignedIn] | None:
            if failures.is_limited(connection, name, origin, now, is_known=is_known):
                raise AccessDenied(
                    "too many wrong codes: wait a quarter of an hour, or ask an administrator", status=429
                )
            if not second_factor.take(connection, self.sealing, name, code, now):
                failures.note(connection, name, origin, now)
                connection.execute(
                    "UPDATE session SET tries = tries + 1 WHERE token_sha256 = ?", (person.token_sha256,)
                )
                connection.execute(
                    "DELETE FROM session WHERE token_sha256 = ? AND tries >= ?", (person.token_sha256, _MOST_TRIES)
                )
                return None
            failures.forgive(connection, name, origin)
            return self._next(connection, person, address, agent, now)

        opened = await self._database.run(work)
        if opened is None:
            await self.deny("second-factor", name, address, "wrong or used code")
            raise AccessDenied("this code is wrong, or was used before: wait for the next one")
        return opened

    async def go_on(self, person: SignedIn, address: str, *, agent: str = "") -> tuple[str, SignedIn]:
        """A step of the sign-in was done by ``work`` of the caller's: the session that follows it."""
        now = self._clock.wall_ms()
        return await self._database.run(lambda c: self._next(c, person, address, agent, now))

    async def admit(self, claims: Claims, address: str, *, agent: str = "") -> tuple[str, SignedIn]:
        """Open a session for somebody whom the identity provider has checked, second factor included.

        Raises:
            AccessDenied: the account is disabled, or somebody else has its name.
        """
        now = self._clock.wall_ms()
        opened = await self._database.run(
            lambda c: self._open(c, external.account_of(c, claims, now), Stage.FULL, address, agent, now)
        )
        await self.sweep()  # a changed role ended the sessions that had the old one
        return opened

    async def prove_password(self, person: SignedIn, encoded: str | None, password: str, address: str) -> bool:
        """Whether somebody who is signed in knows the password; wrong ones count as at the sign-in.

        Raises:
            AccessDenied: too many wrong ones.
        """
        now, name, origin = self._clock.wall_ms(), person.username, network_of(address)
        await self._readers.run(lambda c: self._require_tries(c, name, origin, now, is_known=True))
        is_right = await self.passwords.is_right(encoded, password, origin)

        def work(connection: sqlite3.Connection) -> bool:
            self._note_failure(connection, name, origin, now, is_known=True, is_one=not is_right)
            return is_right

        return await self._proven(work, name, address, "password")

    async def prove_code(self, person: SignedIn, code: str, address: str) -> bool:
        """The same for the second factor; a code is good once, here too."""
        now, name, origin = self._clock.wall_ms(), person.username, network_of(address)

        def work(connection: sqlite3.Connection) -> bool:
            self._require_tries(connection, name, origin, now, is_known=True)
            is_right = second_factor.take(connection, self.sealing, name, code, now)
            self._note_failure(connection, name, origin, now, is_known=True, is_one=not is_right)
            return is_right

        return await self._proven(work, name, address, "second-factor")

    async def _proven(self, work: Callable[[sqlite3.Connection], bool], name: str, address: str, what: str) -> bool:
        is_right = await self._database.run(work)
        if not is_right:
            await self.deny(what, name, address, "wrong, of somebody who is signed in")
        return is_right

    @staticmethod
    def _require_tries(connection: sqlite3.Connection, name: str, origin: str, now: int, *, is_known: bool) -> None:
        """Asked before the answer is looked for and again where it counts: of many at once, too, only so many are answered."""
        if failures.is_limited(connection, name, origin, now, is_known=is_known):
            raise AccessDenied(
                f"too many wrong ones in the last {failures.WINDOW_MS // 60_000} minutes: wait, or ask an administrator",
                status=429,
            )

    def _note_failure(
        self, connection: sqlite3.Connection, name: str, origin: str, now: int, *, is_known: bool, is_one: bool = True
    ) -> None:
        """One more wrong one, unless there are too many already: then neither right nor wrong is said."""
        self._require_tries(connection, name, origin, now, is_known=is_known)
        if is_one:
            failures.note(connection, name, origin, now)

    async def who(self, token: str | None) -> SignedIn | None:
        """The person behind a session's token; None if it is unknown or expired."""
        now = self._clock.wall_ms()
        person, is_notable = await self._readers.run(lambda c: sessions.behind(c, token or "", self.lives, now))
        if person is not None and is_notable:
            await self._note_use("UPDATE session SET used_at_ms = ? WHERE token_sha256 = ?", now, person.token_sha256)
        return person

    async def who_by_token(self, secret: str, address: str) -> SignedIn | None:
        """The account behind an API token; None if it is unknown, revoked or expired."""
        now = self._clock.wall_ms()
        person, is_notable = await self._readers.run(lambda c: sessions.behind_token(c, secret, now))
        if person is None:
            await self.deny_seldom("api-token", "", address, "unknown, revoked or expired")
        elif is_notable:
            await self._note_use("UPDATE api_token SET used_at_ms = ?, used_from = ? WHERE token_sha256 = ?", now,
                                 address[:64], person.token_sha256)  # fmt: skip
        return person

    async def sign_out(self, person: SignedIn) -> None:
        """End a session, and what is open in its name."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM session WHERE token_sha256 = ?", (person.token_sha256,))
            register.remark(connection, "signed-out", f"user:{person.username}", person.username,
                            Remark(what="signed out"), self._clock.wall_ms())  # fmt: skip

        await self.change(work)

    async def change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Carry out a change of accounts, sessions or tokens; streams that it takes the ground from end before this returns."""
        await self._database.run(work)
        await self.sweep()

    async def sweep(self) -> None:
        """End what is open in the name of sessions and tokens that are good no longer."""
        held = self.live.tokens
        if not held:
            return
        now = self._clock.wall_ms()
        good = await self._readers.run(lambda c: sessions.standing(c, held, self.lives, now))
        if ended := self.live.end(held - good):
            self._metrics.count("streams_cut", ended)

    async def deny(self, what: str, name: str, address: str, detail: str) -> None:
        """Count and journal a denial."""
        self._metrics.count("denials")
        fact = Remark(what=what[:100], detail=detail[:200], address=address)
        await self._database.run(
            lambda c: register.remark(c, "denied", f"user:{name[:64]}", name[:64], fact, self._clock.wall_ms())
        )

    async def deny_stranger(self, address: str, path: str) -> None:
        """Somebody without a session, or with one that is over, asked for something: counted, and journalled once a minute and address."""
        await self.deny_seldom("no-session", "", address, path)

    def keep_house(self, connection: sqlite3.Connection) -> None:
        """Drop the rows of what is over."""
        now = self._clock.wall_ms()
        sessions.forget_old(connection, self.lives, now)
        sessions.bring_back(connection, now)
        failures.forget_old(connection, now)

    async def deny_seldom(self, what: str, name: str, address: str, detail: str) -> None:
        """One entry a minute and network: whoever hammers at the door must not fill the journal."""
        key = (what, network_of(address))
        now = self._clock.monotonic_ms()  # a wall clock that leapt back would keep it silent for as long
        if len(self._denials_noted) >= _MOST_NOTED:
            self._denials_noted = {known: at for known, at in self._denials_noted.items() if now - at < _NOTED_AGAIN_MS}
        is_known = now - self._denials_noted.get(key, -_NOTED_AGAIN_MS) < _NOTED_AGAIN_MS
        if is_known or len(self._denials_noted) >= _MOST_NOTED:
            self._metrics.count("denials")
            return
        self._denials_noted[key] = now
        await self.deny(what, name, address, detail)

    async def _note_use(self, sql: str, *values: object) -> None:
        with contextlib.suppress(OperatorError):  # a full disk ends the session early at worst, and must not end it now
            await self._database.run(lambda connection: connection.execute(sql, values))

    def _next(self, connection: sqlite3.Connection, person: SignedIn, address: str, agent: str, now: int) -> tuple[str, SignedIn]:  # fmt: skip
        if connection.execute("DELETE FROM session WHERE token_sha256 = ?", (person.token_sha256,)).rowcount == 0:
            raise AccessDenied("this sign-in was ended meanwhile: sign in again")
        stage = sessions.stage_after(connection, self.policy, person.username, has_shown_code=True)
        return self._open(connection, person.username, stage, address, agent, now)

    def _open(self, connection: sqlite3.Connection, name: str, stage: Stage, address: str, agent: str, now: int) -> tuple[str, SignedIn]:  # fmt: skip
        self.keep_house(connection)
        opened = sessions.open_session(connection, name=name, stage=stage, address=address, agent=agent, now_ms=now)
        if stage is Stage.FULL:
            self._metrics.count("sign_ins")
            register.remark(connection, "signed-in", f"user:{name}", name,
                            Remark(what=opened[1].role.value, address=address), now)  # fmt: skip
        return opened
