"""The neighbor path: stations of one authority find each other on a LAN by mDNS, and one without an uplink is carried by the one beside it.

``NeighborListen`` is a ZeroMQ listener that announces itself; ``NeighborDial`` calls every station that it finds. A session is like any
other: CURVE, passports, custody. It is a *detour*: while a straight way is up, only alerts that it leaves unanswered go here; where there
is none, everything does. Nothing is handed back to where it came from (``sender``), and a receipt is passed on to whoever may hold a copy
(``settler``), so that no copy travels or stays for ever.
"""

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import ifaddr
import structlog
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from relay.counters import Counters
from relay.crew import Crew, crew
from relay.errors import Malformed, PathDown
from relay.identity import AuthorityKeys, Identity
from relay.path import PathEvents, PathFacts
from relay.paths import announcement
from relay.paths.announcement import SERVICE, Announcement
from relay.paths.zeromq import ZeroMqDial, ZeroMqListen

_log = structlog.get_logger("relay.paths.neighbor")

MOST_NEIGHBORS: Final = 16
_MOST_LOOKUPS: Final = 64
_LOOKUP_MS: Final = 3_000
_AGAIN_S: Final = 15.0
"""The LAN may come later than we do, or change its address."""
_LOOK_AT_ADDRESSES_S: Final = 10.0


def addresses_on(interface: str) -> list[str]:
    """The IPv4 addresses of an interface, or of all but the loopback one."""
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        if adapter.name == interface or (not interface and adapter.name != "lo"):
            found += [ip.ip for ip in adapter.ips if isinstance(ip.ip, str)]
    return sorted(found)


def _some_addresses(interface: str) -> list[str]:
    found = addresses_on(interface)
    if not found:
        raise PathDown(
            f"no IPv4 address on interface {interface!r} now"
            if interface
            else "no network interface has an IPv4 address now"
        )
    return found


@contextlib.asynccontextmanager
async def _mdns(addresses: list[str]) -> AsyncIterator[AsyncZeroconf]:
    """Speak mDNS on these addresses for the block.

    Raises:
        PathDown: the LAN is not there.
    """
    try:
        speaker = AsyncZeroconf(interfaces=list(addresses), ip_version=IPVersion.V4Only)
    except OSError as error:
        raise PathDown(f"can't speak mDNS on {', '.join(addresses)}: {error}") from error
    try:
        yield speaker
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await speaker.async_close()


class NeighborListen:
    """A ZeroMQ listener that announces itself on the LAN."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, interface: str, identity: Identity, authority: AuthorityKeys, counters: Counters
    ) -> None:  # fmt: skip
        self.facts = facts
        self._listener = ZeroMqListen(facts=facts, endpoint=endpoint, identity=identity, counters=counters)
        self._interface = interface
        self._identity = identity
        self._authority = authority

    @property
    def endpoint(self) -> str:
        """Where; with the real port once it listens."""
        return self._listener.endpoint

    async def listening(self) -> None:
        """Return once neighbors can come; the announcement may follow later."""
        await self._listener.listening()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Refuse these keys from now on, and cut the connections that they have."""
        self._listener.ban(transport_keys)

    async def run(self, events: PathEvents) -> None:
        """Listen and announce until cancelled.

        Raises:
            EndpointInUse, ConfigError: what only a person can mend.
        """
        async with crew() as members:
            members.start(self._listener.run(events), "neighbor listener")
            await self._listener.listening()
            while True:
                try:
                    await self._announce(_some_addresses(self._interface))
                except PathDown as error:
                    _log.info("not announced", path=self.facts.name, error=str(error))
                    await asyncio.sleep(_AGAIN_S)

    async def _announce(self, addresses: list[str]) -> None:
        instance = announcement.instance_of(self._identity.transport_key)
        info = AsyncServiceInfo(
            SERVICE, f"{instance}.{SERVICE}", server=f"heard-{instance}.local.", port=int(self.endpoint.rpartition(":")[2]),
            addresses=[socket.inet_aton(address) for address in addresses],
            properties=announcement.properties_of(self._authority.signing_key, self._identity.transport_key),
        )  # fmt: skip
        async with _mdns(addresses) as speaker:
            await (await speaker.async_register_service(info, allow_name_change=True))
            _log.info("announced", path=self.facts.name, instance=info.name, addresses=addresses)
            while addresses_on(self._interface) == addresses:  # noqa: ASYNC110  the kernel's word for it is ``interfaces``' part
                await asyncio.sleep(_LOOK_AT_ADDRESSES_S)
            _log.info("addresses changed", path=self.facts.name)


