"""Whom this machine believes: the pinned authority, the passports that it signed, and those that it withdrew.

Holds state and accepts only legal steps; does no I/O but through the connection that it is given. A passport proves
itself, so it may come from anybody; a roster's number may only rise, so an old one can't bring a revoked node back.
"""

import sqlite3
from importlib.resources import files
from typing import Final

import msgspec

from relay import passport as passports
from relay.clock import Clock, ClockQuality
from relay.errors import Revoked, UnknownSender
from relay.identity import AuthorityKeys
from relay.ids import NodeId
from relay.kinds import roster as rosters
from relay.kinds.roster import Roster, RosterStatement
from relay.passport import Passport, SignedPassport
from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("relay").joinpath("schema", "trust"))


class TrustBook:
    """Passports by node id, and the withdrawn ones."""

    def __init__(self, *, authority: AuthorityKeys, clock: Clock) -> None:
        self.authority = authority
        self._clock = clock
        self._passports: dict[NodeId, SignedPassport] = {}
        self._revoked: frozenset[NodeId] = frozenset()
        self._roster_number = 0
        self._roster: Roster | None = None

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what earlier runs learned; each passport and roster is verified again."""
        for (wire,) in connection.execute("SELECT wire FROM passport"):
            self.admit(wire)
        row = connection.execute("SELECT body FROM roster ORDER BY number DESC LIMIT 1").fetchone()
        if row is not None:
            self.follow(msgspec.msgpack.decode(row[0], type=Roster))

    def admit(self, wire: bytes) -> SignedPassport:
        """Check a passport and believe it, unless a newer one for the same keys is known.

        Raises:
            Malformed, BadSignature: not a passport of our authority.
            Revoked: withdrawn.
        """
        signed = passports.verify(wire, self.authority.signing_key)
        node_id = signed.passport.node_id
        if node_id in self._revoked:
            raise Revoked(f"the passport of {signed.passport.name} ({node_id.hex()}) was withdrawn: enroll it anew")
        known = self._passports.get(node_id)
        if known is not None and known.passport.serial >= signed.passport.serial:
            return known
        self._passports[node_id] = signed
        return signed

    def follow(self, roster: Roster) -> RosterStatement | None:
        """Take over a roster; None if we follow the same or a newer one.

        Raises:
            BadSignature, Malformed: not a roster of our authority.
        """
        statement = rosters.verify(roster, self.authority.signing_key)
        if statement.number <= self._roster_number:
            return None
        self._roster_number = statement.number
        self._roster = roster
        self._revoked = frozenset(NodeId(node_id) for node_id in statement.revoked)
        return statement

    @property
    def roster(self) -> Roster | None:
        """The newest roster, as signed."""
        return self._roster

    @property
    def roster_number(self) -> int:
        """Its number; 0 if none was ever seen."""
        return self._roster_number

    def knows(self, node_id: NodeId) -> bool:
        """Whether we hold a passport for this id."""
        return node_id in self._passports

    def is_revoked(self, node_id: NodeId) -> bool:
        """Whether the authority withdrew its passport."""
        return node_id in self._revoked

    def wire_of(self, node_id: NodeId) -> bytes | None:
        """The signed passport of a node, to show to others."""
        signed = self._passports.get(node_id)
        return signed.wire if signed else None

    def held(self, node_id: NodeId) -> Passport | None:
        """The passport that we hold of a node, withdrawn or out of its dates as it may be."""
        signed = self._passports.get(node_id)
        return signed.passport if signed else None

    def names(self) -> set[str]:
        """The names in all passports that we hold."""
        return {signed.passport.name for signed in self._passports.values()}

    def name_of(self, node_id: NodeId) -> str:
        """The name in a node's passport, else its id in hexadecimal."""
        signed = self._passports.get(node_id)
        return signed.passport.name if signed else node_id.hex()

    def withdrawn(self) -> list[SignedPassport]:
        """The passports that we hold and that the authority has withdrawn."""
        return [signed for node_id, signed in self._passports.items() if node_id in self._revoked]

    def named(self, name: str) -> Passport | None:
        """The passport with this name."""
        return next((s.passport for s in self._passports.values() if s.passport.name == name), None)

    def speaking_by(self, transport_key: bytes) -> Passport | None:
        """The passport that names this transport key, if its owner may speak now."""
        found = next((s.passport for s in self._passports.values() if s.passport.transport_key == transport_key), None)
        if found is None:
            return None
        try:
            return self.passport_of(found.node_id)
        except Revoked:
            return None

    def passport_of(self, node_id: NodeId) -> Passport:
        """The passport under which this node may speak now.

        Dates are judged only where this machine's own clock is synchronised.

        Raises:
            UnknownSender: we hold none.
            Revoked: withdrawn, or out of its dates.
        """
        if node_id in self._revoked:
            raise Revoked(f"the passport of {node_id.hex()} was withdrawn by the authority")
        signed = self._passports.get(node_id)
        if signed is None:
            raise UnknownSender(f"no passport for {node_id.hex()}: it must show one first")
        trusted = self._clock.quality() >= ClockQuality.SYNCHRONIZED
        passports.require_valid_at(signed.passport, self._clock.wall_ms() if trusted else None)
        return signed.passport


def keep_passport(connection: sqlite3.Connection, signed: SignedPassport) -> None:
    """Store a passport that ``TrustBook.admit`` accepted."""
    connection.execute(
        "INSERT INTO passport VALUES (?, ?, ?) ON CONFLICT (node_id) DO UPDATE SET serial = excluded.serial, "
        "wire = excluded.wire WHERE excluded.serial > serial",
        (signed.passport.node_id, signed.passport.serial, signed.wire),
    )


def keep_roster(connection: sqlite3.Connection, roster: Roster, number: int) -> None:
    """Store a roster that ``TrustBook.follow`` accepted, in place of the earlier one."""
    connection.execute("DELETE FROM roster WHERE number < ?", (number,))
    connection.execute("INSERT INTO roster VALUES (?, ?)", (number, msgspec.msgpack.encode(roster)))
