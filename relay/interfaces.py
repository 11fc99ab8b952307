"""The network interfaces as the kernel reports them, the moment they change: rtnetlink, with nothing but the standard library.

A pulled cable or a lost cell is known here at once, where heartbeats need seconds; and so is its return, where a back-off would
sleep on. ``Interfaces`` is the pure part: bytes of rtnetlink in, changes out. ``watch`` owns the socket. Linux only: elsewhere
``watch`` says so once, and the paths notice for themselves as before.

Source: rtnetlink(7), ``linux/rtnetlink.h``, ``linux/if_link.h``, ``linux/if.h``.
"""

import asyncio
import enum
import errno
import os
import socket as socket_module
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

_log = structlog.get_logger("relay.interfaces")

_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ROUTE: Final = struct.Struct("=8BI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NLMSG_DONE: Final = 3
_NEW_LINK, _DEL_LINK, _GET_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 17, 18, 20, 24
_REQUEST_DUMP: Final = 0x301
_IFLA_IFNAME, _RTA_OIF = 3, 4
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
"""Switched on; has its carrier. IFF_RUNNING lags up to a second behind, and would hide a short loss."""
_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE."""
_READ_BYTES: Final = 1 << 16
_READS_AT_ONCE: Final = 50


class What(enum.Enum):
    """What happened to an interface."""

    UP = "up"
    """It has its carrier and may be used."""
    DOWN = "down"
    """Its carrier is lost, it was switched off, or it is gone."""
    SETTLED = "settled"
    """It has a new address, or a new route leads over it: dialing may help now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened."""

    interface: str
    what: What


class Interfaces:
    """What is known of the interfaces. Pure."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, bool]] = {}
        self._has_first_list = False

    def is_up(self, name: str) -> bool | None:
        """Whether an interface has its carrier; None if there is none of this name."""
        return next((up for known, up in self._known.values() if known == name), None)

    def take(self, data: bytes) -> list[Change]:
        """Read what one ``recv`` gave. What the first list says is no change. Cut-off messages are skipped."""
        changes: list[Change] = []
        at = 0
        while at + _HEADER.size <= len(data):
            size, kind, _, _, _ = _HEADER.unpack_from(data, at)
            if size < _HEADER.size or at + size > len(data):
                break
            change = self._take_one(kind, data[at + _HEADER.size : at + size])
            if change is not None and self._has_first_list:
                changes.append(change)
            at += (size + 3) & ~3
        return changes

    def _take_one(self, kind: int, body: bytes) -> Change | None:
        if kind == _NLMSG_DONE:
            self._has_first_list = True
        elif kind in {_NEW_LINK, _DEL_LINK} and len(body) >= _LINK.size:
            _, _, index, flags, _ = _LINK.unpack_from(body)
            return self._link_is(index, flags, dict(_attributes(body[_LINK.size :])), is_gone=kind == _DEL_LINK)
        elif kind == _NEW_ADDRESS and len(body) >= _ADDRESS.size:
            return self._settled(_ADDRESS.unpack_from(body)[4])
        elif kind == _NEW_ROUTE and len(body) >= _ROUTE.size:
            over = dict(_attributes(body[_ROUTE.size :])).get(_RTA_OIF, b"")
            return self._settled(int.from_bytes(over, "little" if _IS_LITTLE else "big")) if len(over) == 4 else None
        return None

    def _link_is(self, index: int, flags: int, attributes: dict[int, bytes], *, is_gone: bool) -> Change | None:
        before = self._known.get(index)
        named = attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        name = named or (before[0] if before else "")
        is_up = not is_gone and flags & (_IFF_UP | _IFF_LOWER_UP) == _IFF_UP | _IFF_LOWER_UP
        if is_gone:
            self._known.pop(index, None)
        else:
            self._known[index] = (name, is_up)
        if is_up == (before is not None and before[1]):
            return None
        return Change(interface=name, what=What.UP if is_up else What.DOWN)

    def _settled(self, index: int) -> Change | None:
        known = self._known.get(index)
        return Change(interface=known[0], what=What.SETTLED) if known and known[1] else None


_IS_LITTLE: Final = struct.pack("=H", 1) == b"\x01\x00"


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size or at + size > len(data):
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3


async def watch(heed: Callable[[Change], None]) -> None:
    """Tell of every change, on the event loop, until cancelled."""
    if not hasattr(socket_module, "AF_NETLINK"):
        _log.info("no rtnetlink on this system: interfaces are not watched")
        return
    known = Interfaces()
    with socket_module.socket(socket_module.AF_NETLINK, socket_module.SOCK_RAW, socket_module.NETLINK_ROUTE) as netlink:
        netlink.setblocking(False)
        netlink.bind((0, _GROUPS))
        _ask_for_all(netlink)
        loop = asyncio.get_running_loop()
        loop.add_reader(netlink, _read, netlink, known, heed)
        try:
            await loop.create_future()  # until cancelled
        finally:
            loop.remove_reader(netlink)


def _ask_for_all(netlink: socket_module.socket) -> None:
    body = _LINK.pack(socket_module.AF_UNSPEC, 0, 0, 0, 0)
    netlink.send(_HEADER.pack(_HEADER.size + len(body), _GET_LINK, _REQUEST_DUMP, 1, 0) + body)


def _read(netlink: socket_module.socket, known: Interfaces, heed: Callable[[Change], None]) -> None:
    for _ in range(_READS_AT_ONCE):
        try:
            data = netlink.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                _log.warning("interfaces not read", error=os.strerror(error.errno or 0))
                return
            _ask_for_all(netlink)  # more happened than the socket could hold: the list says what came of it
            continue
        for change in known.take(data):
            heed(change)
