"""The connection between a leader and its standby: TLS 1.3, both ends with the same center's keys, and proving it as on a ``tls`` path.

Blocking sockets, used by threads: whoever waits here is a thread that has to wait.
"""

import contextlib
import os
import socket as socket_module
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from command_center.standby import messages
from command_center.standby.channel import Channel
from command_center.standby.messages import Answer, Asked, Failed
from relay.errors import BadSignature, EndpointInUse, OperatorError, SenderError
from relay.identity import Identity
from relay.path import Lane
from relay.paths import tls_proof

OPENED_WITHIN_S: Final = 5.0
_AGAIN_S: Final = 0.2
_MOST_STRANGERS: Final = 16
"""Connections that have not said yet who they are."""


T = TypeVar("T", bound=Answer)


class LineLost(OperatorError):
    """The other machine does not answer, or not as agreed."""


class Line:
    """The leader's end. May be used by several threads: each waits for its own answer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._asking = threading.Lock()
        self._waiting: dict[int, Future[Answer]] = {}
        self._number = 0
        self.is_lost = False
        self.why = ""
        """What ended it first."""
        threading.Thread(target=self._listen, name="standby answers", daemon=True).start()

    @classmethod
    def dial(cls, host: str, port: int, identity: Identity, *, wait_s: float) -> "Line":
        """Connect, and prove to each other whose center this is.

        Raises:
            LineLost: nobody answers there, or somebody else.
        """
        try:
            plain = socket_module.create_connection((host, port), timeout=wait_s)
            channel = Channel(plain, tls_proof.calling_context(), server_side=False)
            try:
                shown = tls_proof.require_issued_by(channel.certificate(), identity.signing_key)
                channel.send(
                    tls_proof.opening(os.urandom(tls_proof.ATTEMPT_BYTES), Lane.URGENT, identity=identity,
                                      listener_transport_key=identity.transport_key, certificate_sha256=shown)
                )  # fmt: skip
                channel.wait_at_most(None)
            except BaseException:  # whatever it was goes on; the socket does not stay open
                channel.close()
                raise
        except (OSError, BadSignature) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or error
            raise LineLost(f"no standby of this center at {host}:{port}: {why}") from error
        return cls(channel)

    def wait_at_most(self, wait_s: float) -> None:
        """For a standby that takes nothing: from now on."""
        with contextlib.suppress(OSError):  # it is lost: the next word says so
            self._channel.give_up_sending_after(wait_s)

    def ask(self, kind: Callable[..., Asked], **fields: object) -> "Future[Answer]":
        """Send a message of this kind, under the next number; the answer comes in the future.

        Raises:
            LineLost: it can't be sent.
        """
        future: Future[Answer] = Future()
        with self._asking:
            self._number += 1
            number = self._number
            self._waiting[number] = future
            if self.is_lost:
                self._waiting.pop(number, None)
                raise LineLost(self.why)
            try:
                self._channel.send(messages.encode(kind(number=number, **fields)))
            except OSError as error:
                self._waiting.pop(number, None)
                raise self._ended(f"the standby can't be told: {error}") from error
        return future

    def answered(self, future: "Future[Answer]", wait_s: float) -> Answer:
        """Wait for an answer.

        Raises:
            LineLost: none came in time, or the standby could not do it. The line is closed: what it has is not known.
        """
        try:
            answer = future.result(wait_s)
        except TimeoutError:
            raise self._ended(f"the standby has not answered within {wait_s:g} s") from None
        if isinstance(answer, Failed):
            raise self._ended(f"the standby says: {answer.why}")
        return answer

    def answered_as(self, kind: type[T], future: "Future[Answer]", wait_s: float) -> T:
        """``answered``, of this kind.

        Raises:
            LineLost: as there, or it is of another kind.
        """
        answer = self.answered(future, wait_s)
        if not isinstance(answer, kind):
            raise self._ended(f"expected {kind.__name__} of the standby, found {type(answer).__name__}")
        return answer

    def _ended(self, why: str) -> LineLost:
        self.close(why)
        return LineLost(self.why)

    def close(self, why: str = "the line was closed") -> None:
        """End it: who waits is told."""
        self.why = self.why or why
        self.is_lost = True
        self._channel.cut()

    def _listen(self) -> None:
        try:
            while True:
                answer = messages.answer(_message(self._channel))
                future = self._waiting.pop(answer.number, None)
                if future is not None:
                    future.set_result(answer)
        except (OSError, ValueError, SenderError) as error:
            why = f"the line to the standby is lost: {error}"
        self.close(why)
        with self._asking:
            waiting, self._waiting = self._waiting, {}
            self._channel.close()
        for future in waiting.values():
            future.set_exception(LineLost(self.why))


class Called:
    """The standby's end of one line."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def next(self) -> Asked:
        """What the leader says next.

        Raises:
            OSError, SenderError: nothing more, or nothing that is known here.
        """
        return messages.asked(_message(self._channel))

    def say(self, answer: Answer) -> None:
        """Answer.

        Raises:
            OSError: it is over.
        """
        self._channel.send(messages.encode(answer))

    def cut(self) -> None:
        """End it, from any thread."""
        self._channel.cut()

    def close(self) -> None:
        """Give it back, by who reads from it."""
        self._channel.close()


