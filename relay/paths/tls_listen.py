"""The TLS path, the other side: one port, any transport key that the upper floor has not banned.

A stranger can make us shake hands, as with any TLS server, and has some seconds for its 82 bytes that say who it is; until then it is no
session, and nothing that it sends is kept.
"""

import asyncio
import errno
from typing import Final

import structlog

from relay import limits, open_files
from relay.counters import Counters
from relay.errors import ConfigError, EndpointInUse, Oversized, SenderError
from relay.identity import Identity
from relay.path import Lane, PathEvents, PathFacts
from relay.paths import tls_proof
from relay.paths.tls import SCHEME, place_of
from relay.paths.tls_connection import TlsConnection, TlsTuning, Turns, prepare

_log = structlog.get_logger("relay.paths.tls")

_BACKLOG: Final = 1024
"""A cell that comes back brings a thousand calls at once."""


class AcceptedTlsSession:
    """Our end of a session that a neighbor opened."""

    def __init__(self, listener: "TlsListen", attempt: bytes, transport_key: bytes) -> None:
        self._listener = listener
        self.attempt = attempt
        self.transport_key = transport_key
        self.is_outgoing = False
        self.connections: dict[Lane, TlsConnection] = {}
        self._pace_bytes_s = 0

    @property
    def facts(self) -> PathFacts:
        """Of the listener."""
        return self._listener.facts

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Hand a parcel to TCP; False if the lane is full or the neighbor is gone."""
        bulk = self.connections.get(Lane.BULK) if lane == Lane.BULK else None
        connection = bulk or self.connections.get(Lane.URGENT)
        if connection is None or not connection.send(parcel):
            return False
        if bulk is not None:
            bulk.steer()
        return True

    def pace(self, bytes_s: int) -> None:
        """Spread what goes on the bulk lane evenly over time, from when it is up."""
        self._pace_bytes_s = bytes_s
        if Lane.BULK in self.connections:
            self.connections[Lane.BULK].pace(bytes_s)

    def joined(self, connection: TlsConnection, lane: Lane) -> None:
        """A lane is up, or another connection has taken its place."""
        self.connections[lane] = connection
        if lane == Lane.BULK and self._pace_bytes_s:
            connection.pace(self._pace_bytes_s)

    def drop(self, reason: str) -> None:
        """Hang up; the neighbor dials again and says hello again."""
        self._listener.forget(self, reason)


class TlsListen:
    """A path that neighbors reach over TLS."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, identity: Identity, counters: Counters, tuning: TlsTuning | None = None
    ) -> None:  # fmt: skip
        place = place_of(endpoint)
        if place is None:
            raise ConfigError(
                f"listen {facts.name!r}: expected an endpoint like tls://0.0.0.0:5703, found {endpoint!r}"
            )
        self.facts = facts
        self.endpoint = endpoint
        """What we listen on; once running, with the real port where 0 was asked for."""
        self._place = place
        self._identity = identity
        self._counters = counters
        self._tuning = tuning or TlsTuning()
        self._tls, self._certificate_sha256 = tls_proof.listening_context(identity)
        self._sessions: dict[bytes, AcceptedTlsSession] = {}
        self._strangers: dict[TlsConnection, asyncio.TimerHandle] = {}
        """Who has shaken hands and not said yet who it is, and until when it has time."""
        self._of_connection: dict[TlsConnection, tuple[AcceptedTlsSession, Lane]] = {}
        self._banned: set[bytes] = set()
        self._events: PathEvents | None = None
        self.is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return once neighbors can come."""
        await self.is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Refuse these keys from now on, and cut the connections that they have."""
        self._banned = set(transport_keys)
        for session in [s for s in self._sessions.values() if s.transport_key in self._banned]:
            self.forget(session, "its passport was withdrawn")

    async def run(self, events: PathEvents) -> None:
        """Listen until cancelled.

        Raises:
            EndpointInUse: somebody else listens there.
            ConfigError: there is no such address on this machine.
        """
        self._events = events
        server = await self._bind(Turns())
        host, _ = self._place
        try:
            shown = f"[{host}]" if ":" in host else host
            self.endpoint = f"{SCHEME}://{shown}:{server.sockets[0].getsockname()[1]}"
            self.is_listening.set()
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            server.close()
            for session in list(self._sessions.values()):
                self.forget(session, "stopped")
            for stranger in list(self._strangers):
                self._turn_away(stranger)
            self._events = None

    async def _bind(self, turns: Turns) -> asyncio.Server:
        host, port = self._place
        server: asyncio.Server | None = None
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: TlsConnection(self, turns, tls_proof.OPENING_BYTES), host, port, ssl=self._tls, backlog=_BACKLOG,
                ssl_handshake_timeout=self._tuning.handshake_s, ssl_shutdown_timeout=1.0, start_serving=False,
            )  # fmt: skip
            for socket in server.sockets:  # accepted connections begin with the listener's marking
                self.facts.marking.put_on(socket, Lane.URGENT)
            await server.start_serving()
        except OSError as error:
            if server is not None:
                server.close()
            if error.errno == errno.EADDRINUSE:
                raise EndpointInUse(
                    f"{self.endpoint} is in use by another program: stop it (`ss -ltnp` names it), or listen elsewhere"
                ) from error
            raise ConfigError(f"can't listen on {self.endpoint}: {error.strerror or error}") from error
        return server

    def forget(self, session: AcceptedTlsSession, reason: str) -> None:
        """Hang up, and drop what we know of a session."""
        if self._sessions.get(session.attempt) is not session:
            return
        del self._sessions[session.attempt]
        for connection in session.connections.values():
            self._of_connection.pop(connection, None)
            connection.close()
        session.connections.clear()
        if self._events is not None:
            self._events.session_closed(session, reason)

    # ------------------------------------------------------------------ told by the connections

    def connection_made(self, connection: TlsConnection) -> None:
        """Somebody has shaken hands."""
        if self._events is None:  # the handshake was over after we were
            connection.close()
            return
        if lacking := open_files.lacking_room():
            _log.error("a caller is turned away", path=self.facts.name, error=lacking)
            self._counters.refused("no_room")
            connection.close()
            return
        until = asyncio.get_running_loop().call_later(self._tuning.handshake_s, self._turn_away, connection)
        self._strangers[connection] = until

    def parcel_came(self, connection: TlsConnection, parcel: bytes) -> None:
        """From a neighbor: hand it up; from a stranger: who is it?"""
        known = self._of_connection.get(connection)
        if known is not None and self._events is not None:
            self._events.session_received(known[0], parcel)
            return
        try:
            attempt, lane, key = tls_proof.require_opening(
                parcel, identity=self._identity, certificate_sha256=self._certificate_sha256
            )
        except SenderError as error:
            self._counters.refused(error.reason)
            self._turn_away(connection)
            return
        session = self._sessions.get(attempt)
        if key in self._banned or (session is not None and session.transport_key != key):
            self._counters.refused("revoked" if key in self._banned else "foreign_transport_key")
            self._turn_away(connection)
            return
        self._welcome(connection, session or AcceptedTlsSession(self, attempt, key), lane)

    def oversized_came(self, connection: TlsConnection, error: Oversized) -> None:
        """Whoever sends that loses the session."""
        self._counters.refused(error.reason)
        known = self._of_connection.get(connection)
        if known is None:
            self._turn_away(connection)
        else:
            self.forget(known[0], "it sent a parcel over the bound")

    def connection_lost(self, connection: TlsConnection, reason: str) -> None:
        """It hung up, or was lost."""
        self._turn_away(connection)
        known = self._of_connection.get(connection)
        if known is not None:
            self.forget(known[0], f"the {known[1].name.lower()} connection was lost: {reason}")

    def _welcome(self, connection: TlsConnection, session: AcceptedTlsSession, lane: Lane) -> None:
        self._strangers.pop(connection).cancel()
        connection.most_bytes = limits.MAX_PARCEL_BYTES
        if connection.socket is not None:
            prepare(connection.socket, lane, self.facts.marking, self._tuning)
        replaced = session.connections.get(lane)
        if replaced is not None:
            self._of_connection.pop(replaced, None)
            replaced.close()
        session.joined(connection, lane)
        self._of_connection[connection] = (session, lane)
        if session.attempt not in self._sessions:
            self._sessions[session.attempt] = session
            if self._events is not None:
                self._events.session_opened(session)

    def _turn_away(self, connection: TlsConnection) -> None:
        until = self._strangers.pop(connection, None)
        if until is not None:
            until.cancel()
            connection.close()
