"""The journal's slice: each entry's leaf, its proof of inclusion, the signed checkpoint, and the one before it.

Source: RFC 9162, sections 2.1.3.2 and 2.1.4.2; C2SP signed-note and tlog-checkpoint.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from .bag import CheckSignature
from .container import Source, read
from .errors import Wrong
from .packing import pack, unpack
from .statements import Statements, rows

ENTRIES, CHECKPOINT = "data/journal/entries.jsonl", "data/journal/checkpoint"
EARLIER: Final = "data/journal/earlier-checkpoints.jsonl"
PREVIOUS, CONSISTENCY = "data/journal/previous-checkpoint", "data/journal/consistency.jsonl"
_ENVELOPES: Final = frozenset({"alert", "exhibit", "retraction"})
_SMALL: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint that the center signed."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Slice:
    """What was found."""

    entries: int
    head: Head
    is_whole: bool
    """All entries from 1 to the checkpoint's size are here, and the root follows from them."""
    previous: Head | None
    published: int = 0
    """Earlier checkpoints that others have, each proven."""
    against: Head | None = None
    """The checkpoint that was held against it."""


def leaf_hash(data: bytes) -> bytes:
    """RFC 9162, 2.1.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def join(left: bytes, right: bytes) -> bytes:
    """RFC 9162, 2.1.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes | None:
    """The root that a proof leads to; None if the proof has the wrong length."""
    node, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            current = join(sibling, current)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            current = join(current, sibling)
        node, last = node >> 1, last >> 1
    return current if last == 0 else None


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: list[bytes]) -> bool:
    """Whether the tree of ``size`` begins with the tree of ``old_size``."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    steps = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not steps:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = join(step, old), join(step, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = join(new, step)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def check(source: Source, statements: Statements, center: bytes, check_signature: CheckSignature,
          against: bytes = b"") -> Slice:  # fmt: skip
    """All of it; ``against`` is an earlier checkpoint, as somebody kept it elsewhere."""
    head = _head(source, CHECKPOINT, center, check_signature)
    held = _held(against, center, check_signature) if against else None
    grown: bytes | None = None
    last, count, waiting = 0, 0, dict(statements.by_entry)
    roots: list[tuple[int, bytes]] = []
    for row in rows(source, ENTRIES):
        number, leaf, payload, kind = _entry(row)
        if not last < number <= head.size:
            raise Wrong(ENTRIES, f"entry {number}: expected entries in order, each once, up to {head.size}")
        proof = _hashes(row.get("proof"), number)
        if root_from_inclusion(number - 1, head.size, leaf, proof) != head.root:
            raise Wrong(ENTRIES, f"entry {number} ({kind}): its proof does not lead to the root in {CHECKPOINT}")
        said = waiting.pop(number, None)
        if (said.signed_sha256 if said else None) != (_signed_in(number, payload) if kind in _ENVELOPES else None):
            raise Wrong(ENTRIES, f"entry {number} ({kind}) is not about the statement that the bag has for it")
        _grow(roots, leaf)
        last, count = number, count + 1
        if held and count == number == held.size:
            grown = _root(roots)
    if waiting:
        raise Wrong(ENTRIES, f"expected entry {min(waiting)}, which data/statements.jsonl names, found none")
    is_whole = count == head.size
    if is_whole and _root(roots) != head.root:
        raise Wrong(ENTRIES, f"all {count} entries are here, and the root in {CHECKPOINT} does not follow from them")
    previous = _previous(source, head, center, check_signature)
    earlier = _earlier(source, head, center, check_signature)
    if held:
        known = {one.size: one.root for one in (head, previous, *earlier) if one}
        _require_same(head, held, grown or known.get(held.size))
    return Slice(count, head, is_whole, previous, len(earlier), held)


def _hashes(proof: object, number: int) -> list[bytes]:
    try:
        return [bytes.fromhex(str(item)) for item in proof] if isinstance(proof, list) else []
    except ValueError as error:
        raise Wrong(ENTRIES, f"entry {number}: expected hashes in its proof: {error}") from error


def _entry(row: dict[str, object]) -> tuple[int, bytes, bytes, str]:
    number, at_ms = row.get("id"), row.get("at_ms")
    if not isinstance(number, int) or not isinstance(at_ms, int):
        raise Wrong(ENTRIES, "expected numbers in id and at_ms")
    kind, actor, subject = (str(row.get(name)) for name in ("kind", "actor", "subject"))
    try:
        payload = base64.b64decode(str(row.get("payload")), validate=True)
        leaf = leaf_hash(pack([1, number, at_ms, kind, actor, subject, hashlib.sha256(payload).digest()]))
    except (binascii.Error, TypeError) as error:
        raise Wrong(ENTRIES, f"entry {number}: {error}") from error
    return number, leaf, payload, kind


def _signed_in(number: int, payload: bytes) -> bytes:
    """SHA-256 of header and signature of the envelope in an entry."""
    try:
        stored = unpack(payload)
        envelope = unpack(stored[0]) if isinstance(stored, list) and isinstance(stored[0], bytes) else None
    except (ValueError, IndexError) as error:
        raise Wrong(ENTRIES, f"entry {number}: {error}") from error
    if isinstance(envelope, list) and len(envelope) == 4:
        header, signature = envelope[1], envelope[2]
        if isinstance(header, bytes) and isinstance(signature, bytes):
            return hashlib.sha256(header + signature).digest()
    raise Wrong(ENTRIES, f"entry {number}: expected an envelope in it")


def _head(source: Source, name: str, center: bytes, check_signature: CheckSignature) -> Head:
    """A signed note in the bag."""
    return _note(read(source, name, _SMALL), name, center, check_signature)


def _held(note: bytes, center: bytes, check_signature: CheckSignature) -> Head:
    """A checkpoint that somebody kept; witnesses may have signed below the center."""
    text, _, stamps = note.partition(b"\n\n")
    origin = text.partition(b"\n")[0]
    own = [line for line in stamps.split(b"\n") if line.startswith(b"\xe2\x80\x94 " + origin + b" ")]
    return _note(
        text + b"\n\n" + b"".join(line + b"\n" for line in own[:1]),
        "the checkpoint that you hold",
        center,
        check_signature,
    )


def _require_same(head: Head, held: Head, root: bytes | None) -> None:
    if held.origin != head.origin:
        raise Wrong(CHECKPOINT, f"the checkpoint that you hold is of {held.origin}, this bag of {head.origin}")
    if held.size > head.size:
        raise Wrong(CHECKPOINT, f"the checkpoint that you hold has {held.size} entries, this bag's {head.size}: it is older than what you "
                                "hold, or history was cut off; ask for a new export")  # fmt: skip
    if root is None:
        raise Wrong(CHECKPOINT, f"this bag has no proof about the journal of {held.size} entries: export with --against that checkpoint, "
                                "or --all; nothing was found wrong")  # fmt: skip
    if root != held.root:
        raise Wrong(CHECKPOINT, f"the journal of {held.size} entries had another root when the center signed the checkpoint that you "
                                "hold: history was rewritten")  # fmt: skip


def _earlier(source: Source, head: Head, center: bytes, check_signature: CheckSignature) -> list[Head]:
    """Checkpoints that others were given: each is the center's, and the journal begins with each."""
    found: list[Head] = []
    if EARLIER not in source.names():
        return found
    for row in rows(source, EARLIER):
        try:
            old = _note(str(row["note"]).encode(), EARLIER, center, check_signature)
            proof = [bytes.fromhex(str(step)) for step in row["proof"]] if isinstance(row["proof"], list) else []
        except (KeyError, ValueError) as error:
            raise Wrong(EARLIER, f"expected notes and proofs: {error}") from error
        if old.origin != head.origin or not is_consistent(old.size, old.root, head.size, head.root, proof):
            raise Wrong(
                EARLIER,
                f"the journal of {head.size} entries does not begin with that of {old.size}: history was rewritten",
            )
        found.append(old)
    return found


