"""Puts together what came in pieces: bounded in number, size and time, whatever order or however often the pieces come.

Pure; the caller says what time it is. Shared by ``sms`` and ``serial_radio``. A piece that never comes costs nobody anything but its
own parcel, which its sender offers again.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from relay.errors import Malformed

MOST_PIECES: Final = 8


@dataclass(slots=True)
class _Group:
    total: int
    began_s: float
    pieces: dict[int, bytes] = field(default_factory=dict)


class Assembly:
    """Groups of pieces by key."""

    def __init__(self, *, most_groups: int, most_age_s: float) -> None:
        self._most_groups = most_groups
        self._most_age_s = most_age_s
        self._groups: dict[Hashable, _Group] = {}
        self.given_up = 0
        """Groups that were never completed."""

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, key: Hashable, *, number: int, total: int, piece: bytes, now_s: float) -> bytes | None:
        """Take a piece, numbered from 1; the whole when it was the last one missing.

        Raises:
            Malformed: numbers outside their bounds.
        """
        if not 1 <= number <= total <= MOST_PIECES:
            raise Malformed(f"expected a piece numbered 1 … {MOST_PIECES}, found {number} of {total}")
        self._forget_old(now_s)
        group = self._groups.get(key)
        if group is not None and group.total != total:  # the key was used again for something else
            self._give_up(key)
            group = None
        if group is None:
            while len(self._groups) >= self._most_groups:
                self._give_up(next(iter(self._groups)))
            group = self._groups[key] = _Group(total=total, began_s=now_s)
        group.pieces[number] = piece
        if len(group.pieces) < total:
            return None
        del self._groups[key]
        return b"".join(group.pieces[at] for at in range(1, total + 1))

    def _forget_old(self, now_s: float) -> None:
        for key in [key for key, group in self._groups.items() if now_s - group.began_s > self._most_age_s]:
            self._give_up(key)

    def _give_up(self, key: Hashable) -> None:
        del self._groups[key]
        self.given_up += 1


def cut(data: bytes, piece_bytes: int) -> list[bytes]:
    """The pieces of ``data``, each of at most this size.

    Raises:
        Malformed: it would take too many.
    """
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]
    if len(pieces) > MOST_PIECES:
        raise Malformed(f"expected at most {MOST_PIECES} pieces of {piece_bytes} bytes, {len(data)} bytes are more")
    return pieces
