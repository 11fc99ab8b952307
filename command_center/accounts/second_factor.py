"""Second factors: a secret shared with an authenticator app, and recovery codes for the day on which the phone is lost.

The secret is kept encrypted with a key that follows from this center's ``identity.key``: whoever gets hold of the database
or its backup alone can't make codes. A code is good once: the last step taken is kept (RFC 6238, 5.2). Recovery codes carry
100 random bits, are kept as hashes, and are good once each.

Called inside ``Database.run``; each function journals what it did.
"""

import base64
import hashlib
import secrets
import sqlite3
from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from command_center.accounts import totp
from command_center.accounts.register import remark
from command_center.errors import NotPossible
from command_center.facts import Remark
from relay.identity import Identity

RECOVERY_CODES: Final = 10
_RECOVERY_CHARACTERS: Final = 20


class Sealing:
    """Encrypts the secrets for the table."""

    def __init__(self, identity: Identity) -> None:
        self._box = SecretBox(hashlib.blake2b(key=identity.seed, digest_size=32, person=b"heard/2fa").digest())

    def seal(self, secret: bytes) -> bytes:
        """For the table."""
        return bytes(self._box.encrypt(secret))

    def open(self, sealed: bytes, account: str) -> bytes:
        """From the table.

        Raises:
            NotPossible: it was sealed by another center's keys.
        """
        try:
            return self._box.decrypt(sealed)
        except CryptoError:
            raise NotPossible(
                f"the second factor of {account} was made with other keys than this center's identity.key: "
                f"an administrator resets it with command-center user reset-second-factor {account}"
            ) from None


def offer(connection: sqlite3.Connection, sealing: Sealing, account: str) -> bytes:
    """Make a new secret; it counts only when the first code made with it is shown (``confirm``).

    Raises:
        NotPossible: there is a second factor already.
    """
    if is_confirmed(connection, account):
        raise NotPossible("there is a second factor already: remove it first, which takes one of its codes")
    secret = totp.new_secret()
    connection.execute("INSERT OR REPLACE INTO second_factor VALUES (?, ?, NULL, 0)", (account, sealing.seal(secret)))
    return secret


def confirm(connection: sqlite3.Connection, sealing: Sealing, account: str, code: str, at_ms: int) -> list[str] | None:
    """Take the first code of an offered secret; returns the recovery codes, or None where the code is wrong.

    Raises:
        NotPossible: none was offered, or it is confirmed already.
    """
    row = connection.execute(
        "SELECT sealed_secret FROM second_factor WHERE account = ? AND confirmed_at_ms IS NULL", (account,)
    ).fetchone()
    if row is None:
        raise NotPossible("no second factor waits for its first code: ask for one first")
    step = totp.matching_step(sealing.open(row[0], account), _digits(code), at_ms, after_step=0)
    if step is None:
        return None
    connection.execute(
        "UPDATE second_factor SET confirmed_at_ms = ?, last_step = ? WHERE account = ?", (at_ms, step, account)
    )
    remark(connection, "second-factor-enrolled", f"user:{account}", account, Remark(what="authenticator app"), at_ms)
    return renew_recovery_codes(connection, account, at_ms)


def take(connection: sqlite3.Connection, sealing: Sealing, account: str, code: str, at_ms: int) -> bool:
    """Whether this code, or recovery code, is good now; it is never good again."""
    row = connection.execute(
        "SELECT sealed_secret, last_step FROM second_factor WHERE account = ? AND confirmed_at_ms IS NOT NULL",
        (account,),
    ).fetchone()
    if row is None:
        return False
    if len(_digits(code)) == totp.DIGITS:
        step = totp.matching_step(sealing.open(row[0], account), _digits(code), at_ms, after_step=row[1])
        if step is not None:
            connection.execute("UPDATE second_factor SET last_step = ? WHERE account = ?", (step, account))
        return step is not None
    used = connection.execute(
        "UPDATE recovery_code SET used_at_ms = ? WHERE code_sha256 = ? AND account = ? AND used_at_ms IS NULL",
        (at_ms, _hash_of(code), account),
    ).rowcount
    if used:
        left = f"{recovery_codes_left(connection, account)} left"
        remark(connection, "recovery-code-used", f"user:{account}", account, Remark(what=left), at_ms)
    return bool(used)


def remove(connection: sqlite3.Connection, account: str, *, at_ms: int, by: str) -> None:
    """Take the second factor away.

    Raises:
        NotPossible: there is none.
    """
    if connection.execute("DELETE FROM second_factor WHERE account = ?", (account,)).rowcount == 0:
        raise NotPossible(f"{account} has no second factor")
    connection.execute("DELETE FROM recovery_code WHERE account = ?", (account,))
    remark(connection, "second-factor-removed", by, account, Remark(what="removed"), at_ms)


def renew_recovery_codes(connection: sqlite3.Connection, account: str, at_ms: int) -> list[str]:
    """Ten new ones; the old ones are good no longer. They are shown this once."""
    connection.execute("DELETE FROM recovery_code WHERE account = ?", (account,))
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    connection.executemany(
        "INSERT INTO recovery_code VALUES (?, ?, NULL)", [(_hash_of(code), account) for code in codes]
    )
    made = Remark(what=f"{RECOVERY_CODES} made")
    remark(connection, "recovery-codes-made", f"user:{account}", account, made, at_ms)
    return codes


def is_confirmed(connection: sqlite3.Connection, account: str) -> bool:
    """Whether a sign-in of this account takes a code."""
    return connection.execute(
        "SELECT 1 FROM second_factor WHERE account = ? AND confirmed_at_ms IS NOT NULL", (account,)
    ).fetchone() is not None  # fmt: skip


def recovery_codes_left(connection: sqlite3.Connection, account: str) -> int:
    """How many are not used yet."""
    row = connection.execute(
        "SELECT COUNT(*) FROM recovery_code WHERE account = ? AND used_at_ms IS NULL", (account,)
    ).fetchone()
    return int(row[0])


def _digits(code: str) -> str:
    """As typed: apps show the six digits in two groups."""
    stripped = code.replace(" ", "").replace("-", "")
    return stripped if stripped.isascii() and stripped.isdecimal() else ""


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(13)).decode()[:_RECOVERY_CHARACTERS]
    return "-".join(text[at : at + 5] for at in range(0, _RECOVERY_CHARACTERS, 5))


def _hash_of(code: str) -> bytes:
    plain = "".join(char for char in code.upper() if char.isalnum())
    return hashlib.sha256(plain.encode()).digest()
