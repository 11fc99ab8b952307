"""One TLS connection: parcels as they are, each behind its 4-byte length, read by turns and never queued for long.

Whoever floods fills its own connection: what has come is handed up parcel by parcel, by turns of all connections, for two milliseconds
between what else the event loop has to do; a connection with more than that waiting is read no further until it is less, which
TCP tells its sender. Dead ends are the kernel's to notice: it ends a connection on which nothing was acknowledged for some seconds, and asks
after silence (tcp(7), ``TCP_USER_TIMEOUT``, ``SO_KEEPALIVE``).

Private to ``relay/paths/tls.py`` and ``tls_listen.py``.
"""

import asyncio
import contextlib
import socket as socket_module
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol, cast

from relay import limits
from relay.congestion import Congestion
from relay.errors import Oversized
from relay.marking import Marking
from relay.path import Lane
from relay.paths import bulk_socket
from relay.retransmission import hasten
from relay.tcp_info import TcpInfo, tcp_info_of

_LENGTH: Final = struct.Struct(">I")
_DRAIN_S: Final = 0.002
"""As for ZeroMQ: a dozen alerts with their verifying."""
_READS_UNTIL_BYTES: Final = 4 * limits.MAX_PARCEL_BYTES
_READS_AGAIN_BYTES: Final = limits.MAX_PARCEL_BYTES
_WRITES_UNTIL_BYTES: Final = limits.MAX_PARCEL_BYTES
"""In this process: the spool is the queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTuning:
    """Deadlines, by lane where they differ."""

    connect_s: float = 4.0
    handshake_s: float = 6.0
    unacknowledged_ms: tuple[int, int] = (4_000, 30_000)
    """(urgent, bulk): so long without a word from the other end's kernel, and the connection is over."""
    asks_after_s: tuple[int, int] = (2, 20)
    """(urgent, bulk): of silence. The urgent lane speaks for the session, and each question costs 104 bytes, from both ends."""
    asks_again_s: tuple[int, int] = (1, 5)
    """Until the next question, where there is no answer."""
    least_delay_s: float = 0.2
    most_delay_s: float = 10.0
    stable_s: float = 15.0
    """As for ZeroMQ; also between the bulk lane's calls while the urgent one stands."""


def prepare(connection: socket_module.socket, lane: Lane, marking: Marking, tuning: TlsTuning) -> None:
    """Give a TCP connection what its lane needs; an option that the kernel does not know or allow is left out."""
    marking.put_on(connection, lane)
    if lane == Lane.URGENT:
        hasten(connection)
    for level, option, value in (
        (socket_module.IPPROTO_TCP, socket_module.TCP_NODELAY, 1),
        (socket_module.SOL_SOCKET, socket_module.SO_KEEPALIVE, 1),
        (socket_module.IPPROTO_TCP, socket_module.TCP_KEEPIDLE, tuning.asks_after_s[lane]),
        (socket_module.IPPROTO_TCP, socket_module.TCP_KEEPINTVL, tuning.asks_again_s[lane]),
        (socket_module.IPPROTO_TCP, socket_module.TCP_USER_TIMEOUT, tuning.unacknowledged_ms[lane]),
    ):
        with contextlib.suppress(OSError):
            connection.setsockopt(level, option, value)


