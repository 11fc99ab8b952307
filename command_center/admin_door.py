"""The running center's local door: a UNIX socket, mode 600, through which commands reach the one database owner.

One JSON line in, one JSON line out. Whoever may open the socket owns the state folder anyway.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from command_center.administration import Administration
from command_center.commands import Command, Failure, Outcome
from relay.errors import HeardError, OperatorError

_log = structlog.get_logger("command_center.admin")
_MAX_LINE_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 30.0
_decoder: Final = msgspec.json.Decoder(Command)


@contextlib.asynccontextmanager
async def serve(socket_file: Path, administration: Administration) -> AsyncIterator[None]:
    """Take commands for the block."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
                writer.write(await _answer(administration, line) + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError) as error:  # whoever asked went away, or sent no line
            _log.warning("command not answered", error=str(error) or type(error).__name__)
        finally:
            writer.close()

    _remove(socket_file)  # the database's lock says that nobody else serves it
    umask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(talk, socket_file, limit=_MAX_LINE_BYTES)
    except OSError as error:
        raise OperatorError(f"can't open the local door {socket_file}: {error.strerror or error}") from error
    finally:
        os.umask(umask)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        _remove(socket_file)


def _remove(socket_file: Path) -> None:
    socket_file.unlink(missing_ok=True)


async def _answer(administration: Administration, line: bytes) -> bytes:
    try:
        return msgspec.json.encode(await administration.perform(_decoder.decode(line)))
    except HeardError as error:
        return msgspec.json.encode(Failure(error=str(error), exit_code=error.exit_code))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return msgspec.json.encode(Failure(error=f"not a command: {error}", exit_code=1))


async def ask(socket_file: Path, command: Command) -> Outcome | None:
    """Ask the running center; None if none runs.

    Raises:
        OperatorError: it said no, and why.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(socket_file, limit=_MAX_LINE_BYTES * 16)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise OperatorError(f"can't use the local door {socket_file}: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            writer.write(msgspec.json.encode(command) + b"\n")
            await writer.drain()
            line = await reader.readline()
    except TimeoutError:
        raise OperatorError(f"the center behind {socket_file} did not answer within {_TIMEOUT_S:.0f} s") from None
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    with contextlib.suppress(msgspec.ValidationError):
        failure = msgspec.json.decode(line, type=Failure)
        problem = OperatorError(failure.error)
        problem.exit_code = failure.exit_code
        raise problem
    return msgspec.json.decode(line, type=Outcome)
