"""Where an MQTT broker is, how we log in there, and a socket to it that is connected and encrypted without blocking the loop.

Made from a configuration by ``mqtt`` and ``mqtt_listen``; used by ``mqtt_connection``. The password is read from its file and
goes nowhere but to the broker.
"""

import asyncio
import os
import socket as socket_module
import ssl
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.config import MqttOptions
from relay.errors import ConfigError
from relay.marking import STANDARD, Marking
from relay.path import Lane
from relay.retransmission import hasten

CONNECT_S: Final = 10.0
_DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker is and how we log in. Prints dots for the password."""

    owner: str
    """``path 'site'``, for messages to people."""
    host: str
    port: int
    version: str
    tls: ssl.SSLContext | None
    interface: str
    username: str
    password: str
    marking: Marking = STANDARD

    def __repr__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        return f"Broker({scheme}://{self.username}{':••••' if self.password else ''}@{self.host}:{self.port})"

    @classmethod
    def of(
        cls, owner: str, endpoint: str, options: MqttOptions, interface: str = "", marking: Marking = STANDARD
    ) -> "Broker":
        """What a configuration says.

        Raises:
            ConfigError: the endpoint is none, a file can't be used, or a password comes without its user.
        """
        try:
            parts = urllib.parse.urlsplit(endpoint)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{owner}: {endpoint!r} has no usable port: {error}") from error
        if (
            parts.scheme not in _DEFAULT_PORTS
            or not parts.hostname
            or parts.username
            or parts.path
            or parts.query
            or port == 0
        ):
            raise ConfigError(
                f"{owner}: expected an endpoint like mqtt://host:1883 or mqtts://host:8883, found "
                f"{parts.scheme}://…; user and password go into `username` and `password_file`"
                if parts.username
                else f"{owner}: expected an endpoint like mqtt://host:1883 or mqtts://host:8883, found {endpoint!r}"
            )
        if (
            not options.prefix
            or any(sign in options.prefix for sign in "+#\0")
            or options.prefix.strip("/") != options.prefix
        ):
            raise ConfigError(
                f"{owner}: expected a `prefix` like heard or city/heard, without +, # and outer slashes, found {options.prefix!r}"
            )
        if options.password_file is not None and not options.username:
            raise ConfigError(f"{owner}: `password_file` needs `username` beside it")
        return cls(
            owner=owner, host=parts.hostname, port=port or _DEFAULT_PORTS[parts.scheme], version=options.version,
            tls=_tls_context(owner, options) if parts.scheme == "mqtts" else None, interface=interface,
            username=options.username, password=_password(owner, options.password_file),
            marking=marking,
        )  # fmt: skip


async def open_socket(broker: Broker, lane: Lane) -> socket_module.socket:
    """A connected socket, its TLS handshake done.

    Raises:
        OSError: the broker is not reached, or its certificate is not good.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(broker.host, broker.port, type=socket_module.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in found:
        socket = socket_module.socket(family, kind, protocol)
        try:
            socket.setblocking(False)
            socket.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_NODELAY, 1)
            broker.marking.put_on(socket, lane)
            if lane == Lane.URGENT:
                hasten(socket)
            if broker.interface:
                _pin(socket, broker.interface)
            # Each address gets its share of the time, so that a dead IPv6 route leaves some for IPv4.
            async with asyncio.timeout(CONNECT_S * 0.9 / len(found)):
                await loop.sock_connect(socket, address)
            if broker.tls is not None:
                socket = broker.tls.wrap_socket(socket, server_hostname=broker.host, do_handshake_on_connect=False)
                await _shake_hands(socket)
            return socket
        except TimeoutError as error:
            socket.close()
            failure = OSError(f"no answer from {address[0]}")
            failure.__cause__ = error
        except OSError as error:
            socket.close()
            failure = error
        except BaseException:  # cancelled as well: the socket is ours to close
            socket.close()
            raise
    raise failure


def _pin(socket: socket_module.socket, interface: str) -> None:
    try:
        socket.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_BINDTODEVICE, os.fsencode(interface))
    except OSError as error:
        raise OSError(
            error.errno,
            f"can't pin the connection to interface {interface!r} ({error.strerror}): check its name with `ip link`, and that "
            "this service may bind to devices (CAP_NET_RAW)",
        ) from error


async def _shake_hands(socket: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            socket.do_handshake()
            return
        except ssl.SSLWantReadError:
            watch, unwatch = loop.add_reader, loop.remove_reader
        except ssl.SSLWantWriteError:
            watch, unwatch = loop.add_writer, loop.remove_writer
        is_ready = asyncio.Event()
        watch(socket, is_ready.set)
        try:
            await is_ready.wait()
        finally:
            unwatch(socket)


def _tls_context(owner: str, options: MqttOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(options.ca_file) if options.ca_file else None)
        if options.certificate_file is not None:
            context.load_cert_chain(options.certificate_file, options.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{owner}: can't use `ca_file`, `certificate_file` or `key_file`: {error}") from error
    return context


def _password(owner: str, password_file: Path | None) -> str:
    if password_file is None:
        return ""
    try:
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{owner}: can't read `password_file` {password_file}: {error}") from error
    if not password:
        raise ConfigError(
            f"{owner}: `password_file` {password_file} is empty: put the broker's password on its first line"
        )
    return password
