"""Cellular modems (3GPP TS 27.005/27.007 command set) on pseudo-terminals, and a network that carries short messages between them.

The network loses, repeats, delays and renumbers when told to; a SIM holds only so many messages.
"""

import asyncio
from collections.abc import Callable

from relay.paths import sms_pdu
from relay.paths.sms_pdu import Part
from tests.relay.pseudo_modem import PseudoModem


class Network:
    """Who has which number, and what happens on the way."""

    def __init__(self) -> None:
        self.modems: dict[str, CellularModem] = {}
        self.carried: list[tuple[str, str, Part]] = []
        self.lose_next = 0
        self.repeat = False
        self.hold: list[Callable[[], None]] | None = None
        """Not None: deliveries are kept here instead."""
        self.shows_national = False
        self.lost = 0

    def carry(self, sender: str, number: str, part: Part) -> None:
        self.carried.append((sender, number, part))
        if self.lose_next:
            self.lose_next -= 1
            self.lost += 1
            return
        shown = "0" + sender[3:] if self.shows_national else sender
        modem = self.modems.get(number)
        if modem is None:
            return

        def hand_over() -> None:
            for _ in range(2 if self.repeat else 1):
                modem.came(sms_pdu.deliver(shown, part))

        if self.hold is not None:
            self.hold.append(hand_over)
        else:
            asyncio.get_running_loop().call_soon(hand_over)


class CellularModem(PseudoModem):
    """One modem with a SIM."""

    SLOTS = 10

    def __init__(self, network: Network, number: str, *, pin: str = "") -> None:
        super().__init__()
        self.network = network
        self.number = number
        network.modems[number] = self
        self.registered = 1
        self.errors: list[int] = []
        """+CMS ERROR causes of the next sends."""
        self.slots: dict[int, bytes] = {}
        self.waiting: list[bytes] = []
        """At the service center, because the SIM is full."""
        self.is_mute = False
        """New messages are not announced."""
        self._pin = pin
        self._locked = bool(pin)
        self.wrong_pins = 0
        self._echo = True
        self._length = 0
        self._references = 0

    def came(self, pdu: bytes) -> None:
        free = next((slot for slot in range(1, self.SLOTS + 1) if slot not in self.slots), None)
        if free is None:
            self.waiting.append(pdu)
            return
        self.slots[free] = pdu
        if not self.is_mute:
            self.say(f'+CMTI: "SM",{free}')

    def command(self, line: str) -> None:
        line = line.removeprefix("\x1b")
        if self._echo:
            self.write(line.encode() + b"\r")
        name, _, value = line.partition("=")
        match name:
            case "AT" | "AT+CMEE" | "AT+CMGF" | "AT+CNMI":
                self.say("OK")
            case "ATE0":
                self._echo = False
                self.say("OK")
            case "AT+CPIN?":
                self.say("+CPIN: SIM PIN" if self._locked else "+CPIN: READY", "OK")
            case "AT+CPIN":
                self.wrong_pins += value != self._pin
                self._locked = value != self._pin
                self.say("+CME ERROR: 16" if self._locked else "OK")
            case "AT+CREG?":
                self.say(f"+CREG: 0,{self.registered}", "OK")
            case "AT+CMGS":
                self._length = int(value)
                self.write(b"\r\n> ")
                self.expect_text(b"\x1a")
            case "AT+CMGL":
                for slot, pdu in sorted(self.slots.items()):
                    self.write(f"\r\n+CMGL: {slot},0,,{len(pdu) // 2 - 1}\r\n{pdu.decode()}\r\n".encode())
                self.say("OK")
            case "AT+CMGD":
                self.slots.pop(int(value), None)
                self.say("OK")
                if self.waiting:
                    self.came(self.waiting.pop(0))
            case _:
                self.say("ERROR")

    def data(self, data: bytes) -> None:
        if self.errors:
            self.say(f"+CMS ERROR: {self.errors.pop(0)}")
            return
        if len(data) // 2 - 1 != self._length:
            self.say("+CMS ERROR: 304")
            return
        number, part = sms_pdu.parse_submit(data)
        self._references += 1
        self.say(f"+CMGS: {self._references & 0xFF}", "OK")
        self.network.carry(self.number, number, part)
