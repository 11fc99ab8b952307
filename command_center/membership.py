"""Who belongs to the fleet: invites, approvals, standing. What administrators decide, at the console and on the command line alike.

``enrollments`` holds the rules of joining, ``fleet`` what follows from the journal. Here both become one act: in one transaction, in the
name of whoever acts, and with the roster that tells every station who is withdrawn.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from command_center import enrollments, fleet, ingest
from command_center.enrollments import Invite, Issuer, Waiting
from command_center.errors import BadRequest, LostRace, NotFound
from command_center.fleet import Node, Standing
from relay.clock import Clock
from relay.database import Database
from relay.ids import NodeId
from relay.kinds import roster as rosters
from relay.kinds.roster import Roster, RosterStatement
from relay.passport import Passport, Role

MOST_MINUTES: Final = 10_080
ENROLLS: Final = {
    "camera": "camera-node enroll {code} --state DIR", "relay": "alert-relay enroll {code} --state DIR",
    "agency": "command-center witness join OUR-NAME {code} --path tcp://THIS-CENTER:PORT --state DIR",
}  # fmt: skip
"""What is run on the machine that comes in, by role."""


class Membership:
    """Lets machines in, keeps them apart, withdraws them."""

    def __init__(self, *, database: Database, issuer: Issuer, clock: Clock, url: str,
                 publish_roster: Callable[[Roster], Awaitable[None]], after_commit: Callable[[], None]) -> None:  # fmt: skip
        """``url``: where machines reach this center's HTTP, if an invite names nothing else."""
        self._database = database
        self._issuer = issuer
        self._clock = clock
        self._url = url
        self._publish_roster = publish_roster
        self._after_commit = after_commit

    async def invite(self, *, name: str, role: str, site: str, minutes: float, is_preapproved: bool, by: str,
                     url: str = "", is_again: bool = False) -> Invite:  # fmt: skip
        """Make a one-time enrollment code. ``by``: as the journal names actors; ``is_again``: for who has the name already.

        Raises:
            BadRequest: the name is taken or not one, or the time is out of bounds.
        """
        if not 0 < minutes <= MOST_MINUTES:
            raise BadRequest(f"expected between 0 and {MOST_MINUTES} minutes (a week), found {minutes:g}")
        made = await self._database.run(
            lambda c: enrollments.invite(
                c, self._issuer, self._clock, name=name, role=Role[role.upper()], site=site, minutes=minutes,
                is_preapproved=is_preapproved, url=(url or self._url).rstrip("/"), by=by, is_again=is_again,
            )
        )  # fmt: skip
        self._after_commit()
        return made

    async def waiting(self) -> list[Waiting]:
        """Machines that asked and wait for a person."""
        return await self._database.run(enrollments.waiting)

    async def approve(self, name: str, *, by: str, node: str = "") -> Passport:
        """Let the machine in that waits under this name. ``node``: the id that the person saw, if they saw one.

        Raises:
            NotFound: nothing waits under this name.
            LostRace: another machine does.
            BadRequest: a node has that name already.
        """

        def work(connection: sqlite3.Connection) -> Passport:
            there = {one.name: one.node for one in enrollments.waiting(connection)}
            if node and there.get(name, node) != node:
                raise LostRace(
                    f"another machine waits as {name!r} now: expected {node}, found {there[name]}; compare it with what the machine shows"
                )
            return enrollments.approve(connection, self._issuer, self._clock, name=name, by=by)

        passport = await self._database.run(work)
        self._after_commit()
        return passport

    async def set_standing(self, which: str | NodeId, standing: Standing, reason: str, *, by: str,
                           was: Standing | None = None) -> str:  # fmt: skip
        """Quarantine, reinstate or withdraw a node; returns its name.

        ``which``: its id, or what a person typed: a name, or how an id begins. ``was``: the standing that the person saw.

        Raises:
            NotFound: there is no such node.
            LostRace: somebody else was first.
            BadRequest: several nodes are meant, or it is withdrawn already, for good.
        """

        def work(connection: sqlite3.Connection) -> tuple[str, Roster | None]:
            node = self._find(connection, which)
            if was is not None and node.standing is not was:
                raise LostRace(f"{node.passport.name} is {node.standing.value} by now: {node.reason or 'look again'}")
            if node.standing is Standing.REVOKED:
                raise BadRequest(f"{node.passport.name} is revoked for good: enroll it anew with an invite")
            ingest.change_standing(connection, node.id, standing, reason, actor=by, at_ms=self._clock.wall_ms())
            return node.passport.name, self._new_roster(connection) if standing is Standing.REVOKED else None

        name, roster = await self._database.run(work)
        if roster is not None:
            await self._publish_roster(roster)
        self._after_commit()
        return name

    def _find(self, connection: sqlite3.Connection, which: str | NodeId) -> Node:
        if isinstance(which, str):
            return fleet.find(connection, self._clock, which)
        found = next(fleet.nodes(connection, self._clock, which), None)
        if found is None:
            raise NotFound(f"there is no node {which.hex()}")
        return found

    def _new_roster(self, connection: sqlite3.Connection) -> Roster:
        """Sign the list of the withdrawn; kept, so that a center that was not running publishes it at its start."""
        revoked = tuple(
            row[0] for row in connection.execute("SELECT id FROM node WHERE standing = 'revoked' ORDER BY id")
        )
        number = connection.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM withdrawal").fetchone()[0]
        statement = RosterStatement(number=number, issued_at_ms=self._clock.wall_ms(), revoked=revoked)
        roster = rosters.issue(self._issuer.authority.signing, statement)
        connection.execute("INSERT INTO withdrawal VALUES (?, ?)", (number, msgspec.msgpack.encode(roster)))
        return roster


def newest_roster(connection: sqlite3.Connection) -> Roster | None:
    """The latest withdrawal, for a center that starts."""
    row = connection.execute("SELECT body FROM withdrawal ORDER BY number DESC LIMIT 1").fetchone()
    return msgspec.msgpack.decode(row[0], type=Roster) if row else None
