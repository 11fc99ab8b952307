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


def question(*, texts: Iterable[str], any_of: Iterable[str] = ()) -> str:
    """The question for entries that can hold each of ``texts`` and one of ``any_of``; empty: the index can't tell."""
    groups = [asked for text in texts if (asked := all_of(text))]
    choices = [all_of(choice) for choice in any_of]
    if choices and all(choices):
        groups.append(" OR ".join(f"({choice})" for choice in choices))
    return " AND ".join(f"({group})" for group in groups)


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
