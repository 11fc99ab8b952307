"""Mutual aid: one incident is shown to another agency, read-only, for a while.

* The link is a capability; only its hash is kept. It shows one incident and makes nothing.
* It can't be handed on: the first browser that opens it (a button; a messenger's preview opens nothing) is the only one that it works in.
* It ends at its time, or at once when it is revoked; what is asked after that gets a clear answer and is journalled as a denial.
* Each look is an entry of the journal, with the address that it came from.
"""

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from command_center import event_feed, facts, incident_store, journal
from command_center.accounts import SignedIn
from command_center.errors import AccessDenied, LostRace, NotFound, NotPossible
from command_center.facts import Remark
from command_center.incidents import State
from command_center.link_denials import LinkDenials
from command_center.responses.appliers import record
from command_center.responses.facts import Shared, ShareEnded, ShareOpened
from relay.clock import Clock
from relay.database import Database

MOST_MINUTES: Final = 24 * 60
_LOOK_NOTED_EVERY_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One incident, shown to one agency."""

    id: int
    incident: int
    agency: str
    reason: str
    by: str
    at_ms: int
    until_ms: int
    seat_sha256: bytes | None
    opened_at_ms: int | None
    ended_at_ms: int | None
    ended_by: str
    ended_why: str


_COLUMNS: Final = (
    "id, incident, agency, reason, by, at_ms, until_ms, seat_sha256, opened_at_ms, ended_at_ms, ended_by, ended_why"
)


def shares(connection: sqlite3.Connection, incident_id: int) -> list[Share]:
    """Everything that was shared of an incident, the first one first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM share WHERE incident = ? ORDER BY id", (incident_id,))  # noqa: S608  a constant
    return [_share(row) for row in rows]


