"""Strangers' connections to the console: how many there may be, and how long one may leave its request half said.

Nodes are heard by the same process, and a connection takes one of its files. It costs whoever opens it nothing, so it must not cost the nodes theirs:

* At most a quarter of what the process may hold open, and at most ``MOST``; half of them from one place. Where all are taken, the one that has
  waited longest without a request makes room for the newest.
* A request has to be complete within ``REQUEST_WITHIN_S`` of the connection or of the answer before it; a bag that is uploaded has to go on.
* An answer that is not taken for ``STALLED_S`` ends its connection.

What is ended or refused is counted. Source of the attack: slow headers, slow bodies and slow reading, known as Slowloris, R.U.D.Y. and slow read.
"""

import asyncio
import logging
import resource
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from command_center.api.hardening import LARGE
from command_center.metrics import Metrics
from command_center.networks import place_of
from relay import open_files

MOST: Final = 1024
REQUEST_WITHIN_S: Final = 60.0
STALLED_S: Final = 60.0
_SHARE: Final = 4


class Connections:
    """What is open now, and which of it waits for a request. Used on the event loop only."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        most: int = MOST,
        request_within_s: float = REQUEST_WITHIN_S,
        stalled_s: float = STALLED_S,
    ) -> None:
        self.metrics = metrics
        self.request_within_s = request_within_s
        self.stalled_s = stalled_s
        self._most = most
        self._by_place: Counter[str] = Counter()
        self._waiting: dict[HttpConnection, None] = {}

    def has_room(self, place: str) -> bool:
        """Whether one more fits; ends the one that has waited longest where that makes room."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(self._most, soft // _SHARE)
        if place and self._by_place[place] >= most // 2:
            return False
        if self._by_place.total() < most and not open_files.lacking_room():
            return True
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self.metrics.count("connections_displaced")
        oldest.end()
        return True

    def opened(self, place: str) -> None:
        """One more."""
        self._by_place[place] += 1

    def closed(self, place: str) -> None:
        """One less."""
        self._by_place[place] -= 1
        if not self._by_place[place]:
            del self._by_place[place]

    def waits(self, connection: "HttpConnection") -> None:
        """Its next request is not there yet."""
        self._waiting.setdefault(connection)

    def waits_no_longer(self, connection: "HttpConnection") -> None:
        """Its request is complete, or it is gone."""
        self._waiting.pop(connection, None)


class Listener(socket.socket):
    """Accepts what there is room for; anything else is closed at once."""

    connections: Connections

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            ConnectionAbortedError: it was closed for want of room; the event loop goes on.
        """
        accepted, address = super().accept()
        place = place_of(address[0])
        if not self.connections.has_room(place):
            accepted.close()
            self.connections.metrics.count("connections_refused")
            raise ConnectionAbortedError("no room for another connection to the console")
        counted = _Counted(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.connections.opened(place)
        counted.on_close = lambda: self.connections.closed(place)
        return counted, address


class _Counted(socket.socket):
    """An accepted connection, counted until its file is closed: a TLS handshake that is never finished counts, too."""

    on_close: Callable[[], None] | None = None

    def close(self) -> None:
        """Close it."""
        super().close()
        if self.on_close is not None:
            self.on_close()
            self.on_close = None


class HttpConnection(H11Protocol):
    """Uvicorn's connection, with an end to waiting."""

    def __init__(self, *given: Any, connections: Connections, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = logging.getLogger("uvicorn.error.connection")
        # Below it are strangers' mistakes: a line for each would be their way to fill the disk.
        self.logger.setLevel(logging.ERROR)
        self._connections = connections
        self._request_due: asyncio.TimerHandle | None = None
        self._answer_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The wait for the first request begins."""
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        self._settle()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or more than one."""
        super().data_received(data)
        self._look(is_progress=True)

    def on_response_complete(self) -> None:
        """The wait for the next request begins."""
        super().on_response_complete()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is counted."""
        self._connections.metrics.count("requests_malformed")
        super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The other side takes less than there is."""
        super().pause_writing()
        self._answer_due = self.loop.call_later(self._connections.stalled_s, self._time_out, "answers_not_taken")

    def resume_writing(self) -> None:
        """It has taken most of it."""
        super().resume_writing()
        if self._answer_due is not None:
            self._answer_due.cancel()
            self._answer_due = None

    def end(self) -> None:
        """Close it, whatever is still to be sent."""
        self._settle()
        self.transport.abort()

    def _look(self, *, is_progress: bool = False) -> None:
        """How far the request is: complete, or the time that it has goes on."""
        if self.transport.is_closing():
            return
        is_answered = self.cycle is None or self.cycle.response_complete
        if not is_answered and not self.cycle.more_body:
            self._settle()
            return
        if not is_answered and is_progress and self.scope["path"] in LARGE:
            self._settle()
        if self._request_due is None:
            self._connections.waits(self)
            self._request_due = self.loop.call_later(
                self._connections.request_within_s, self._time_out, "requests_not_finished"
            )

    def _settle(self) -> None:
        self._connections.waits_no_longer(self)
        if self._request_due is not None:
            self._request_due.cancel()
            self._request_due = None

    def _time_out(self, counted: str) -> None:
        if not self.transport.is_closing():
            self._connections.metrics.count(counted)
        self.end()
