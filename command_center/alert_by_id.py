"""Finds an alert's row by its id: SQL that others put into theirs.

An id is a hash. An index ordered by it alone costs every alert a page of the disk, read and written, as soon as there are more pages than
fit into a group's commit. So the index is ordered by *generation* first, 8,192 journal entries each, and a look-up asks generation
after generation, the newest first: what is looked for is almost always new. A look-up of something that is not there takes a probe
for each generation: 123 at a million entries.
"""

from typing import Final

_NEWEST_FIRST: Final = (
    "WITH RECURSIVE generation (n) AS (SELECT (SELECT MAX(entry) FROM alert) >> 13 "
    "UNION ALL SELECT n - 1 FROM generation WHERE n > 0) SELECT found.entry FROM generation CROSS JOIN alert found "
    "ON found.entry >> 13 = generation.n AND found.id"
)


def entry_of(alert_id: str) -> str:
    """The journal entry of the alert whose id the expression ``alert_id`` gives: its row's key, NULL where there is none."""
    return f"({_NEWEST_FIRST} = {alert_id} LIMIT 1)"


def entry_between(least: str, most: str) -> str:
    """The same for an id that lies between two: whoever holds only an id's first bytes."""
    return f"({_NEWEST_FIRST} BETWEEN {least} AND {most} LIMIT 1)"
