"""The ZeroMQ path: CURVE-encrypted TCP, two connections a session, pinned to an interface on demand.

Measured habits of libzmq 4.3.5 that shape this file: an accepted ``send`` is not custody (200–660 of 4,000 messages were
lost in an 8 s outage), so the high-water mark is tiny and the spool re-sends. A returning peer with the same routing id is
ignored for good without ``ROUTER_HANDOVER``, so each connection attempt has an id of its own, and a frame whose CURVE key
is not the session's is refused. A source address does not choose the interface: ``BINDTODEVICE`` does. The reconnect
timer has no jitter: each attempt is ours, with a new socket. Nobody notices a silent cut without heartbeats: who dials has them.

CURVE proves the transport key of the other end and hides the traffic. Trust is the signature's part.
"""

import asyncio
import contextlib
import functools
import re
import secrets
import socket as socket_module
from typing import Final

import structlog
import zmq
from zmq.utils import z85

from relay import limits, open_files
from relay.backoff import Backoff
from relay.congestion import Congestion
from relay.counters import Counters
from relay.errors import ConfigError, EndpointInUse
from relay.identity import Identity
from relay.path import Lane, PathEvents, PathFacts
from relay.paths.zeromq_connections import connection_of, cut, hurry, mark, slow_down, steer
from relay.paths.zeromq_dialed import DialedSession, watch
from relay.paths.zeromq_sockets import (
    HANDSHAKE_S,
    Pump,
    ZeroMqTuning,
    answer_zap,
    set_common_options,
    set_heartbeats,
    text_of,
)
from relay.redial import Redial

_ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
_log = structlog.get_logger("relay.paths.zeromq")

_LAST_PORT: Final = 65_535
_ROUTING_ID_BYTES: Final = 17
"""16 random bytes a connection attempt, and the lane."""
_LANES: Final = {int(lane): lane for lane in Lane}


@functools.lru_cache(maxsize=4096)
def _key_in(user_id: str) -> bytes:
    """The transport key that CURVE proved, from a frame's ``User-Id``. Kept: in pure Python it costs as much as a tenth of a signature."""
    return z85.decode(user_id)


def _require_place(endpoint: str, where: str, example: str) -> None:
    """Libzmq itself cuts a port to 16 bits: 70000 would be 4464."""
    found = re.fullmatch(r"tcp://[^/\s]+:(\d+|\*)", endpoint)
    if found is None or (found[1] != "*" and int(found[1]) > _LAST_PORT):
        raise ConfigError(
            f"{where}: expected an endpoint like {example}, its port at most {_LAST_PORT}, found {endpoint!r}"
        )


