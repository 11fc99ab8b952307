"""Signed statements: alerts, retractions and exhibits by the nodes, passports and rosters by the authority.

For each there are the exact signed bytes (``.pae``), the raw signature (``.sig``), the same as DSSE (``.dsse.json``), and for
what nodes say also the plaintext body whose SHA-256 stands in the signed header (``.body``).
Source: DSSE 1.0.2, protocol.md; the header's layout is in ``data/VERIFY.md``.
"""

import base64
import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from .bag import CheckSignature, key_of, pem
from .container import Source, lines, read
from .errors import Wrong
from .packing import unpack

INDEX: Final = "data/statements.jsonl"
AUTHORITY_PEM: Final = "data/keys/authority.pem"
HEADER_TYPE: Final = "application/vnd.heard.envelope-header.v1"
PASSPORT_TYPE: Final = "application/vnd.heard.passport.v1"
ROSTER_TYPE: Final = "application/vnd.heard.roster.v1"
_HEADER: Final = struct.Struct(">BB8sIHI6s6sI8s32s")
_MAX: Final = 1 << 20
_CENTER: Final = 3


@dataclass(frozen=True, slots=True)
class Said:
    """One envelope in the bag."""

    name: str
    node: str
    series: int
    sequence: int
    link: bytes
    signed_sha256: bytes
    """SHA-256 of header and signature: what the journal's entry must hold."""


@dataclass(slots=True)
class Statements:
    """What the statements say, once they are verified."""

    keys: dict[str, bytes] = field(default_factory=dict)
    """Signing keys by node id, each under a passport of the authority."""
    center: bytes = b""
    """The key of the passport in the role of a center."""
    by_entry: dict[int, Said] = field(default_factory=dict)
    by_id: dict[str, Said] = field(default_factory=dict)
    exhibited: dict[str, str] = field(default_factory=dict)
    """SHA-256 of pictures and clips, to the statement that names each."""
    revoked: frozenset[str] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)
    segmented: int = 0
    """Clips whose segments are signed, too."""


def dsse(payload_type: str, payload: bytes, signature: bytes, key_id: str) -> bytes:
    """A statement as DSSE; one statement has one such file."""
    value = {"payload": base64.b64encode(payload).decode(), "payloadType": payload_type,
             "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}]}  # fmt: skip
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def check(source: Source, authority: bytes, check_signature: CheckSignature) -> Statements:
    """Every statement: signature, form, body, and that its signer holds a passport."""
    found = Statements()
    listed: set[str] = set()
    for row in rows(source, INDEX):
        name, kind = str(row.get("name")), str(row.get("kind"))
        signer = hashlib.sha256(authority).hexdigest() if kind in {"passport", "roster"} else str(row.get("signer"))
        key = authority if kind in {"passport", "roster"} else found.keys.get(signer)
        if key is None:
            raise Wrong(f"data/{name}.pae", f"its signer {signer[:16]} has no passport in this bag")
        payload = _check_one(source, name, kind, signer, key, check_signature)
        listed |= {f"data/{name}{ending}" for ending in (".pae", ".sig", ".dsse.json")}
        try:
            if kind == "passport":
                _take_passport(source, found, name, payload)
            elif kind == "roster":
                found.revoked = _revoked(payload)
            else:
                listed |= {f"data/{name}.body", f"data/{name}.json"}
                _take_envelope(source, found, name, kind, row, payload, signer)
        except (ValueError, TypeError, IndexError, struct.error) as error:
            raise Wrong(f"data/{name}.pae", f"does not say what a {kind} says: {error}") from error
        found.counts[kind] = found.counts.get(kind, 0) + 1
    folders = ("data/alerts/", "data/exhibits/", "data/retractions/", "data/passports/")
    stray = {n for n in source.names() if n.startswith(folders)} - listed
    if stray:
        raise Wrong(min(stray), f"no line of {INDEX} names it")
    return found


def rows(source: Source, name: str) -> Iterator[dict[str, object]]:
    """A file of one JSON object a line."""
    for number, line in enumerate(lines(source, name, _MAX), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Wrong(name, f"line {number}: expected a JSON object: {error}") from error
        if not isinstance(row, dict):
            raise Wrong(name, f"line {number}: expected a JSON object")
        yield row


def _check_one(source: Source, name: str, kind: str, signer: str, key: bytes, check_signature: CheckSignature) -> bytes:
    """One statement's three files; returns what was signed."""
    payload_type = {"passport": PASSPORT_TYPE, "roster": ROSTER_TYPE}.get(kind, HEADER_TYPE)
    signed, signature = read(source, f"data/{name}.pae", _MAX), read(source, f"data/{name}.sig", 64)
    head = b"DSSEv1 %d %b " % (len(payload_type), payload_type.encode())
    length, _, payload = signed.removeprefix(head).partition(b" ")
    if not signed.startswith(head) or length != b"%d" % len(payload):
        raise Wrong(f"data/{name}.pae", f"expected the encoding of {payload_type}")
    if not check_signature(key, signed, signature):
        raise Wrong(f"data/{name}.sig", f"not a signature by {signer[:16]} over data/{name}.pae")
    if read(source, f"data/{name}.dsse.json", _MAX) != dsse(payload_type, payload, signature, signer):
        raise Wrong(f"data/{name}.dsse.json", f"does not say the same as data/{name}.pae and .sig")
    return payload


def _take_passport(source: Source, found: Statements, name: str, payload: bytes) -> None:
    value = unpack(payload)
    if not isinstance(value, list) or len(value) != 11 or value[0] != 1:
        raise ValueError("expected version 1 and 11 fields")
    role, key = value[1], value[5]
    if not isinstance(key, bytes) or len(key) != 32:
        raise ValueError("expected a key of 32 bytes")
    node = hashlib.sha256(key).digest()[:8].hex()
    pem_name = f"data/keys/{node}.pem"
    if read(source, pem_name, _MAX) != pem(key):
        raise Wrong(pem_name, f"not the key of the passport data/{name}.pae")
    found.keys[node] = key
    if role == _CENTER:
        found.center = key


def _revoked(payload: bytes) -> frozenset[str]:
    value = unpack(payload)
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], list):
        raise ValueError("expected number, time and the list of the withdrawn")
    return frozenset(node.hex() for node in value[2] if isinstance(node, bytes))


