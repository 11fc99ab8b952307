"""The SMS path, both sides: a cellular modem on a serial port, in PDU mode. An alert takes two short messages, a receipt one.

Where the data service of a network is down or jammed, its signaling channel often still carries these. Each costs money and a few seconds,
one in a hundred is lost and some come twice, so there is no hello and no ping (``tiny_session``). The SIM belongs to Heard alone: what
comes in and is not ours is counted and deleted, because a full SIM takes nothing more.

Source: 3GPP TS 27.005 (AT+CMGS, +CMTI, +CMGL, +CMGD, +CMS ERROR) and TS 27.007 (AT+CPIN, AT+CREG).
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import crew
from relay.errors import ConfigError, Malformed, PathDown
from relay.identity import Identity
from relay.passport import Passport
from relay.path import PathEvents, PathFacts
from relay.paths import sms_pdu
from relay.paths.serial_port import device_of
from relay.paths.sms_modem import Outcome, SmsModem
from relay.paths.tiny_neighbors import PeerNamed, TinyNeighbors
from relay.paths.tiny_seal import OVERHEAD_BYTES, TinySeal
from relay.paths.tiny_session import TinySession

_log = structlog.get_logger("relay.paths.sms")

MTU: Final = sms_pdu.MOST_PARTS * sms_pdu.PART_BYTES - OVERHEAD_BYTES
EXPECTED_RTT_MS: Final = 25_000.0
"""Some 6 to 8 s each way (ETSI EMTEL), and the modem's own."""
_SAME_DIGITS: Final = 8
"""Networks show one number now in its national, now in its international form."""

Wait = Callable[[float], Awaitable[None]]


def _key_of(number: str) -> str:
    return number.removeprefix("+")[-_SAME_DIGITS:]


class _Station:
    """Has the modem, loses it, takes it up again; the same for both sides."""

    def __init__(
        self,
        *,
        facts: PathFacts,
        endpoint: str,
        where: str,
        baud: int,
        pin_file: Path | None,
        counters: Counters,
        wait: Wait,
    ) -> None:
        self._name = facts.name
        self._device = device_of(where, endpoint)
        self._baud = baud
        self._pin = _pin_in(where, pin_file)
        self._counters = counters
        self._wait = wait

    async def keep_serving(self, serve: Callable[[SmsModem], Awaitable[str]]) -> None:
        """Hand each modem that is ready to ``serve``, which returns why it is gone; until cancelled."""
        loop = asyncio.get_running_loop()
        backoff, said = Backoff(least_s=1.0, most_s=60.0, stable_s=60.0), ""
        while True:
            started = loop.time()
            try:
                modem = SmsModem(self._counters)
                async with modem.on(self._device, self._baud):
                    try:
                        await modem.prepare(self._pin)
                    except (
                        Malformed
                    ) as error:  # a PIN that was refused is never said again: the third time locks the SIM
                        self._pin = None
                        raise PathDown(str(error)) from error
                    reason = await serve(modem)
            except PathDown as error:
                reason = str(error)
            (_log.debug if reason == said else _log.warning)("no session", path=self._name, error=reason)
            said = reason
            backoff.succeeded_for(loop.time() - started)
            await self._wait(backoff.next_delay_s())

    async def send(self, modem: SmsModem, session: TinySession, number: str) -> None:
        """Send what waits in a session, for as long as it lasts."""
        backoff = Backoff(least_s=2.0, most_s=300.0, stable_s=30.0)
        while not session.lost.done():
            await session.filled.wait()
            batch = session.next_batch(sms_pdu.room)
            if batch is None:
                continue
            try:
                outcome = await modem.send(number, session.sealed(batch), secrets.randbelow(1 << 16))
            except PathDown as error:
                session.drop(str(error))
                return
            match outcome:
                case Outcome.SENT:
                    backoff.succeeded_for(60.0)
                case Outcome.LATER:
                    session.give_back(batch)
                    await self._wait(backoff.next_delay_s())
                case Outcome.NEVER:
                    self._counters.refused("number")


