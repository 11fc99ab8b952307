"""What an address translator (NAT) remembers of TCP connections, and what happens when it forgets.

A carrier-grade NAT drops a mapping when it is idle, overloaded or restarted. The packets of the old connection then go
nowhere, silently and both ways, while a new connection works at once. Addresses are not rewritten: neither end looks at
them. Pure; ``emulator.py`` asks it for each packet.
"""

from typing import Final

_TCP: Final = 6
_SYN, _ACK = 0x02, 0x10
Flow = tuple[bytes, bytes]
"""Address and port of the inner and of the outer end."""


class Translation:
    """Lets everything through until it is told to forget; then only connections that were opened since."""

    def __init__(self) -> None:
        self._known: set[Flow] | None = None

    def forget(self) -> None:
        """Lose every mapping."""
        self._known = set()

    def passes(self, packet: bytes, *, is_outward: bool) -> bool:
        """Whether a packet is translated; an outward SYN makes a mapping."""
        if self._known is None:
            return True
        found = _flow_of(packet, is_outward=is_outward)
        if found is None:
            return True
        flow, flags = found
        if is_outward and flags & (_SYN | _ACK) == _SYN:
            self._known.add(flow)
        return flow in self._known


def _flow_of(packet: bytes, *, is_outward: bool) -> tuple[Flow, int] | None:
    """The connection and the TCP flags of an IPv4 packet; None if it is none of TCP."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    at = (packet[0] & 15) * 4
    source = packet[12:16] + packet[at : at + 2]
    target = packet[16:20] + packet[at + 2 : at + 4]
    return ((source, target) if is_outward else (target, source)), packet[at + 13]
