"""The carriers that the conformance suite runs over, each as a pair of configurations on this machine."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from relay import courier
from relay.config import HttpsDialOptions, HttpsListenOptions, ListenConfig, MqttOptions, PathConfig
from relay.crew import crew
from relay.path_options import RadioOptions, ShortBurstListenOptions, SmsDialOptions, SmsListenOptions
from relay.station import Station
from tests.relay.cellular import CellularModem, Network
from tests.relay.mosquitto import Mosquitto
from tests.relay.radio_medium import Medium, RadioModem
from tests.relay.satellite import Gateway, SatelliteModem

TINY_CARRIERS = ("serial_radio", "short_burst", "sms")
FAST_RADIO = RadioOptions(spreading_factor=7, bandwidth_hz=500_000, duty_cycle_percent=100)


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """How to listen, and how to reach who listens."""

    listening: ListenConfig
    https: HttpsDialOptions = field(default_factory=HttpsDialOptions)
    host: str = "127.0.0.1"
    is_tiny: bool = False
    """Its parcels are few and small, and it can't tell that nobody listens."""
    calls_strangers: bool = True
    """Whether those of another authority get so far as to be refused."""
    is_walked: bool = False
    """Somebody carries it: there is no connection that could be up or down, and nobody listens."""

    @property
    def listener(self) -> ListenConfig | str:
        """How the upper one of the two listens."""
        return self.listening

    def endpoint_of(self, station: Station) -> str:
        """Where it listens."""
        return station.listening_on[0]

    def dialed(self, peer: str, endpoint: str) -> list[PathConfig]:
        """The paths that the lower one has."""
        return [self.path_to(peer, endpoint)]

    @contextlib.asynccontextmanager
    async def between(self, above: Station, below: Station) -> AsyncIterator[None]:
        """For the block, whatever else it takes that the two reach each other."""
        yield

    def path_to(self, peer: str, endpoint: str) -> PathConfig:
        """A path to a station that listens at ``endpoint``."""
        parts = urlsplit(endpoint)
        return PathConfig(name=f"to-{peer}", kind=self.listening.kind, endpoint=f"{parts.scheme}://{self.host}:{parts.port}",
                          peer=peer, https=self.https, mqtt=self.listening.mqtt)  # fmt: skip

    def again_at(self, endpoint: str) -> ListenConfig | str:
        """The same listener where it was before."""
        return ListenConfig(kind=self.listening.kind, endpoint=endpoint, https=self.listening.https,
                            mqtt=self.listening.mqtt)  # fmt: skip


def self_signed(folder_dir: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    certificate_file, key_file = folder_dir / "tls.pem", folder_dir / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key_file, "-out", certificate_file],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate_file, key_file


