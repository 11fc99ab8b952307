"""The explicit table of carriers: from a configuration's ``kind`` to the path. An unknown kind never gets this far.

A carrier's own libraries are imported when it is configured, so that a relay which needs none starts without them.
"""

import dataclasses
from typing import Protocol

from relay import limits
from relay.config import ListenConfig, PathConfig
from relay.counters import Counters
from relay.errors import ConfigError
from relay.identity import AuthorityKeys, Identity
from relay.passport import Passport
from relay.path import Path, PathFacts
from relay.paths import tiny_catalog
from relay.paths.tiny_neighbors import PeerNamed
from relay.paths.zeromq import ZeroMqDial, ZeroMqListen
from relay.trust import TrustBook


class Listener(Path, Protocol):
    """A path that neighbors come to."""

    @property
    def endpoint(self) -> str:
        """Where; with the real port once it listens."""

    async def listening(self) -> None:
        """Return once neighbors can come."""

    def ban(self, transport_keys: set[bytes]) -> None:
        """Refuse these keys from now on, where keys are proved, and cut their connections."""


def dial_named(config: PathConfig, *, trust: TrustBook, identity: Identity, counters: Counters) -> Path:
    """The path that a ``[[path]]`` describes, to the neighbor that it names.

    Raises:
        ConfigError: that name is in no passport here, or see ``dial``.
    """
    peer = trust.named(config.peer)
    if peer is None and config.peer:
        known = ", ".join(sorted(trust.names() - {trust.name_of(identity.node_id)})) or "none"
        raise ConfigError(
            f"path {config.name!r} leads to {config.peer!r}, which has no passport here (known: {known}): correct `peer`, "
            "or enroll this machine again after that one has been enrolled"
        )
    return dial(config, peer=peer, identity=identity, counters=counters, authority=trust.authority)


def dial(
    config: PathConfig, *, peer: Passport | None, identity: Identity, counters: Counters, authority: AuthorityKeys
) -> Path:  # fmt: skip
    """The path that a ``[[path]]`` describes; ``peer`` is whom it leads to, where it is known beforehand.

    Raises:
        ConfigError: its endpoint or options are not what its kind needs.
    """
    facts = PathFacts(name=config.name, kind=config.kind, mtu_bytes=limits.MAX_PARCEL_BYTES, is_metered=config.is_metered,
                      cost_per_mb=config.cost_per_mb, provider=config.provider, jurisdiction=config.jurisdiction,
                      marking=config.marking, interface=config.interface)  # fmt: skip
    if config.kind == "neighbor":
        return _neighbor_dial(config, facts, identity, counters, authority)
    assert peer is not None
    match config.kind:
        case "zeromq":
            return ZeroMqDial(facts=facts, endpoint=config.endpoint, server_key=peer.transport_key, identity=identity,
                              interface=config.interface)  # fmt: skip
        case "tls":
            try:
                from relay.paths.tls import TlsDial
            except ImportError as error:
                raise _needs_extra(config, error) from error
            return TlsDial(facts=facts, endpoint=config.endpoint, peer=peer, identity=identity, counters=counters,
                           interface=config.interface)  # fmt: skip
        case "https":
            try:
                from relay.paths.https import HttpsDial
            except ImportError as error:
                raise _needs_extra(config, error) from error
            return HttpsDial(
                facts=facts, endpoint=config.endpoint, counters=counters, proxy=config.https.proxy, ca_file=config.https.ca_file,
                interface=config.interface,
            )  # fmt: skip
        case "mqtt":
            try:
                from relay.paths.mqtt import MqttDial
            except ImportError as error:
                raise _needs_extra(config, error) from error
            return MqttDial(facts=facts, endpoint=config.endpoint, listener=peer.node_id, counters=counters,
                            options=config.mqtt, interface=config.interface)  # fmt: skip
        case "serial_radio" | "short_burst" | "sms":
            return tiny_catalog.dial(config, peer=peer, identity=identity, counters=counters)


def listen(
    config: ListenConfig, *, identity: Identity, counters: Counters, peer_named: PeerNamed, authority: AuthorityKeys
) -> Listener:  # fmt: skip
    """The path that a ``[[listen]]`` describes; ``peer_named`` knows the passports of those who may come by a tiny carrier.

    Raises:
        ConfigError: its endpoint or options are not what its kind needs.
    """
    facts = PathFacts(name=config.name, kind=config.kind, mtu_bytes=limits.MAX_PARCEL_BYTES, marking=config.marking)
    match config.kind:
        case "zeromq":
            return ZeroMqListen(facts=facts, endpoint=config.endpoint, identity=identity, counters=counters)
        case "tls":
            try:
                from relay.paths.tls_listen import TlsListen
            except ImportError as error:
                raise _needs_extra(config, error) from error
            return TlsListen(facts=facts, endpoint=config.endpoint, identity=identity, counters=counters)
        case "https":
            try:
                from relay.paths.https_listen import HttpsListen
            except ImportError as error:
                raise _needs_extra(config, error) from error
            return HttpsListen(facts=facts, endpoint=config.endpoint, counters=counters,
                               certificate_file=config.https.certificate_file, key_file=config.https.key_file)  # fmt: skip
        case "mqtt":
            try:
                from relay.paths.mqtt_listen import MqttListen
            except ImportError as error:
                raise _needs_extra(config, error) from error
            return MqttListen(facts=facts, endpoint=config.endpoint, node_id=identity.node_id, counters=counters,
                              options=config.mqtt)  # fmt: skip
        case "neighbor":
            return _neighbor_listen(config, facts, identity, counters, authority)
        case "serial_radio" | "short_burst" | "sms":
            return tiny_catalog.listen(config, identity=identity, peer_named=peer_named, counters=counters)


def _neighbor_dial(
    config: PathConfig, facts: PathFacts, identity: Identity, counters: Counters, authority: AuthorityKeys
) -> Path:  # fmt: skip
    try:
        from relay.paths.neighbor import NeighborDial
    except ImportError as error:
        raise _needs_extra(config, error) from error
    return NeighborDial(facts=dataclasses.replace(facts, is_detour=True), interface=config.interface, identity=identity,
                        authority=authority, counters=counters)  # fmt: skip


def _neighbor_listen(
    config: ListenConfig, facts: PathFacts, identity: Identity, counters: Counters, authority: AuthorityKeys
) -> Listener:  # fmt: skip
    try:
        from relay.paths.neighbor import NeighborListen
    except ImportError as error:
        raise _needs_extra(config, error) from error
    return NeighborListen(facts=facts, endpoint=config.endpoint or "tcp://0.0.0.0:0", interface=config.interface,
                          identity=identity, authority=authority, counters=counters)  # fmt: skip


def _needs_extra(config: PathConfig | ListenConfig, error: ImportError) -> ConfigError:
    return ConfigError(
        f"{config.name!r} is of kind {config.kind}, which needs the {config.kind} extra ({error.name} is missing): "
        f"pip install heard[{config.kind}]"
    )
