"""Which incidents are exported: named ones, all, or those of a time and a camera."""

import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from command_center.errors import BadRequest, NotFound
from command_center.incident_store import number_of

_NUMBER: Final = re.compile(r"(?:INC-(?P<year>\d{4})-)?(?P<id>\d{1,15})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for."""

    incidents: tuple[str, ...] = ()
    """As people write them: ``INC-2026-000007`` or ``7``."""
    is_all: bool = False
    from_ms: int | None = None
    until_ms: int | None = None
    camera: str = ""
    is_unredacted: bool = False
    """Originals, whatever the redactions say: for a court, not for the public."""

    @property
    def words(self) -> str:
        """The same as a sentence for reports and the journal."""
        return f"{self._words}, with originals of what is redacted" if self.is_unredacted else self._words

    @property
    def _words(self) -> str:
        if self.is_all:
            return "all incidents and the whole journal"
        if self.incidents:
            return "incidents " + ", ".join(self.incidents)
        span = [f"from {utc(self.from_ms)}" if self.from_ms is not None else "",
                f"until {utc(self.until_ms)}" if self.until_ms is not None else "",
                f"camera {self.camera}" if self.camera else ""]  # fmt: skip
        return "incidents " + ", ".join(part for part in span if part)


def selection_of(incidents: list[str], *, is_all: bool, since: str, until: str, camera: str) -> Selection:
    """The selection that a command line says.

    Raises:
        BadRequest: nothing, or two things at once, or a time that is none.
    """
    by_range = bool(since or until or camera)
    if sum((bool(incidents), is_all, by_range)) != 1:
        raise BadRequest("expected incidents by number, or --all, or --from/--until/--camera, and only one of these")
    for number in incidents:
        if not _NUMBER.fullmatch(number):
            raise BadRequest(f"expected an incident as INC-2026-000007 or 7, found {number!r}")
    return Selection(incidents=tuple(incidents), is_all=is_all, camera=camera,
                     from_ms=_time(since) if since else None, until_ms=_time(until) if until else None)  # fmt: skip


def _time(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"expected a time as 2026-11-20 or 2026-11-20T23:00:00+00:00, found {text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def find(connection: sqlite3.Connection, selection: Selection) -> tuple[int, ...]:
    """The ids of the incidents that are meant.

    Raises:
        NotFound: one of them, or any, is not there.
    """
    if selection.incidents:
        return tuple(sorted({_find_one(connection, number) for number in selection.incidents}))
    rows = connection.execute(
        "SELECT id FROM incident WHERE (?1 IS NULL OR last_alert_at_ms >= ?1) AND (?2 IS NULL OR first_alert_at_ms < ?2) "
        "AND (?3 = '' OR camera = ?3) ORDER BY id",
        (selection.from_ms, selection.until_ms, selection.camera),
    ).fetchall()
    if not rows and not selection.is_all:
        raise NotFound(f"there are no {selection.words}: nothing was exported")
    return tuple(row[0] for row in rows)


def _find_one(connection: sqlite3.Connection, number: str) -> int:
    found = _NUMBER.fullmatch(number)
    assert found is not None
    incident = int(found["id"])
    row = connection.execute("SELECT first_alert_at_ms FROM incident WHERE id = ?", (incident,)).fetchone()
    if row is None or (found["year"] and number_of(incident, row[0]) != number):
        raise NotFound(f"there is no incident {number}: nothing was exported; the console's queue shows their numbers")
    return incident


def utc(at_ms: int | None) -> str:
    """A time for people and tables, to the millisecond; a dash where there is none."""
    if at_ms is None:
        return "–"
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return f"{at_ms} ms"  # a node's clock may say the year 10889
