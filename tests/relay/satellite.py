"""A satellite modem (Iridium 9602 command set) on a pseudo-terminal, and the operator's gateway behind it (DirectIP), both on this machine.

Source: "Iridium ISU AT Command Reference" and "Short Burst Data Service Developers Guide". The sky is perfect unless told otherwise.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from relay.paths import direct_ip
from relay.paths.direct_ip import Confirmation, FromModem
from tests.relay.pseudo_modem import PseudoModem

MO_MOST = 340
MT_MOST = 270


class Gateway:
    """Hands what modems send to whoever listens, again and again until it is taken; queues what is for them."""

    def __init__(self) -> None:
        self.deliver_to: tuple[str, int] | None = None
        self.is_waiting_for_confirmation = False
        self.port = 0
        self.modems: dict[str, SatelliteModem] = {}
        self.queues: dict[str, deque[bytes]] = {}
        self.delivered: list[FromModem] = []
        self.told: list[bytes] = []
        """What was accepted for modems."""
        self.refuse_next: list[int] = []
        """Statuses for the next MT messages."""
        self.hang_up_next = 0
        """MT connections to cut without an answer."""
        self._up: asyncio.Queue[FromModem] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        pump = asyncio.create_task(self._pump(), name="gateway")
        try:
            yield self
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            server.close()

    def took(self, message: FromModem) -> None:
        self._up.put_nowait(message)

    async def _pump(self) -> None:
        while True:
            message = await self._up.get()
            while not await self._hand_over(message):  # noqa: ASYNC110  a listener that is away has no event
                await asyncio.sleep(0.1)  # the real one tries again too
            self.delivered.append(message)

    async def _hand_over(self, message: FromModem) -> bool:
        if self.deliver_to is None:
            return False
        try:
            reader, writer = await asyncio.open_connection(*self.deliver_to)
            writer.write(message.encode())
            await writer.drain()
            answer = await reader.read()  # until the other end has closed
            writer.close()
        except OSError:
            return False
        return not self.is_waiting_for_confirmation or answer == direct_ip.confirmed(True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            prefix = await reader.readexactly(direct_ip.PREFIX.size)
            message = direct_ip.parse_for_modem(prefix + await reader.readexactly(direct_ip.length_of(prefix)))
            if self.hang_up_next:
                self.hang_up_next -= 1
            else:
                status = self._queued(message.imei, message.payload)
                writer.write(Confirmation(imei=message.imei, reference=message.reference, status=status).encode())
                await writer.drain()
        writer.close()

    def _queued(self, imei: str, payload: bytes) -> int:
        if self.refuse_next:
            return self.refuse_next.pop(0)
        if imei not in self.modems:
            return -2
        if len(payload) > MT_MOST:
            return -3
        queue = self.queues.setdefault(imei, deque())
        if len(queue) >= 50:
            return -5
        queue.append(payload)
        self.told.append(payload)
        self.modems[imei].ring()
        return len(queue)


class SatelliteModem(PseudoModem):
    """One modem under its IMEI."""

    def __init__(self, gateway: Gateway, imei: str) -> None:
        super().__init__()
        self.gateway = gateway
        self.imei = imei
        gateway.modems[imei] = self
        self.bars = 5
        self.statuses: list[int] = []
        """MO statuses of the next sessions; 0 when none is left."""
        self.wait_s = 60
        """What +SBDLOE says."""
        self.refuse_write: list[int] = []
        """Results of the next +SBDWB, other than 0."""
        self.break_checksum = 0
        """How many of the next messages read have a wrong checksum."""
        self.session_s = 0.0
        """How long a session with the satellite takes; some 20 s on a real one."""
        self.sessions = 0
        self.bursts: list[bytes] = []
        """What went up."""
        self._mo = b""
        self._mt = b""
        self._momsn = 0
        self._mtmsn = 0
        self._rings = False
        self._echo = True

    def ring(self) -> None:
        if self._rings:
            self.say("SBDRING")

    def command(self, line: str) -> None:
        if self._echo:
            self.write(line.encode() + b"\r")
        name, _, value = line.partition("=")
        match name:
            case "AT" | "AT&K0":
                self.say("OK")
            case "ATE0":
                self._echo = False
                self.say("OK")
            case "AT+SBDMTA":
                self._rings = value == "1"
                self.say("OK")
            case "AT+SBDD0":
                self._mo = b""
                self.say("0", "OK")
            case "AT+SBDD1":
                self._mt = b""
                self.say("0", "OK")
            case "AT+SBDD2":
                self._mo = self._mt = b""
                self.say("0", "OK")
            case "AT+CSQF":
                self.say(f"+CSQF:{self.bars}", "OK")
            case "AT+SBDREG":
                self.say("+SBDREG:2,0", "OK")
            case "AT+SBDS":
                self.say(f"+SBDS: {int(bool(self._mo))}, {self._momsn}, {int(bool(self._mt))}, {self._mtmsn}", "OK")
            case "AT+SBDLOE":
                self.say(f"+SBDLOE: 0,{self.wait_s}", "OK")
            case "AT+SBDWB":
                self._announced(int(value))
            case "AT+SBDIX" | "AT+SBDIXA" if self.session_s:
                asyncio.get_running_loop().call_later(self.session_s, self._session)
            case "AT+SBDIX" | "AT+SBDIXA":
                self._session()
            case "AT+SBDRB":
                self._read_out()
            case _:
                self.say("ERROR")

    def _announced(self, size: int) -> None:
        if not 1 <= size <= MO_MOST:
            self.say("3", "OK")
            return
        self.say("READY")
        self.expect_bytes(size + 2)

    def data(self, data: bytes) -> None:
        body, checksum = data[:-2], int.from_bytes(data[-2:], "big")
        if self.refuse_write:
            self.say(str(self.refuse_write.pop(0)), "OK")
        elif sum(body) & 0xFFFF != checksum:
            self.say("2", "OK")
        else:
            self._mo = body
            self.say("0", "OK")

    def gave_up(self) -> None:
        self.say("1", "OK")

    def _session(self) -> None:
        self.sessions += 1
        status = self.statuses.pop(0) if self.statuses else 0
        if self.bars == 0:
            status = 32
        if status > 4:
            self.say(f"+SBDIX: {status}, {self._momsn}, 2, {self._mtmsn}, 0, 0", "OK")
            return
        if self._mo:
            self.bursts.append(self._mo)
            self.gateway.took(FromModem(imei=self.imei, status=0, momsn=self._momsn, mtmsn=self._mtmsn, sent_at_s=1_790_000_000,
                                        call_record=self.sessions, payload=self._mo))  # fmt: skip
            self._momsn += 1
        queue = self.gateway.queues.setdefault(self.imei, deque())
        has_message = bool(queue)
        if has_message:
            self._mt = queue.popleft()
            self._mtmsn += 1
        self.say(
            f"+SBDIX: {status}, {self._momsn}, {int(has_message)}, {self._mtmsn}, {len(self._mt)}, {len(queue)}", "OK"
        )

    def _read_out(self) -> None:
        checksum = sum(self._mt) & 0xFFFF
        if self.break_checksum:
            self.break_checksum -= 1
            checksum ^= 0x0101
        self.write(len(self._mt).to_bytes(2, "big") + self._mt + checksum.to_bytes(2, "big"))
        self.say("OK")
