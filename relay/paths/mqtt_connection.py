"""One connection to an MQTT broker, with paho driven from our event loop: no thread, nothing that blocks.

paho connects, resolves names and shakes TLS hands with blocking calls; here the socket is made and greeted on the loop and
handed to it ready. What comes from the broker is bounded before it is read: paho alone would hold 256 MB for one packet, and
any number of half-delivered QoS 2 messages. Called by ``mqtt`` and ``mqtt_listen``.
"""

import asyncio
import contextlib
import secrets
import socket as socket_module
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from relay.counters import Counters
from relay.crew import crew
from relay.errors import Malformed, Oversized, PathDown, SenderError
from relay.path import Lane
from relay.paths import ack_window
from relay.paths.ack_window import AckWindow
from relay.paths.bulk_socket import BulkSockets
from relay.paths.mqtt_broker import CONNECT_S, Broker, open_socket
from relay.paths.parcels import MAX_BATCH_BYTES

MAX_PACKET_BYTES: Final = 2 * MAX_BATCH_BYTES
"""Above it the connection is cut. MQTT 5 tells the broker so; it then keeps larger ones of other clients from us."""
QOS: Final = {Lane.URGENT: 0, Lane.BULK: 1}
"""Neither is custody: the spool keeps its copy until the center's receipt, and sessions are clean, so a broker repeats nothing
after a break. Urgent parcels go with QoS 0, the fewest bytes and nothing to wait for. Bulk goes with QoS 1 for its flow
control alone: the broker's ack opens the window, so that a clip never lies in the kernel's buffers before a thin uplink."""
BATCH_BYTES: Final = {Lane.URGENT: 32 * 1024, Lane.BULK: 6 * 1024}
"""At most, or one parcel: a chunk of the usual size and the ping that follows it, so that nothing waits for a second one to be complete."""
_URGENT_WINDOW: Final = 4
"""Batches that the kernel has not taken yet. On the bulk lane ``AckWindow`` decides."""
_INWARD_WINDOW: Final = 20
"""Messages that the broker may have under way to us on the bulk lane (MQTT 5); Mosquitto's own figure."""
_MOST_WORDS: Final = 256
"""Short messages, such as answers to a thousand nodes that come back at once, that may wait for the kernel."""
_KEEPALIVE_S: Final = 10
_MISC_EVERY_S: Final = 1.0
_READS_AT_ONCE: Final = 64
_VERSIONS: Final = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

Heard = Callable[[str, bytes], None]
"""Given the topic and the payload of each message."""


@contextlib.asynccontextmanager
async def connected(
    broker: Broker,
    lane: Lane,
    *,
    farewell: tuple[str, bytes],
    heard: Heard,
    lost: "asyncio.Future[str]",
    counters: Counters,
) -> "AsyncIterator[BrokerConnection]":
    """A connection for one lane; ``farewell`` is its Last Will, and is said on an orderly end too.

    ``lost`` gets the reason when it breaks.

    Raises:
        PathDown: the broker is not reached, or refuses us.
    """
    connection = BrokerConnection(broker, lane, farewell=farewell, heard=heard, lost=lost, counters=counters)
    try:
        async with asyncio.timeout(CONNECT_S):
            await connection.open()
    except TimeoutError as error:
        connection.close()
        raise PathDown(
            f"{broker.owner}: no answer from the broker {broker.host}:{broker.port} in {CONNECT_S:.0f} s"
        ) from error
    except BaseException:  # cancelled as well: the connection is ours to close
        connection.close()
        raise
    try:
        async with crew() as members:
            members.start(connection.keep_alive(), f"mqtt keepalive {lane.name.lower()}")
            yield connection
    finally:
        connection.close()