class ZeroMqDial:
    """A path that connects to a listening neighbor, for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, server_key: bytes, identity: Identity, interface: str = "",
        tuning: ZeroMqTuning | None = None,
    ) -> None:  # fmt: skip
        _require_place(endpoint, f"path {facts.name!r}", "tcp://host:5701")
        self.facts = facts
        self._endpoint = endpoint
        self._server_key = server_key
        self._identity = identity
        self._interface = interface
        self._tuning = tuning = tuning or ZeroMqTuning()
        self.redial = Redial(
            Backoff(least_s=tuning.least_delay_s, most_s=tuning.most_delay_s, stable_s=tuning.stable_s)
        )

    async def run(self, events: PathEvents) -> None:
        """Dial, serve until lost, wait, dial again."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            await self.redial.keep(lambda: self._one_connection(context, events))
        finally:
            context.destroy(linger=0)

    async def _one_connection(self, context: "zmq.Context[zmq.Socket[bytes]]", events: PathEvents) -> None:
        if self._interface and self._interface not in {name for _, name in socket_module.if_nameindex()}:
            _log.warning("no such interface now", path=self.facts.name, interface=self._interface)
            return
        if lacking := open_files.lacking_room():
            _log.error("no connection is made", path=self.facts.name, error=lacking)
            return
        session = DialedSession(self.facts, self._server_key, self._endpoint)
        attempt = secrets.token_bytes(_ROUTING_ID_BYTES - 1)
        is_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with contextlib.ExitStack() as stack:
            stack.callback(session.close)
            for lane in Lane:
                socket = self._socket(context, attempt, lane)
                stack.enter_context(watch(socket, lane, is_up, session))
                pump = Pump(socket, lambda frames: events.session_received(session, frames[-1].bytes))
                session.add_lane(lane, socket, pump)
            session.call(Lane.URGENT)
            deadline_s = self._tuning.connect_timeout_ms / 1000 + HANDSHAKE_S
            await asyncio.wait({is_up, session.lost}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            if not is_up.done():
                return
            reason = "stopped"
            with self.redial.standing():
                events.session_opened(session)
                try:
                    reason = await session.lost
                finally:
                    events.session_closed(session, reason)

    def _socket(self, context: "zmq.Context[zmq.Socket[bytes]]", attempt: bytes, lane: Lane) -> "zmq.Socket[bytes]":
        socket = context.socket(zmq.DEALER)
        set_common_options(socket, self._tuning, lane)
        socket.setsockopt(zmq.TOS, self.facts.marking.tos_of(lane))
        socket.setsockopt(zmq.ROUTING_ID, attempt + bytes([lane]))
        socket.setsockopt(zmq.CURVE_SERVERKEY, z85.encode(self._server_key))
        socket.setsockopt(zmq.CURVE_PUBLICKEY, z85.encode(self._identity.transport_key))
        socket.setsockopt(zmq.CURVE_SECRETKEY, z85.encode(self._identity.transport_secret))
        socket.setsockopt(zmq.CONNECT_TIMEOUT, self._tuning.connect_timeout_ms)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)  # see ``zeromq_dialed``
        set_heartbeats(socket, self._tuning, lane)
        if self._interface:
            try:
                socket.setsockopt(zmq.BINDTODEVICE, self._interface.encode())
            except zmq.ZMQError as error:
                socket.close(linger=0)
                raise ConfigError(
                    f"path {self.facts.name!r}: can't pin it to interface {self._interface!r} ({error}): "
                    "check its name with `ip link`, and that this service may bind to devices (CAP_NET_RAW)"
                ) from error
        return socket


class AcceptedSession:
    """Our end of a connection that a neighbor made to our listener."""

    def __init__(self, listener: "ZeroMqListen", attempt: bytes, transport_key: bytes) -> None:
        self._listener = listener
        self.attempt = attempt
        self.transport_key = transport_key
        self.is_outgoing = False
        self.lanes: set[Lane] = set()
        self.connections: dict[Lane, tuple[int, object]] = {}
        """The descriptor and far address of each lane's TCP connection, to cut it when its key is banned."""
        self._congestion = Congestion()
        self._pace_bytes_s = 0

    @property
    def facts(self) -> PathFacts:
        """Of the listener."""
        return self._listener.facts

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue for the carrier; False if the lane is full or the neighbor is gone."""
        is_taken = self._listener.send(self, parcel, lane if lane in self.lanes else Lane.URGENT)
        if is_taken and lane == Lane.BULK and lane in self.connections and self._congestion.is_due():
            steer(*self.connections[lane], self._congestion)
        return is_taken

    def pace(self, bytes_s: int) -> None:
        """Spread what goes on the bulk lane evenly over time, from when its connection is known."""
        self._pace_bytes_s = bytes_s
        self._congestion.paced(bytes_s)
        if Lane.BULK in self.connections:
            slow_down(*self.connections[Lane.BULK], bytes_s)

    def joined(self, connection: tuple[int, object], lane: Lane) -> None:
        """A lane's first parcel has come, and told its connection."""
        self.connections[lane] = connection
        if lane == Lane.BULK and self._pace_bytes_s:
            slow_down(*connection, self._pace_bytes_s)

    def drop(self, reason: str) -> None:
        """Forget the neighbor; it must say hello again."""
        self._listener.forget(self, reason)


