"""A center in a temporary folder and nodes that speak to it with real keys and real envelopes."""

import contextlib
import hashlib
import secrets
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import msgspec
from argon2 import PasswordHasher

from command_center import accounts
from command_center.accounts import Passwords, UserRole
from command_center.api.app import create_app
from command_center.center import Center, open_center
from command_center.config import CenterConfig
from command_center.state_dir import StateDir
from relay import envelope as envelopes
from relay import passport as passports
from relay.arrival import Arrival
from relay.clock import SimulatedClock
from relay.envelope import Envelope
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY, NodeId
from relay.kinds import body as bodies
from relay.kinds.alert import Alert, Rule
from relay.kinds.heartbeat import CameraHealth, CameraState, Heartbeat
from relay.ledger import Novelty
from relay.passport import Role, SignedPassport
from relay.precedence import Precedence

PASSWORD = "correct horse battery"
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40


def quick_passwords() -> Passwords:
    """Argon2id with the least cost: the tests are not about it."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Node:
    """A node's keys and numbering."""

    def __init__(self, authority: Identity, clock: SimulatedClock, *, name: str = "gate", serial: int = 2,
                 site: str = "north", agency: str = "agency", role: Role = Role.CAMERA) -> None:  # fmt: skip
        self.identity = Identity.generate()
        self.clock = clock
        keys = (self.identity.signing_key, self.identity.sealing_key, self.identity.transport_key)
        self.signed: SignedPassport = passports.issue(
            authority.signing, role=role, name=name, site=site, agency=agency, keys=keys, not_before_ms=0,
            not_after_ms=1 << 47, serial=serial,
        )  # fmt: skip
        self.secret = self.identity.shared_secret(authority.sealing_key)
        self.series, self.sequence, self.link = secrets.randbelow(1 << 31) + 1, 0, bytes(8)

    @property
    def id(self) -> NodeId:
        return self.identity.node_id

    def say(self, kind: Kind, body: bytes, *, precedence: Precedence = Precedence.IMMEDIATE, sequence: int | None = None,
            secret: bytes | None = None) -> Envelope:  # fmt: skip
        if sequence is None:
            self.sequence += 1
        header = Header(
            kind=kind, quality=self.clock.quality(), precedence=precedence, origin=self.id, destination=AUTHORITY,
            series=self.series, boot=1, sequence=sequence or self.sequence, wall_ms=self.clock.wall_ms(),
            monotonic_ms=self.clock.monotonic_ms(), ttl_s=0, link=self.link, body_sha256=hashlib.sha256(body).digest(),
        )  # fmt: skip
        sealed = envelopes.seal(header, body, signing=self.identity.signing, shared_secret=secret or self.secret)
        self.link = sealed.id[:8]
        return sealed

    def alert(self, *, label: str = "handgun", camera: str = "cam1", precedence: Precedence = Precedence.FLASH,
              confidence: float = 0.9, age_ms: int = 12, sequence: int | None = None,
              box_xyxy: tuple[float, float, float, float] = (0.1, 0.2, 0.3, 0.4)) -> Envelope:  # fmt: skip
        alert = Alert(label=label, camera=camera, zone="yard", confidence=confidence, box_xyxy=box_xyxy,
                      rule=Rule.CLASS_OF_INTEREST, age_ms=age_ms)  # fmt: skip
        return self.say(Kind.ALERT, alert.encode(), precedence=precedence, sequence=sequence)

    def body(self, kind: Kind, body: msgspec.Struct) -> Envelope:
        return self.say(kind, bodies.encode(body), precedence=Precedence.PRIORITY)

    def heartbeat(
        self, *, forgone: tuple[tuple[int, int], ...] = (), state: CameraState = CameraState.SEEING
    ) -> Envelope:
        camera = CameraHealth(camera="cam1", state=state, frames_per_s=9.5, last_frame_age_ms=20, reconnects=0)
        said = Heartbeat(release="0.1.0", uptime_s=5, interval_s=10, backlog=(1, 0, 0, 0, 0), oldest_waiting_s=3,
                         spool_bytes=10, disk_free_bytes=10, refused=0, forgone=forgone, cameras=(camera,))  # fmt: skip
        return self.say(Kind.HEARTBEAT, bodies.encode(said), precedence=Precedence.ROUTINE)


