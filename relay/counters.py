"""Counts of what happened and why: nothing is refused or dropped without one."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

_NAME: Final = 48
"""Letters of a reason that are told on."""


class Counters:
    """Named counts since the process started. Names are ``subject_outcome`` or ``refused_<reason>``."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a count."""
        self._counts[name] += by

    def refused(self, reason: str) -> None:
        """Count a refusal under its reason."""
        self._counts[f"refused_{reason}"] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    @property
    def refused_total(self) -> int:
        """All refusals, whatever their reason."""
        return sum(count for name, count in self._counts.items() if name.startswith("refused_"))

    def refusals(self, most: int) -> tuple[tuple[str, int], ...]:
        """Reasons and how often, what was refused most first."""
        found = [
            (name.removeprefix("refused_")[:_NAME], count)
            for name, count in self._counts.items()
            if name.startswith("refused_")
        ]
        return tuple(sorted(found, key=lambda item: (-item[1], item[0]))[:most])

    def snapshot(self) -> Mapping[str, int]:
        """A copy, sorted by name."""
        return dict(sorted(self._counts.items()))
