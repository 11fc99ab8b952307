"""The bag itself: what must be in it, that each file is as its manifest says, and that the center signed the manifests.

One hash pins all: payload manifest → tag manifest → the center's signature over the tag manifest. Every byte of every
file is covered; ``signatures/`` holds the only two files that no manifest lists, and both have one possible content; those of a
timestamp have a list and a signature of their own (``timestamp``), because it is made after the rest, maybe years later.
Source: RFC 8493.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .container import Source, lines, read
from .errors import Unreadable, Wrong

FORMAT: Final = 1
BAGIT: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
SIGNATURE, CENTER_PEM = "signatures/tagmanifest-sha256.txt.sig", "signatures/center.pem"
_TAGS: Final = ("bag-info.txt", "bagit.txt", MANIFEST)
_LINE: Final = re.compile(r"([0-9a-f]{64})  (\S+)")
_SMALL: Final = 1 << 20

CheckSignature = Callable[[bytes, bytes, bytes], bool]
"""(key, message, signature) → whether it is one."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What the manifest lists."""

    hashes: dict[str, str]
    """SHA-256 in hexadecimal, by name."""
    size_bytes: int = 0


def pem(key: bytes) -> bytes:
    """An Ed25519 public key as openssl reads it; one key has one such file."""
    der = bytes.fromhex("302a300506032b6570032100") + key  # RFC 8410: SubjectPublicKeyInfo, id-Ed25519
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der) + b"\n-----END PUBLIC KEY-----\n"


def key_of(source: Source, name: str) -> bytes:
    """The key in a PEM file.

    Raises:
        Wrong: not exactly such a file.
    """
    data = read(source, name, _SMALL)
    try:
        key = base64.b64decode(data.split(b"\n")[1], validate=True)[-32:]
    except (IndexError, binascii.Error):
        key = b""
    if pem(key) != data:
        raise Wrong(name, "expected an Ed25519 public key in PEM as exported, found something else")
    return key


def info(source: Source) -> dict[str, str]:
    """The labels of ``bag-info.txt``.

    Raises:
        Unreadable: it is no bag of ours, or of a later format.
    """
    if "bagit.txt" not in source.names() or "bag-info.txt" not in source.names():
        raise Unreadable("bagit.txt", "expected a bag with bagit.txt and bag-info.txt, found none")
    found: dict[str, str] = {}
    for line in lines(source, "bag-info.txt", 4096):
        label, separator, value = line.partition(": ")
        if not separator or label in found:
            raise Wrong("bag-info.txt", f"expected 'Label: value' once each, found {line[:80]!r}")
        found[label] = value
    stated = found.get("Heard-Evidence-Format", "none")
    if stated != str(FORMAT):
        raise Unreadable("bag-info.txt", f"expected Heard-Evidence-Format {FORMAT}, found {stated[:20]}: check it with the "
                                         "release that made it, or a later one; nothing was judged")  # fmt: skip
    return found


def check_signature(source: Source, check: CheckSignature) -> bytes:
    """The center's signature over the tag manifest; returns the center's key.

    Not checked: whose key that is. Its passport says so.
    """
    key = key_of(source, CENTER_PEM)
    if not check(key, read(source, TAG_MANIFEST, _SMALL), read(source, SIGNATURE, 64)):
        raise Wrong(TAG_MANIFEST, f"the signature in {SIGNATURE} is not by the center over this file")
    return key


def check_tags(source: Source) -> None:
    """The tag files against the tag manifest."""
    if read(source, "bagit.txt", _SMALL) != BAGIT:
        raise Wrong("bagit.txt", "expected BagIt 1.0 and UTF-8")
    hashes = dict(_manifest(source, TAG_MANIFEST))
    if tuple(hashes) != _TAGS:
        raise Wrong(TAG_MANIFEST, f"expected it to list {', '.join(_TAGS)}")
    for name, expected in hashes.items():
        _check_hash(source, name, expected)


def check_payload(source: Source, covered: frozenset[str] = frozenset()) -> Payload:
    """Every file of the payload against the manifest: none changed, none missing, none added.

    ``covered`` are files of the timestamp, which the center signed by themselves.
    """
    hashes = dict(_manifest(source, MANIFEST))
    rest = source.names() - hashes.keys() - {*_TAGS, TAG_MANIFEST, SIGNATURE, CENTER_PEM, *covered}
    if rest:
        raise Wrong(min(rest), "no manifest lists this file: it was added")
    size_bytes = 0
    for name, expected in hashes.items():
        if not name.startswith("data/"):
            raise Wrong(MANIFEST, f"expected names within data/, found {name[:80]!r}")
        size_bytes += _check_hash(source, name, expected)
    return Payload(hashes, size_bytes)


def check_oxum(stated: dict[str, str], payload: Payload) -> None:
    """Payload-Oxum: octets and count."""
    expected = f"{payload.size_bytes}.{len(payload.hashes)}"
    if stated.get("Payload-Oxum") != expected:
        raise Wrong("bag-info.txt", f"expected Payload-Oxum {expected}, found {stated.get('Payload-Oxum')}")


def _check_hash(source: Source, name: str, expected: str) -> int:
    if name not in source.names():
        raise Wrong(name, "a manifest lists this file, and it is not here")
    digest, size_bytes = hashlib.sha256(), 0
    for piece in source.pieces(name):
        digest.update(piece)
        size_bytes += len(piece)
    if digest.hexdigest() != expected:
        raise Wrong(
            name,
            f"expected SHA-256 {expected[:16]}…, found {digest.hexdigest()[:16]}… over bytes 0 to {size_bytes - 1}",
        )
    return size_bytes


def _manifest(source: Source, name: str) -> Iterator[tuple[str, str]]:
    last = ""
    for number, line in enumerate(lines(source, name, 4096), start=1):
        found = _LINE.fullmatch(line)
        if found is None or found[2] <= last:
            raise Wrong(name, f"line {number}: expected 'SHA-256  name', each name once and in order")
        last = found[2]
        yield found[2], found[1]