class ZeroMqListen:
    """A path that neighbors connect to: one ROUTER socket, any CURVE key that the upper floor has not banned."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, identity: Identity, counters: Counters,
        tuning: ZeroMqTuning | None = None,
    ) -> None:  # fmt: skip
        _require_place(endpoint, f"listen {facts.name!r}", "tcp://0.0.0.0:5701")
        self.facts = facts
        self.endpoint = endpoint
        """What we listen on; once running, with the real port where 0 was asked for."""
        self._identity = identity
        self._counters = counters
        self._tuning = tuning or ZeroMqTuning()
        self._sessions: dict[bytes, AcceptedSession] = {}
        self._banned: set[bytes] = set()
        self._socket: zmq.Socket[bytes] | None = None
        self._pump: Pump | None = None
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
            for descriptor, address in session.connections.values():
                cut(descriptor, address)

    async def run(self, events: PathEvents) -> None:
        """Listen until cancelled."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._events = events
        try:
            zap = context.socket(zmq.ROUTER)
            zap.setsockopt(zmq.LINGER, 0)
            zap.bind(_ZAP_ENDPOINT)
            zap_pump = Pump(zap, lambda frames: answer_zap(zap, frames, self._banned))
            socket = self._socket = self._bind(context)
            self._pump = Pump(socket, self._on_frames)
            self.endpoint = text_of(socket.getsockopt(zmq.LAST_ENDPOINT))
            self.is_listening.set()
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            for session in list(self._sessions.values()):
                self.forget(session, "stopped")
            if self._pump is not None:
                self._pump.close()
                zap_pump.close()
            self._socket = None
            context.destroy(linger=0)

    def _bind(self, context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
        socket = context.socket(zmq.ROUTER)
        set_common_options(socket, self._tuning, Lane.BULK)
        socket.setsockopt(zmq.TOS, self.facts.marking.tos_of(Lane.URGENT))
        # Four times what is taken: so much is read to be able to count it; above that libzmq hangs up and tells nobody.
        socket.setsockopt(zmq.MAXMSGSIZE, 4 * limits.MAX_PARCEL_BYTES)
        socket.setsockopt(zmq.IPV6, int("[" in self.endpoint))
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, z85.encode(self._identity.transport_secret))
        socket.setsockopt(zmq.ZAP_DOMAIN, b"heard")
        try:
            socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            if error.errno == zmq.EADDRINUSE:
                raise EndpointInUse(
                    f"{self.endpoint} is in use by another program: stop it (`ss -ltnp` names it), or listen elsewhere"
                ) from error
            raise ConfigError(f"can't listen on {self.endpoint}: {error}") from error
        return socket

    def _on_frames(self, frames: list[zmq.Frame]) -> None:
        events = self._events
        if events is None:
            return
        routing_id = frames[0].bytes
        try:
            key = _key_in(str(frames[0].get("User-Id")))
        except (zmq.ZMQError, ValueError):
            self._counters.refused("no_transport_key")
            return
        if len(frames) != 2 or len(routing_id) != _ROUTING_ID_BYTES or routing_id[-1] not in _LANES:
            self._counters.refused("malformed")
            return
        if key in self._banned:  # on a connection that was made before the ban: libzmq can't close a peer's
            self._counters.refused("revoked")
            cut(*connection_of(frames[0]))
            return
        session = self._sessions.get(routing_id[:-1])
        if len(frames[1].buffer) > limits.MAX_PARCEL_BYTES:
            self._counters.refused("oversized")
            if session is not None:
                self.forget(session, "it sent a parcel over the bound")
            cut(*connection_of(frames[0]))
            return
        if session is None:
            session = AcceptedSession(self, routing_id[:-1], key)
            self._sessions[session.attempt] = session
            events.session_opened(session)
        elif session.transport_key != key:
            self._counters.refused("foreign_transport_key")
            return
        lane = _LANES[routing_id[-1]]
        if lane not in session.lanes:
            session.lanes.add(lane)
            session.joined(connection_of(frames[0]), lane)
            if lane == Lane.URGENT:
                hurry(*session.connections[lane])
            else:  # accepted connections begin with the listener's marking
                mark(*session.connections[lane], self.facts.marking, lane)
        events.session_received(session, frames[1].bytes)

    def send(self, session: AcceptedSession, parcel: bytes, lane: Lane) -> bool:
        """Send to an accepted session."""
        if self._socket is None or self._pump is None or self._sessions.get(session.attempt) is not session:
            return False
        try:
            self._socket.send_multipart([session.attempt + bytes([lane]), parcel], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.forget(session, "the connection was lost")
            return False
        self._pump.nudge()
        return True

    def forget(self, session: AcceptedSession, reason: str) -> None:
        """Drop what we know of a session.

        Only of this one: frames that were on their way when it ended have opened another under the same id, which ends by itself.
        """
        if self._sessions.get(session.attempt) is not session:
            return
        del self._sessions[session.attempt]
        if self._events is not None:
            self._events.session_closed(session, reason)
