"""How stations of one authority find each other on a LAN: a DNS-SD service, ``_heard._tcp``, and what stands in its TXT record.

It says the least that is needed to call: a version, four bytes that stations of the same authority know each other by, and the transport
key. No name, no role, no site. It is believed by nobody: whoever answers must hold that key (CURVE) and show a passport of our
authority that names it. Pure; the sockets are ``neighbor``'s.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.errors import Malformed

SERVICE: Final = "_heard._tcp.local."
_VERSION: Final = b"1"
_TAG_BYTES: Final = 4
_KEY_CHARACTERS: Final = 64
_MOST_PROPERTIES: Final = 16


def tag_of(authority_key: bytes) -> str:
    """What stations of one authority know each other by; says nothing of it to others."""
    return hashlib.blake2b(authority_key, digest_size=_TAG_BYTES, person=b"heard/lan").hexdigest()


def instance_of(transport_key: bytes) -> str:
    """The service's name on the LAN: from the key, so that it is the same after a restart and tells nobody whose it is."""
    return hashlib.blake2b(transport_key, digest_size=6, person=b"heard/lan").hexdigest()


def properties_of(authority_key: bytes, transport_key: bytes) -> dict[str, str]:
    """The TXT record."""
    return {"v": _VERSION.decode(), "a": tag_of(authority_key), "k": transport_key.hex()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A station that can be called."""

    tag: str
    transport_key: bytes
    endpoint: str


def parse(properties: Mapping[bytes, bytes | None], addresses: Sequence[str], port: int | None) -> Announcement:
    """Read what somebody on the LAN announces.

    Not checked: any of it.

    Raises:
        Malformed: not one of ours, or no address on the LAN.
    """
    if len(properties) > _MOST_PROPERTIES or properties.get(b"v") != _VERSION:
        raise Malformed(f"expected version 1 in a neighbor's announcement, found {str(properties.get(b'v'))[:20]}")
    tag, key = properties.get(b"a") or b"", properties.get(b"k") or b""
    if len(tag) != 2 * _TAG_BYTES or len(key) != _KEY_CHARACTERS or not (_is_hex(tag) and _is_hex(key)):
        raise Malformed("a neighbor's announcement has no authority's tag or no transport key of the right length")
    address = next((text for text in addresses if _is_on_lan(text)), None)
    if address is None or port is None or not 0 < port < 65536:
        raise Malformed(
            f"a neighbor's announcement has no address on the LAN: {', '.join(addresses)[:80] or 'none'}, port {port}"
        )
    host = f"[{address}]" if ":" in address else address
    return Announcement(tag=tag.decode(), transport_key=bytes.fromhex(key.decode()), endpoint=f"tcp://{host}:{port}")


def _is_hex(data: bytes) -> bool:
    return all(byte in b"0123456789abcdef" for byte in data)


def _is_on_lan(text: str) -> bool:
    """Whether it is an address that a neighbor can have: nobody is sent to a stranger on the internet by a TXT record."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return (address.is_private or address.is_link_local) and not (address.is_unspecified or address.is_multicast)
