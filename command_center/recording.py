"""One act, one entry, one way to the views: an act writes its fact into the journal and applies it, as replay will.

Used by ``units`` and ``responses``, whose facts are plain and whose appliers write without asking: the rules stand before.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from command_center import facts, journal
from command_center.journal import Entry

Apply = Callable[[sqlite3.Connection, Entry], None]


class Record(Protocol):
    """What ``recorder`` makes."""

    def __call__(self, connection: sqlite3.Connection, kind: str, fact: msgspec.Struct, *, actor: str, subject: str,
                 now: int) -> int:  # fmt: skip
        """Write an entry and what it makes of the views, inside a transaction; returns its number."""
        ...


def recorder(appliers: Mapping[str, Apply]) -> Record:
    """For the kinds of entries that these appliers know."""

    def record(
        connection: sqlite3.Connection, kind: str, fact: msgspec.Struct, *, actor: str, subject: str, now: int
    ) -> int:
        entry = journal.append(
            connection, at_ms=now, kind=kind, actor=actor, subject=subject, payload=facts.encode(fact)
        )
        appliers[kind](connection, entry)
        return entry.id

    return record
