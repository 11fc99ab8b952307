"""Whose name stands in an entry: people with the role that they had then, nodes by name; and back, for who searches by a name.

Actors and subjects are machine words (``user:okafor``, ``node:1f…``, ``incident:12``) and stay what they are; here is what is shown
beside them. Called by ``api/audit``, inside one read transaction.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from command_center import facts
from command_center.accounts import UserRole
from command_center.facts import Remark
from command_center.incident_store import number_of
from command_center.journal import Entry
from relay.passport import Role

_ALONE: Final = {
    "center": "command center",
    "user:local-administrator": "local administrator, command line",
    "link:unknown": "unknown link",
    "journal": "journal",
    "shift": "shift",
}
_SORTS: Final = {"unit": "unit", "agency": "agency", "receiver": "callback receiver", "log": "log"}
_BEFORE: Final = {"place": "place", "export": "export", "invite": "invitation of", "shelf": "shelf", "delivery": "delivery", "link": "link",
                  "suppression": "suppression of alert", "alert": "alert"}  # fmt: skip
_NODE_ROLES: Final = {role.value: role.name.lower().replace("_", " ") for role in Role}
_ROLES: Final = {
    *(role.value.replace("_", " ") for role in UserRole),
    *_NODE_ROLES.values(),
    *_SORTS.values(),
    "command line",
}
_MEDIA: Final = {"image": "picture", "video": "clip"}
_ROLE_KINDS: Final = ("user-added", "role-changed")
_NUMBER: Final = re.compile(r"INC-\d{4}-(\d{1,15})", re.IGNORECASE)
_SHORT: Final = 12
_HEX_LONG: Final = 32
_INDEXED: Final = 3
"""Characters: shorter words have no entry in the index, and asking for one would cost the others theirs."""


class Names:
    """The names in one page of entries. Reads what it needs of a page at once."""

    def __init__(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        self._roles = _roles(connection, {entry.actor for entry in entries if entry.actor.startswith("user:")})
        words = {name for entry in entries for name in (entry.actor, entry.subject)}
        self._nodes = _nodes(connection, _after(words, "node:"))
        self._objects = _objects(connection, _after(words, "object:"))
        self._incidents = _incidents(connection, _after(words, "incident:"))

    def who(self, entry: Entry) -> str:
        """``okafor, dispatcher``: with the role that the account had at that entry."""
        sort, _, name = entry.actor.partition(":")
        if sort == "user" and entry.actor not in _ALONE:
            held = [role for number, role in self._roles.get(entry.actor, ()) if number < entry.id]
            return f"{name}, {held[-1].replace('_', ' ')}" if held else name
        return self._named(entry.actor)

    def about(self, entry: Entry) -> str:
        """``INC-2026-000012``, ``harbor-01, camera``, ``picture 98b02f0b1d5b…``."""
        return self._named(entry.subject)

    def _named(self, word: str) -> str:
        sort, _, name = word.partition(":")
        if word in _ALONE or not name:
            return _ALONE.get(word, word)
        found = {"node": self._nodes, "object": self._objects, "incident": self._incidents}.get(sort, {}).get(name)
        if found is not None:
            return found
        if sort in _SORTS:
            return f"{name}, {_SORTS[sort]}"
        if sort == "user":
            return name
        shown = f"{name[:_SHORT]}…" if len(name) >= _HEX_LONG else name
        return f"{_BEFORE.get(sort, sort)} {shown}"


def meant(connection: sqlite3.Connection, typed: str) -> tuple[str, ...]:
    """The machine words that somebody means by a name; the word itself where it is one. Empty for nothing typed."""
    name = typed.strip()
    first, _, last = name.rpartition(", ")
    if first and last.casefold() in _ROLES:
        name = first
    if not name or ":" in name:
        return (name,) if name else ()
    for word, shown in _ALONE.items():
        if name.casefold() in {word, shown.partition(", ")[0]}:
            return (word,)
    numbers = _NUMBER.fullmatch(name)
    if numbers:
        return (f"incident:{int(numbers[1])}",)
    nodes = [f"node:{row[0].hex()}" for row in connection.execute("SELECT id FROM node WHERE name = ?", (name,))]
    sorts = [f"{sort}:{name}" for sort in ("unit", "agency", "receiver", "log")]
    itself = (name,) if len(name) >= _INDEXED else ()
    return tuple(dict.fromkeys((f"user:{name.lower()}", *nodes, *sorts, *itself)))


def named_like(connection: sqlite3.Connection, text: str) -> frozenset[str]:
    """Machine words of what is shown under a name that holds this text: nodes by their names, an incident by its number."""
    numbers = _NUMBER.fullmatch(text.strip())
    if numbers:
        return frozenset({f"incident:{int(numbers[1])}"})
    folded = text.casefold()
    rows = connection.execute("SELECT name, id FROM node") if folded else ()
    return frozenset(f"node:{row[1].hex()}" for row in rows if folded in row[0].casefold())


def _after(words: Iterable[str], sort: str) -> list[str]:
    return sorted(word.removeprefix(sort) for word in words if word.startswith(sort))


def _roles(connection: sqlite3.Connection, people: set[str]) -> dict[str, list[tuple[int, str]]]:
    """Of each person, by which entry the account got which role. By the index of kinds: a person's own entries are many."""
    found: dict[str, list[tuple[int, str]]] = {}
    if people:
        kinds, marks = ", ".join("?" * len(_ROLE_KINDS)), ", ".join("?" * len(people))
        rows = connection.execute(
            f"SELECT subject, id, payload FROM entry WHERE kind IN ({kinds}) AND kind <> 'alert' AND +subject IN ({marks}) "  # noqa: S608  question marks
            "ORDER BY id",
            (*_ROLE_KINDS, *people),
        )
        for person, number, payload in rows:
            found.setdefault(person, []).append((number, facts.decode(payload, Remark).what))
    return found


def _nodes(connection: sqlite3.Connection, ids: list[str]) -> dict[str, str]:
    found = {}
    for node_id in ids:
        row = connection.execute("SELECT name, role FROM node WHERE id = ?", (_bytes(node_id),)).fetchone()
        if row is not None:
            found[node_id] = f"{row[0]}, {_NODE_ROLES.get(row[1], 'node')}"
    return found


def _objects(connection: sqlite3.Connection, hashes: list[str]) -> dict[str, str]:
    found = {}
    for sha256 in hashes:
        row = connection.execute("SELECT media_type FROM stored_object WHERE sha256 = ?", (_bytes(sha256),)).fetchone()
        media = row[0].partition("/")[0] if row is not None else ""
        found[sha256] = f"{_MEDIA.get(media, 'file')} {sha256[:_SHORT]}…"
    return found


def _incidents(connection: sqlite3.Connection, ids: list[str]) -> dict[str, str]:
    found = {}
    for number in ids:
        if number.isdecimal():
            query = "SELECT first_alert_at_ms FROM incident WHERE id = ?"
            row = connection.execute(query, (int(number[:18]),)).fetchone()
            if row is not None:
                found[number] = number_of(int(number), row[0])
    return found


def _bytes(written: str) -> bytes:
    try:
        return bytes.fromhex(written)
    except ValueError:
        return b""