def _note(note: bytes, name: str, center: bytes, check_signature: CheckSignature) -> Head:
    """A signed note: three lines, an empty one, the center's signature."""
    text, _, stamp = note.partition(b"\n\n")
    text += b"\n"
    try:
        origin, size, root = text.decode().splitlines()
        mark = base64.b64decode(stamp.decode().removeprefix(f"— {origin} "), validate=False)
        found = Head(origin, int(size), base64.b64decode(root, validate=True))
    except ValueError as error:
        raise Wrong(name, f"expected a signed note of origin, size and root: {error}") from error
    identifier = hashlib.sha256(origin.encode() + b"\n\x01" + center).digest()[:4]
    again = f"{origin}\n{found.size}\n{base64.b64encode(found.root).decode()}\n\n— {origin} {base64.b64encode(mark).decode()}\n"
    if again.encode() != note or mark[:4] != identifier or not check_signature(center, text, mark[4:]):
        raise Wrong(name, "not signed by the center")
    return found


def _previous(source: Source, head: Head, center: bytes, check_signature: CheckSignature) -> Head | None:
    if PREVIOUS not in source.names():
        return None
    previous = _head(source, PREVIOUS, center, check_signature)
    try:
        proof = [bytes.fromhex(str(row["hash"])) for row in rows(source, CONSISTENCY)]
    except (KeyError, ValueError) as error:
        raise Wrong(CONSISTENCY, f"expected hashes: {error}") from error
    if previous.origin != head.origin or not is_consistent(previous.size, previous.root, head.size, head.root, proof):
        raise Wrong(CONSISTENCY, f"the journal of {head.size} entries does not begin with that of {previous.size}: "
                                 "history was rewritten")  # fmt: skip
    return previous


def _grow(roots: list[tuple[int, bytes]], leaf: bytes) -> None:
    """Add a leaf to the complete subtrees seen so far."""
    level, current = 0, leaf
    while roots and roots[-1][0] == level:
        current = join(roots.pop()[1], current)
        level += 1
    roots.append((level, current))


def _root(roots: list[tuple[int, bytes]]) -> bytes:
    current = roots[-1][1] if roots else hashlib.sha256(b"").digest()
    for _, left in reversed(roots[:-1]):
        current = join(left, current)
    return current
