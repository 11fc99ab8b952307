"""What the kernel knows of a TCP connection that no round trip tells: segments sent again, the path's MTU.

Linux's ``struct tcp_info`` (``linux/tcp.h``, the fields up to ``tcpi_data_segs_out`` since 4.6). Elsewhere nothing is known.
"""

import socket as socket_module
import struct
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

_SIZE: Final = 160
_PMTU_AT, _TOTAL_RETRANS_AT, _MIN_RTT_AT, _DATA_SEGS_OUT_AT = 60, 100, 148, 156

_NO_RTT: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """Counts since the connection was made."""

    path_mtu_bytes: int
    """Largest IP packet towards the other end, as far as the kernel has found out."""
    sent_segments: int
    """With data, repeats included."""
    resent_segments: int
    least_rtt_ms: float = 0.0
    """As the kernel saw it lately; 0 until it did."""


@runtime_checkable
class TellsTcp(Protocol):
    """A session that can be asked."""

    def bulk_tcp(self) -> TcpInfo | None:
        """Of the bulk lane's connection; None if it is not known."""


def tcp_info_of(connection: socket_module.socket) -> TcpInfo | None:
    """Ask the kernel; None where it can't tell."""
    option = getattr(socket_module, "TCP_INFO", None)
    if option is None:
        return None
    try:
        data = connection.getsockopt(socket_module.IPPROTO_TCP, option, _SIZE)
    except OSError:
        return None
    if len(data) < _SIZE:
        return None
    (mtu_bytes,) = struct.unpack_from("=I", data, _PMTU_AT)
    (resent,) = struct.unpack_from("=I", data, _TOTAL_RETRANS_AT)
    (sent,) = struct.unpack_from("=I", data, _DATA_SEGS_OUT_AT)
    (least_rtt_us,) = struct.unpack_from("=I", data, _MIN_RTT_AT)
    least_rtt_ms = 0.0 if least_rtt_us == _NO_RTT else least_rtt_us / 1000
    return TcpInfo(path_mtu_bytes=mtu_bytes, sent_segments=sent, resent_segments=resent, least_rtt_ms=least_rtt_ms)
