"""How soon TCP tries again on an urgent connection: within two seconds, for as long as it stands.

What gets lost is sent again after the round trip's usual bound, then after twice that, and so on (RFC 6298, section 5.5). Nobody tells
TCP that a link carries again, so a connection that lives through an outage of six seconds may stand still for six more, with every alert in
it. The doubling spares a network that bulk has filled; a few hundred bytes of alerts fill none. Options of a socket are set here by the
carriers in ``relay/paths``.

And its pace is the usual one (RFC 9438). BBR, where a system has chosen that for all, lets no more than four packets travel for two tenths of a
second, every ten seconds, to see the shortest round trip (draft-cardwell-iccrg-bbr-congestion-control, ProbeRTT): beside somebody's flood an alert waits
for that, and what there is to pace is held by ``flood_window`` already.

Whether to dial beside a silent connection is ``silence``'s part, and when to give it up the carrier's.

Sources: tcp(7); ``TCP_RTO_MAX_MS`` is Linux 6.15's bound for the doubling; before that, ``TCP_THIN_LINEAR_TIMEOUTS``
(Documentation/networking/tcp-thin.rst in the kernel's tree) keeps it away from the first six repetitions of a connection with less than four packets under way.
"""

import contextlib
import socket as socket_module
from typing import Final

AGAIN_WITHIN_MS: Final = 2_000
"""Above the longest usual round trip, a satellite's 0.6 s with all its variation; what is shorter would be sent twice there."""
THIN_LINEAR_TIMEOUTS: Final = 16
RTO_MAX_MS: Final = 44
CONGESTION: Final = 13
"""linux/tcp.h; Python's ``socket`` has no names for the first two, and the third one on Linux only."""


PACES: Final = (b"cubic", b"reno")
"""The second is allowed everywhere."""


def hasten(connection: socket_module.socket) -> None:
    """Let a connection of the urgent lane try again soon. A kernel that knows an option not, or does not allow it, leaves that as it is."""
    for option, value in ((THIN_LINEAR_TIMEOUTS, 1), (RTO_MAX_MS, AGAIN_WITHIN_MS)):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket_module.IPPROTO_TCP, option, value)
    for pace in PACES:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket_module.IPPROTO_TCP, CONGESTION, pace)
            return