@dataclasses.dataclass(slots=True)
class _Called:
    announcement: Announcement
    task: "asyncio.Task[None]"


class NeighborDial:
    """Calls every station of our authority that is announced on the LAN, up to ``MOST_NEIGHBORS``."""

    def __init__(
        self, *, facts: PathFacts, interface: str, identity: Identity, authority: AuthorityKeys, counters: Counters
    ) -> None:  # fmt: skip
        self.facts = facts
        self._interface = interface
        self._identity = identity
        self._tag = announcement.tag_of(authority.signing_key)
        self._counters = counters
        self._called: dict[str, _Called] = {}
        self._lookups = 0

    async def run(self, events: PathEvents) -> None:
        """Look and call until cancelled."""
        while True:
            try:
                addresses = _some_addresses(self._interface)
                async with _mdns(addresses) as speaker, crew() as members:
                    try:
                        await self._look(speaker, addresses, members, events)
                    finally:
                        self._called.clear()
            except PathDown as error:
                _log.info("not looking", path=self.facts.name, error=str(error))
                await asyncio.sleep(_AGAIN_S)

    async def _look(self, speaker: AsyncZeroconf, addresses: list[str], members: Crew, events: PathEvents) -> None:
        def changed(*, name: str, state_change: ServiceStateChange, **_: Any) -> None:
            if state_change == ServiceStateChange.Removed:
                self._hang_up(name)
            elif self._lookups < _MOST_LOOKUPS:
                self._lookups += 1
                members.start(self._look_up(speaker.zeroconf, name, members, events), "neighbor lookup")
            else:
                self._counters.refused("too_many_announcements")

        browser = AsyncServiceBrowser(speaker.zeroconf, SERVICE, handlers=[changed])
        try:
            while addresses_on(self._interface) == addresses:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AT_ADDRESSES_S)
        finally:
            await browser.async_cancel()

    async def _look_up(self, zeroconf: Zeroconf, name: str, members: Crew, events: PathEvents) -> None:
        try:
            info = AsyncServiceInfo(SERVICE, name)
            if not await info.async_request(zeroconf, _LOOKUP_MS):
                return
            found = announcement.parse(info.properties, info.parsed_addresses(IPVersion.V4Only), info.port)
        except Malformed as error:
            self._counters.refused(error.reason)
            _log.info("not a neighbor", name=name[:80], detail=str(error))
            return
        finally:
            self._lookups -= 1
        if found.tag != self._tag or found.transport_key == self._identity.transport_key:
            return  # another authority's, or ourselves
        self._call(name, found, members, events)

    def _call(self, name: str, found: Announcement, members: Crew, events: PathEvents) -> None:
        known = self._called.get(name)
        if known is not None and known.announcement == found and not known.task.done():
            return
        self._hang_up(name)
        if len(self._called) >= MOST_NEIGHBORS:
            self._counters.refused("too_many_neighbors")
            return
        dial = ZeroMqDial(facts=self.facts, endpoint=found.endpoint, server_key=found.transport_key, identity=self._identity,
                          interface="" if self._interface == "lo" else self._interface)  # fmt: skip
        _log.info("neighbor found", path=self.facts.name, endpoint=found.endpoint)
        self._called[name] = _Called(found, members.start(dial.run(events), f"neighbor {name[:24]}"))

    def _hang_up(self, name: str) -> None:
        known = self._called.pop(name, None)
        if known is not None:
            known.task.cancel()