class ConnectProxy:
    """The least of an HTTP proxy: CONNECT, then bytes both ways. Counts what went through it."""

    def __init__(self) -> None:
        self.tunnels = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["ConnectProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b" ")
        if head[0] != b"CONNECT":
            writer.close()
            return
        host, _, port = head[1].decode().partition(":")
        self.tunnels += 1
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 go\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass(frozen=True, kw_only=True)
class NeighborCarrier(Carrier):
    """Found by mDNS on the loopback interface."""

    calls_strangers: bool = False

    def path_to(self, peer: str, endpoint: str) -> PathConfig:
        return PathConfig(name=f"to-{peer}", kind="neighbor", interface="lo")

    def again_at(self, endpoint: str) -> ListenConfig:
        return ListenConfig(kind="neighbor", endpoint=endpoint, interface="lo")


@dataclass(frozen=True, kw_only=True)
class SatelliteCarrier(Carrier):
    """A modem at the camera, the operator's gateway at the center."""

    modem: SatelliteModem
    is_tiny: bool = True

    def path_to(self, peer: str, endpoint: str) -> PathConfig:
        parts = urlsplit(endpoint)
        self.modem.gateway.deliver_to = ("127.0.0.1", parts.port or 0)
        return PathConfig(name=f"to-{peer}", kind="short_burst", endpoint=f"serial://{self.modem.device}", peer=peer)

    def again_at(self, endpoint: str) -> ListenConfig:
        return ListenConfig(kind="short_burst", endpoint=endpoint, short_burst=self.listening.short_burst)


@dataclass(frozen=True, kw_only=True)
class RadioCarrier(Carrier):
    """A radio at either end of one channel."""

    modem: RadioModem
    is_tiny: bool = True

    def path_to(self, peer: str, endpoint: str) -> PathConfig:
        return PathConfig(name=f"to-{peer}", kind="serial_radio", endpoint=f"serial://{self.modem.device}", peer=peer,
                          serial_radio=FAST_RADIO)  # fmt: skip

    def again_at(self, endpoint: str) -> ListenConfig:
        return ListenConfig(kind="serial_radio", endpoint=endpoint, serial_radio=self.listening.serial_radio)


@dataclass(frozen=True, kw_only=True)
class SmsCarrier(Carrier):
    """A cellular modem at either end."""

    modem: CellularModem
    number: str
    is_tiny: bool = True

    def path_to(self, peer: str, endpoint: str) -> PathConfig:
        return PathConfig(name=f"to-{peer}", kind="sms", endpoint=f"serial://{self.modem.device}", peer=peer,
                          sms=SmsDialOptions(number=self.number))  # fmt: skip

    def again_at(self, endpoint: str) -> ListenConfig:
        return ListenConfig(kind="sms", endpoint=endpoint, sms=self.listening.sms)


@dataclass(frozen=True, kw_only=True)
class StickCarrier(Carrier):
    """A folder that somebody carries to and fro between the two, without a rest."""

    medium_dir: Path
    is_walked: bool = True

    @property
    def listener(self) -> ListenConfig | str:
        return ""

    def endpoint_of(self, station: Station) -> str:
        return ""

    def dialed(self, peer: str, endpoint: str) -> list[PathConfig]:
        return []

    def again_at(self, endpoint: str) -> ListenConfig | str:
        return ""

    @contextlib.asynccontextmanager
    async def between(self, above: Station, below: Station) -> AsyncIterator[None]:
        async with crew() as members:
            members.start(self._walk(above, below), "the walk")
            yield

    async def _walk(self, above: Station, below: Station) -> None:
        while True:
            await courier.carry(below, self.medium_dir)
            await courier.deliver(above, self.medium_dir)


@contextlib.asynccontextmanager
async def tiny_carrier(name: str) -> AsyncIterator[Carrier]:
    """One of ``TINY_CARRIERS``, whose one modem is ``gate-camera``'s."""
    if name == "serial_radio":
        medium = Medium()
        async with RadioModem(medium).plugged_in() as camera_radio, RadioModem(medium).plugged_in() as center_radio:
            at_center = ListenConfig(kind="serial_radio", endpoint=f"serial://{center_radio.device}",
                                     serial_radio=msgspec.structs.replace(FAST_RADIO, peers=("gate-camera",)))  # fmt: skip
            yield RadioCarrier(listening=at_center, modem=camera_radio)
        return
    if name == "sms":
        network = Network()
        async with (
            CellularModem(network, "+15551230001").plugged_in() as camera,
            CellularModem(network, "+15551230000").plugged_in() as center,
        ):
            numbers = SmsListenOptions(peers={"gate-camera": "+15551230001"})
            at_center = ListenConfig(kind="sms", endpoint=f"serial://{center.device}", sms=numbers)
            assert isinstance(camera, CellularModem)
            yield SmsCarrier(listening=at_center, modem=camera, number="+15551230000")
        return
    imei = "300234010753370"
    async with Gateway().running() as gateway, SatelliteModem(gateway, imei).plugged_in() as modem:
        options = ShortBurstListenOptions(gateway=f"tcp://127.0.0.1:{gateway.port}", peers={"gate-camera": imei})
        listening = ListenConfig(kind="short_burst", endpoint="tcp://127.0.0.1:0", short_burst=options)
        assert isinstance(modem, SatelliteModem)
        yield SatelliteCarrier(listening=listening, modem=modem)


@contextlib.asynccontextmanager
async def carrier(name: str, folder_dir: Path) -> AsyncIterator[Carrier]:
    """One of ``CARRIERS``, ready to use."""
    if name == "zeromq":
        yield Carrier(listening=ListenConfig(endpoint="tcp://127.0.0.1:0"))
    elif name == "tls":
        yield Carrier(listening=ListenConfig(kind="tls", endpoint="tls://127.0.0.1:0"))
    elif name == "http":
        yield Carrier(listening=ListenConfig(kind="https", endpoint="http://127.0.0.1:0"))
    elif name == "neighbor":
        yield NeighborCarrier(listening=ListenConfig(kind="neighbor", endpoint="tcp://127.0.0.1:0", interface="lo"))
    elif name == "stick":
        (folder_dir / "stick").mkdir()
        yield StickCarrier(listening=ListenConfig(endpoint="tcp://127.0.0.1:0"), medium_dir=folder_dir / "stick")
    elif name in TINY_CARRIERS:
        async with tiny_carrier(name) as tiny:
            yield tiny
    elif name.startswith("mqtt"):
        async with Mosquitto(folder_dir).running() as broker:
            version = MqttOptions(version="3.1.1" if name == "mqtt-3.1.1" else "5")
            yield Carrier(listening=ListenConfig(kind="mqtt", endpoint=broker.endpoint, mqtt=version))
    else:
        certificate_file, key_file = self_signed(folder_dir)
        listening = ListenConfig(kind="https", endpoint="https://127.0.0.1:0",
                                 https=HttpsListenOptions(certificate_file=certificate_file, key_file=key_file))  # fmt: skip
        if name == "https":
            yield Carrier(listening=listening, https=HttpsDialOptions(ca_file=certificate_file), host="localhost")
            return
        async with ConnectProxy().running() as proxy:
            options = HttpsDialOptions(ca_file=certificate_file, proxy=f"http://127.0.0.1:{proxy.port}")
            yield Carrier(listening=listening, https=options, host="localhost")
            assert proxy.tunnels, "nothing went through the proxy"


CARRIERS = (
    *TINY_CARRIERS,
    "stick",
    "neighbor",
    "zeromq",
    "tls",
    "http",
    "https",
    "https-through-proxy",
    "mqtt",
    "mqtt-3.1.1",
)
