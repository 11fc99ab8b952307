"""The local door: a UNIX socket in the state folder where programs on the same machine ask a running station.

One JSON object a line: ``{"verb": "status", "body": {…}}``; one comes back: ``{"ok": true, "body": {…}}`` or
``{"ok": false, "error": "…"}``. The socket has mode 0600: who may open it is the owner of the station, nobody else.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from relay.errors import HeardError, NetworkError, OperatorError

_log = structlog.get_logger("relay.door")

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
_DEADLINE_S: Final = 20.0
_ANSWER_DEADLINE_S: Final = 3600.0
"""Filling or emptying a slow stick takes long."""
_MAX_SOCKET_PATH_BYTES: Final = 107
"""``sun_path`` of sockaddr_un on Linux holds 108 bytes, one of them the final zero."""

Verb = Callable[[msgspec.Raw], Awaitable[object]]
"""Takes the body, returns something that msgspec can encode."""


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verb: str
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _Reply(msgspec.Struct, frozen=True):
    ok: bool
    error: str = ""
    body: msgspec.Raw = msgspec.Raw(b"null")


def socket_file_of(state_dir: Path) -> Path:
    """Where the door of a station is."""
    return state_dir / "door.sock"


@contextlib.asynccontextmanager
async def open_door(state_dir: Path, verbs: Mapping[str, Verb]) -> AsyncIterator[None]:
    """Answer ``verbs`` for as long as the block runs.

    Raises:
        OperatorError: the state folder's path is too long for a socket.
    """
    socket_file = socket_file_of(state_dir)
    if len(str(socket_file.absolute()).encode()) > _MAX_SOCKET_PATH_BYTES:
        raise OperatorError(
            f"expected a socket path of at most {_MAX_SOCKET_PATH_BYTES} bytes, found {socket_file.absolute()}: "
            "choose a state folder with a shorter path"
        )
    socket_file.unlink(missing_ok=True)  # a left-over of a killed run: the spool's lock proves that nobody listens

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            async with asyncio.timeout(_DEADLINE_S):
                line = await reader.readuntil(b"\n")
            async with asyncio.timeout(_ANSWER_DEADLINE_S):
                writer.write(msgspec.json.encode(await _answer(line, verbs)) + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, path=str(socket_file), limit=MAX_LINE_BYTES)
    socket_file.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        socket_file.unlink(missing_ok=True)


async def _answer(line: bytes, verbs: Mapping[str, Verb]) -> _Reply:
    try:
        question = msgspec.json.decode(line, type=_Question)
        verb = verbs.get(question.verb)
        if verb is None:
            return _Reply(ok=False, error=f"expected one of {', '.join(sorted(verbs))}, found {question.verb!r}")
        body = msgspec.json.encode(await verb(question.body))
        return _Reply(ok=True, body=msgspec.Raw(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _Reply(ok=False, error=f"expected one JSON object with verb and body: {error}")
    except HeardError as error:
        return _Reply(ok=False, error=str(error))


def ask(state_dir: Path, verb: str, body: object = None, *, timeout_s: float = _DEADLINE_S) -> bytes:
    """Ask a running station; returns the JSON of the reply's body.

    Raises:
        NetworkError: nothing runs there.
        OperatorError: it says no, and why.
    """
    socket_file = socket_file_of(state_dir)
    question = msgspec.json.encode({"verb": verb, "body": body if body is not None else {}}) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(socket_file))
            connection.sendall(question)
            with connection.makefile("rb") as stream:
                line = stream.readline(MAX_LINE_BYTES)
        except PermissionError:
            raise NetworkError(
                f"this user may not use {socket_file}: ask as root, or as the user that the service runs as"
            ) from None
        except OSError as error:
            raise NetworkError(
                f"nothing answers at {socket_file} ({error.strerror or error}): is the service running?"
            ) from error
    if not line:
        raise NetworkError(f"{socket_file} closed without an answer: look at the service's log")
    reply = msgspec.json.decode(line, type=_Reply)
    if not reply.ok:
        raise OperatorError(reply.error)
    return bytes(reply.body)
