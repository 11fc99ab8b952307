"""Counts of what happened and why: nothing is refused or dropped without one."""

from collections import Counter
from collections.abc import Mapping


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

    def snapshot(self) -> Mapping[str, int]:
        """A copy, sorted by name."""
        return dict(sorted(self._counts.items()))
