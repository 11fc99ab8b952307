"""Schema steps from files: one numbered SQL file a step, never changed once a release has it; a change is the next file.

``Database.open`` counts a part's steps in the database and applies those that are missing, all parts in one transaction: whoever is
killed in the middle finds the old schema whole.
"""

import re
import sqlite3
from importlib.resources.abc import Traversable
from typing import Final

_NAME: Final = re.compile(r"^(\d{4})-[a-z0-9-]+\.sql$")


def steps_in(folder: Traversable) -> tuple[str, ...]:
    """The steps of one part, in order: ``0001-….sql``, ``0002-….sql``.

    Raises:
        ValueError: a file is not named like that, or a number is missing.
    """
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    numbers = [int(match[1]) if (match := _NAME.match(name)) else 0 for name in names]
    if not names or numbers != list(range(1, len(names) + 1)):
        raise ValueError(
            f"expected files 0001-….sql, 0002-….sql and so on in {folder}, found {', '.join(names) or 'none'}"
        )
    return tuple((folder / name).read_text(encoding="utf-8") for name in names)


def statements_in(script: str) -> list[str]:
    """The single statements of a script: ``executescript`` would commit the surrounding transaction."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    if pending.strip():
        raise ValueError(f"the schema step ends within a statement: {pending.strip()[:60]!r}")
    return statements
