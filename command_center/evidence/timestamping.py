"""Asks a time-stamping authority (RFC 3161) for a token over the tag manifest, and puts it into a bag, at once or later.

An authority that can't be reached never holds an export up: the bag goes without, says whose timestamp was wanted, and
``command-center timestamp`` adds it. Nothing but 32 bytes of a hash leaves the center.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from nacl.signing import SigningKey

from command_center.config import TimestampConfig
from command_center.errors import BadRequest
from command_center.evidence.archive import ArchiveWriter
from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier import bag, timestamp
from command_center.evidence.verifier.container import Archive, Opened
from command_center.evidence.verifier.errors import Wrong
from command_center.evidence.verifier.timestamp import Stamp
from relay.errors import OperatorError
from relay.identity import Identity, sync_dir

MAX_RESPONSE_BYTES: Final = 256 * 1024
_SHA256: Final = bytes.fromhex("300d06096086480165030402010500")


class NoTimestamp(OperatorError):
    """The authority can't be reached, or did not grant a token; the bag stands without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """What came of asking."""

    files: dict[str, bytes]
    """For the bag; empty where there is no token."""
    words: str
    """For people and the journal."""


Stamper = Callable[[bytes], Stamped]
"""From the tag manifest; never raises, never waits longer than its time limit."""


def query(digest: bytes, nonce: int) -> bytes:
    """A TimeStampReq: version 1, SHA-256 imprint, nonce, and the certificate is wanted in the answer."""
    imprint = _value(0x30, _SHA256 + _value(0x04, digest))
    number = nonce.to_bytes((nonce.bit_length() + 8) // 8, "big")  # a leading zero keeps it positive
    return _value(0x30, _value(0x02, b"\x01") + imprint + _value(0x02, number) + _value(0x01, b"\xff"))


def ask(config: TimestampConfig, tag_manifest: bytes) -> tuple[bytes, Stamp]:
    """A token over the tag manifest, checked as far as the verifier checks it. Blocking.

    Raises:
        NoTimestamp: there is none, and why.
    """
    digest, nonce = hashlib.sha256(tag_manifest).digest(), secrets.randbits(63)
    try:
        with httpx.stream("POST", config.url, content=query(digest, nonce), timeout=config.timeout_s,
                          headers={"Content-Type": "application/timestamp-query"}) as answer:  # fmt: skip
            answer.raise_for_status()
            token, until = b"", time.monotonic() + config.timeout_s
            for piece in answer.iter_bytes():
                token += piece
                if time.monotonic() > until:
                    raise NoTimestamp(f"{config.url} took more than {config.timeout_s:g} s over its answer")
                if len(token) > MAX_RESPONSE_BYTES:
                    raise NoTimestamp(f"{config.url} answered with more than {MAX_RESPONSE_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoTimestamp(f"{config.url} gave no timestamp: {error or type(error).__name__}") from error
    try:
        stamp = timestamp.parse(token)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise NoTimestamp(f"{config.url} answered with something else than a timestamp: {error}") from error
    if (stamp.imprint, stamp.nonce) != (digest, nonce) or stamp.is_signed is False:
        raise NoTimestamp(f"{config.url} answered with a timestamp of something else, or one that it has not signed")
    return token, stamp


def stamper(config: TimestampConfig, signing: SigningKey) -> Stamper | None:
    """How a bag gets its timestamp; None where no authority is configured."""
    if not config.url:
        return None

    def stamp(tag_manifest: bytes) -> Stamped:
        try:
            token, said = ask(config, tag_manifest)
            files = stamp_files(token, _chain(config), signing)
        except OperatorError as error:
            return Stamped(files={}, words=f"none: {error}; add it later with command-center timestamp")
        return Stamped(files=files, words=f"{said.at} by {config.url}")

    return stamp


def stamp_files(token: bytes, chain: bytes, signing: SigningKey) -> dict[str, bytes]:
    """The files of a timestamp, with the center's signature over what they are."""
    files = {timestamp.TOKEN: token, **({timestamp.CHAIN: chain} if chain else {})}
    listed = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()
    return {**files, timestamp.LIST: listed, timestamp.LIST_SIG: signing.sign(listed).signature}


def add(place: Path, config: TimestampConfig, own: Identity) -> tuple[str, str]:
    """Add a timestamp to a bag of ours; returns what it says, and the export's identifier.

    A ZIP is replaced by its successor in one step: a power cut leaves the one or the other.

    Raises:
        BadRequest: no authority is configured, not a bag of this center, or it has a timestamp.
        NoTimestamp: there is none, and why.
    """
    if not config.url:
        raise BadRequest(
            "expected the address of a time-stamping authority, found none: set [timestamp] url in center.toml"
        )
    try:
        with Opened(place) as source:
            info = bag.info(source)
            center = bag.check_signature(source, is_signature)
            if timestamp.FILES & source.names():
                raise BadRequest(f"{place} has a timestamp already: command-center verify shows it")
            tag_manifest = b"".join(source.pieces(bag.TAG_MANIFEST))
            if center != own.signing_key:
                raise BadRequest(f"{place} was exported by another center: only that one can add a timestamp to it")
            token, said = ask(config, tag_manifest)
            files = stamp_files(token, _chain(config), own.signing)
            _add_to_archive(place, source, files) if isinstance(source, Archive) else _add_to_folder(place, files)
    except Wrong as error:
        raise BadRequest(f"{place} is not a bag as exported: {error}") from error
    except OSError as error:
        raise OperatorError(
            f"can't add the timestamp to {place}: {error.strerror or error}; it is as it was"
        ) from error
    return f"{said.at} by {config.url}", info.get("Heard-Export", "").partition(",")[0]


def _add_to_folder(place: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (place / name).write_bytes(content)


def _add_to_archive(place: Path, source: Archive, files: dict[str, bytes]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent)
    partial_file = Path(name)
    try:
        with os.fdopen(descriptor, "r+b") as stream, place.open("rb") as old:
            shutil.copyfileobj(old, stream, 1 << 20)
            writer = ArchiveWriter.resumed(stream, source.members)
            for inside, content in files.items():
                writer.add(f"{source.top}/{inside}", [content])
            writer.finish()
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())
        partial_file.chmod(place.stat().st_mode)
        partial_file.rename(place)
        sync_dir(place.parent)
    finally:
        with contextlib.suppress(OSError):
            partial_file.unlink(missing_ok=True)


def _chain(config: TimestampConfig) -> bytes:
    if not config.ca_file:
        return b""
    try:
        return Path(config.ca_file).read_bytes()
    except OSError as error:
        raise OperatorError(f"can't read [timestamp] ca_file {config.ca_file}: {error.strerror}") from error


def _value(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width, "big") + content


__all__ = ["NoTimestamp", "Stamped", "Stamper", "add", "ask", "stamp_files", "stamper"]
