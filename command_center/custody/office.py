"""Performs custody's commands in the caller's transaction, for the command line and for people with a name."""

import sqlite3
from datetime import UTC, datetime

import msgspec

from command_center import event_feed
from command_center.commands import Outcome
from command_center.custody import fetching, holds, publishing, redactions, retention
from command_center.custody.commands import (
    CheckpointGive,
    CustodyCommand,
    FetchBegin,
    FetchLook,
    HoldList,
    HoldPlace,
    HoldRelease,
    RedactionList,
    RedactionSet,
    Retain,
)
from command_center.errors import BadRequest
from command_center.evidence.selection import Selection, find, selection_of
from relay.clock import Clock


def perform(connection: sqlite3.Connection, command: CustodyCommand, *, by: str, role: str, clock: Clock) -> Outcome:
    """Do it.

    Raises:
        BadRequest, NotFound, NotPossible: it can't be done, and why.
    """
    now = clock.wall_ms()
    match command:
        case HoldPlace() | HoldRelease():
            return _hold(connection, command, by, role, now)
        case HoldList():
            found = holds.views(connection)
            lines = [f"{h.number}  since {_utc(h.at_ms)} by {h.by}: {h.reason}  (clips kept {h.told}, gone before {h.gone}, "
                     f"not answered {h.waiting})" for h in found]  # fmt: skip
            return Outcome(lines=tuple(lines or ["nothing is on hold"]),
                           data=_json([{"incident": h.incident, "number": h.number, "by": h.by, "reason": h.reason, "at_ms": h.at_ms,
                                        "told": h.told, "gone": h.gone, "waiting": h.waiting} for h in found]))  # fmt: skip
        case Retain():
            return _retain(connection, command, f"user:{by}", now)
        case RedactionSet() | RedactionList():
            return _redact(connection, command, by, now)
        case FetchBegin():
            asked = fetching.begin(connection, command.incidents, actor=f"user:{by}", at_ms=now)
            return Outcome(data=_json([alert_id.hex() for alert_id in asked]))
        case CheckpointGive():
            note = publishing.give(connection, command.to, actor=f"user:{by}", at_ms=now)
            return Outcome(lines=tuple(note.splitlines()), data=_json(note))
        case FetchLook():
            items = fetching.look(connection, clock, [bytes.fromhex(alert) for alert in command.alerts])
            return Outcome(data=_json(items))


def _hold(connection: sqlite3.Connection, command: HoldPlace | HoldRelease, by: str, role: str, now: int) -> Outcome:
    chosen = selection_of(list(command.incidents), is_all=False, since="", until="", camera="")
    act = holds.place if isinstance(command, HoldPlace) else holds.release
    lines: list[str] = []
    for incident in find(connection, Selection(incidents=chosen.incidents)):
        act(connection, incident, by=by, role=role, reason=command.reason, at_ms=now)
        event_feed.note(connection, "incident", incident)
        kept = "on hold: nothing of it is deleted here, and its nodes are told to keep their clips"
        lines.append(f"incident {incident} is {kept if isinstance(command, HoldPlace) else 'on hold no longer'}")
    return Outcome(lines=tuple(lines))


def _retain(connection: sqlite3.Connection, command: Retain, actor: str, now: int) -> Outcome:
    if not 0 < command.days <= 36_500:
        raise BadRequest(f"expected a retention of more than 0 days, found {command.days:g}")
    found = retention.doomed(connection, now - round(command.days * retention.DAY_MS))
    verb = "would be deleted"
    if not command.is_dry_run:
        verb = "deleted; a tombstone of each is in the journal"
        reason = f"retention of {command.days:g} days"
        found = [one for one in found if retention.erase(connection, one, actor=actor, reason=reason, at_ms=now)]
    lines = [f"{one.sha256.hex()[:16]}…  {one.media_type}, {one.size_bytes} bytes, incidents "
             f"{', '.join(map(str, one.incidents)) or 'none'}" for one in found]  # fmt: skip
    lines.append(f"{len(found)} objects, {sum(one.size_bytes for one in found)} bytes {verb}")
    return Outcome(lines=tuple(lines), data=_json([one.sha256.hex() for one in found]))


def _redact(connection: sqlite3.Connection, command: RedactionSet | RedactionList, by: str, now: int) -> Outcome:
    if isinstance(command, RedactionList):
        found = redactions.views(connection)
        lines = [f"{r.sha256.hex()}  {r.mode} {'; '.join(','.join(map(str, region)) for region in r.regions_px)}  by {r.by}: "
                 f"{r.reason}" for r in found]  # fmt: skip
        return Outcome(lines=tuple(lines or ["nothing is redacted"]))
    try:
        sha256 = bytes.fromhex(command.sha256)
    except ValueError:
        raise BadRequest(f"expected a SHA-256 in hexadecimal, found {command.sha256[:80]!r}") from None
    redactions.set_one(connection, sha256, mode=command.mode, regions_px=command.regions_px, by=by, reason=command.reason,
                       at_ms=now)  # fmt: skip
    said = {"black": "given away with these regions black", "blur": "given away with these regions blurred",
            "withhold": "not given away", "": "given away as it is"}  # fmt: skip
    return Outcome(
        lines=(f"{command.sha256} is {said[command.mode]}; the original stays here, and its digest is in every bag",)
    )


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _json(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
