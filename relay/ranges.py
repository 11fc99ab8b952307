"""Sets of sequence numbers as sorted, disjoint, inclusive ranges: what receipts and gaps are made of."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class RangeSet:
    """A set of positive integers, cheap while it is nearly contiguous."""

    __slots__ = ("_first", "_last")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._first, self._last, strict=True))

    def __bool__(self) -> bool:
        return bool(self._first)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]

    def add(self, first: int, last: int | None = None) -> None:
        """Add ``first`` … ``last``, both included."""
        last = first if last is None else last
        if not 1 <= first <= last:
            raise ValueError(f"expected 1 <= first <= last, found {first}, {last}")
        left = bisect_left(self._last, first - 1)
        right = bisect_right(self._first, last + 1)
        if left < right:
            first = min(first, self._first[left])
            last = max(last, self._last[right - 1])
        self._first[left:right] = [first]
        self._last[left:right] = [last]

    def minus(self, other: "RangeSet") -> "RangeSet":
        """What is here and not in ``other``; both stay as they are."""
        rest = RangeSet()
        holes = list(other)
        at = 0
        for first, last in self:
            start = first
            while at < len(holes) and holes[at][1] < start:
                at += 1
            for hole_first, hole_last in holes[at:]:
                if hole_first > last or start > last:
                    break
                if hole_first > start:
                    rest.add(start, hole_first - 1)
                start = hole_last + 1
            if start <= last:
                rest.add(start, last)
        return rest

    @property
    def contiguous(self) -> int:
        """The highest number up to which everything from 1 on is there; 0 if 1 is missing."""
        return self._last[0] if self._first and self._first[0] == 1 else 0

    @property
    def highest(self) -> int:
        """The highest number there is; 0 if empty."""
        return self._last[-1] if self._last else 0

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(last - first + 1 for first, last in self)

    def above_contiguous(self) -> list[tuple[int, int]]:
        """The ranges that stand apart from the contiguous one."""
        ranges = list(self)
        return ranges[1:] if self.contiguous else ranges

    def gaps(self) -> list[tuple[int, int]]:
        """What is missing between 1 and ``highest``."""
        missing: list[tuple[int, int]] = []
        expected = 1
        for first, last in self:
            if first > expected:
                missing.append((expected, first - 1))
            expected = last + 1
        return missing
