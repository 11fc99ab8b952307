"""The peer of the center's ingest: the least that does the same work.

Receives over CURVE, checks the signature with PyNaCl,
group-commits to SQLite with synchronous=FULL, acknowledges after the commit. No journal, no incidents, no decryption.
It commits as the station does, at once what comes alone and gathered what comes in a flow, so that it is the best that this work allows.

Run as a process: ``python -m tests.benchmarks.bare_ingest KEYFILE PORTFILE DBFILE [beside]``; speaks enough of the hop protocol for
``ingest_load``. With ``beside`` signatures go to a process, as the center's do in a flow: what one more core brings this loop.
"""

import os
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import zmq
from zmq.utils import z85

from relay import envelope as envelopes
from relay import hop, intake, passport, receipt
from relay.identity import Identity
from relay.ranges import RangeSet
from relay.verification import GROUP_CHECKED
from relay.verifier_process import READY, batch_of
from relay.verifiers import BATCHES_EACH

Item = tuple[bytes, bytes, int, int, bytes]
"""Routing id, origin, series, sequence, wire."""


class Beside:
    """A process that checks signatures, asked group by group."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "relay.verifier_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked, self.descriptor = self._process.stdin, self._process.stdout.fileno()
        assert os.read(self.descriptor, len(READY)) == READY
        self._verdicts = bytearray()
        self._groups: deque[list[Item]] = deque()
        self._waiting: list[tuple[Item, tuple[bytes, bytes, bytes]]] = []

    def check(self, item: Item, claim: tuple[bytes, bytes, bytes]) -> None:
        """Have it checked with the next group."""
        self._waiting.append((item, claim))

    def ask(self) -> None:
        """Hand the next group over, if the process has none to wait for."""
        while self._waiting and len(self._groups) < BATCHES_EACH:
            group, self._waiting = self._waiting[:GROUP_CHECKED], self._waiting[GROUP_CHECKED:]
            self._groups.append([item for item, _ in group])
            batch = batch_of([claim for _, claim in group])
            assert self._asked.write(batch) == len(batch), "what is on its way fits the pipe"

    def checked(self) -> list[Item]:
        """What was checked by now."""
        self._verdicts += os.read(self.descriptor, 4096)
        assert not self._verdicts.strip(b"\x01"), "the load signs everything"
        items: list[Item] = []
        while self._groups and len(self._verdicts) >= len(self._groups[0]):
            group = self._groups.popleft()
            del self._verdicts[: len(group)]
            items += group
        return items


def main(key_file: str, port_file: str, db_file: str, how: str = "") -> None:
    identity = Identity.load(Path(key_file))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.CURVE_SERVER, 1)
    router.setsockopt(zmq.CURVE_SECRETKEY, z85.encode(identity.transport_secret))
    port = router.bind_to_random_port("tcp://127.0.0.1")
    Path(port_file).write_text(str(port))
    inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
    outbox: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
    pull = context.socket(zmq.PULL)
    pull.bind("inproc://wake")
    threading.Thread(target=_write, args=(context, db_file, inbox, outbox, identity), daemon=True).start()
    keys: dict[bytes, bytes] = {}
    beside = Beside() if how == "beside" else None
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(pull, zmq.POLLIN)
    if beside is not None:
        poller.register(beside.descriptor, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if pull in ready:
            pull.recv()
            while not outbox.empty():
                router.send_multipart(outbox.get())
        if beside is not None and beside.descriptor in ready:
            for item in beside.checked():
                inbox.put(item)
        if router in ready:
            for _ in range(200):
                try:
                    routing_id, parcel = router.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                if hop.is_note(parcel):
                    note = hop.decode(parcel)
                    if isinstance(note, hop.Hello):
                        signed = passport._decoder.decode(passport._signed_decoder.decode(note.passport).statement)
                        keys[signed.node_id] = signed.signing_key
                        router.send_multipart(
                            [routing_id, hop.encode(hop.Welcome(note.passport, 0, bytes(16), bytes(64)))]
                        )
                    continue
                envelope = envelopes.parse(parcel)
                header = envelope.header
                item = (routing_id, header.origin, header.series, header.sequence, parcel)
                if beside is not None:
                    beside.check(item, (keys[header.origin], envelope.signature, envelope.header_bytes))
                    continue
                envelopes.verify(envelope, keys[header.origin])
                inbox.put(item)
        if beside is not None:
            beside.ask()


def _write(context: "zmq.Context[zmq.Socket[bytes]]", db_file: str, inbox: "queue.SimpleQueue[Item]",
           outbox: "queue.SimpleQueue[list[bytes]]", identity: Identity) -> None:  # fmt: skip
    push = context.socket(zmq.PUSH)
    push.connect("inproc://wake")
    connection = sqlite3.connect(db_file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE alert (origin BLOB, series INTEGER, sequence INTEGER, wire BLOB, "
                       "PRIMARY KEY (origin, series, sequence)) WITHOUT ROWID")  # fmt: skip
    stored: dict[tuple[bytes, int], RangeSet] = {}
    group: list[Item] = []
    while True:
        is_flow = len(group) >= intake.FLOW
        group = [inbox.get()]
        if is_flow and inbox.qsize() < intake.GATHERED:
            time.sleep(intake.GATHER_S)
        while not inbox.empty() and len(group) < 500:
            group.append(inbox.get())
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR IGNORE INTO alert VALUES (?, ?, ?, ?)", [item[1:] for item in group])
        connection.execute("COMMIT")
        back: dict[tuple[bytes, int], bytes] = {}
        for routing_id, origin, series, sequence, _ in group:
            stored.setdefault((origin, series), RangeSet()).add(sequence)
            back[origin, series] = routing_id
        for (origin, series), routing_id in back.items():
            issued = receipt.issue(stored[origin, series], signer=identity.node_id, signing=identity.signing, stored_at_s=0,
                                   origin=origin, series=series)  # type: ignore[arg-type]  # fmt: skip
            outbox.put([routing_id, issued.wire])
        push.send(b"")


if __name__ == "__main__":
    main(*sys.argv[1:])
