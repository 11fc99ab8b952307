"""Cursor on Target to a TAK server or listener, over TLS, TCP or UDP.

CoT has no acknowledgement. Over TCP an event counts as taken when the other machine has acknowledged its last byte (the kernel's send
queue is empty), which is the strongest that can be known; over UDP, when it was sent.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Final
from urllib.parse import urlsplit

from command_center.callbacks import guard
from command_center.callbacks.carrier import Carried, Verdict, tls_context
from command_center.callbacks.store import Delivery, Receiver

_LOOK_EVERY_S: Final = 0.02
_MOST_DATAGRAM_BYTES: Final = 60_000


class TakCarrier:
    """One connection a delivery: a listener that was restarted is found again by the next one."""

    async def carry(self, receiver: Receiver, delivery: Delivery) -> Carried:
        """Send one event."""
        parts = urlsplit(receiver.url)
        assert parts.hostname is not None
        assert parts.port is not None
        address = await guard.judged(parts.hostname, parts.port, may_be_inside=receiver.may_be_inside)
        if parts.scheme == "tak+udp":
            return await _datagram(address, parts.port, delivery.body)
        name = receiver.options.server_name or parts.hostname
        context = await asyncio.to_thread(tls_context, receiver.options) if parts.scheme == "tak+tls" else None
        reader, writer = await asyncio.open_connection(
            address, parts.port, ssl=context, server_hostname=name if context else None
        )
        try:
            writer.write(delivery.body)
            await writer.drain()
            await _acknowledged(writer)
            if reader.exception() is not None or writer.is_closing():
                raise ConnectionResetError("the other side closed the connection")
        finally:
            writer.close()
        return Carried(verdict=Verdict.TAKEN, words=f"acknowledged by the machine at {address}")


async def _acknowledged(writer: asyncio.StreamWriter) -> None:
    """Wait until the other machine has everything; no event tells of that, so the kernel is asked."""
    connected: socket.socket = writer.get_extra_info("socket")
    while writer.transport.get_write_buffer_size() or unacknowledged_bytes(connected):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY_S)


def unacknowledged_bytes(connected: socket.socket) -> int:
    """What the other machine has not acknowledged yet (Linux SIOCOUTQ)."""
    queued: int = struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return queued


async def _datagram(address: str, port: int, body: bytes) -> Carried:
    if len(body) > _MOST_DATAGRAM_BYTES:
        return Carried(verdict=Verdict.NEVER, words=f"too large for a datagram: {len(body)} bytes")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(address, port))
    try:
        transport.sendto(body)
    finally:
        transport.close()
    return Carried(verdict=Verdict.TAKEN, words=f"sent to {address}; UDP is not acknowledged")