def by_token(connection: sqlite3.Connection, token: str) -> Share | None:
    """What a link was made for, ended or not."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM share WHERE token_sha256 = ?",  # noqa: S608  a constant
        (hashlib.sha256(token.encode()).digest(),),
    ).fetchone()
    return None if row is None else _share(row)


def end_all(connection: sqlite3.Connection, *, by: str, reason: str, now: int) -> None:
    """End every share that has not ended. Inside a transaction."""
    rows = connection.execute("SELECT id, incident FROM share WHERE ended_at_ms IS NULL ORDER BY id").fetchall()
    for number, incident in rows:
        _record_end(connection, number, incident, by, reason, now)


def _record_end(connection: sqlite3.Connection, share: int, incident: int, by: str, reason: str, now: int) -> None:
    fact = ShareEnded(share=share, incident=incident, by=by, reason=reason)
    record(connection, "share-ended", fact, actor=by, subject=f"incident:{incident}", now=now)
    event_feed.note(connection, "incident", incident)


def _share(row: Sequence[object]) -> Share:
    (number, incident, agency, reason, by, at_ms, until_ms, seat, opened_at_ms, ended_at_ms, ended_by, why) = row
    assert isinstance(number, int)
    assert isinstance(incident, int)
    assert isinstance(at_ms, int)
    assert isinstance(until_ms, int)
    assert seat is None or isinstance(seat, bytes)
    assert opened_at_ms is None or isinstance(opened_at_ms, int)
    assert ended_at_ms is None or isinstance(ended_at_ms, int)
    return Share(id=number, incident=incident, agency=str(agency), reason=str(reason), by=str(by), at_ms=at_ms,
                 until_ms=until_ms, seat_sha256=seat, opened_at_ms=opened_at_ms, ended_at_ms=ended_at_ms,
                 ended_by=str(ended_by), ended_why=str(why))  # fmt: skip


class MutualAid:
    """Shares incidents, lets the other agency look, and ends it."""

    def __init__(
        self, *, database: Database, clock: Clock, denials: LinkDenials, after_commit: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._denials = denials
        self._after_commit = after_commit
        self._looks: dict[tuple[int, str], int] = {}

    async def share(
        self, incident_id: int, agency: str, minutes: float, reason: str, person: SignedIn
    ) -> tuple[int, str]:
        """Show an incident to an agency; returns the share's number and the link's token, which is kept nowhere.

        Raises:
            NotFound: no such incident.
            NotPossible: closed, no agency or reason, or for too long.
        """
        lasts_ms = round(minutes * 60_000) if 0 < minutes <= MOST_MINUTES else 0
        if lasts_ms < 1:
            raise NotPossible(f"expected a share of at most {MOST_MINUTES} minutes, found {minutes:g}")
        if not agency.strip() or not reason.strip():
            raise NotPossible("expected the agency that is to see it and the reason, found one of them empty")
        token = secrets.token_urlsafe(32)

        def work(connection: sqlite3.Connection) -> int:
            now, by = self._clock.wall_ms(), f"user:{person.username}"
            incident = incident_store.load(connection, incident_id)
            if incident.state is State.CLOSED:
                raise NotPossible(f"incident {incident_id} is closed")
            fact = Shared(incident=incident_id, agency=agency.strip()[:64], reason=reason.strip()[:500], by=by,
                          role=person.role.value, until_ms=now + lasts_ms,
                          token_sha256=hashlib.sha256(token.encode()).digest())  # fmt: skip
            number = record(connection, "incident-shared", fact, actor=by, subject=f"incident:{incident_id}", now=now)
            event_feed.note(connection, "incident", incident_id)
            return number

        number = await self._database.run(work)
        self._after_commit()
        return number, token

    async def revoke(self, incident_id: int, number: int, reason: str, person: SignedIn) -> None:
        """End it at once. Revoked twice is revoked once.

        Raises:
            NotFound: this incident has no such share.
        """

        def work(connection: sqlite3.Connection) -> None:
            found = next((item for item in shares(connection, incident_id) if item.id == number), None)
            if found is None:
                raise NotFound(f"incident {incident_id} has no share {number}")
            if found.ended_at_ms is None:
                self._end(connection, found, f"user:{person.username}", reason.strip()[:500] or "revoked")

        await self._database.run(work)
        self._after_commit()

    async def open(self, token: str, address: str) -> tuple[Share, str]:
        """The first browser opens it; returns the share and the seat's token for its cookie.

        Raises:
            AccessDenied: the link is good for nothing, or somebody else has opened it.
        """
        seat = secrets.token_urlsafe(32)

        def work(connection: sqlite3.Connection) -> Share | str:
            share = by_token(connection, token)
            why = self._why_not(share)
            if share is None or why:
                return self._denied(connection, share, why, address)
            if share.seat_sha256 is not None:
                return self._denied(connection, share, "it was opened in another browser", address)
            fact = ShareOpened(share=share.id, seat_sha256=hashlib.sha256(seat.encode()).digest(), address=address)
            record(connection, "share-opened", fact, actor=f"agency:{share.agency}", now=self._clock.wall_ms(),
                   subject=f"incident:{share.incident}")  # fmt: skip
            event_feed.note(connection, "incident", share.incident)
            return share

        return self._allowed(await self._database.run(work)), seat

    async def look(self, token: str, seat: str, address: str, what: str) -> Share:
        """Whether this browser may look, journalled before anything is shown.

        Raises:
            AccessDenied: it may not, and why.
        """

        def work(connection: sqlite3.Connection) -> Share | str:
            share = by_token(connection, token)
            why = self._why_not(share)
            if share is None or why:
                return self._denied(connection, share, why, address)
            given = hashlib.sha256(seat.encode()).digest()
            if share.seat_sha256 is None or not hmac.compare_digest(share.seat_sha256, given):
                return self._denied(connection, share, "it was opened in another browser", address)
            self._note_look(connection, share, address, what)
            return share

        return self._allowed(await self._database.run(work))

    def end_due(self, connection: sqlite3.Connection) -> int:
        """End those whose time is over, or whose incident is closed; returns how many. Inside a transaction."""
        due = self.due(connection)
        for number, incident_id in due:
            share = next(item for item in shares(connection, incident_id) if item.id == number)
            now = self._clock.wall_ms()
            is_over = share.until_ms <= now or share.until_ms > now + MOST_MINUTES * 60_000
            self._end(connection, share, "center", "its time was over" if is_over else "the incident is closed")
        return len(due)

    def due(self, connection: sqlite3.Connection) -> list[tuple[int, int]]:
        """(share, incident) of those to end: a wall clock that leapt back lengthens none beyond what any may last."""
        now = self._clock.wall_ms()
        rows = connection.execute(
            "SELECT s.id, s.incident FROM share s JOIN incident i ON i.id = s.incident WHERE s.ended_at_ms IS NULL "
            "AND (s.until_ms <= ? OR s.until_ms > ? OR i.state = 'closed')",
            (now, now + MOST_MINUTES * 60_000),
        )
        return rows.fetchall()

    def _why_not(self, share: Share | None) -> str:
        now = self._clock.wall_ms()
        if share is None:
            return "there is no such link"
        if share.ended_at_ms is not None:
            return share.ended_why
        return "its time is over" if not now < share.until_ms <= now + MOST_MINUTES * 60_000 else ""

    def _denied(self, connection: sqlite3.Connection, share: Share | None, why: str, address: str) -> str:
        if not self._denials.must_note("shared incident" if share is None else f"share {share.id}: {why}", address):
            return why
        subject = "share:unknown" if share is None else f"incident:{share.incident}"
        actor = "agency:unknown" if share is None else f"agency:{share.agency}"
        journal.append(connection, at_ms=self._clock.wall_ms(), kind="denied", actor=actor, subject=subject,
                       payload=facts.encode(Remark(what="shared incident", detail=why, address=address)))  # fmt: skip
        return why

    @staticmethod
    def _allowed(found: Share | str) -> Share:
        if isinstance(found, str):  # the denial was journalled by a transaction that had to commit
            raise AccessDenied(f"this link is not good, or no longer: {found}. Ask the agency that gave it", status=403)
        return found

    def _note_look(self, connection: sqlite3.Connection, share: Share, address: str, what: str) -> None:
        """The page refreshes by itself: one entry a minute and thing is every look."""
        now = self._clock.monotonic_ms()
        if now - self._looks.get((share.id, what), -_LOOK_NOTED_EVERY_MS) < _LOOK_NOTED_EVERY_MS:
            return
        self._looks = {key: at for key, at in self._looks.items() if now - at < _LOOK_NOTED_EVERY_MS}
        self._looks[share.id, what] = now
        journal.append(connection, at_ms=self._clock.wall_ms(), kind="share-viewed", actor=f"agency:{share.agency}",
                       subject=f"incident:{share.incident}", payload=facts.encode(Remark(what=what, address=address)))  # fmt: skip

    def _end(self, connection: sqlite3.Connection, share: Share, by: str, reason: str) -> None:
        if share.ended_at_ms is not None:
            raise LostRace(f"share {share.id} has ended already")
        _record_end(connection, share.id, share.incident, by, reason, self._clock.wall_ms())
