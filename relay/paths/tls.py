"""The TLS path, our side: parcels over TLS 1.3 and TCP, two connections a session, pinned to an interface on demand.

The straightest way to a listener: nothing but the kernel between the two event loops, and TCP's handshake, TLS's, and then the
first alert. libzmq has threads of its own at both ends, two wake-ups each way, and four round trips of greetings
(``docs/decisions``, "A path over plain TLS"). Who the other end is, is ``tls_proof``'s part.
"""

import asyncio
import contextlib
import os
import secrets
import socket as socket_module
import urllib.parse
from typing import Final

import structlog

from relay import open_files
from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import crew
from relay.errors import BadSignature, ConfigError, Oversized
from relay.identity import Identity
from relay.passport import Passport
from relay.path import Lane, PathEvents, PathFacts
from relay.paths import tls_proof
from relay.paths.tls_connection import TlsConnection, TlsTuning, Turns, prepare
from relay.redial import Redial
from relay.tcp_info import TcpInfo

_log = structlog.get_logger("relay.paths.tls")

SCHEME: Final = "tls"


def place_of(endpoint: str) -> tuple[str, int] | None:
    """Host and port of ``tls://host:port``; None if it is something else."""
    try:
        parts = urllib.parse.urlsplit(endpoint)
        port = parts.port
    except ValueError:  # a port that is no number, or brackets around no address
        return None
    if parts.scheme != SCHEME or not parts.hostname or port is None or parts.path or parts.query:
        return None
    return parts.hostname, port


class DialedTlsSession:
    """Our end of a session that we opened."""

    def __init__(self, facts: PathFacts, listener_key: bytes, events: PathEvents, counters: Counters) -> None:
        self.facts = facts
        """Of the path."""
        self.transport_key = listener_key
        self.is_outgoing = True
        self.attempt = secrets.token_bytes(tls_proof.ATTEMPT_BYTES)
        self.turns = Turns()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.connections: dict[Lane, TlsConnection] = {}
        """Of the lanes that have said who we are."""
        self._pace_bytes_s = 0
        self._events = events
        self._counters = counters

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Hand a parcel to TCP; False if the lane is full, or not up."""
        connection = self.connections.get(lane)
        if connection is None or self.lost.done() or not connection.send(parcel):
            return False
        if lane == Lane.BULK:
            connection.steer()
        return True

    def pace(self, bytes_s: int) -> None:
        """Spread what goes on the bulk lane evenly over time, from when it is up."""
        self._pace_bytes_s = bytes_s
        if Lane.BULK in self.connections:
            self.connections[Lane.BULK].pace(bytes_s)

    def joined(self, connection: TlsConnection, lane: Lane) -> None:
        """A lane is up."""
        self.connections[lane] = connection
        if lane == Lane.BULK and self._pace_bytes_s:
            connection.pace(self._pace_bytes_s)

    def bulk_tcp(self) -> TcpInfo | None:
        """What the kernel knows of the bulk lane's connection."""
        return self.connections[Lane.BULK].tcp() if Lane.BULK in self.connections else None

    def drop(self, reason: str) -> None:
        """End it; the path dials again after its back-off."""
        if not self.lost.done():
            self.lost.set_result(reason)

    def close(self) -> None:
        """Close the connections."""
        for connection in self.connections.values():
            connection.close()

    # ------------------------------------------------------------------ told by the connections

    def connection_made(self, connection: TlsConnection) -> None:
        """The dial goes on by itself."""

    def parcel_came(self, connection: TlsConnection, parcel: bytes) -> None:
        """Hand it up."""
        if not self.lost.done():
            self._events.session_received(self, parcel)

    def oversized_came(self, connection: TlsConnection, error: Oversized) -> None:
        """Whoever sends that loses the session."""
        self._counters.refused(error.reason)
        self.drop(str(error))

    def connection_lost(self, connection: TlsConnection, reason: str) -> None:
        """Either lane's end is the session's."""
        for lane, known in self.connections.items():
            if known is connection:
                self.drop(f"the {lane.name.lower()} connection was lost: {reason}")


