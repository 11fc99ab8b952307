"""A serial port on the event loop: raw bytes in and out, exclusively ours, never blocking.

Made with ``termios`` alone: a modem's port needs a speed, eight bits and no flow control, and nothing that a library would add. Used by
``at_modem`` and ``serial_radio``; works on a pseudo-terminal too, which is what the tests have.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
import tty
from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import urlsplit

from relay.errors import ConfigError, PathDown

_READ_BYTES: Final = 4096
_MOST_UNSENT_BYTES: Final = 64 * 1024
SPEEDS: Final = {
    rate: getattr(termios, f"B{rate}") for rate in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
}  # fmt: skip


def device_of(where: str, endpoint: str) -> str:
    """The device file that an endpoint ``serial:///dev/ttyUSB0`` names.

    Raises:
        ConfigError: it names none.
    """
    parts = urlsplit(endpoint)
    if parts.scheme != "serial" or parts.netloc or not parts.path.startswith("/"):
        raise ConfigError(f"{where}: expected an endpoint like serial:///dev/ttyUSB0, found {endpoint!r}")
    return parts.path


class SerialPort:
    """Made by ``opened``. ``received`` gets every piece of bytes; ``lost`` returns why the port is gone."""

    def __init__(self, descriptor: int, device: str, received: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._device = device
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._loop.add_reader(descriptor, self._read)

    def write(self, data: bytes) -> None:
        """Send, behind what has not gone out yet.

        Raises:
            PathDown: the port is gone, or takes nothing for too long.
        """
        if self._lost.done():
            raise PathDown(f"{self._device} is gone: {self._lost.result()}")
        if len(self._unsent) + len(data) > _MOST_UNSENT_BYTES:
            raise PathDown(f"{self._device} takes no bytes: is the modem switched on, and its flow control off?")
        self._unsent += data
        self._write()

    async def lost(self) -> str:
        """Return when the port is gone, and why. Whoever waits may be cancelled; the port doesn't notice."""
        return await asyncio.shield(self._lost)

    def close(self) -> None:
        """Give the port back."""
        self._lose("closed")
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if data:
            self._received(data)
        else:
            self._lose("it was unplugged")

    def _write(self) -> None:
        try:
            sent = os.write(self._descriptor, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._write)
        else:
            self._loop.remove_writer(self._descriptor)

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._lost.set_result(reason)


@contextlib.asynccontextmanager
async def opened(device: str, baud: int, received: Callable[[bytes], None]) -> AsyncIterator[SerialPort]:
    """Open a device for the block.

    Raises:
        PathDown: not there, in use, or not a serial port.
    """
    port = SerialPort(_open(device, baud), device, received)
    try:
        yield port
    finally:
        port.close()


def _open(device: str, baud: int) -> int:
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        hint = {errno.ENOENT: "is the modem plugged in?", errno.EACCES: "add this user to the group dialout",
                errno.EBUSY: "another program has it open"}.get(error.errno or 0, "")  # fmt: skip
        raise PathDown(f"can't open {device}: {error.strerror}; {hint}".rstrip("; ")) from error
    try:
        # One owner: two programs on one modem read each other's answers. The lock goes when the descriptor does.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tty.setraw(descriptor, termios.TCSANOW)
        settings = termios.tcgetattr(descriptor)
        settings[2] = (settings[2] & ~(termios.HUPCL | termios.CRTSCTS)) | termios.CLOCAL | termios.CREAD | termios.CS8
        settings[4] = settings[5] = SPEEDS[baud]
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
        termios.tcflush(descriptor, termios.TCIOFLUSH)
    except BlockingIOError as error:
        os.close(descriptor)
        raise PathDown(f"{device} is used by another program (`fuser {device}` names it)") from error
    except (OSError, termios.error) as error:
        os.close(descriptor)
        raise PathDown(f"{device} is not a serial port: {error}") from error
    return descriptor
