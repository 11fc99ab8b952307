"""The Merkle tree of RFC 9162, over stored hashes of complete subtrees. Pure: where hashes are kept is the caller's part.

Hash (level, position) covers leaves ``position << level`` to ``(position + 1) << level``, as in C2SP tlog-tiles. Level 0 is
the leaves, which their owner keeps anyway. Above, every fourth level is stored, of complete subtrees only: one hash for sixteen leaves and a
little more. A stored hash never changes, and one between is made from at most eight of the level below (``between``). Roots, inclusion and
consistency proofs of any earlier size take O(log n) look-ups.
Source: RFC 9162, sections 2.1.1 to 2.1.4.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

HashAt = Callable[[int, int], bytes]
"""The hash at (level, position)."""
RowAt = Callable[[int, int, int], list[bytes]]
"""The hashes at (level, first position, how many), of level 0 or a stored one."""

STORED_EVERY: Final = 4
"""Levels."""
_WIDTH: Final = 1 << STORED_EVERY

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: its prefix keeps a leaf from being passed off as an inner node."""
    return hashlib.sha256(b"\x00" + data).digest()


def join(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def hashes_to_store(size: int, leaves: Sequence[bytes], row_at: RowAt) -> list[tuple[int, int, bytes]]:
    """What appending ``leaves`` to a tree of ``size`` leaves adds to what is stored: (level, position, hash), level by level."""
    added: list[tuple[int, int, bytes]] = []
    level, first, row = 0, size, list(leaves)
    while (before := first % _WIDTH) + len(row) >= _WIDTH:
        if before:
            row = row_at(level, first - before, before) + row
        row = [_fold(row[at : at + _WIDTH]) for at in range(0, len(row) - _WIDTH + 1, _WIDTH)]
        level, first = level + STORED_EVERY, first // _WIDTH
        added += [(level, position, value) for position, value in enumerate(row, start=first)]
    return added


def between(level: int, position: int, row_at: RowAt) -> bytes:
    """The hash of any complete subtree, from what is stored."""
    below = level % STORED_EVERY
    return _fold(row_at(level - below, position << below, 1 << below))


def _fold(row: list[bytes]) -> bytes:
    """The hash over a power of two of hashes of one level."""
    while len(row) > 1:
        row = [join(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


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