class TlsDial:
    """A path to a listener over TLS, for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, peer: Passport, identity: Identity, counters: Counters, interface: str = "",
        tuning: TlsTuning | None = None,
    ) -> None:  # fmt: skip
        place = place_of(endpoint)
        if place is None:
            raise ConfigError(f"path {facts.name!r}: expected an endpoint like tls://host:5703, found {endpoint!r}")
        self.facts = facts
        self._place = place
        self._peer = peer
        self._identity = identity
        self._counters = counters
        self._interface = interface
        self._tuning = tuning = tuning or TlsTuning()
        self._tls = tls_proof.calling_context()
        self._answered_at: object = None
        """The host's address that took the last call."""
        self.redial = Redial(
            Backoff(least_s=tuning.least_delay_s, most_s=tuning.most_delay_s, stable_s=tuning.stable_s)
        )

    async def run(self, events: PathEvents) -> None:
        """Dial, serve until lost, wait, dial again."""
        await self.redial.keep(lambda: self._one_session(events))

    async def _one_session(self, events: PathEvents) -> None:
        if self._interface and self._interface not in {name for _, name in socket_module.if_nameindex()}:
            _log.warning("no such interface now", path=self.facts.name, interface=self._interface)
            return
        if lacking := open_files.lacking_room():
            _log.error("no connection is made", path=self.facts.name, error=lacking)
            return
        session = DialedTlsSession(self.facts, self._peer.transport_key, events, self._counters)
        with contextlib.closing(session):
            if not await self._call(session, Lane.URGENT):
                return
            reason = "stopped"
            with self.redial.standing():
                events.session_opened(session)
                try:
                    async with crew() as members:
                        members.start(self._call_for_bulk(session), "tls bulk")
                        reason = await session.lost
                finally:
                    session.drop(reason)
                    events.session_closed(session, reason)

    async def _call_for_bulk(self, session: DialedTlsSession) -> None:
        """The urgent lane's call was taken; where nobody answers, one is enough."""
        tuning = self._tuning
        backoff = Backoff(least_s=tuning.least_delay_s, most_s=tuning.most_delay_s, stable_s=tuning.stable_s)
        while True:
            if await self._call(session, Lane.BULK):
                return
            await asyncio.sleep(backoff.next_delay_s())

    async def _call(self, session: DialedTlsSession, lane: Lane) -> bool:
        """Make one lane's connection, prove each to the other, and say who we are; False if that does not come about."""
        try:
            connection = await self._connect(session, lane)
        except (OSError, TimeoutError) as error:
            _log.info(
                "no connection", path=self.facts.name, lane=lane.name.lower(), error=str(error) or type(error).__name__
            )
            return False
        try:
            certificate_sha256 = tls_proof.require_issued_by(connection.certificate(), self._peer.signing_key)
        except BadSignature as error:
            self._counters.refused(error.reason)
            _log.warning("somebody else answers", path=self.facts.name, error=str(error))
            connection.close()
            return False
        said = tls_proof.opening(session.attempt, lane, identity=self._identity, listener_transport_key=self._peer.transport_key,
                                 certificate_sha256=certificate_sha256)  # fmt: skip
        if not connection.send(said):
            return False
        session.joined(connection, lane)
        return True

    async def _connect(self, session: DialedTlsSession, lane: Lane) -> TlsConnection:
        socket = await self._reach(lane)
        # From here on the socket is asyncio's, which closes it if this fails: closed under it, its number would be somebody else's.
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: TlsConnection(session, session.turns), sock=socket, ssl=self._tls, server_hostname="",
            ssl_handshake_timeout=self._tuning.handshake_s, ssl_shutdown_timeout=1.0,
        )  # fmt: skip
        return connection

    async def _reach(self, lane: Lane) -> socket_module.socket:
        """A TCP connection to the first of the host's addresses that takes the call, beginning with the one that took the last.

        Each has all its time: a dead IPv6 is silent, and IPv4's turn comes after it.

        Raises:
            OSError: none does.
            TimeoutError: nobody says which addresses the name has.
        """
        loop = asyncio.get_running_loop()
        host, port = self._place
        failure: OSError = OSError(f"{host} has no address")
        async with asyncio.timeout(self._tuning.connect_s):
            found = await loop.getaddrinfo(host, port, type=socket_module.SOCK_STREAM)
        for family, kind, protocol, _, address in sorted(found, key=lambda item: item[4] != self._answered_at):
            socket = socket_module.socket(family, kind, protocol)
            try:
                self._pin(socket)
                prepare(socket, lane, self.facts.marking, self._tuning)
                socket.setblocking(False)
                async with asyncio.timeout(self._tuning.connect_s):
                    await loop.sock_connect(socket, address)
            except TimeoutError:
                socket.close()
                failure = OSError(f"no answer from {address[0]}")
                continue
            except OSError as error:
                socket.close()
                failure = error
                continue
            except BaseException:  # whatever it was goes on, a cancellation too; the socket does not stay open
                socket.close()
                raise
            self._answered_at = address
            return socket
        raise failure

    def _pin(self, socket: socket_module.socket) -> None:
        if not self._interface:
            return
        try:
            socket.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_BINDTODEVICE, os.fsencode(self._interface))
        except PermissionError as error:
            raise ConfigError(
                f"path {self.facts.name!r}: can't pin it to interface {self._interface!r} ({error}): "
                "this service may not bind to devices (CAP_NET_RAW)"
            ) from error
