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
    ObjectErase,
    RedactionList,
    RedactionSet,
    Retain,
    WitnessedNote,
    WitnessList,
)
from command_center.errors import BadRequest, NotPossible
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
        case Retain() | ObjectErase():
            return _delete(connection, command, f"user:{by}", now)
        case RedactionSet() | RedactionList():
            return _redact(connection, command, by, now)
        case FetchBegin():
            asked = fetching.begin(connection, command.incidents, actor=f"user:{by}", at_ms=now)
            return Outcome(data=_json([alert_id.hex() for alert_id in asked]))
        case CheckpointGive():
            note = publishing.give(connection, command.to, actor=f"user:{by}", at_ms=now)
            return Outcome(lines=tuple(note.splitlines()), data=_json(note))
        case WitnessList() | WitnessedNote():
            return _witnesses(connection, command)
        case FetchLook():
            items = fetching.look(connection, clock, [bytes.fromhex(alert) for alert in command.alerts])
            return Outcome(data=_json(items))


def _witnesses(connection: sqlite3.Connection, command: WitnessList | WitnessedNote) -> Outcome:
    if isinstance(command, WitnessedNote):
        note = publishing.witnessed(connection, command.origin)
        return Outcome(lines=tuple(note.splitlines()), data=_json(note))
    ours = connection.execute(
        "SELECT target, size, at_ms, cosignature, problem FROM witness_word ORDER BY target"
    ).fetchall()
    theirs = connection.execute("SELECT origin, size, at_ms FROM witnessed ORDER BY origin").fetchall()
    lines = [f"{target}  has our checkpoint of {size} entries, word of {_utc(at_ms)}"
             f"{', cosigned' if cosignature else ''}{f'  PROBLEM: {problem}' if problem else ''}"
             for target, size, at_ms, cosignature, problem in ours]  # fmt: skip
    lines += [f"{origin}  witnessed here: {size} entries, {_utc(at_ms)}" for origin, size, at_ms in theirs]
    data = {"ours": [dict(zip(("target", "size", "at_ms", "cosignature", "problem"), row, strict=True)) for row in ours],
            "theirs": [dict(zip(("origin", "size", "at_ms"), row, strict=True)) for row in theirs]}  # fmt: skip
    return Outcome(lines=tuple(lines or ["nobody has our checkpoints, and we keep nobody's"]), data=_json(data))


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


def _delete(connection: sqlite3.Connection, command: Retain | ObjectErase, actor: str, now: int) -> Outcome:
    if isinstance(command, Retain):
        return _retain(connection, command, actor, now)
    return _erase(connection, command, actor, now)


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


def _erase(connection: sqlite3.Connection, command: ObjectErase, actor: str, now: int) -> Outcome:
    found = retention.one(connection, _sha256(command.sha256))
    reason = command.reason.strip()
    if len(reason) < 3:
        raise BadRequest("expected a reason: the order or the law by which it is deleted; the tombstone keeps it")
    if not retention.erase(connection, found, actor=actor, reason=reason[:500], at_ms=now):
        raise NotPossible(f"{command.sha256} belongs to an incident on hold: release that first (command-center holds)")
    return Outcome(
        lines=(f"{command.sha256} is deleted here; its tombstone is in the journal, and what its node signed stays",
               "exports that were made before hold it, and so may its node and backups: see to those, too"))  # fmt: skip


def _sha256(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BadRequest(f"expected a SHA-256 in hexadecimal, found {text[:80]!r}") from None


def _redact(connection: sqlite3.Connection, command: RedactionSet | RedactionList, by: str, now: int) -> Outcome:
    if isinstance(command, RedactionList):
        found = redactions.views(connection)
        lines = [f"{r.sha256.hex()}  {r.mode} {'; '.join(','.join(map(str, region)) for region in r.regions_px)}  by {r.by}: "
                 f"{r.reason}" for r in found]  # fmt: skip
        return Outcome(lines=tuple(lines or ["nothing is redacted"]))
    sha256 = _sha256(command.sha256)
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
