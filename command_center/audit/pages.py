"""Pages of the journal in words, the newest first: from the index where it has them, by looking at each entry where it has not.

A page takes as long as its budget and no longer. What it did not come to is the next page's, which begins at ``next_before``; so a page
can be empty and not be the last. Whatever the index names is looked at before it is shown: the index only leaves out.
"""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from command_center import journal
from command_center.audit import terms
from command_center.audit.index import Indexed
from command_center.evidence.tables import moment
from command_center.journal import Entry

MOST_NAMED: Final = 50
"""Names that the index is asked for beside a text; where more are meant, its question would be too long, and entries are looked at."""
BUDGET_S: Final = 0.02
"""Of one page: with what goes before and after it, well below the 50 ms that a console may wait."""
_SCANNED: Final = 20_000
_FIRST_RANGE: Final = 1 << 14
_LEAST_RANGE: Final = 1 << 10
_QUICK_S: Final = 0.004
"""A range that takes no longer is followed by one twice as wide, any other by one half as wide: the budget is kept to within this."""
_COLUMNS: Final = "SELECT id, at_ms, kind, actor, subject, payload, leaf FROM entry WHERE "
ALERT: Final = "alert"
_NO_ALERT: Final = "kind <> 'alert'"
"""Where a question says this, SQLite uses the index by kind: that one leaves alerts out, which are most of what is there."""
_OF_KINDS: Final = (
    "id IN (SELECT id FROM entry WHERE kind IN ({}) AND kind <> 'alert' AND id < ?1 ORDER BY id DESC LIMIT {})"
)
"""The ids of several kinds, from the index alone; of one kind SQLite reads them in order by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which entries."""

    kinds: tuple[str, ...] = ()
    """Any of these; empty: of any kind."""
    subjects: tuple[str, ...] = ()
    text: str = ""
    """Anywhere in kind, actor, subject or detail; case doesn't matter."""
    text_kinds: frozenset[str] = frozenset()
    text_names: frozenset[str] = frozenset()
    """Kinds, actors and subjects that are shown in words that hold the text: their entries are meant as well."""
    actors: tuple[str, ...] = ()
    """Any of these; empty: of anybody."""
    from_ms: int | None = None
    until_ms: int | None = None

    def detail_of(self, entry: Entry) -> str | None:
        """The entry's detail in words; None where the entry is not meant."""
        if (self.kinds and entry.kind not in self.kinds) or (self.actors and entry.actor not in self.actors):
            return None
        if (self.from_ms is not None and entry.at_ms < self.from_ms) or (
            self.until_ms is not None and entry.at_ms >= self.until_ms
        ):
            return None
        detail = moment(entry).detail
        return detail if self._is_said(entry, detail) else None

    def _is_said(self, entry: Entry, detail: str) -> bool:
        folded = self.text.casefold()
        if not folded or folded in terms.said(entry.kind, entry.actor, entry.subject, detail):
            return True
        return entry.kind in self.text_kinds or not self.text_names.isdisjoint((entry.actor, entry.subject))

    @property
    def question(self) -> str:
        """What to ask the index; empty: it can't tell."""
        texts = (self.text, *sorted(self.text_kinds), *sorted(self.text_names)) if self.text else ()
        is_short = len(self.text_names) <= MOST_NAMED
        return terms.question(texts if is_short else (), self.actors, self.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one question found."""

    found: tuple[tuple[Entry, str], ...]
    """Entries with their details, the newest first."""
    next_before: int | None
    """Where the next page begins; None: this was the last."""


class Walk:
    """One page's way backwards through the journal."""

    def __init__(self, connection: sqlite3.Connection, indexed: Indexed | None, search: Search, *,
                 budget_s: float = BUDGET_S) -> None:  # fmt: skip
        """``connection``: the journal's, within one read transaction; ``indexed``: None, and everything is scanned."""
        self._connection = connection
        self._search = search
        self._budget_s = budget_s
        self._through = 0
        self._question = ""
        self._low, self._high = 1, 0
        if indexed is not None and not search.subjects:  # by subject the journal has its own index
            self._indexed = indexed
            self._question = search.question
            is_timed = search.from_ms is not None or search.until_ms is not None
            if is_timed or (self._question and (search.text or search.actors)):
                self._through = indexed.through
                self._low, self._high = indexed.span(search.from_ms, search.until_ms)
        conditions, values = ["id < ?1", "id >= ?2"], list[object]()
        for column, names in (("kind", search.kinds), ("subject", search.subjects)):
            if names:
                marks = ", ".join("?" * len(names))
                is_merged = column == "kind" and len(names) > 1 and not search.subjects and ALERT not in names
                conditions.append(_OF_KINDS.format(marks, _SCANNED) if is_merged else f"{column} IN ({marks})")
                values += names
        if search.kinds and ALERT not in search.kinds:
            conditions.append(_NO_ALERT)
        self._where, self._values = " AND ".join(conditions), values

    def page(self, *, before: int | None, limit: int) -> Page:
        """Up to ``limit`` entries older than ``before``, and where the next page begins."""
        until_s = time.monotonic() + self._budget_s
        found: list[tuple[Entry, str]] = []
        at = 0
        for seen, (at, entry) in enumerate(self._steps(before or journal.size(self._connection) + 1), start=1):
            if entry is not None and (detail := self._search.detail_of(entry)) is not None:
                found.append((entry, detail))
            if len(found) == limit or seen == _SCANNED or time.monotonic() > until_s:
                return Page(found=tuple(found), next_before=at if at > 1 else None)
        return Page(found=tuple(found), next_before=None)

    def _steps(self, before: int) -> Iterator[tuple[int, Entry | None]]:
        """(the oldest entry that is done with, an entry that may be meant)."""
        for entry in self._scan(before, max(1, self._through + 1)):
            yield entry.id, entry
        if not self._through:
            return
        before = min(before, self._high + 1)
        if self._question:
            yield from self._named(before)
        else:
            for entry in self._scan(before, self._low):
                yield entry.id, entry

    def _scan(self, before: int, low: int) -> Iterator[Entry]:
        rows = self._connection.execute(f"{_COLUMNS}{self._where} ORDER BY id DESC", (before, low, *self._values))
        for row in rows:
            yield _entry(row)

    def _named(self, before: int) -> Iterator[tuple[int, Entry | None]]:
        """What the index names, range by range: between two ranges the budget is looked at, even where nothing is found."""
        width, high = _FIRST_RANGE, before - 1
        while high >= self._low:
            low, started_s = max(self._low, high - width + 1), time.monotonic()
            for number in self._indexed.candidates(self._question, low, high):
                row = self._connection.execute(f"{_COLUMNS}id = ?", (number,)).fetchone()
                if row is not None:
                    yield number, _entry(row)
            width = width * 2 if time.monotonic() - started_s < _QUICK_S else max(width // 2, _LEAST_RANGE)
            high = low - 1
            if high >= self._low:
                yield low, None


def _entry(row: tuple[int, int, str, str, str, bytes, bytes]) -> Entry:
    return Entry(id=row[0], at_ms=row[1], kind=row[2], actor=row[3], subject=row[4], payload=row[5], leaf=row[6])