class Doorkeeper:
    """Listens, and lets in who holds this center's keys. Strangers wait for nobody and nobody waits for them."""

    def __init__(self, host: str, port: int, identity: Identity, on_called: Callable[[Called], None]) -> None:
        """``on_called``: on a thread of its own.

        Raises:
            EndpointInUse: the address is taken, or not this machine's.
        """
        self._identity = identity
        self._on_called = on_called
        self._context, self._certificate = tls_proof.listening_context(identity)
        self._strangers = threading.BoundedSemaphore(_MOST_STRANGERS)
        self._is_closed = False
        self.refused = 0
        try:
            self._listener = socket_module.create_server((host, port))
        except OSError as error:
            raise EndpointInUse(
                f"can't listen on {host}:{port} for the other center: {error.strerror or error}"
            ) from error
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, name="standby door", daemon=True).start()

    def close(self) -> None:
        """No longer."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket_module.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                if self._is_closed:
                    return
                time.sleep(_AGAIN_S)  # no descriptor is free, or the caller was gone at once
                continue
            if not self._strangers.acquire(blocking=False):
                self.refused += 1
                plain.close()
                continue
            threading.Thread(target=self._open, args=(plain,), name="standby caller", daemon=True).start()

    def _open(self, plain: socket_module.socket) -> None:
        end = threading.Timer(OPENED_WITHIN_S, lambda: _cut(plain))  # in all: a byte every second gains nobody time
        end.daemon = True
        end.start()
        try:
            try:
                plain.settimeout(OPENED_WITHIN_S)
                channel = Channel(plain, self._context, server_side=True)
                said = channel.receive(tls_proof.OPENING_BYTES)
                _, _, key = tls_proof.require_opening(
                    said, identity=self._identity, certificate_sha256=self._certificate
                )
                if key != self._identity.transport_key:
                    raise BadSignature("another machine's key")
                channel.wait_at_most(None)
                _keep_alive(plain)
            finally:
                end.cancel()
                self._strangers.release()
        except (OSError, SenderError, ValueError):
            self.refused += 1
            plain.close()
            return
        self._on_called(Called(channel))


def _cut(socket: socket_module.socket) -> None:
    with contextlib.suppress(OSError):
        socket.shutdown(socket_module.SHUT_RDWR)


def _keep_alive(socket: socket_module.socket) -> None:
    """A leader that is gone without a word is noticed, and its line let go."""
    socket.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_KEEPALIVE, 1)
    socket.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_KEEPIDLE, 5)
    socket.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_KEEPINTVL, 5)
    socket.setsockopt(socket_module.IPPROTO_TCP, socket_module.TCP_KEEPCNT, 3)


def _message(channel: Channel) -> bytes:
    return channel.receive(messages.length_of(channel.receive(messages.LENGTH.size)))
