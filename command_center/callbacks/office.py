"""What an administrator does with the outbox: who is told, and what could not be. Called by ``administration``."""

import hashlib
import re
import secrets
import sqlite3
from typing import Final

import msgspec
from nacl.signing import SigningKey

from command_center import facts, journal
from command_center.callbacks import kinds, signing, store, writer
from command_center.callbacks.kinds import ReceiverKind
from command_center.callbacks.store import Receiver
from command_center.commands import CallbackAdd, CallbackCommand, CallbackDead, CallbackList, CallbackRemove, Outcome
from command_center.errors import BadRequest
from command_center.facts import Remark

_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")


def perform(connection: sqlite3.Connection, command: CallbackCommand, *, by: str, url: str, now_ms: int) -> Outcome:
    """Do it, journalled. ``url`` is where others reach this center.

    Raises:
        BadRequest, NotFound: it can't be done, and why.
    """
    match command:
        case CallbackAdd():
            return _add(connection, command, by, url, now_ms)
        case CallbackList():
            return _list(connection)
        case CallbackRemove():
            dead = store.remove_receiver(connection, command.name)
            _note(connection, "callback-receiver-removed", command.name, by, now_ms)
            return Outcome(
                lines=(f"{command.name} is told no more; {dead} deliveries that waited for it are dead letters",)
            )
        case CallbackDead():
            return _dead(connection, command, by, now_ms)


def _add(connection: sqlite3.Connection, command: CallbackAdd, by: str, url: str, now_ms: int) -> Outcome:
    if not _NAME.match(command.name):
        raise BadRequest(f"expected a name of 1 to 32 letters, digits, dots and dashes, found {command.name[:60]!r}")
    kind = kinds.require_usable(command.url, command.options)
    options, token = command.options, ""
    if kind is ReceiverKind.CAP:
        token = secrets.token_urlsafe(32)
        options = msgspec.structs.replace(options, token_sha256=hashlib.sha256(token.encode()).hexdigest())
    store.add_receiver(connection, Receiver(
        name=command.name, url=command.url, secret=command.secret, only_flash=command.only_flash,
        may_be_inside=command.may_be_inside, disabled_why="", kind=kind, only_called=command.only_called, options=options,
    ))  # fmt: skip
    _note(connection, "callback-receiver-added", command.name, by, now_ms, command.url)
    when = "when a plan or an assignment calls it" if command.only_called else "from now on"
    lines = [f"{command.name} is told {when}, at {command.url}"]
    if kind is ReceiverKind.WEBHOOK:
        lines.append(f"It checks with {_public(connection)}")
    if token:
        lines.append(f"Its feed (shown only now): {url.rstrip('/')}/cap/{token}/feed.xml")
    return Outcome(lines=tuple(lines))


def _list(connection: sqlite3.Connection) -> Outcome:
    found = store.receivers(connection)
    lines = [
        f"{item.name:<24} {item.url}  {_when(item)}" + (f"  disabled: {item.disabled_why}" if item.disabled_why else "")
        for item in found
    ]
    data = [{"name": item.name, "url": item.url, "only_flash": item.only_flash, "kind": item.kind.value,
             "only_called": item.only_called, "disabled_why": item.disabled_why}
            for item in found]  # fmt: skip
    return Outcome(lines=(*(lines or ["nobody is told: command-center callback add NAME URL"]), f"key: {_public(connection)}"),
                   data=msgspec.Raw(msgspec.json.encode(data)))  # fmt: skip


def _when(receiver: Receiver) -> str:
    told = "when called" if receiver.only_called else "FLASH only" if receiver.only_flash else "everything"
    return f"{receiver.kind.value}, {told}"


def _dead(connection: sqlite3.Connection, command: CallbackDead, by: str, now_ms: int) -> Outcome:
    dead = store.deliveries(connection, state="dead", limit=1000)
    known = {item.name for item in store.receivers(connection)}
    lines = [f"{item.id}  {item.receiver}  {item.event}  incident {item.incident}  {item.last_answer}" for item in dead]
    if command.resend:
        again = [item for item in dead if item.receiver in known]
        for item in again:
            store.resend(connection, item.id, now_ms)
            _note(connection, "callback-resent", item.id, by, now_ms)
        lines.append(f"{len(again)} are sent again")
    data = [{"id": item.id, "receiver": item.receiver, "event": item.event, "incident": item.incident,
             "last_answer": item.last_answer} for item in dead]  # fmt: skip
    return Outcome(lines=tuple(lines or ["no dead letters"]), data=msgspec.Raw(msgspec.json.encode(data)))


def _public(connection: sqlite3.Connection) -> str:
    return signing.public_text(SigningKey(writer.set_up(connection)))


def _note(connection: sqlite3.Connection, kind: str, name: str, by: str, now_ms: int, detail: str = "") -> None:
    journal.append(connection, at_ms=now_ms, kind=kind, actor=by, subject=f"receiver:{name}",
                   payload=facts.encode(Remark(what=kind, detail=detail)))  # fmt: skip
