"""How machines join this center: invites, requests, approvals, passports.

An invite is good once and for minutes. The first request that proves its secret binds it to that machine's keys; from
then on only those keys get an answer. The secret is kept (a MAC can't be checked against a hash) until a day after the
passport was issued, so that a machine whose reply was lost can ask again, and then erased.
"""

import secrets
import sqlite3
from dataclasses import dataclass
from typing import Final

import msgspec

from command_center import event_feed, facts, fleet, ingest, journal
from command_center.errors import BadRequest, NotFound
from command_center.facts import Remark
from command_center.fleet import Standing
from command_center.networks import network_of
from relay import limits
from relay import passport as passports
from relay.clock import PLAUSIBLE_SINCE_MS, Clock
from relay.enrollment import AuthorityHex, EnrollmentReply, EnrollmentRequest, check_request, make_code
from relay.errors import EnrollmentRefused, SenderError
from relay.identity import AuthorityKeys, Identity
from relay.ids import node_id_of
from relay.passport import Passport, Role

VALIDITY_MS: Final = 3 * 365 * 86_400_000
FAILURES_ALLOWED: Final = 10
FAILURE_WINDOW_MS: Final = 15 * 60 * 1000
FAILURES_NOTED: Final = 1000
"""In the window, from wherever: beyond, strangers are refused without an entry, or they would fill the journal."""
_RETRY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Signs passports for this authority."""

    authority: Identity
    agency: str
    center_passport: bytes

    @property
    def keys(self) -> AuthorityKeys:
        """The authority's public keys."""
        return AuthorityKeys(signing_key=self.authority.signing_key, sealing_key=self.authority.sealing_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """What an administrator hands out."""

    code: str
    name: str
    role: Role
    expires_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A machine that proved an invite's secret and waits for a person."""

    name: str
    role: str
    site: str
    node: str
    """Its id, in hexadecimal: made of its key, so a person can compare it with what the machine itself shows."""


def invite(connection: sqlite3.Connection, issuer: Issuer, clock: Clock, *, name: str, role: Role, site: str,
           minutes: float, is_preapproved: bool, url: str, by: str, is_again: bool = False) -> Invite:  # fmt: skip
    """Make a one-time invite; ``is_again``: for the machine that has the name already, and with its keys alone.

    Raises:
        BadRequest: the name is taken or not one; or, again, nobody in good standing has it in this role.
    """
    if role is Role.CENTER:
        raise BadRequest("expected role camera, relay or agency: a command center is made by command-center init")
    if is_again:
        _require_there(connection, clock, name, role)
    else:
        _require_free(connection, name)
    _require_name(name, site)
    now = clock.wall_ms()
    invite_id, secret = secrets.token_bytes(8), secrets.token_bytes(16)
    expires_at_ms = now + int(minutes * 60_000)
    connection.execute("DELETE FROM invite WHERE name = ? AND keys IS NULL", (name,))  # a newer code replaces it
    connection.execute(
        "INSERT INTO invite VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        (invite_id, secret, name, role, site, is_preapproved, expires_at_ms),
    )
    _remark(connection, "node-invited", by, name, role.name.lower(), f"site {site}, {minutes:g} minutes", "", now)
    code = make_code(url, issuer.keys, invite_id, secret)
    return Invite(code=code, name=name, role=role, expires_at_ms=expires_at_ms)


def answer(connection: sqlite3.Connection, issuer: Issuer, clock: Clock, data: bytes, address: str) -> EnrollmentReply:
    """Answer a machine's request; a refusal is journalled and counts against its network."""
    now, network = clock.wall_ms(), network_of(address)
    connection.execute(  # also what lies ahead, after a clock was set back: nobody waits longer for that
        "DELETE FROM enrollment_failure WHERE at_ms NOT BETWEEN ? AND ?",
        (now - FAILURE_WINDOW_MS, now + FAILURE_WINDOW_MS),
    )
    failures = connection.execute("SELECT COUNT(*) FROM enrollment_failure WHERE address = ?", (network,)).fetchone()[0]
    if failures >= FAILURES_ALLOWED:
        # Not journalled, and not counted against the address again: the ten before it were.
        return EnrollmentReply(state="refused", message="too many wrong requests from this address: wait 15 minutes")
    try:
        request = check_request(data, lambda invite_id: _secret_of(connection, invite_id))
    except SenderError as error:
        return _refuse(connection, str(error), address, now)
    except EnrollmentRefused as error:
        return _refuse(connection, str(error), address, now)
    row = connection.execute(
        "SELECT name, role, site, is_preapproved, expires_at_ms, keys, passport FROM invite WHERE id = ?",
        (request.invite_id,),
    ).fetchone()
    name, role, site, is_preapproved, expires_at_ms, keys, issued = row
    asked = request.signing_key + request.sealing_key + request.transport_key
    if keys is None:
        if now > expires_at_ms:
            return _refuse(connection, f"the enrollment code for {name} expired: ask for a new one", address, now)
        connection.execute("UPDATE invite SET keys = ? WHERE id = ?", (asked, request.invite_id))
        node_id = node_id_of(request.signing_key)
        _remark(connection, "node-asked", f"node:{node_id.hex()}", name, "enrollment requested", "", address, now)
        if is_preapproved:
            try:
                issued = _issue(
                    connection, issuer, request, name=name, role=Role(role), site=site, by="center", now=now
                )
            except BadRequest as error:  # the name was given to another machine since the invite was made
                return _refuse(connection, str(error), address, now)
    elif keys != asked:
        return _refuse(connection, f"the enrollment code for {name} was used by another machine", address, now)
    if issued is None:
        return EnrollmentReply(state="pending", message=f"waiting for: command-center node approve {name}")
    keys_hex = AuthorityHex(signing_key=issuer.keys.signing_key.hex(), sealing_key=issuer.keys.sealing_key.hex())
    peers = (issuer.center_passport, *fleet.peers_for(connection, clock, site))
    return EnrollmentReply(state="approved", authority=keys_hex, passport=issued,
                           peers=tuple(peer for peer in peers if peer != issued))  # fmt: skip


def approve(connection: sqlite3.Connection, issuer: Issuer, clock: Clock, *, name: str, by: str) -> Passport:
    """Issue the passport that a machine waits for.

    Raises:
        NotFound: nothing waits under this name.
    """
    row = connection.execute(
        "SELECT id, role, site, keys FROM invite WHERE name = ? AND keys IS NOT NULL AND passport IS NULL", (name,)
    ).fetchone()
    if row is None:
        raise NotFound(f"no machine waits for approval as {name!r}: it must run its enroll command first")
    keys = row[3]
    request = EnrollmentRequest(
        invite_id=row[0], signing_key=keys[:32], sealing_key=keys[32:64], transport_key=keys[64:]
    )
    wire = _issue(connection, issuer, request, name=name, role=Role(row[1]), site=row[2], by=by, now=clock.wall_ms())
    return passports.verify(wire, issuer.keys.signing_key).passport


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Machines that asked and wait, by name."""
    rows = connection.execute(
        "SELECT name, role, site, keys FROM invite WHERE keys IS NOT NULL AND passport IS NULL ORDER BY name"
    )
    return [
        Waiting(name=row[0], role=Role(row[1]).name.lower(), site=row[2], node=node_id_of(row[3][:32]).hex())
        for row in rows
    ]


def erase_old_secrets(connection: sqlite3.Connection, now_ms: int) -> None:
    """Forget secrets that nobody may use any more."""
    connection.execute(
        "UPDATE invite SET secret = NULL WHERE secret IS NOT NULL AND "
        "((keys IS NULL AND expires_at_ms < ?1 - ?2) OR (approved_at_ms < ?1 - ?2))",
        (now_ms, _RETRY_MS),
    )


def _issue(connection: sqlite3.Connection, issuer: Issuer, request: EnrollmentRequest, *, name: str, role: Role,
           site: str, by: str, now: int) -> bytes:  # fmt: skip
    _require_free(connection, name, but_for=node_id_of(request.signing_key))
    _require_not_withdrawn(connection, request)
    signed = passports.issue(
        issuer.authority.signing, role=role, name=name, site=site, agency=issuer.agency,
        keys=(request.signing_key, request.sealing_key, request.transport_key),
        # A day's grace for node clocks that are a little behind; a center whose own clock was never set dates from 0.
        not_before_ms=max(0, now - 86_400_000) if now > PLAUSIBLE_SINCE_MS else 0,
        not_after_ms=max(now, PLAUSIBLE_SINCE_MS) + VALIDITY_MS, serial=fleet.next_serial(connection),
    )  # fmt: skip
    connection.execute(
        "UPDATE invite SET passport = ?, approved_at_ms = ? WHERE id = ?", (signed.wire, now, request.invite_id)
    )
    ingest.admit_node(connection, signed, actor=by, at_ms=now)
    event_feed.note(connection, "node", signed.passport.node_id.hex())
    return signed.wire


def _secret_of(connection: sqlite3.Connection, invite_id: bytes) -> bytes | None:
    row = connection.execute("SELECT secret FROM invite WHERE id = ?", (invite_id,)).fetchone()
    return row[0] if row else None


def _refuse(connection: sqlite3.Connection, message: str, address: str, now: int) -> EnrollmentReply:
    if connection.execute("SELECT COUNT(*) FROM enrollment_failure").fetchone()[0] < FAILURES_NOTED:
        connection.execute("INSERT INTO enrollment_failure VALUES (?, ?)", (now, network_of(address)))
        _remark(connection, "enrollment-refused", "center", "", "enrollment refused", message[:300], address, now)
    return EnrollmentReply(state="refused", message=message)


def _require_free(connection: sqlite3.Connection, name: str, but_for: bytes = b"") -> None:
    row = connection.execute(
        "SELECT id FROM node WHERE name = ? AND standing <> ? AND id <> ?", (name, Standing.REVOKED.value, but_for)
    ).fetchone()
    if row is not None:
        raise BadRequest(
            f"there is a node {name!r} already ({row[0].hex()}): choose another name, renew its passport with --again, or revoke it first"
        )


def _require_there(connection: sqlite3.Connection, clock: Clock, name: str, role: Role) -> None:
    held = [node for node in fleet.nodes(connection, clock) if node.passport.name == name]
    node = next((node for node in held if node.standing is not Standing.REVOKED), None)
    if node is None:
        raise BadRequest(f"there is no node {name!r} whose passport could be renewed: leave --again out")
    if node.standing is not Standing.APPROVED:
        raise BadRequest(f"{name!r} is {node.standing.value}: reinstate it before its passport is renewed")
    if node.passport.role is not role:
        raise BadRequest(f"expected role {node.passport.role.name.lower()} for {name!r}, found {role.name.lower()}")


def _require_not_withdrawn(connection: sqlite3.Connection, request: EnrollmentRequest) -> None:
    """Relays refuse what was withdrawn whatever passport it shows, so that a second one would be of no use."""
    found = connection.execute("SELECT standing FROM node WHERE id = ?", (node_id_of(request.signing_key),)).fetchone()
    if found is not None and found[0] == Standing.REVOKED.value:
        raise BadRequest("the keys of this machine were withdrawn for good: enroll with a new, empty --state folder")


def _require_name(name: str, site: str) -> None:
    for value in (name, site):
        try:
            msgspec.convert(value, passports.Name)
        except msgspec.ValidationError as error:
            raise BadRequest(
                f"expected letters, digits, spaces and . : - _ for a name or a site, at most {limits.MAX_NAME_BYTES}, found {value!r}"
            ) from error


def _remark(connection: sqlite3.Connection, kind: str, actor: str, name: str, what: str, detail: str, address: str,
            at_ms: int) -> None:  # fmt: skip
    fact = Remark(what=what, detail=detail, address=address)
    journal.append(connection, at_ms=at_ms, kind=kind, actor=actor, subject=f"invite:{name}",
                   payload=facts.encode(fact))  # fmt: skip
