"""Where callbacks may go: a receiver's address must not lead the center into its own network (SSRF).

The name is resolved once, every address that it gives is judged, and the request goes to the address that was judged:
a name that answers differently a moment later changes nothing.
"""

import asyncio
import functools
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from command_center.errors import BadRequest

_RESOLVERS: Final = ThreadPoolExecutor(32, thread_name_prefix="resolve")
"""Threads of their own: a name server that does not answer holds one for half a minute, and must hold nobody else's work."""


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address, which the gateway of our own network may well reach."""
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: a network's own translation."""


class Forbidden(Exception):
    """The address is not one that callbacks may go to; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request really goes."""

    url: str
    """With the judged address in place of the name."""
    host: str
    """For the Host header, with its port where the URL has one."""
    name: str
    """For the certificate: a name, or an address without brackets."""


def require_url(url: str) -> None:
    """Refuse what can't be a receiver's URL.

    Raises:
        BadRequest: not an http or https URL, or one with a password in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"expected a URL such as https://units.example/heard, found {url!r}: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise BadRequest(f"expected a URL such as https://units.example/heard, found {url!r}")
    if parts.username or parts.password:
        raise BadRequest("expected a URL without user and password: requests are signed, the receiver checks that")


async def target_of(url: str, *, may_be_inside: bool) -> Target:
    """Resolve and judge.

    Raises:
        Forbidden: an address inside, where none is meant.
        OSError: the name can't be resolved.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = await judged(parts.hostname, port, may_be_inside=may_be_inside)
    bare = f"[{address}]" if ":" in address else address
    named = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = named if parts.port is None else f"{named}:{parts.port}"
    return Target(url=parts._replace(netloc=f"{bare}:{port}").geturl(), host=host, name=parts.hostname)


async def judged(name: str, port: int, *, may_be_inside: bool) -> str:
    """The address to connect to, of a name or an address.

    Raises:
        Forbidden: any of its addresses is inside, where none is meant.
        OSError: the name can't be resolved.
    """
    addresses = await _addresses(name, port)
    for address in addresses:
        if not may_be_inside and not _is_outside(address):
            raise Forbidden(
                f"{name} leads to {address}, an address inside: if that is meant, add the receiver with --inside"
            )
    return addresses[0]


async def _addresses(name: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        look = functools.partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, look)
    return [str(entry[4][0]) for entry in found]


def _is_outside(address: str) -> bool:
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.is_site_local or ip in _NAT64_LOCAL:
            return False
        ip = _embedded(ip) or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator or tunnel on the way would make of it: that one decides."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