class Turns:
    """Whose parcel is handed up next, among the connections of one listener, or of one session that we made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[TlsConnection] = deque()
        self._is_begun = False
        self._ends_s = 0.0

    def wait_for(self, connection: "TlsConnection") -> None:
        """It has something: at once, if there is time left."""
        self._waiting.append(connection)
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._ends_s = time.perf_counter() + _DRAIN_S
            self._loop.call_soon(self._begin_again)
        while self._waiting and time.perf_counter() < self._ends_s:
            connection = self._waiting.popleft()
            if connection.hand_one_up():
                self._waiting.append(connection)

    def _begin_again(self) -> None:
        self._is_begun = False
        if self._waiting:
            self._go_on()


class Owner(Protocol):
    """Whom a connection tells."""

    def connection_made(self, connection: "TlsConnection") -> None:
        """The handshake is over."""

    def parcel_came(self, connection: "TlsConnection", parcel: bytes) -> None:
        """A parcel, within the bound."""

    def oversized_came(self, connection: "TlsConnection", error: Oversized) -> None:
        """A parcel over the bound; the connection is over."""

    def connection_lost(self, connection: "TlsConnection", reason: str) -> None:
        """It is over; told once."""


class TlsConnection(asyncio.Protocol):
    """Our end."""

    def __init__(self, owner: Owner, turns: Turns, most_bytes: int = limits.MAX_PARCEL_BYTES) -> None:
        self._owner = owner
        self._turns = turns
        self.most_bytes = most_bytes
        """Of a parcel: few from who has not said yet who it is."""
        self._transport: asyncio.Transport | None = None
        self._socket: socket_module.socket | None = None
        self._came = bytearray()
        self._at = 0
        self._is_waiting = False
        self._is_full = False
        self._is_held = False
        self._congestion = Congestion()

    # ------------------------------------------------------------------ told by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")
        self._transport.set_write_buffer_limits(high=_WRITES_UNTIL_BYTES)
        self._owner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._transport is None:
            return
        self._came += data
        if not self._is_held and len(self._came) - self._at > _READS_UNTIL_BYTES:
            self._is_held = True
            self._transport.pause_reading()
        if not self._is_waiting:
            self._is_waiting = True
            self._turns.wait_for(self)

    def pause_writing(self) -> None:
        """What is to go out stands."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It goes again."""
        self._is_full = False

    def connection_lost(self, error: Exception | None) -> None:
        """It is over, from either end."""
        if self._transport is not None:
            self._transport = None
            self._owner.connection_lost(self, str(error) if error else "the other end hung up")

    # ------------------------------------------------------------------ told by us

    def hand_one_up(self) -> bool:
        """Hand one parcel to the owner; False if none is here as a whole, and then it asks for its next turn itself."""
        if self._transport is not None and len(self._came) - self._at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._came, self._at)
            begin = self._at + _LENGTH.size
            if size > self.most_bytes:
                self.close()  # what else it says is not heard
                self._owner.oversized_came(
                    self, Oversized(f"expected a parcel of at most {self.most_bytes} bytes, found {size}")
                )
            elif len(self._came) >= begin + size:
                parcel = bytes(self._came[begin : begin + size])
                self._at = begin + size
                self._owner.parcel_came(self, parcel)
                return True
        self._is_waiting = False
        del self._came[: self._at]
        self._at = 0
        if self._is_held and self._transport is not None and len(self._came) < _READS_AGAIN_BYTES:
            self._is_held = False
            self._transport.resume_reading()
        return False

    def send(self, parcel: bytes) -> bool:
        """Hand a parcel to TCP; False if it takes none now, or is over."""
        if self._is_full or self._transport is None:
            return False
        self._transport.write(_LENGTH.pack(len(parcel)) + parcel)
        return True

    def close(self) -> None:
        """End it, at once; its owner is not told."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether it can be spoken on."""
        return self._transport is not None

    def certificate(self) -> bytes | None:
        """What the other end has shown, DER."""
        if self._transport is None:
            return None
        return cast("bytes | None", self._transport.get_extra_info("ssl_object").getpeercert(binary_form=True))

    @property
    def socket(self) -> socket_module.socket | None:
        """The kernel's end; None once it is over."""
        return self._socket if self._transport is not None else None

    # ------------------------------------------------------------------ bulk

    def steer(self) -> None:
        """Now and again with a parcel of bulk: run under the congestion control that is chosen for it."""
        if self._congestion.is_due() and self.socket is not None:
            bulk_socket.steer(self.socket, self._congestion)

    def pace(self, bytes_s: int) -> None:
        """Let the kernel spread segments over time; 0: at once."""
        if self.socket is not None:
            bulk_socket.spread(self.socket, bytes_s)
            self._congestion.paced(bytes_s)

    def tcp(self) -> TcpInfo | None:
        """What the kernel knows of it."""
        return tcp_info_of(self.socket) if self.socket is not None else None
