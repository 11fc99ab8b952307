"""What is addressed to this node: acknowledgements go into the answers; what can't be followed is kept and counted."""

import sqlite3
from collections.abc import Sequence

import structlog

from camera_node.answered import AnswerBook
from relay import envelope as envelopes
from relay.clock import Clock
from relay.errors import SenderError
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement
from relay.receiver import Arrival

_log = structlog.get_logger("camera_node.inbox")


class NodeInbox:
    """An Inbox for ``Station.open``."""

    def __init__(self, *, identity: Identity, book: AnswerBook, clock: Clock) -> None:
        self._identity = identity
        self._book = book
        self._clock = clock
        self.unread = 0

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        """On the database thread, within the transaction."""
        for arrival in arrivals:
            try:
                self._follow(connection, arrival)
            except SenderError as error:
                self.unread += 1
                connection.execute(
                    "INSERT OR IGNORE INTO unread VALUES (?, ?, ?, ?, ?)",
                    (arrival.envelope.id, self._clock.wall_ms(), arrival.envelope.header.kind, str(error),
                     arrival.envelope.wire),
                )  # fmt: skip
                _log.warning("can't follow", kind=arrival.envelope.header.kind.name.lower(), why=str(error),
                             sender=arrival.passport.name)  # fmt: skip

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        """On the event loop, after the commit."""
        self._book.changed.set()
        for arrival in arrivals:
            if arrival.envelope.header.kind is Kind.ACKNOWLEDGEMENT:
                _log.info("acknowledged by a person", sender=arrival.passport.name, path=arrival.path)

    def _follow(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        kind = arrival.envelope.header.kind
        if kind is not Kind.ACKNOWLEDGEMENT:
            raise SenderError(f"this release of the camera node does not follow {kind.name.lower()}: update it")
        secret = self._identity.shared_secret(arrival.passport.sealing_key)
        acknowledgement = body.decode(envelopes.open_body(arrival.envelope, secret), Acknowledgement)
        self._book.seen(connection, acknowledgement, monotonic_ms=arrival.received_monotonic_ms,
                        wall_ms=arrival.received_wall_ms)  # fmt: skip
