"""A cellular modem as ``sms`` uses it: send some data to a number, collect what came in. Two tasks may use it; their commands take turns.

Source: 3GPP TS 27.005 sections 3 and 4, TS 27.007 sections 7.2 and 8.3; the causes of +CMS ERROR are TS 24.011 annex E and TS 23.040.
"""

import asyncio
import contextlib
import enum
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import structlog

from relay.counters import Counters
from relay.errors import Malformed, PathDown
from relay.paths import sms_pdu
from relay.paths.assembly import Assembly
from relay.paths.at_modem import AtModem, Reply

_log = structlog.get_logger("relay.paths.sms")

LOOK_EVERY_S: Final = 60.0
"""The SIM is looked through this often even if the modem said nothing, and the network asked after."""
_SEND_S: Final = 60.0
_LIST_S: Final = 30.0
_PART_AGE_S: Final = 900.0
_REGISTERED: Final = frozenset({"1", "5", "6", "7", "9", "10"})
"""Home, roaming, and each of these for SMS only."""
_UNASKED: Final = ("+CMTI:", "RING", "+CUSD:", "^", "+CDSI:", "+CPIN: NOT READY")
_NEVER: Final = {
    1: "the number is not assigned", 8: "the operator bars it", 10: "calls from this SIM are barred", 21: "rejected",
    28: "the subscriber is not identified", 29: "the facility is rejected", 30: "the subscriber is unknown",
    50: "this SIM has no SMS service", 69: "not implemented", 304: "the modem does not take this PDU", 305: "the modem refuses the text",
}  # fmt: skip
"""No use trying the same again."""
_NO_SIM: Final = frozenset({310, 311, 312, 313, 315, 316, 317, 318})
_FULL: Final = 322


class Outcome(enum.Enum):
    """What became of a message."""

    SENT = enum.auto()
    LATER = enum.auto()
    """The network or the modem has no time now."""
    NEVER = enum.auto()
    """This message to this number will not go."""


