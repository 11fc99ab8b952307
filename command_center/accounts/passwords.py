"""Passwords: Argon2id on worker threads, and which ones are not worth hashing.

Hashes are argon2-cffi's RFC 9106 low-memory profile. Hashing takes tens of milliseconds on purpose and runs on a worker
thread, at most two at once; a wrong name costs the same time as a wrong password.
"""

import asyncio
import re
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from command_center.errors import AccessDenied, BadRequest

MIN_CHARACTERS: Final = 12
MOST_CHARACTERS: Final = 1024
MOST_WAITING: Final = 32
MOST_WAITING_OF_ONE: Final = 4
"""Of one address: whoever hammers at the door keeps only himself waiting."""
_WORN: Final = re.compile(
    r"passwor[dt]|passwd|changeme|change.?it|letmein|welcome|default|secret|admin(istrator)?|root|guest|test|demo|"
    r"dispatch(er)?|supervisor|auditor|command|center|center|heard|police|security|camera|login|qwert[yz]|asdfgh|"
    r"iloveyou|monkey|dragon|master|abc(def)*|(0?123456789|12345678|1234567|123456|12345|1234|123|4321)"
)
_SEQUENCES: Final = ("abcdefghijklmnopqrstuvwxyz", "0123456789" * 3, "qwertyuiopasdfghjklzxcvbnm", "zyxwvutsrqponmlkjihgfedcba",
                     "9876543210" * 3)  # fmt: skip


class Passwords:
    """Argon2id on worker threads."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="password")
        self._waiting: Counter[str] = Counter()
        self._decoy = self._hasher.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """The encoded hash. Blocking."""
        return self._hasher.hash(password)

    async def hashed(self, password: str) -> str:
        """The encoded hash, from a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._hasher.hash, password)

    async def is_right(self, encoded: str | None, password: str, address: str = "") -> bool:
        """Whether the password matches; for None it takes as long and is False.

        Raises:
            AccessDenied: too many wait already; guessing must not use up this machine.
        """
        if self._waiting.total() >= MOST_WAITING or self._waiting[address] >= MOST_WAITING_OF_ONE:
            raise AccessDenied("too many people sign in at this moment: try again in a few seconds", status=429)
        self._waiting[address] += 1
        try:
            matches = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._verify, encoded or self._decoy, password
            )
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # forgets addresses that nobody waits at
        return matches and encoded is not None

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown(wait=True)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except VerificationError:
            return False


def generated() -> str:
    """80 random bits, easy to read out."""
    return "-".join(secrets.token_hex(2) for _ in range(5))


def require_good(password: str, name: str = "") -> None:
    """Refuse what is too short to be worth hashing, and what everybody tries first.

    Raises:
        BadRequest: it is.
    """
    if len(password) < MIN_CHARACTERS:
        raise BadRequest(
            f"expected a password of at least {MIN_CHARACTERS} characters, found {len(password)}: "
            "several words are easier to remember than signs"
        )
    if len(password) > MOST_CHARACTERS:
        raise BadRequest(f"expected a password of at most {MOST_CHARACTERS} characters, found {len(password)}")
    if _is_worn(password.casefold(), name.casefold()):
        raise BadRequest(
            "this password is one that everybody tries first (a default, a sequence, or the account's own name): "
            "choose several unrelated words, or let --generate make one"
        )


def _is_worn(password: str, name: str) -> bool:
    if len(set(password)) < 5 or any(password in sequence for sequence in _SEQUENCES):
        return True
    rest = password.replace(name, "") if len(name) >= 3 else password
    rest = _WORN.sub("", rest)
    return rest != password and sum(char.isalnum() for char in rest) < 8