class SmsDial:
    """A path to the neighbor whose modem has a number, for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, number: str, baud: int, pin_file: Path | None, identity: Identity,
        peer: Passport, counters: Counters, wait: Wait = asyncio.sleep,
    ) -> None:  # fmt: skip
        where = f"path {facts.name!r}"
        self.facts = facts
        self._counters = counters
        self._station = _Station(
            facts=facts, endpoint=endpoint, where=where, baud=baud, pin_file=pin_file, counters=counters, wait=wait
        )
        if not number:
            raise ConfigError(f"{where}: `sms.number` is missing: the number of {peer.name}'s SIM, like +15551230000")
        self._number = number
        self._seal = TinySeal(identity, peer)
        self._peer = peer.name

    async def run(self, events: PathEvents) -> None:
        """Serve until cancelled."""
        await self._station.keep_serving(lambda modem: self._one_session(modem, events))

    async def _one_session(self, modem: SmsModem, events: PathEvents) -> str:
        session = TinySession(
            facts=self.facts, seal=self._seal, is_outgoing=True, counters=self._counters, name=self._peer
        )

        def came(sender: str, data: bytes) -> None:
            if _key_of(sender) == _key_of(self._number):
                session.arrived(events, data)
            else:
                self._counters.refused("unknown_address")

        events.session_opened(session)
        reason = "stopped"
        try:
            async with crew() as members:
                members.start(self._station.send(modem, session, self._number), "sms send")
                members.start(_watch(modem, came, session.lost), "sms watch")
                reason = await asyncio.shield(session.lost)
        finally:
            session.drop(reason)
            events.session_closed(session, reason)
        return reason


class SmsListen:
    """A path that neighbors with numbers of their own come by."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, numbers: Mapping[str, str], baud: int, pin_file: Path | None, identity: Identity,
        peer_named: PeerNamed, counters: Counters, wait: Wait = asyncio.sleep,
    ) -> None:  # fmt: skip
        where = f"listen {facts.name!r}"
        self.facts = facts
        self.endpoint = endpoint
        self._station = _Station(
            facts=facts, endpoint=endpoint, where=where, baud=baud, pin_file=pin_file, counters=counters, wait=wait
        )
        keys = {name: _key_of(number) for name, number in numbers.items()}
        if not keys or len(set(keys.values())) < len(keys):
            raise ConfigError(
                f"{where}: expected `[listen.sms.peers]` with a number of its own for each neighbor, found {dict(numbers)}"
            )
        self._numbers = {_key_of(number): number for number in numbers.values()}
        self._neighbors = TinyNeighbors(
            facts=facts, identity=identity, addresses=keys, peer_named=peer_named, counters=counters
        )
        self._is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return once the modem was tried: a station does not wait for a network."""
        await self._is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Nothing to do: a withdrawn passport is refused by the upper floor when its session opens."""

    async def run(self, events: PathEvents) -> None:
        """Serve until cancelled."""
        self._is_listening.set()
        await self._station.keep_serving(lambda modem: self._serve_all(modem, events))

    async def _serve_all(self, modem: SmsModem, events: PathEvents) -> str:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def serve(session: TinySession, key: str) -> None:
            await self._station.send(modem, session, self._numbers[key])

        reason = "stopped"
        async with crew() as members:
            self._neighbors.begin(events, members, serve)
            try:
                members.start(
                    _watch(modem, lambda sender, data: self._neighbors.arrived_from(_key_of(sender), data), lost),
                    "sms watch",
                )
                reason = await lost
            finally:
                self._neighbors.end(reason)
        return reason


async def _watch(modem: SmsModem, came: Callable[[str, bytes], None], lost: "asyncio.Future[str]") -> None:
    """Collect what comes in until the modem, its port or its network is gone."""
    try:
        reason = await modem.watch(came)
    except PathDown as error:
        reason = str(error)
    with contextlib.suppress(asyncio.InvalidStateError):
        lost.set_result(reason)


def _pin_in(where: str, pin_file: Path | None) -> str | None:
    if pin_file is None:
        return None
    try:
        pin = pin_file.read_text(encoding="ascii").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: can't read `pin_file` {pin_file}: {error}") from error
    if not (pin.isdecimal() and 4 <= len(pin) <= 8):
        raise ConfigError(f"{where}: expected a PIN of 4 to 8 digits as the first line of {pin_file}")
    return pin
