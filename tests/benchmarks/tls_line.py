"""Parcels over one connection of the TLS path, as ``relay/paths/tls_connection.py`` frames them, for a benchmark's own loop."""

import contextlib
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_LENGTH: Final = struct.Struct(">I")


@dataclass(eq=False, slots=True)
class TlsLine:
    """Either end of it."""

    socket: ssl.SSLSocket
    _came: bytearray = field(default_factory=bytearray)

    def send(self, *parcels: bytes) -> None:
        """Hand them to the kernel: what a benchmark has in flight fits its buffer."""
        self.socket.sendall(b"".join(_LENGTH.pack(len(parcel)) + parcel for parcel in parcels))

    def parcels(self) -> Iterator[bytes]:
        """What has come, without waiting.

        Raises:
            ConnectionError: the other end hung up.
        """
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                data = self.socket.recv(65_536)
                if not data:
                    raise ConnectionError("the other end hung up")
                self._came += data
        at = 0
        while len(self._came) >= at + _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._came, at)
            if len(self._came) < at + _LENGTH.size + size:
                break
            yield bytes(self._came[at + _LENGTH.size : at + _LENGTH.size + size])
            at += _LENGTH.size + size
        del self._came[:at]
