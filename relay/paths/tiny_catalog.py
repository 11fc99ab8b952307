"""The part of ``catalog`` for tiny carriers: their facts, and their paths. No library is needed for any of them."""

from relay.config import ListenConfig, PathConfig
from relay.counters import Counters
from relay.errors import ConfigError
from relay.identity import Identity
from relay.passport import Passport
from relay.path import Path, PathFacts
from relay.path_options import RadioOptions
from relay.paths import serial_radio, short_burst, sms
from relay.paths.radio_air import Modulation
from relay.paths.short_burst_gateway import ShortBurstListen
from relay.paths.tiny_neighbors import PeerNamed


def dial(config: PathConfig, *, peer: Passport, identity: Identity, counters: Counters) -> Path:
    """A ``[[path]]`` of kind serial_radio, short_burst or sms.

    Raises:
        ConfigError: its endpoint or options are not what its kind needs.
    """
    if config.interface:
        raise ConfigError(f"path {config.name!r}: `interface` pins paths over IP; a modem is named by its `endpoint`")
    if config.kind == "serial_radio":
        radio = config.serial_radio
        modulation = _modulation(radio)
        facts = _facts(config, serial_radio.MTU, serial_radio.expected_rtt_ms(modulation), radio.heartbeat_every_s)
        return serial_radio.RadioDial(facts=facts, endpoint=config.endpoint, baud=radio.baud, modulation=modulation,
                                      duty_cycle_percent=radio.duty_cycle_percent, identity=identity, peer=peer,
                                      counters=counters)  # fmt: skip
    if config.kind == "sms":
        facts = _facts(config, sms.MTU, sms.EXPECTED_RTT_MS, config.sms.heartbeat_every_s)
        return sms.SmsDial(facts=facts, endpoint=config.endpoint, number=config.sms.number, baud=config.sms.baud,
                           pin_file=config.sms.pin_file, identity=identity, peer=peer, counters=counters)  # fmt: skip
    facts = _facts(config, short_burst.UP_MTU, short_burst.EXPECTED_RTT_MS, config.short_burst.heartbeat_every_s)
    return short_burst.ShortBurstDial(facts=facts, endpoint=config.endpoint, baud=config.short_burst.baud, identity=identity,
                                      peer=peer, counters=counters)  # fmt: skip


def listen(
    config: ListenConfig, *, identity: Identity, peer_named: PeerNamed, counters: Counters
) -> serial_radio.RadioListen | ShortBurstListen | sms.SmsListen:
    """A ``[[listen]]`` of one of these kinds.

    Raises:
        ConfigError: its endpoint or options are not what its kind needs.
    """
    if config.kind == "serial_radio":
        radio = config.serial_radio
        modulation = _modulation(radio)
        facts = _facts(config, serial_radio.MTU, serial_radio.expected_rtt_ms(modulation), radio.heartbeat_every_s)
        return serial_radio.RadioListen(
            facts=facts, endpoint=config.endpoint, peers=radio.peers, baud=radio.baud, modulation=modulation,
            duty_cycle_percent=radio.duty_cycle_percent, identity=identity, peer_named=peer_named, counters=counters,
        )  # fmt: skip
    if config.kind == "sms":
        facts = _facts(config, sms.MTU, sms.EXPECTED_RTT_MS, config.sms.heartbeat_every_s)
        return sms.SmsListen(
            facts=facts, endpoint=config.endpoint, numbers=config.sms.peers, baud=config.sms.baud, pin_file=config.sms.pin_file,
            identity=identity, peer_named=peer_named, counters=counters,
        )  # fmt: skip
    burst = config.short_burst
    facts = _facts(config, short_burst.DOWN_MTU, short_burst.EXPECTED_RTT_MS, burst.heartbeat_every_s)
    return ShortBurstListen(
        facts=facts, endpoint=config.endpoint, gateway=burst.gateway, modems=burst.peers, is_confirmed=burst.is_confirmed,
        identity=identity, peer_named=peer_named, counters=counters,
    )  # fmt: skip


def _modulation(radio: RadioOptions) -> Modulation:
    return Modulation(spreading_factor=radio.spreading_factor, bandwidth_hz=radio.bandwidth_hz, coding_rate=radio.coding_rate,
                      preamble_symbols=radio.preamble_symbols)  # fmt: skip


def _facts(config: PathConfig | ListenConfig, mtu_bytes: int, rtt_ms: float, heartbeat_every_s: int) -> PathFacts:
    money = (
        (config.cost_per_mb, config.provider, config.jurisdiction) if isinstance(config, PathConfig) else (0.0, "", "")
    )
    return PathFacts(
        name=config.name, kind=config.kind, mtu_bytes=mtu_bytes, is_metered=config.is_metered, cost_per_mb=money[0], provider=money[1],
        jurisdiction=money[2], is_tiny=True, expected_rtt_ms=rtt_ms, heartbeat_every_s=heartbeat_every_s,
    )  # fmt: skip
