"""How many sign-ins went wrong lately, and whether another may be tried: guessing is slow, and locks nobody out for good.

Five wrong ones for a name from one place end that place's tries for a quarter of an hour. Guessing from many places, or many
names from one, meets wider bounds. Whoever has signed in from a browser before carries its *device mark* (a keyed hash over
name and a random number, in a cookie): such a browser counts for itself, so that strangers who hammer on a name can't keep
its owner out. Source: OWASP's device cookies.
"""

import hashlib
import hmac
import secrets
import sqlite3
from typing import Final

from command_center.networks import network_of
from relay.identity import Identity

ALLOWED: Final = 5
ALLOWED_WIDE: Final = 25
"""For one name from any unknown place, and for one address with any name."""
WINDOW_MS: Final = 15 * 60 * 1000


class Devices:
    """Makes and knows device marks."""

    def __init__(self, identity: Identity) -> None:
        self._key = hashlib.blake2b(key=identity.seed, digest_size=32, person=b"heard/device").digest()

    def mark(self, name: str) -> str:
        """A new mark for somebody who signed in."""
        number = secrets.token_hex(12)
        return f"{number}.{self._mac(name, number)}"

    def origin(self, name: str, address: str, mark: str) -> tuple[str, bool]:
        """Under what this try is counted, and whether it is a browser that this name has signed in from before."""
        number, _, mac = mark[:200].partition(".")
        if number and hmac.compare_digest(mac.encode(), self._mac(name, number).encode()):
            return f"device:{number}", True
        return network_of(address), False

    def _mac(self, name: str, number: str) -> str:
        said = f"{name}\n{number}".encode()
        return hashlib.blake2b(said, key=self._key, digest_size=16).hexdigest()


def note(connection: sqlite3.Connection, name: str, origin: str, now_ms: int) -> None:
    """One more."""
    connection.execute("INSERT INTO sign_in_failure VALUES (?, ?, ?)", (now_ms, name[:64], origin))


def forgive(connection: sqlite3.Connection, name: str, origin: str) -> None:
    """They got in: what went wrong before was a slip."""
    connection.execute("DELETE FROM sign_in_failure WHERE account = ? AND address = ?", (name, origin))


def forget_old(connection: sqlite3.Connection, now_ms: int) -> None:
    """What counts no longer is not kept."""
    connection.execute("DELETE FROM sign_in_failure WHERE at_ms < ?", (now_ms - WINDOW_MS,))


def is_limited(connection: sqlite3.Connection, name: str, origin: str, now_ms: int, *, is_known: bool) -> bool:
    """Whether another try must wait."""
    both, by_name, by_origin = connection.execute(
        "SELECT COALESCE(SUM(account = ?1 AND address = ?2), 0), COALESCE(SUM(account = ?1), 0), "
        "COALESCE(SUM(address = ?2), 0) FROM sign_in_failure WHERE at_ms > ?3 AND at_ms <= ?4",
        (name[:64], origin, now_ms - WINDOW_MS, now_ms + WINDOW_MS),
    ).fetchone()
    return bool(both >= ALLOWED or (not is_known and max(by_name, by_origin) >= ALLOWED_WIDE))
