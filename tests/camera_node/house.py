"""A real authority, a real center station and enrolled nodes, all in one process, over real sockets on port 0."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nacl.signing import SigningKey

from relay import envelope as envelopes
from relay import passport
from relay.arrival import Arrival
from relay.clock import SystemClock
from relay.config import ListenConfig, PathConfig, StationConfig
from relay.enrollment import Enrollment
from relay.header import Kind
from relay.identity import AuthorityKeys, Identity
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Passport, Role, SignedPassport
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Station


@dataclass
class CenterInbox:
    """Keeps everything in memory: a stand-in for the command center's journal."""

    arrivals: list[Arrival] = field(default_factory=list)

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        pass

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals += arrivals

    def of(self, kind: Kind) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.envelope.header.kind is kind]


class House:
    """The authority and who it has enrolled."""

    def __init__(self, base_dir: Path) -> None:
        self._base_dir = base_dir
        self._authority = Identity.generate()
        self.authority = AuthorityKeys(signing_key=self._authority.signing_key, sealing_key=self._authority.sealing_key)
        self._signer: SigningKey = self._authority.signing
        self._serial = 0
        self.center_dir = base_dir / "center"
        self.center = self._issue("center", Role.CENTER, self.center_dir)
        self._enroll(self.center_dir, self.center, [])

    def _issue(self, name: str, role: Role, state_dir: Path) -> SignedPassport:
        identity = Identity.generate()
        identity.save(state_dir / "identity.key")
        self._serial += 1
        return passport.issue(
            self._signer, role=role, name=name, site="test site", agency="test",
            keys=(identity.signing_key, identity.sealing_key, identity.transport_key), not_before_ms=0,
            not_after_ms=SystemClock().wall_ms() + 10**10, serial=self._serial,
        )  # fmt: skip

    def _enroll(self, state_dir: Path, own: SignedPassport, peers: list[SignedPassport]) -> None:
        Enrollment(
            authority_signing_key=self.authority.signing_key, authority_sealing_key=self.authority.sealing_key,
            passport=own.wire, peers=tuple(peer.wire for peer in peers),
        ).save(state_dir)  # fmt: skip

    def enroll_camera(self, name: str = "node") -> Path:
        """Keys and enrollment for a camera node; its state folder."""
        state_dir = self._base_dir / name
        self._enroll(state_dir, self._issue(name, Role.CAMERA, state_dir), [self.center])
        state_dir.chmod(0o700)
        return state_dir

    def open(self, arrival: Arrival) -> bytes:
        """The body of something that was sealed for the authority."""
        secret = self._authority.shared_secret(arrival.passport.sealing_key)
        return envelopes.open_body(arrival.envelope, secret)

    @contextlib.asynccontextmanager
    async def run_center(
        self, endpoint: str = "tcp://127.0.0.1:0"
    ) -> AsyncIterator[tuple[Station, CenterInbox, PathConfig]]:
        """A listening center, what it gets, and how a node reaches it."""
        inbox = CenterInbox()
        config = StationConfig(state_dir=self.center_dir, listen=(ListenConfig(endpoint=endpoint),))
        async with Station.open(config, inbox=inbox) as station:
            yield station, inbox, PathConfig(name="lan", endpoint=station.listening_on[0], peer="center")


async def acknowledge(center: Station, node: Passport, alert_id: EnvelopeId) -> None:
    """A dispatcher has seen it."""
    said = Acknowledgement(alert_ids=(alert_id,), state=AnswerState.SEEN, role="dispatcher",
                           acted_at_wall_ms=center.clock.wall_ms())  # fmt: skip
    await center.put(
        Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(said),
              destination=node.node_id, peer_sealing_key=node.sealing_key)
    )  # fmt: skip
