"""What is addressed to this node: acknowledgements, and instructions for who follows them. What can't be followed is kept."""

import sqlite3
from collections.abc import Callable, Sequence

import structlog

from camera_node import clip_orders, site_orders
from camera_node.answered import AnswerBook
from relay import envelope as envelopes
from relay.arrival import Arrival
from relay.clock import Clock
from relay.errors import SenderError
from relay.header import Kind
from relay.identity import Identity
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement
from relay.kinds.instruction import (
    Act,
    CloseStream,
    HoldClip,
    Instruction,
    OpenStream,
    Order,
    ReleaseClip,
    SendClip,
    Suppress,
    Unsuppress,
)
from relay.spool_room import SpoolLimits

_log = structlog.get_logger("camera_node.inbox")


class NodeInbox:
    """An Inbox for ``Station.open``."""

    def __init__(
        self, *, identity: Identity, book: AnswerBook, clock: Clock, limits: SpoolLimits | None = None
    ) -> None:
        self._limits = limits or SpoolLimits()
        self._identity = identity
        self._book = book
        self._clock = clock
        self.unread = 0
        self.after_orders: Callable[[], None] = lambda: None
        """Called on the event loop when instructions were taken in."""
        self.on_stream: Callable[[OpenStream | CloseStream], None] = lambda _: None
        """Called on the event loop, after the commit: live video is only worth opening now."""
        self._streams: dict[EnvelopeId, OpenStream | CloseStream] = {}

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
        if any(arrival.envelope.header.kind is Kind.INSTRUCTION for arrival in arrivals):
            self.after_orders()
        for arrival in arrivals:
            if arrival.envelope.header.kind is Kind.ACKNOWLEDGEMENT:
                _log.info("acknowledged by a person", sender=arrival.passport.name, path=arrival.path)
            stream = self._streams.pop(arrival.envelope.id, None)
            if stream is not None:
                self.on_stream(stream)

    def _follow(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        kind = arrival.envelope.header.kind
        if kind not in {Kind.ACKNOWLEDGEMENT, Kind.INSTRUCTION}:
            raise SenderError(f"this release of the camera node does not follow {kind.name.lower()}: update it")
        secret = self._identity.shared_secret(arrival.passport.sealing_key)
        said = envelopes.open_body(arrival.envelope, secret)
        if kind is Kind.INSTRUCTION:
            self._instructed(connection, arrival.envelope.id, body.decode(said, Instruction).order)
            return
        acknowledgement = body.decode(said, Acknowledgement)
        self._book.seen(connection, acknowledgement, monotonic_ms=arrival.received_monotonic_ms,
                        wall_ms=arrival.received_wall_ms)  # fmt: skip

    def _instructed(self, connection: sqlite3.Connection, instruction_id: EnvelopeId, order: Order) -> None:
        match order:
            case SendClip() | HoldClip() | ReleaseClip():
                clip_orders.follow(connection, instruction_id, order, self._clock.wall_ms(), self._limits)
                _log.info("clip order", order=type(order).__name__, alert=order.alert_id.hex(), reason=order.reason)
            case OpenStream() | CloseStream():
                self._streams[instruction_id] = order
            case Act() | Suppress() | Unsuppress():
                site_orders.take_in(connection, instruction_id, order, boot_id=self._clock.boot_id,
                                    monotonic_ms=self._clock.monotonic_ms(), wall_ms=self._clock.wall_ms())  # fmt: skip
                _log.info("site order", order=type(order).__name__, by=order.by)
            case _:
                raise SenderError(f"this release of the camera node does not follow {type(order).__name__}: update it")
