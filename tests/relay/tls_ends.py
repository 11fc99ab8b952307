"""Either end of a TLS path, for tests: a listener with those who dial it, and a stranger who says what a test wants."""

import asyncio
import contextlib
import hashlib
import struct
from collections.abc import AsyncIterator

from relay import passport
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.identity import Identity
from relay.passport import Passport, Role
from relay.path import Lane, PathFacts
from relay.paths import tls_proof
from relay.paths.tls import DialedTlsSession, TlsDial
from relay.paths.tls_connection import TlsTuning
from relay.paths.tls_listen import AcceptedTlsSession, TlsListen
from tests.relay.house import until
from tests.relay.test_zeromq import Heard

FACTS = PathFacts(name="test", mtu_bytes=65536)
LISTENER = Identity.from_seed(b"L" * 32)
DIALER = Identity.from_seed(b"D" * 32)
ATTEMPT = b"a" * tls_proof.ATTEMPT_BYTES
IMPATIENT = TlsTuning(handshake_s=0.5)


def passport_of(identity: Identity) -> Passport:
    keys = (identity.signing_key, identity.sealing_key, identity.transport_key)
    return passport.issue(identity.signing, role=Role.CENTER, name="center", site="yard", agency="city", keys=keys,
                          not_before_ms=0, not_after_ms=1 << 47, serial=1).passport  # fmt: skip


class Listening:
    """A listener that runs, and what it told."""

    def __init__(self, listener: TlsListen, counters: Counters, members: Crew, heard: Heard) -> None:
        self.listener, self.counters, self.members = listener, counters, members
        self.heard = heard

    @property
    def port(self) -> int:
        return int(self.listener.endpoint.rpartition(":")[2])

    def dial(self, *, server: Identity = LISTENER, identity: Identity = DIALER, heard: Heard | None = None) -> Heard:
        """Have somebody dial it; what that one hears."""
        heard, self.dialer_counters = heard or Heard(), Counters()
        dial = TlsDial(facts=FACTS, endpoint=self.listener.endpoint, peer=passport_of(server), identity=identity,
                       counters=self.dialer_counters)  # fmt: skip
        self.members.start(dial.run(heard), "dial")
        return heard


@contextlib.asynccontextmanager
async def listening(
    endpoint: str = "tls://127.0.0.1:0",
    tuning: TlsTuning | None = None,
    identity: Identity = LISTENER,
    heard: Heard | None = None,
) -> AsyncIterator[Listening]:
    counters = Counters()
    listener = TlsListen(facts=FACTS, endpoint=endpoint, identity=identity, counters=counters, tuning=tuning)
    async with crew() as members:
        made = Listening(listener, counters, members, heard or Heard())
        members.start(listener.run(made.heard), "listen")
        await asyncio.wait_for(listener.listening(), 5)
        yield made


async def sessions_of(here: Listening, dialed: Heard) -> tuple[AcceptedTlsSession, DialedTlsSession]:
    """Both ends of the one session, when both its lanes are up."""
    await until(lambda: bool(here.heard.sessions and dialed.sessions), "the session")
    accepted, ours = here.heard.sessions[0], dialed.sessions[0]
    assert isinstance(accepted, AcceptedTlsSession)
    assert isinstance(ours, DialedTlsSession)
    await until(lambda: len(accepted.connections) == len(ours.connections) == len(Lane), "both lanes")
    return accepted, ours


class Stranger:
    """Whoever has shaken hands, and says what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def certificate_sha256(self) -> bytes:
        return hashlib.sha256(self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).digest()

    def opening(self, identity: Identity = DIALER, lane: Lane = Lane.URGENT, attempt: bytes = ATTEMPT) -> bytes:
        return tls_proof.opening(attempt, lane, identity=identity, listener_transport_key=LISTENER.transport_key,
                                 certificate_sha256=self.certificate_sha256)  # fmt: skip

    def say(self, parcel: bytes) -> None:
        self.say_raw(struct.pack(">I", len(parcel)) + parcel)

    def say_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def is_cut(self, within_s: float = 10) -> bool:
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):
                while await self._reader.read(65536):
                    pass
        return True


@contextlib.asynccontextmanager
async def stranger(port: int) -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls_proof.calling_context(), server_hostname=""
    )
    try:
        yield Stranger(reader, writer)
    finally:
        writer.transport.abort()


class Transport(asyncio.Transport):
    """Knows whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.was_aborted = False

    def abort(self) -> None:
        self.was_aborted = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to do."""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


def framed(*parcels: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(parcel)) + parcel for parcel in parcels)
