"""The Merkle tree of RFC 9162, over stored hashes of complete subtrees. Pure: where hashes are kept is the caller's part.

Hash (level, position) covers leaves ``position << level`` to ``(position + 1) << level``, as in C2SP tlog-tiles. Only
complete subtrees are stored, and a stored hash never changes; appending a leaf writes one hash and on average one more.
Roots, inclusion and consistency proofs of any earlier size take O(log n) look-ups.
Source: RFC 9162, sections 2.1.1 to 2.1.4.
"""

import hashlib
from collections.abc import Callable, Sequence

HashAt = Callable[[int, int], bytes]
"""The stored hash at (level, position)."""

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: its prefix keeps a leaf from being passed off as an inner node."""
    return hashlib.sha256(b"\x00" + data).digest()


def join(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def hashes_to_store(size: int, leaf: bytes, hash_at: HashAt) -> list[tuple[int, int, bytes]]:
    """What appending ``leaf`` to a tree of ``size`` leaves adds: (level, position, hash), from the leaf upwards."""
    added = [(0, size, leaf)]
    level, position, current = 0, size, leaf
    while position & 1:
        current = join(hash_at(level, position - 1), current)
        level, position = level + 1, position >> 1
        added.append((level, position, current))
    return added


def hashes_of_many(size: int, leaves: Sequence[bytes], hash_at: HashAt) -> list[tuple[int, int, bytes]]:
    """What appending all of ``leaves`` adds, level by level: the same hashes as one by one, with one look-up a level."""
    added: list[tuple[int, int, bytes]] = []
    level, first, row = 0, size, list(leaves)
    while row:
        added += [(level, position, value) for position, value in enumerate(row, start=first)]
        if first & 1:
            first -= 1
            row.insert(0, hash_at(level, first))
        row = [join(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        level, first = level + 1, first >> 1
    return added


def root(size: int, hash_at: HashAt) -> bytes:
    """The root of the first ``size`` leaves."""
    return _range_hash(0, size, hash_at) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, hash_at: HashAt) -> list[bytes]:
    """The audit path of leaf ``index`` (from 0) in the tree of ``size`` leaves, nearest sibling first (section 2.1.3)."""
    if not 0 <= index < size:
        raise ValueError(f"expected 0 <= index < size, found {index} and {size}")
    proof: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(_range_hash(middle, last, hash_at))
            last = middle
        else:
            proof.append(_range_hash(first, middle, hash_at))
            first = middle
    return proof[::-1]


def consistency_proof(old_size: int, size: int, hash_at: HashAt) -> list[bytes]:
    """What shows that the tree of ``size`` leaves begins with the tree of ``old_size`` (section 2.1.4)."""
    if not 0 < old_size <= size:
        raise ValueError(f"expected 0 < old size <= size, found {old_size} and {size}")
    proof: list[bytes] = []
    first, last = 0, size
    is_whole = True
    while old_size != last:
        middle = first + _split(last - first)
        if old_size <= middle:
            proof.append(_range_hash(middle, last, hash_at))
            last = middle
        else:
            proof.append(_range_hash(first, middle, hash_at))
            first, is_whole = middle, False
    if not is_whole:
        proof.append(_range_hash(first, last, hash_at))
    return proof[::-1]


def _split(count: int) -> int:
    """The largest power of two below ``count`` (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_hash(first: int, last: int, hash_at: HashAt) -> bytes:
    """The hash over leaves first … last - 1; ``first`` is where a subtree of that size starts."""
    pieces: list[bytes] = []
    while first < last:
        width = last - first
        level = width.bit_length() - 1  # the largest complete subtree; ``first`` is a multiple of it by construction
        pieces.append(hash_at(level, first >> level))
        first += 1 << level
    combined = pieces.pop()
    while pieces:
        combined = join(pieces.pop(), combined)
    return combined
