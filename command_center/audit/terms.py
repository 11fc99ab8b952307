"""What an entry is searched by, and the question put to the index: pure text.

The index knows which three characters occur in an entry (``tokenize='trigram'``), not where. So a question that it is asked names more
entries than are meant, never fewer, and ``pages`` looks at each of them.
"""

from collections.abc import Iterable
from typing import Final

MOST_TERMS: Final = 32
"""Of one text: the first thirty-two narrow a search down as well as two hundred."""
_LENGTH: Final = 3


def said(kind: str, actor: str, subject: str, detail: str) -> str:
    """Everything in which a text may be found."""
    return f"{kind} {actor} {subject} {detail}".casefold()


def all_of(text: str) -> str:
    """The question for entries that can hold ``text``; empty where three characters are more than it has."""
    folded = text.casefold()
    every = dict.fromkeys(folded[at : at + _LENGTH] for at in range(len(folded) - _LENGTH + 1))
    asked = [term for term in every if "\0" not in term]  # a question to SQLite ends at a NUL
    return " AND ".join(_quoted(term) for term in asked[:MOST_TERMS])


def question(*groups: Iterable[str]) -> str:
    """The question for entries that can hold one text of each group; empty: the index can't tell.

    A group with a text that is too short for the index narrows nothing down, and neither does an empty one.
    """
    asked = []
    for group in groups:
        choices = [all_of(choice) for choice in group]
        if choices and all(choices):
            asked.append(" OR ".join(f"({choice})" for choice in choices))
    return " AND ".join(f"({group})" for group in asked)


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
