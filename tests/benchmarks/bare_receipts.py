"""The least that answers an alert with a receipt: one thread without an event loop, TLS, a signature checked, one durable write, a receipt signed.

No journal, no incidents, no ledger, one alert after another: what a receipt costs a process in Python on this machine, whatever it does besides.

Run as a process: ``python -m tests.benchmarks.bare_receipts KEYFILE PORTFILE LOGFILE``; speaks enough of the hop protocol for ``tls_load``.
"""

import os
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay import envelope as envelopes
from relay import garbage, hop, passport, receipt
from relay.identity import Identity
from relay.ids import NodeId
from relay.paths import tls_proof
from relay.ranges import RangeSet
from tests.benchmarks.tls_line import TlsLine

_PAGE_BYTES: Final = 4096
_PAGES: Final = 256


@dataclass(eq=False, slots=True)
class _Caller:
    """A node's connection."""

    line: TlsLine
    is_proved: bool = False
    signing_key: bytes = b""


class BareReceipts:
    """Answers whoever calls; the callers are a benchmark's own."""

    def __init__(self, identity: Identity, log_file: Path) -> None:
        self._identity = identity
        self._context, self._certificate_sha256 = tls_proof.listening_context(identity)
        self._log = os.open(log_file, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._log, bytes(_PAGES * _PAGE_BYTES), 0)
        os.fsync(self._log)
        self._page = 0
        self._settled: dict[tuple[NodeId, int], RangeSet] = {}

    def accept(self, listening: socket.socket) -> _Caller:
        """Shake hands with the next caller."""
        plain, _ = listening.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self._context.wrap_socket(plain, server_side=True)
        connection.setblocking(False)
        return _Caller(TlsLine(connection))

    def take(self, caller: _Caller, parcel: bytes) -> None:
        """Its proof, its hello, or an alert."""
        if not caller.is_proved:
            tls_proof.require_opening(parcel, identity=self._identity, certificate_sha256=self._certificate_sha256)
            caller.is_proved = True
        elif hop.is_note(parcel):
            note = hop.decode(parcel)
            if isinstance(note, hop.Hello):
                signed = passport._signed_decoder.decode(note.passport)
                caller.signing_key = passport._decoder.decode(signed.statement).signing_key
                caller.line.send(hop.encode(hop.Welcome(note.passport, 0, bytes(16), bytes(64))))
        elif not receipt.is_receipt(parcel):
            self._alert(caller, parcel)

    def _alert(self, caller: _Caller, wire: bytes) -> None:
        envelope = envelopes.parse(wire)
        envelopes.verify(envelope, caller.signing_key)
        header = envelope.header
        os.pwritev(self._log, [wire], self._page * _PAGE_BYTES, os.RWF_DSYNC)
        self._page = (self._page + 1) % _PAGES
        settled = self._settled.setdefault((header.origin, header.series), RangeSet())
        settled.add(header.sequence)
        issued = receipt.issue(settled, signer=self._identity.node_id, signing=self._identity.signing, stored_at_s=int(time.time()),
                               origin=header.origin, series=header.series, answers=[header.sequence])  # fmt: skip
        caller.line.send(issued.wire)


def main(key_file: str, port_file: str, log_file: str) -> None:
    bare = BareReceipts(Identity.load(Path(key_file)), Path(log_file))
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)
    Path(port_file).write_text(str(listening.getsockname()[1]))
    callers: dict[int, _Caller] = {}
    ready = select.epoll()
    ready.register(listening.fileno(), select.EPOLLIN)
    garbage.spare_alerts_the_search()
    while True:
        for descriptor, _ in ready.poll():
            if descriptor == listening.fileno():
                caller = bare.accept(listening)
                callers[caller.line.socket.fileno()] = caller
                ready.register(caller.line.socket.fileno(), select.EPOLLIN)
                continue
            try:
                for parcel in callers[descriptor].line.parcels():
                    bare.take(callers[descriptor], parcel)
            except OSError:
                ready.unregister(descriptor)
                callers.pop(descriptor).line.socket.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
