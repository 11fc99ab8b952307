"""Performs administrators' commands, in the running center or on its database while nothing runs: the same code."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from command_center import journal, unsealing
from command_center.accounts import office as account_office
from command_center.api import queries
from command_center.callbacks import office as callback_office
from command_center.commands import (
    AccountCommand,
    CallbackCommand,
    Command,
    NodeApprove,
    NodeInvite,
    NodeList,
    NodeStanding,
    Outcome,
    OwnCommand,
    Status,
)
from command_center.custody import office as custody_office
from command_center.custody.commands import CustodyCommand
from command_center.enrollments import Issuer
from command_center.evidence import steps
from command_center.evidence.steps import EvidenceExport
from command_center.fleet import Standing
from command_center.membership import ENROLLS, Membership
from command_center.units import office as unit_office
from command_center.units.commands import UnitCommand
from command_center.unsealing import Unseal
from relay.clock import Clock
from relay.database import Database

_ACTOR: Final = "user:local-administrator"
"""Whoever may read the state folder on this machine: the operating system has let them in."""


class Administration:
    """What administrators do."""

    def __init__(self, *, database: Database, issuer: Issuer, clock: Clock, url: str, membership: Membership,
                 after_commit: Callable[[], None], running: Callable[[], Awaitable[dict[str, object]]],
                 after_accounts: Callable[[], Awaitable[None]]) -> None:  # fmt: skip
        """``running`` gives figures of the running center, nothing where none runs; ``after_accounts`` cuts what a change ended."""
        self._after_accounts = after_accounts
        self._database = database
        self._issuer = issuer
        self._clock = clock
        self._url = url
        self._membership = membership
        self._after_commit = after_commit
        self._running = running

    async def perform(self, command: Command) -> Outcome:
        """Do it.

        Raises:
            BadRequest, NotFound: it can't be done, and why.
        """
        if isinstance(command, CallbackCommand):
            outcome = await self._database.run(
                lambda c: callback_office.perform(c, command, by=_ACTOR, url=self._url, now_ms=self._clock.wall_ms())
            )
        elif isinstance(command, UnitCommand):
            outcome = await self._database.run(
                lambda c: unit_office.perform(c, command, by=_ACTOR, url=self._url, now_ms=self._clock.wall_ms())
            )
        elif isinstance(command, AccountCommand):
            outcome = await self._database.run(
                lambda c: account_office.perform(c, command, by=_ACTOR, now_ms=self._clock.wall_ms())
            )
            await self._after_accounts()
        elif isinstance(command, CustodyCommand):
            outcome = await self._database.run(
                lambda c: custody_office.perform(
                    c, command, by=_ACTOR.removeprefix("user:"), role="", clock=self._clock
                )
            )
        else:
            outcome = await self._perform(command)
        self._after_commit()
        return outcome

    async def _perform(self, command: OwnCommand) -> Outcome:
        match command:
            case NodeInvite():
                return await self._node_invite(command)
            case NodeApprove():
                return await self._node_approve(command)
            case NodeList():
                return await self._node_list()
            case NodeStanding():
                return await self._node_standing(command)
            case Status() | EvidenceExport():
                return await (self._status() if isinstance(command, Status) else self._note_export(command))
            case Unseal():
                return await self._unseal(command)

    async def _node_invite(self, command: NodeInvite) -> Outcome:
        made = await self._membership.invite(
            name=command.name, role=command.role, site=command.site, minutes=command.minutes,
            is_preapproved=command.is_preapproved, url=command.url, by=_ACTOR,
            is_again=command.is_again,
        )  # fmt: skip
        lines = [
            f"Invite for {command.name} ({command.role}, site {command.site}), good once, for {command.minutes:g} minutes.",
            "Run this on the machine:" if command.role != "agency" else "Run this at their center:",
            "",
            f"  {ENROLLS[command.role].format(code=made.code)}",
        ]
        if not command.is_preapproved:
            lines += ["", f"then approve it here:  command-center node approve {command.name}"]
        return Outcome(lines=tuple(lines), data=_json({"code": made.code, "expires_at_ms": made.expires_at_ms}))

    async def _node_approve(self, command: NodeApprove) -> Outcome:
        passport = await self._membership.approve(command.name, by=_ACTOR)
        node_id = passport.node_id.hex()
        return Outcome(lines=(f"{passport.name} ({node_id}) is approved, passport {passport.serial}",),
                       data=_json({"id": node_id, "serial": passport.serial}))  # fmt: skip

    async def _node_list(self) -> Outcome:
        found = await self._database.run(lambda c: list(queries.nodes(c, self._clock)))
        asking = await self._membership.waiting()
        lines = [
            f"{n.name:<24} {n.role:<7} {n.site:<16} {n.state:<12} heard {_age(n.last_heard_age_ms):<12} "
            f"not yet heard: {n.missing}, given up: {n.forgone}  {n.id}"
            for n in found
        ]  # fmt: skip
        lines += [f"{one.name:<24} {one.role:<7} waits for approval  {one.node}" for one in asking]
        data = {"nodes": [n.model_dump(mode="json") for n in found],
                "waiting": [{"name": one.name, "role": one.role, "id": one.node} for one in asking]}  # fmt: skip
        return Outcome(lines=tuple(lines or ["no nodes yet: command-center node invite NAME --role camera --site SITE"]),
                       data=_json(data))  # fmt: skip

    async def _node_standing(self, command: NodeStanding) -> Outcome:
        standing = Standing(command.standing)
        name = await self._membership.set_standing(command.name, standing, command.reason, by=_ACTOR)
        said = {Standing.APPROVED: "reinstated: its alerts are annunciated again",
                Standing.QUARANTINED: "quarantined: its alerts are kept and marked, and annunciated to nobody",
                Standing.REVOKED: "revoked: nobody carries or accepts anything from it any more"}  # fmt: skip
        return Outcome(lines=(f"{name} is {said[standing]}",))

    async def _note_export(self, command: EvidenceExport) -> Outcome:
        noted = await self._database.run(lambda c: steps.note(c, command, self._clock.wall_ms()))
        return Outcome(data=_json(noted))

    async def _unseal(self, command: Unseal) -> Outcome:
        picture = unsealing.open_original(command, self._issuer.authority)
        noted = await self._database.run(
            lambda c: unsealing.note(c, command, picture, actor=_ACTOR, now_ms=self._clock.wall_ms())
        )
        return Outcome(lines=(f"sha256 {noted.sha256}",), data=_json(noted))

    async def _status(self) -> Outcome:
        def read(connection: sqlite3.Connection) -> dict[str, object]:
            states = dict(connection.execute("SELECT state, COUNT(*) FROM incident GROUP BY state").fetchall())
            return {"journal_entries": journal.size(connection), "incidents": states,
                    "alerts": connection.execute("SELECT COUNT(*) FROM alert").fetchone()[0],
                    "nodes": connection.execute("SELECT COUNT(*) FROM node").fetchone()[0],
                    "objects_incomplete": connection.execute("SELECT COUNT(*) FROM incoming").fetchone()[0]}  # fmt: skip

        figures = await self._database.run(read)
        figures["authority_fingerprint"] = self._issuer.keys.published_fingerprint
        figures.update(await self._running())
        return Outcome(lines=tuple(f"{name}: {value}" for name, value in figures.items()), data=_json(figures))


def _age(age_ms: int | None) -> str:
    return "never" if age_ms is None else f"{age_ms / 1000:.0f} s ago"


def _json(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
