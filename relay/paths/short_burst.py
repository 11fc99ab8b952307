"""The short burst path, our side: an Iridium modem on a serial port, where no network on the ground is left.

One burst holds at most 340 bytes up, 270 down, which is one parcel or a few small ones; each costs money and takes some 20 s of open sky. So there is no hello and no
ping (``tiny_session``), and the modem is left alone until something waits, or rings. What a burst's status says decides when the next is
tried; what got its receipt by another way meanwhile is not sent.

Source: "Iridium ISU AT Command Reference" (SBD commands, status codes of +SBDIX) and the retry advice in "9602 SBD Transceiver
Developer's Guide".
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from relay import limits
from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import crew
from relay.errors import Malformed, PathDown
from relay.identity import Identity
from relay.passport import Passport
from relay.path import PathEvents, PathFacts
from relay.paths.at_modem import AtModem, Reply
from relay.paths.serial_port import device_of
from relay.paths.short_burst_answers import Burst, burst_of, unframed
from relay.paths.tiny_seal import OVERHEAD_BYTES, TinySeal
from relay.paths.tiny_session import TinySession

_log = structlog.get_logger("relay.paths.short_burst")

UP_BYTES: Final = limits.SHORT_BURST_BYTES
DOWN_BYTES: Final = 270
UP_MTU: Final = UP_BYTES - OVERHEAD_BYTES
DOWN_MTU: Final = DOWN_BYTES - OVERHEAD_BYTES
EXPECTED_RTT_MS: Final = 60_000.0
_BURST_S: Final = 120.0
"""The modem itself gives up after some 60 s."""
_WRITE_S: Final = 65.0
"""After 60 s without the announced bytes the modem goes back to listening for commands by itself."""
_RETRY_UP_TO_S: Final = (5.0, 5.0, 30.0, 30.0)
"""After the first failures: a random time up to this. After those, ``_RETRY_LATER_S``."""
_RETRY_LATER_S: Final = 300.0
_DOWN_AFTER: Final = 6
"""Failures in a row after which the path is said to be down, and waits for a signal."""
_UNASKED: Final = ("SBDRING", "+AREG:", "+CIEV:", "+SBDAREG:")

Wait = Callable[[float], Awaitable[None]]


class ShortBurstDial:
    """A path to the neighbor behind the provider's gateway, for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, baud: int, identity: Identity, peer: Passport, counters: Counters,
        wait: Wait = asyncio.sleep, chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.facts = facts
        self._device = device_of(f"path {facts.name!r}", endpoint)
        self._baud = baud
        self._seal = TinySeal(identity, peer)
        self._peer = peer.name
        self._counters = counters
        self._wait = wait
        self._chance = chance or random.SystemRandom()

    async def run(self, events: PathEvents) -> None:
        """Have the modem, serve until it is lost, wait, take it up again."""
        loop = asyncio.get_running_loop()
        backoff, said = Backoff(least_s=1.0, most_s=60.0, stable_s=60.0), ""
        while True:
            started = loop.time()
            try:
                reason = await self._one_session(events)
            except PathDown as error:
                reason = str(error)
            # The same words once: a modem that is away for a day is one line.
            (_log.debug if reason == said else _log.warning)("no session", path=self.facts.name, error=reason)
            said = reason
            backoff.succeeded_for(loop.time() - started)
            await self._wait(backoff.next_delay_s())

    async def _one_session(self, events: PathEvents) -> str:
        async with AtModem(self._counters, lambda line: line.startswith(_UNASKED)).on(
            self._device, self._baud
        ) as modem:
            await self._prepare(modem)
            session = TinySession(
                facts=self.facts, seal=self._seal, is_outgoing=True, counters=self._counters, name=self._peer
            )
            events.session_opened(session)
            reason = "stopped"
            try:
                async with crew() as members:
                    members.start(self._serve(modem, session, events), "short burst")
                    members.start(_watch(modem, session), "short burst port")
                    reason = await asyncio.shield(session.lost)
            finally:
                session.drop(reason)
                events.session_closed(session, reason)
        return reason

    async def _prepare(self, modem: AtModem) -> None:
        """Bring the modem into a known state, and wait for the sky."""
        await modem.ask("AT")  # whatever half a command an earlier run left behind ends here
        for command in ("ATE0", "AT&K0", "AT+SBDMTA=1", "AT+SBDD0"):
            await modem.need(command)
        if await self._bars(modem) < 1:
            raise PathDown("the satellite modem has no signal: does its antenna see the sky?")
        reply = await modem.ask("AT+SBDREG", within_s=_BURST_S)  # so that the network knows where to ring
        self._counters.count(
            "short_burst_registered" if (reply.line("+SBDREG:") or "").startswith("2") else "short_burst_unregistered"
        )

    async def _bars(self, modem: AtModem) -> int:
        value = (await modem.ask("AT+CSQF")).line("+CSQF:")
        return int(value) if value is not None and value.isdecimal() and len(value) == 1 else 0

    # ------------------------------------------------------------------ bursts

    async def _serve(self, modem: AtModem, session: TinySession, events: PathEvents) -> None:
        failures, has_mail = 0, False
        try:
            if await _has_kept_mail(modem):
                await self._collect(modem, session, events)
            while not session.lost.done():
                has_rung = _took_ring(modem)
                has_mail = has_mail or has_rung
                batch = session.next_batch(lambda size_bytes: UP_BYTES)
                if batch is None and not has_mail:
                    await _something(modem, session)
                    continue
                burst = await self._burst(modem, None if batch is None else session.sealed(batch), is_answer=has_rung)
                if batch is not None and not burst.is_sent:
                    session.give_back(batch)
                if burst.has_message:
                    await self._collect(modem, session, events)
                has_mail = burst.queued > 0 or burst.is_mail_unknown or (has_mail and not burst.is_sent)
                failures = 0 if burst.is_sent else failures + 1
                if failures >= _DOWN_AFTER:
                    session.drop(f"{failures} bursts failed, the last with status {burst.status}")
                elif failures:
                    await self._wait(await self._pause_s(modem, burst, failures))
        except PathDown as error:
            session.drop(str(error))

    async def _burst(self, modem: AtModem, data: bytes | None, *, is_answer: bool) -> Burst:
        """One session with the satellite: ours up, if there is one, and theirs down, if there is one."""
        if data is None:
            await modem.need("AT+SBDD0")
        else:
            framed = data + (sum(data) & 0xFFFF).to_bytes(2, "big")
            reply = await modem.ask_with_bytes(f"AT+SBDWB={len(data)}", "READY", framed, within_s=_WRITE_S)
            if not reply.is_ok or reply.lines[-1:] != ("0",):  # 1: too slow, 2: checksum, 3: size
                raise PathDown(f"the modem does not take a message: {' '.join(reply.lines) or reply.final}")
        reply = await modem.ask("AT+SBDIXA" if is_answer else "AT+SBDIX", within_s=_BURST_S)
        burst = self._told(reply)
        self._counters.count("short_bursts" if burst.is_sent else f"short_burst_failed_{burst.status}")
        if burst.is_sent and data is not None:
            await modem.need("AT+SBDD0")  # else the next session would send it once more
        return burst

    def _told(self, reply: Reply) -> Burst:
        try:
            return burst_of(reply.line("+SBDIX:") or "")
        except Malformed as error:  # a line that the cable garbled: it may have been sent, and is sent again
            self._counters.refused("modem_line")
            _log.warning("not understood", path=self.facts.name, detail=str(error))
            return Burst.unknown()

    async def _collect(self, modem: AtModem, session: TinySession, events: PathEvents) -> None:
        raw = await modem.ask_for_bytes("AT+SBDRB", most=DOWN_BYTES, tail_bytes=2, within_s=30.0)
        try:
            data = unframed(raw)
        except Malformed:  # the message is still in the modem: once more
            self._counters.refused("malformed")
            raw = await modem.ask_for_bytes("AT+SBDRB", most=DOWN_BYTES, tail_bytes=2, within_s=30.0)
            try:
                data = unframed(raw)
            except Malformed as error:
                self._counters.refused("malformed")
                raise PathDown(str(error)) from error
        await modem.need("AT+SBDD1")
        session.arrived(events, data)

    async def _pause_s(self, modem: AtModem, burst: Burst, failures: int) -> float:
        """How long to leave the satellite alone after a failure."""
        if burst.least_pause_s:
            return burst.least_pause_s
        if burst.is_asked_to_wait:
            told = (await modem.ask("AT+SBDLOE")).line("+SBDLOE:") or ""
            seconds = told.partition(",")[2].strip()
            return float(min(int(seconds), 3600)) if seconds.isdecimal() and len(seconds) <= 6 else _RETRY_LATER_S
        up_to = _RETRY_UP_TO_S[failures - 1] if failures <= len(_RETRY_UP_TO_S) else _RETRY_LATER_S
        return self._chance.uniform(0, up_to) if up_to < _RETRY_LATER_S else up_to


async def _has_kept_mail(modem: AtModem) -> bool:
    """Whether an earlier run left a message in the modem's buffer: ``+SBDS: <MO flag>, <MOMSN>, <MT flag>, <MTMSN>``."""
    parts = ((await modem.ask("AT+SBDS")).line("+SBDS:") or "").split(",")
    return len(parts) == 4 and parts[2].strip() == "1"


def _took_ring(modem: AtModem) -> bool:
    modem.collect()
    has_rung = False
    while not modem.unasked.empty():
        has_rung |= modem.unasked.get_nowait().startswith("SBDRING")
    return has_rung


async def _something(modem: AtModem, session: TinySession) -> None:
    """Return when a parcel waits, the modem says something, or the session is over."""
    waits = [asyncio.ensure_future(session.filled.wait()), asyncio.ensure_future(modem.listen())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _watch(modem: AtModem, session: TinySession) -> None:
    session.drop(await modem.lost())