class SmsModem:
    """Made ready by ``prepare``."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._modem = AtModem(counters, lambda line: line.startswith(_UNASKED))
        self._turn = asyncio.Lock()
        self._assembly = Assembly(most_groups=64, most_age_s=_PART_AGE_S)

    @contextlib.asynccontextmanager
    async def on(self, device: str, baud: int) -> AsyncIterator["SmsModem"]:
        """Have the port for the block.

        Raises:
            PathDown: the port can't be opened.
        """
        async with self._modem.on(device, baud):
            yield self

    async def prepare(self, pin: str | None) -> None:
        """Bring modem and SIM into a known state.

        Raises:
            PathDown: no SIM, no network, or no sense in its answers.
            Malformed: the SIM refuses this PIN.
        """
        modem = self._modem
        await modem.ask("\x1bAT")  # a text that an earlier run began and never ended is given up
        for command in ("ATE0", "AT+CMEE=1"):
            await modem.need(command)
        await self._unlock(pin)
        for command in ("AT+CMGF=0", "AT+CNMI=2,1,0,0,0"):
            await modem.need(command)
        await self._need_network()

    async def _unlock(self, pin: str | None) -> None:
        state = (await self._modem.ask("AT+CPIN?")).line("+CPIN:")
        if state == "SIM PIN":
            if pin is None:
                raise PathDown("the SIM asks for its PIN: give `pin_file`, and correct it if it was refused before")
            if not (await self._modem.ask(f"AT+CPIN={pin}")).is_ok:
                raise Malformed("the SIM refuses the PIN in `pin_file`: it is not said again before a restart")
            state = (await self._modem.ask("AT+CPIN?")).line("+CPIN:")
        if state != "READY":
            raise PathDown(f"the modem has no SIM that is ready: it says {state or 'nothing'!r}")

    async def _need_network(self) -> None:
        for command in ("CREG", "CEREG"):
            parts = ((await self._modem.ask(f"AT+{command}?")).line(f"+{command}:") or "").split(",")
            if len(parts) >= 2 and parts[1].strip() in _REGISTERED:
                return
        raise PathDown("the modem is in no network: is there coverage, and is the SIM active?")

    # ------------------------------------------------------------------ out

    async def send(self, number: str, data: bytes, reference: int) -> Outcome:
        """Send data in as many messages as it takes.

        Raises:
            PathDown: the modem or its SIM is gone.
        """
        for submit in sms_pdu.submits(number, data, reference):
            async with self._turn:
                reply = await self._modem.ask_with_text(
                    f"AT+CMGS={submit.length}", submit.pdu + b"\x1a", within_s=_SEND_S
                )
            if not reply.is_ok:
                return self._refused(reply)
            self._counters.count("sms_sent")
        return Outcome.SENT

    def _refused(self, reply: Reply) -> Outcome:
        cause = cause_of(reply)
        self._counters.count(f"sms_failed_{cause}")
        if cause in _NO_SIM:
            raise PathDown(f"the SIM does not answer: {reply.final}")
        if cause in _NEVER:
            _log.warning("not sent", reason=_NEVER[cause], error=reply.final)
            return Outcome.NEVER
        return Outcome.LATER

    # ------------------------------------------------------------------ in

    async def watch(self, came: Callable[[str, bytes], None]) -> str:
        """Hand on what comes in, whole, with its sender's number. Returns why the port is gone.

        Raises:
            PathDown: the modem or its network is gone.
        """
        gone = asyncio.ensure_future(self._modem.lost())
        try:
            while not gone.done():
                async with self._turn:
                    await self._collect(came)
                    await self._need_network()
                await self._announced(gone)
            return gone.result()
        finally:
            gone.cancel()

    async def _announced(self, gone: "asyncio.Future[str]") -> None:
        """Return when the modem says that something came, the port is gone, or it is time to look."""
        deadline = asyncio.get_running_loop().time() + LOOK_EVERY_S
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0 and not gone.done():
            stirred = asyncio.ensure_future(self._modem.stirred())
            waits: list[asyncio.Future[Any]] = [stirred, gone]
            try:
                await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stirred.cancel()
            async with self._turn:
                self._modem.collect()
            while not self._modem.unasked.empty():
                if self._modem.unasked.get_nowait().startswith("+CMTI:"):
                    return

    async def _collect(self, came: Callable[[str, bytes], None]) -> None:
        reply = await self._modem.ask("AT+CMGL=4", within_s=_LIST_S)
        for index, pdu in listed(reply.lines):
            try:
                self._take(sms_pdu.parse_deliver(pdu), came)
            except Malformed as error:
                self._counters.refused("malformed")
                _log.warning("deleted", detail=str(error), index=index)
            await self._modem.ask(f"AT+CMGD={index}")

    def _take(self, part: sms_pdu.Part, came: Callable[[str, bytes], None]) -> None:
        self._counters.count("sms_arrived")
        if part.total == 1:
            came(part.sender, part.data)
            return
        whole = self._assembly.add((part.sender, part.reference), number=part.number, total=part.total, piece=part.data,
                                   now_s=asyncio.get_running_loop().time())  # fmt: skip
        if whole is not None:
            came(part.sender, whole)


def cause_of(reply: Reply) -> int:
    """The number of a +CMS ERROR; 500 (unknown) where there is none."""
    value = reply.final.partition(":")[2].strip()
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 4 else 500


def listed(lines: tuple[str, ...]) -> list[tuple[int, bytes]]:
    """The messages in an answer to AT+CMGL in PDU mode: ``+CMGL: <index>,<stat>,…`` and the PDU in the next line. Bad ones are left out."""
    found: list[tuple[int, bytes]] = []
    for head, pdu in itertools.pairwise(lines):
        if not head.startswith("+CMGL:"):
            continue
        index = head.removeprefix("+CMGL:").split(",")[0].strip()
        if index.isascii() and index.isdecimal() and len(index) <= 5 and pdu.isascii():
            found.append((int(index), pdu.encode("ascii")))
    return found
