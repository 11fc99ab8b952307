"""Kernel MPTCP: one stream with a subflow over every link, default scheduler. The namespaces' endpoints are set by ``compare``."""

import socket
import threading
from pathlib import Path

from tests.network.peers.exchange import PAYLOAD_BYTES, PORT, Pace, Ready, number_of, tell

IPPROTO_MPTCP = 262


def _read(stream: socket.socket, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        part = stream.recv(size_bytes - len(data))
        if not part:
            raise ConnectionError("the stream ended")
        data += part
    return data


def center(_: Path) -> None:
    """Answer each message with its number, for as long as the process lives."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", PORT))
    listener.listen()
    tell(Ready())
    stream, _address = listener.accept()
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        stream.sendall(_read(stream, PAYLOAD_BYTES)[:8])


def node(_: Path, addresses: list[str]) -> None:
    """One connection to the first address; the kernel adds the subflows."""
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    stream.connect((addresses[0], PORT))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pace = Pace()

    def listen() -> None:
        while True:
            pace.heard(number_of(_read(stream, 8)))

    threading.Thread(target=listen, name="acknowledgements", daemon=True).start()
    pace.run(stream.sendall)
