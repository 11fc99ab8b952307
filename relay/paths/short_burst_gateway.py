"""The short burst path, the other side: the satellite operator's gateway delivers to us over TCP, and takes what modems shall get.

Nothing proves that it is the gateway that connects (DirectIP has no such thing): put the endpoint behind the provider's tunnel or a
packet filter. A stranger can waste our time and no more; each parcel proves its neighbor by itself (``tiny_seal``).
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import structlog

from relay.backoff import Backoff
from relay.conduct import is_worth_a_line
from relay.counters import Counters
from relay.crew import crew
from relay.errors import ConfigError, EndpointInUse, Malformed, PathDown
from relay.identity import Identity
from relay.path import PathEvents, PathFacts
from relay.paths import direct_ip
from relay.paths.short_burst import DOWN_BYTES
from relay.paths.tiny_neighbors import PeerNamed, TinyNeighbors
from relay.paths.tiny_session import TinySession

_log = structlog.get_logger("relay.paths.short_burst")

_MOST_CONNECTIONS: Final = 64
_MESSAGE_S: Final = 10.0


class ShortBurstListen:
    """A path that neighbors with satellite modems come by."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, gateway: str, modems: Mapping[str, str], is_confirmed: bool, identity: Identity,
        peer_named: PeerNamed, counters: Counters,
    ) -> None:  # fmt: skip
        where = f"listen {facts.name!r}"
        self.facts = facts
        self.endpoint = endpoint
        self._host, self._port = _address_of(where, "endpoint", endpoint)
        self._gateway = _address_of(where, "short_burst.gateway", gateway)
        self._is_confirmed = is_confirmed
        self._counters = counters
        self._neighbors = TinyNeighbors(
            facts=facts, identity=identity, addresses=modems, peer_named=peer_named, counters=counters
        )
        self._connections = 0
        self._is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return once the gateway can come."""
        await self._is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Nothing to do: a withdrawn passport is refused by the upper floor when its session opens."""

    async def run(self, events: PathEvents) -> None:
        """Listen until cancelled.

        Raises:
            EndpointInUse: somebody else listens there.
        """
        try:
            server = await asyncio.start_server(self._connected, self._host, self._port)
        except OSError as error:
            raise EndpointInUse(f"can't listen on {self.endpoint}: {error.strerror or error}; stop what uses it (`ss -ltnp` names it), "
                                "or listen elsewhere") from error  # fmt: skip
        async with server, crew() as members:
            self.endpoint = f"tcp://{self._host}:{server.sockets[0].getsockname()[1]}"
            self._neighbors.begin(events, members, self._serve)
            self._is_listening.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._neighbors.end("stopped")

    # ------------------------------------------------------------------ what modems sent

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _MOST_CONNECTIONS:
            self._counters.refused("too_many_connections")
            writer.close()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(_MESSAGE_S):
                message = direct_ip.parse_from_modem(await _message_on(reader))
                if self._is_confirmed:
                    writer.write(direct_ip.confirmed(True))
                    await writer.drain()
        except Malformed as error:
            self._counters.refused(error.reason)
            if is_worth_a_line(times := self._counters[f"refused_{error.reason}"]):
                _log.warning("refused", path=self.facts.name, detail=str(error), times=times)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._counters.refused("cut_off")
        else:
            self._counters.count("short_bursts_arrived")
            if message.payload:
                self._neighbors.arrived_from(message.imei, message.payload)
        finally:
            self._connections -= 1
            writer.close()

    # ------------------------------------------------------------------ what modems shall get

    async def _serve(self, session: TinySession, imei: str) -> None:
        backoff = Backoff(least_s=1.0, most_s=120.0, stable_s=30.0)
        while not session.lost.done():
            await session.filled.wait()
            batch = session.next_batch(lambda size_bytes: DOWN_BYTES)
            if batch is None:
                continue
            try:
                status = await self._deliver(imei, session.sealed(batch))
            except (OSError, TimeoutError, PathDown, Malformed, asyncio.IncompleteReadError) as error:
                session.give_back(batch)
                _log.warning("gateway does not take it", path=self.facts.name, error=str(error) or type(error).__name__)
                await asyncio.sleep(backoff.next_delay_s())
                continue
            if status >= 0:
                self._counters.count("short_bursts_queued")
                backoff.succeeded_for(60.0)
                continue
            self._counters.refused(f"gateway_{-status}")
            _log.warning(
                "gateway refuses it",
                path=self.facts.name,
                imei=imei,
                detail=direct_ip.MT_REFUSALS.get(status, f"status {status}"),
            )
            if status not in direct_ip.LASTING_REFUSALS:
                session.give_back(batch)
                await asyncio.sleep(backoff.next_delay_s())

    async def _deliver(self, imei: str, data: bytes) -> int:
        reference = secrets.token_bytes(4)
        async with asyncio.timeout(_MESSAGE_S):
            reader, writer = await asyncio.open_connection(*self._gateway)
            try:
                writer.write(direct_ip.ForModem(imei=imei, reference=reference, payload=data).encode())
                await writer.drain()
                answer = direct_ip.parse_confirmation(await _message_on(reader))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if answer.reference != reference:
            raise PathDown("the gateway confirms another message than ours")
        return answer.status


async def _message_on(reader: asyncio.StreamReader) -> bytes:
    prefix = await reader.readexactly(direct_ip.PREFIX.size)
    return prefix + await reader.readexactly(direct_ip.length_of(prefix))


def _address_of(where: str, what: str, endpoint: str) -> tuple[str, int]:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or not endpoint.startswith("tcp://"):
        raise ConfigError(f"{where}: expected `{what}` like tcp://host:10800, found {endpoint!r}")
    return host, port