class BrokerConnection:
    """Made by ``connected``."""

    def __init__(
        self, broker: Broker, lane: Lane, *, farewell: tuple[str, bytes], heard: Heard, lost: "asyncio.Future[str]",
        counters: Counters,
    ) -> None:  # fmt: skip
        self._broker = broker
        self._lane = lane
        self._farewell = farewell
        self._heard = heard
        self._counters = counters
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self._grants: dict[int, asyncio.Future[None]] = {}
        self._window = AckWindow() if QOS[lane] else None
        self._sent_at_s: dict[int, float] = {}
        self._in_flight = 0
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._client: _BoundedClient | None = None
        self._bulk = BulkSockets()

    async def open(self) -> None:
        """Connect and log in.

        Raises:
            PathDown: the broker is not reached, or refuses us.
        """
        broker = self._broker
        try:
            socket = await open_socket(broker, self._lane)
        except OSError as error:
            reason = str(error.strerror or error)
            raise PathDown(f"{broker.owner}: can't reach the broker {broker.host}:{broker.port}: {reason}") from error
        if self._lane == Lane.BULK:
            self._bulk.made(socket)
        client = self._client = _BoundedClient(socket, broker.version, self._lane)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        client.will_set(*self._farewell, qos=1)
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        client.connect(broker.host, broker.port, keepalive=_KEEPALIVE_S, properties=client.wishes)
        await self._welcome

    async def subscribe(self, *filters: str) -> None:
        """Return when the broker has granted all of them.

        Raises:
            PathDown: it has not.
        """
        assert self._client is not None
        wished = [(topic, QOS[self._lane]) for topic in filters]
        _, mid = self._client.subscribe(wished)
        if mid is None:
            raise PathDown(f"{self._broker.owner}: the connection to the broker was lost while subscribing")
        granted = self._grants[mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.wait({granted, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise PathDown(f"{self._broker.owner}: the broker does not answer a subscription") from error
        finally:
            self._grants.pop(mid, None)
        if not granted.done():
            raise PathDown(self._lost.result())
        granted.result()

    async def room(self) -> None:
        """Return when another batch may be sent."""
        await self._may_send.wait()

    @property
    def takes_words(self) -> bool:
        """Whether a short message that waits for no room may be sent now."""
        return self._in_flight < _MOST_WORDS

    def publish(self, topic: str, payload: bytes) -> None:
        """Send with the lane's QoS, not retained."""
        if self._client is None or self._lost.done():
            return
        sent = self._client.publish(topic, payload, qos=QOS[self._lane])
        if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._in_flight += 1
            self._sent_at_s[sent.mid] = self._loop.time()
            self._weigh()
            if self._lane == Lane.BULK:
                self._bulk.steer()

    def pace(self, bytes_s: int) -> None:
        """Spread what goes on the bulk lane evenly over time; 0: at once."""
        self._bulk.pace(bytes_s)

    def _weigh(self) -> None:
        if self._in_flight < (self._window.size if self._window else _URGENT_WINDOW):
            self._may_send.set()
        else:
            self._may_send.clear()

    async def keep_alive(self) -> None:
        """Ask the broker for a sign of life where nothing else flows; ends with the connection."""
        while self._client is not None and not self._lost.done():
            self._client.loop_misc()
            await asyncio.sleep(_MISC_EVERY_S)

    def close(self) -> None:
        """Say farewell and hang up, without waiting."""
        client, self._client = self._client, None
        if client is None:
            return
        client.on_disconnect = None
        if client.is_connected():
            client.publish(*self._farewell, qos=0)
            client.disconnect()
            client.loop_write()  # what does not fit into the socket's buffer is the Last Will's to say
        client.hang_up()

    # ------------------------------------------------------------------ what paho tells us

    def _fail(self, reason: str) -> None:
        if not self._welcome.done():
            self._welcome.set_exception(PathDown(f"{self._broker.owner}: {reason}"))
        elif not self._lost.done():
            self._lost.set_result(reason)

    def _on_connect(self, _c: paho.Client, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        if self._welcome.done():
            return
        if not code.is_failure:
            self._welcome.set_result(None)
            return
        user = f"user {self._broker.username!r}" if self._broker.username else "a login without a user name"
        advice = {
            "Not authorized": f"it refuses {user}: check `username` and `password_file`",
            "Bad user name or password": f"it refuses {user}: check `username` and `password_file`",
            "Unsupported protocol version": f'it does not speak MQTT {self._broker.version}: set `version = "3.1.1"`',
        }.get(code.getName(), f"it says {code.getName()!r}")
        self._fail(f"no login at the broker {self._broker.host}:{self._broker.port}: {advice}")

    def _on_disconnect(self, client: paho.Client, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        refusal = client.refusal if isinstance(client, _BoundedClient) else None
        if refusal is not None:
            self._counters.refused(refusal.reason)
        self._fail(
            str(refusal or "") or f"the {self._lane.name.lower()} connection to the broker was lost ({code.getName()})"
        )

    def _on_subscribe(self, _c: paho.Client, _u: Any, mid: int, codes: list[ReasonCode], _p: Properties | None) -> None:
        granted = self._grants.get(mid)
        if granted is None or granted.done():
            return
        if any(code.is_failure for code in codes):
            granted.set_exception(
                PathDown(
                    f"{self._broker.owner}: the broker does not let us read our topics: allow them in its access list"
                )
            )
        else:
            granted.set_result(None)

    def _on_publish(self, _c: paho.Client, _u: Any, mid: int, code: ReasonCode, _p: Properties | None) -> None:
        """With QoS 0 the kernel has it, with QoS 1 the broker."""
        self._in_flight -= 1
        sent_at_s = self._sent_at_s.pop(mid, None)
        if self._window is not None and sent_at_s is not None:
            self._window.acked(sent_at_s=sent_at_s, now_s=self._loop.time())
        self._weigh()
        if code.is_failure:
            self._fail(
                f"the broker does not take what we publish ({code.getName()}): allow our topics in its access list"
            )

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        if self._client is None or self._lost.done():
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        # A retained message was put there by somebody else: we make none.
        self._heard("" if message.retain else topic, bytes(message.payload))

    def _on_socket_open(self, _c: paho.Client, _u: Any, socket: Any) -> None:
        self._loop.add_reader(socket, self._readable)

    def _on_socket_close(self, _c: paho.Client, _u: Any, socket: Any) -> None:
        self._loop.remove_reader(socket)
        self._loop.remove_writer(socket)

    def _on_register_write(self, client: paho.Client, _u: Any, socket: Any) -> None:
        self._loop.add_writer(socket, client.loop_write)

    def _on_unregister_write(self, _c: paho.Client, _u: Any, socket: Any) -> None:
        self._loop.remove_writer(socket)

    def _readable(self) -> None:
        """Read what is there. TLS may hold more decrypted bytes than the socket shows as readable."""
        for _ in range(_READS_AT_ONCE):
            client = self._client
            if client is None:
                return
            client.loop_read()
            if not client.has_pending():
                return
        self._loop.call_soon(self._readable)


class _BoundedClient(paho.Client):
    """paho on a socket that is connected already, which reads no packet over the bound and takes no QoS 2."""

    def __init__(self, socket: socket_module.socket, version: str, lane: Lane) -> None:
        protocol = _VERSIONS[version]
        is_v5 = protocol == MQTTProtocolVersion.MQTTv5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            # 23 characters at most: what every broker must accept.
            client_id=f"h{secrets.token_hex(11)}", protocol=protocol, clean_session=None if is_v5 else True,
            reconnect_on_failure=False,
        )  # fmt: skip
        self._ready_socket: socket_module.socket | None = socket
        self.refusal: SenderError | None = None
        """Why the connection was cut, where it was we who cut it."""
        self.max_inflight_messages_set(2 * ack_window.MOST)
        self.wishes: Properties | None = None
        if is_v5:
            self.wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left it without hints
            self.wishes.MaximumPacketSize = MAX_PACKET_BYTES
            if lane == Lane.BULK:
                self.wishes.ReceiveMaximum = _INWARD_WINDOW

    def has_pending(self) -> bool:
        """Whether TLS holds bytes that are decrypted already."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def hang_up(self) -> None:
        """Close what is still open."""
        self._sock_close()
        if self._ready_socket is not None:
            self._ready_socket.close()

    def _create_socket(self) -> Any:
        socket, self._ready_socket = self._ready_socket, None
        assert socket is not None, "a connection is made once"
        return socket

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MAX_PACKET_BYTES:  # paho asks for all that the packet's head announces
            self.refusal = Oversized(
                f"the broker announced a packet of {bufsize} bytes; at most {MAX_PACKET_BYTES} are taken"
            )
            raise ConnectionAbortedError(str(self.refusal))
        return super()._sock_recv(bufsize)

    def _packet_handle(self) -> MQTTErrorCode:
        command = self._in_packet["command"]
        if command & 0xF0 == paho.PUBLISH and command & 0x06 == 0x04:
            self.refusal = Malformed("the broker sent with QoS 2, which was not asked for")
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return super()._packet_handle()