class House:
    """A running center; what arrives is handed to it as the receiver does."""

    def __init__(self, state: StateDir, center: Center, clock: SimulatedClock) -> None:
        self.state, self.center, self.clock = state, center, clock
        self.services = center.services
        self.authority = center.services.issuer.authority
        self.database = center.station.database
        self._serial = 1

    def node(
        self, name: str = "gate", *, site: str = "north", agency: str = "agency", role: Role = Role.CAMERA
    ) -> Node:
        self._serial += 1
        made = Node(self.authority, self.clock, name=name, serial=self._serial, site=site, agency=agency, role=role)
        self.center.station.trust.admit(made.signed.wire)
        return made

    async def deliver(self, node: Node, *arrived: Envelope) -> int:
        """Hand envelopes over; returns how many were new."""
        arrivals = [
            Arrival(envelope=item, passport=node.signed.passport, via=node.id, path="test",
                    received_wall_ms=self.clock.wall_ms(), received_monotonic_ms=self.clock.monotonic_ms())
            for item in arrived
        ]  # fmt: skip
        new = await self.database.run(lambda connection: self._store(connection, arrivals))
        if new:
            self.center.ingest.committed(new)
        return len(new)

    def _store(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> list[Arrival]:
        ledger, new = self.center.station.ledger, []
        for arrival in arrivals:
            novelty = ledger.note(connection, arrival.envelope)
            if novelty is not Novelty.DUPLICATE:
                new.append(as_fork(arrival) if novelty is Novelty.FORK else arrival)
        if new:
            self.center.ingest.accept(connection, new)
            ledger.extend(connection, [arrival.envelope for arrival in new])
        return new

    async def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return await self.database.run(lambda connection: connection.execute(sql, values).fetchall())

    async def add_user(self, name: str, role: UserRole = UserRole.DISPATCHER) -> None:
        passwords = quick_passwords()
        encoded = passwords.hash(PASSWORD)
        passwords.close()
        await self.database.run(
            lambda c: accounts.add(
                c, name=name, role=role, password_hash=encoded, at_ms=self.clock.wall_ms(), by="test"
            )
        )

    @contextlib.asynccontextmanager
    async def browser(self, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=create_app(self.services), client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://center") as client:
            yield client

    @contextlib.asynccontextmanager
    async def signed_in(
        self, name: str = "alice", role: UserRole = UserRole.DISPATCHER
    ) -> AsyncIterator[httpx.AsyncClient]:
        await self.add_user(name, role)
        async with self.browser() as client:
            answer = await client.post("/api/v1/session", json={"username": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            client.headers["X-Heard-CSRF"] = answer.json()["csrf"]
            yield client


def as_fork(arrival: Arrival) -> Arrival:
    """The same arrival, marked as the receiver marks a number that was used before."""
    return Arrival(envelope=arrival.envelope, passport=arrival.passport, via=arrival.via, path=arrival.path,
                   received_wall_ms=arrival.received_wall_ms, received_monotonic_ms=arrival.received_monotonic_ms,
                   is_fork=True)  # fmt: skip


@contextlib.asynccontextmanager
async def running_center(
    root_dir: Path,
    *,
    listen: tuple[str, ...] = (),
    clock: SimulatedClock | None = None,
    config: CenterConfig | None = None,
) -> AsyncIterator[House]:
    """A center with its HTTP on a free port; made if there is none yet."""
    clock = clock or SimulatedClock()
    state = StateDir(root_dir)
    if not state.config_file.exists():
        state.init(clock, name="center", site="hq", agency="agency", http="127.0.0.1:0", url="")
    async with open_center(state, clock=clock, passwords=quick_passwords(), listen=listen, config=config) as center:
        yield House(state, center, clock)
