"""What the packets of a path say about their urgency to the networks on their way: a DiffServ code point a lane.

A router that looks at it can let an alert pass somebody else's download; one that does not look, or bleaches it, changes
nothing. It is a wish and no promise: what keeps our own bulk behind our own alerts is ``scheduler``. The byte is set on
sockets by the carriers in ``relay/paths``; nothing here touches one.

Sources: RFC 2474 (the field), RFC 4594 (which class for what), RFC 8622 (LE).
"""

import enum
import socket as socket_module
from typing import Final

import msgspec

_ECN_BITS: Final = 2


class CodePoint(enum.StrEnum):
    """A DiffServ code point by its usual name."""

    DF = "DF"
    """Default forwarding: no wish."""
    LE = "LE"
    """Lower effort (RFC 8622): gives way to everything, and may starve."""
    CS1 = "CS1"
    AF11 = "AF11"
    """High-throughput data (RFC 4594, section 4.8): store and forward."""
    AF12 = "AF12"
    AF13 = "AF13"
    CS2 = "CS2"
    AF21 = "AF21"
    """Low-latency data (RFC 4594, section 4.7)."""
    AF22 = "AF22"
    AF23 = "AF23"
    CS3 = "CS3"
    AF31 = "AF31"
    CS4 = "CS4"
    AF41 = "AF41"
    CS5 = "CS5"
    """Signaling (RFC 4594, section 4.2)."""
    VA = "VA"
    EF = "EF"
    """Expedited forwarding (RFC 3246): small, urgent, never queued where the network honors it."""

    @property
    def dscp(self) -> int:
        """Its six bits."""
        return _DSCP[self]


_DSCP: Final = {
    CodePoint.DF: 0, CodePoint.LE: 1, CodePoint.CS1: 8, CodePoint.AF11: 10, CodePoint.AF12: 12, CodePoint.AF13: 14,
    CodePoint.CS2: 16, CodePoint.AF21: 18, CodePoint.AF22: 20, CodePoint.AF23: 22, CodePoint.CS3: 24,
    CodePoint.AF31: 26, CodePoint.CS4: 32, CodePoint.AF41: 34, CodePoint.CS5: 40, CodePoint.VA: 44, CodePoint.EF: 46,
}  # fmt: skip


class Marking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[path.marking]`` and ``[listen.marking]``: the code point of each lane. ``DF`` for both marks nothing."""

    urgent: CodePoint = CodePoint.EF
    """Alerts, receipts, acknowledgements, and the notes between neighbors."""
    bulk: CodePoint = CodePoint.AF11
    """Clips and models. ``LE`` where they must give way to everybody else's traffic as well."""

    def tos_of(self, lane: int) -> int:
        """The whole byte (TOS, traffic class) for a ``relay.path.Lane``, with its two ECN bits zero."""
        return (self.urgent, self.bulk)[lane].dscp << _ECN_BITS

    def put_on(self, socket: socket_module.socket, lane: int) -> None:
        """Mark what a TCP socket sends from now on.

        A kernel or container that refuses leaves it unmarked, which costs a wish and no alert.
        """
        tos = self.tos_of(lane)
        wishes = [(socket_module.IPPROTO_IP, socket_module.IP_TOS)]
        if socket.family == socket_module.AF_INET6:  # an IPv4 peer on an IPv6 socket still reads IP_TOS
            wishes.append((socket_module.IPPROTO_IPV6, socket_module.IPV6_TCLASS))
        for level, option in wishes:
            try:
                socket.setsockopt(level, option, tos)
            except OSError:
                continue


STANDARD: Final = Marking()
