"""TLS over a blocking socket that one thread may read from while others write: an ``SSLSocket`` allows that to nobody.

The TLS state is kept in memory (``ssl.SSLObject``), behind a lock that is never held while the network is waited for.
"""

import contextlib
import socket as socket_module
import ssl
import struct
import threading
from typing import Final

_AT_ONCE_BYTES: Final = 256 << 10


class Channel:
    """One connection."""

    def __init__(self, socket: socket_module.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        """Shake hands, within the socket's timeout for each step.

        Raises:
            OSError: that failed; the socket is closed.
        """
        self._socket = socket
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._state = threading.Lock()
        self._sending = threading.Lock()
        try:
            socket.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_NODELAY, 1)
            self._shake_hands()
        except BaseException:  # whatever it was goes on; the socket does not stay open
            socket.close()
            raise

    def certificate(self) -> bytes | None:
        """What the other end has shown, DER."""
        return self._tls.getpeercert(binary_form=True)

    def wait_at_most(self, timeout_s: float | None) -> None:
        """For each step on the network; None: as long as it takes."""
        self._socket.settimeout(timeout_s)

    def give_up_sending_after(self, timeout_s: float) -> None:
        """Where the other end takes nothing, or nothing arrives there, for so long."""
        self._socket.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_SNDTIMEO, _timeval(timeout_s))
        self._socket.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_USER_TIMEOUT, round(timeout_s * 1000))

    def send(self, content: bytes) -> None:
        """Hand it to TCP.

        Raises:
            OSError: it is over, or the other end takes nothing.
        """
        with self._sending:
            with self._state:
                self._tls.write(content)
                wire = self._outgoing.read()
            self._socket.sendall(wire)

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes. One thread only.

        Raises:
            OSError: it is over.
        """
        content = bytearray()
        while len(content) < count:
            with self._state, contextlib.suppress(ssl.SSLWantReadError):
                content += self._tls.read(count - len(content))
                continue
            self._take_in()
        return bytes(content)

    def cut(self) -> None:
        """End it, from any thread: who waits on it is woken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket_module.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back; nobody uses it any more."""
        self.cut()
        self._socket.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._take_in()
            else:
                self._socket.sendall(self._outgoing.read())
                return

    def _take_in(self) -> None:
        wire = self._socket.recv(_AT_ONCE_BYTES)
        if not wire:
            raise ConnectionError("the other end hung up")
        with self._state:
            self._incoming.write(wire)


def _timeval(seconds: float) -> bytes:
    """socket(7): a struct timeval."""
    whole = int(seconds)
    return struct.pack("@ll", whole, round((seconds - whole) * 1e6))
