"""Reads the keys around bundles: the secret seed that signs, and the public keys that are trusted.

A key file holds the 32 raw bytes of an Ed25519 seed and nobody else may read it. A trust file holds one public key in
hexadecimal on each line; what follows a `#` is a remark.
"""

import stat
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from models.bundle import Signer
from models.errors import SignerKeyError

KEY_BYTES: Final = 32
MAX_TRUST_BYTES: Final = 64 * 1024


def read_signing_key(key_file: Path) -> SigningKey:
    """The key that signs bundles.

    Raises:
        SignerKeyError: no such file, not 32 bytes, or readable by others.
    """
    try:
        mode = key_file.stat().st_mode
        with key_file.open("rb") as source:
            seed = source.read(KEY_BYTES + 1)
    except OSError as error:
        raise SignerKeyError(f"expected a signing key at {key_file}, could not read it: {error.strerror}") from error
    if len(seed) != KEY_BYTES:
        raise SignerKeyError(
            f"expected the {KEY_BYTES} raw bytes of an Ed25519 seed in {key_file}, found a file of another size: "
            f"make one with `head -c {KEY_BYTES} /dev/urandom`"
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SignerKeyError(
            f"expected a key that only its owner can read, found mode {mode & 0o777:o}: chmod 600 {key_file}"
        )
    return SigningKey(seed)


def parse_signer(text: str) -> Signer:
    """A public key from its 64 hexadecimal digits.

    Raises:
        SignerKeyError: it isn't one.
    """
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SignerKeyError(
            f"expected a public key of {2 * KEY_BYTES} hexadecimal digits, found {text.strip()[:80]!r}"
        )
    return Signer(key)


def read_trust_file(trust_file: Path) -> frozenset[Signer]:
    """The public keys in a trust file.

    Raises:
        SignerKeyError: no such file, too long, a line that is no key, or no key at all.
    """
    try:
        with trust_file.open("r", encoding="utf-8") as source:
            text = source.read(MAX_TRUST_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise SignerKeyError(
            f"expected a list of trusted signers at {trust_file}, could not read it: {getattr(error, 'strerror', None) or error}"
        ) from error
    if len(text) > MAX_TRUST_BYTES:
        raise SignerKeyError(f"expected at most {MAX_TRUST_BYTES} characters in {trust_file}")
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    signers = frozenset(parse_signer(line) for line in lines if line)
    if not signers:
        raise SignerKeyError(f"expected at least one public key in {trust_file}, found none")
    return signers
