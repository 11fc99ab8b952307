"""The tables of ``relay.config`` for single carriers whose parcels are few and small: modems, radios, neighbors on the LAN."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from relay import limits

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME_BYTES)]
Imei = Annotated[str, msgspec.Meta(pattern=r"^\d{15}$")]
PhoneNumber = Annotated[str, msgspec.Meta(pattern=r"^\+?\d{3,20}$")]
Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600]
HeartbeatEvery = Annotated[int, msgspec.Meta(ge=60)]


class ShortBurstDialOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.short_burst]``: the satellite modem on this machine."""

    baud: Baud = 19200
    heartbeat_every_s: HeartbeatEvery = 6 * 3600


class ShortBurstListenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[listen.short_burst]``: the provider's gateway delivers to our endpoint (DirectIP); we deliver to its own."""

    gateway: str = ""
    """``tcp://host:10800``: where messages for the modems go."""
    peers: dict[Name, Imei] = {}
    """The neighbors that may speak here, each with its modem's IMEI."""
    is_confirmed: bool = False
    """Whether the provider was asked to wait for a confirmation of each message."""
    heartbeat_every_s: HeartbeatEvery = 6 * 3600


class SmsDialOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.sms]``: the modem on this machine, and the number of the peer's."""

    number: PhoneNumber = ""
    """International, with ``+``."""
    baud: Baud = 115200
    pin_file: Path | None = None
    """The SIM's PIN is its first line; it is said once, never twice."""
    heartbeat_every_s: HeartbeatEvery = 6 * 3600


class SmsListenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[listen.sms]``."""

    peers: dict[Name, PhoneNumber] = {}
    """The neighbors that may speak here, each with its SIM's number."""
    baud: Baud = 115200
    pin_file: Path | None = None
    heartbeat_every_s: HeartbeatEvery = 6 * 3600


class RadioOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.serial_radio]`` and ``[listen.serial_radio]``: what the radio modem is set to, which must be the same everywhere."""

    baud: Baud = 57600
    spreading_factor: Annotated[int, msgspec.Meta(ge=7, le=12)] = 9
    bandwidth_hz: Annotated[int, msgspec.Meta(ge=7_800, le=500_000)] = 125_000
    coding_rate: Annotated[int, msgspec.Meta(ge=5, le=8)] = 5
    """The denominator: 5 means 4/5."""
    preamble_symbols: Annotated[int, msgspec.Meta(ge=6, le=65535)] = 8
    duty_cycle_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0
    """EU868, most sub-bands: 1, that is 36 s an hour. 100: no limit."""
    peers: tuple[Name, ...] = ()
    """On the side that listens: the neighbors that may speak here."""
    heartbeat_every_s: HeartbeatEvery = 1800