def _take_envelope(source: Source, found: Statements, name: str, kind: str, row: dict[str, object], payload: bytes,
                   signer: str) -> None:  # fmt: skip
    code, _, origin, series, _, sequence, _, _, _, link, body_sha256 = _HEADER.unpack(payload)
    if {1: "alert", 2: "retraction", 3: "exhibit"}.get(code) != kind or origin.hex() != signer:
        raise ValueError(f"expected {kind} of {signer}, found kind {code} of {origin.hex()}")
    identifier = hashlib.sha256(payload).hexdigest()
    if name.rpartition("/")[2] != identifier or identifier in found.by_id:
        raise ValueError(f"expected it once, under the name {identifier}")
    body = read(source, f"data/{name}.body", _MAX)
    if hashlib.sha256(body).digest() != body_sha256:
        raise Wrong(f"data/{name}.body", "its SHA-256 is not the one in the signed header")
    signature = read(source, f"data/{name}.sig", 64)
    said = Said(name, signer, series, sequence, link, hashlib.sha256(payload + signature).digest())
    found.by_id[identifier] = said
    entry = row.get("entry")
    if not isinstance(entry, int) or entry in found.by_entry:
        raise ValueError("expected the number of its journal entry")
    found.by_entry[entry] = said
    if kind == "exhibit":
        value = unpack(body)
        if not isinstance(value, list) or not isinstance(value[2], list):
            raise ValueError("expected salt, alert and items")
        for item in value[2]:
            if not isinstance(item, list) or not isinstance(item[1], bytes):
                raise TypeError("expected a media type and a SHA-256 in each item")
            found.exhibited[item[1].hex()] = name
        if len(value) > 3:
            # What a node says behind its items and doesn't add up is its own affair: it proves nothing, and spoils nothing.
            with contextlib.suppress(ValueError, TypeError, IndexError):
                _segments(value)
                found.segmented += 1


def _segments(value: Sequence[object]) -> list[tuple[int, bytes]]:
    """Size and SHA-256 of a clip's segments; they fill the one item of their exhibit."""
    items, segments = value[2], value[3]
    if not isinstance(items, list) or not isinstance(segments, list) or len(items) != 1:
        raise TypeError("expected the segments of one item")
    found = [(int(size), bytes(sha256)) for size, sha256 in segments]
    if sum(size for size, _ in found) != items[0][2] or any(size < 1 or len(sha256) != 32 for size, sha256 in found):
        raise ValueError("expected segments that fill the clip")
    return found


def damaged_part(source: Source, name: str) -> str:
    """Which bytes of a clip are not as its node signed, by the segments in its exhibit; empty where that can't be told.

    Called when a clip is known to be wrong: what the exhibits say is as in the signed manifest, their signatures are not checked yet.
    """
    try:
        sha256 = bytes.fromhex(name.rpartition("/")[2].partition(".")[0])
    except ValueError:
        return ""  # no name that an export gives
    for exhibit in sorted(
        item for item in source.names() if item.startswith("data/exhibits/") and item.endswith(".body")
    ):
        try:
            value = unpack(read(source, exhibit, _MAX))
            if not isinstance(value, list) or len(value) < 4 or value[2][0][1] != sha256:  # type: ignore[index]
                continue
            wrong = _wrong_segments(source, name, _segments(value))
        except (ValueError, TypeError, IndexError):
            continue
        return "; ".join(f"bytes {first} to {last} are not as signed" for first, last in wrong[:5])
    return ""


def _wrong_segments(source: Source, name: str, segments: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    wrong, at, rest = list[tuple[int, int]](), 0, iter(segments)
    size, expected = next(rest)
    digest, left = hashlib.sha256(), size
    try:
        for piece in source.pieces(name):
            view = memoryview(piece)
            while view:
                taken = view[:left]
                digest.update(taken)
                view, left = view[len(taken) :], left - len(taken)
                if not left:
                    if digest.digest() != expected:
                        wrong.append((at, at + size - 1))
                    at += size
                    size, expected = next(rest)
                    digest, left = hashlib.sha256(), size
    except StopIteration:
        return wrong
    except Wrong:
        left = left or 1  # the archive's own checksum, or its end: what came before was judged
    return [*wrong, (at, at + size - 1)] if left else wrong


def authority_key(source: Source) -> bytes:
    """The authority's key, as the bag has it."""
    return key_of(source, AUTHORITY_PEM)
