"""Keeps the shared detector's process running. ``run`` owns it; eyes find it by its socket in the state folder."""

import asyncio
import contextlib
import socket
import sys

import msgspec
import structlog

from camera_node.child_process import child_environment
from camera_node.errors import ModelRefused
from camera_node.messages import LENGTH, DetectorOrder, Refusal, decode_report, frame_message
from relay.backoff import Backoff
from relay.clock import Clock

_log = structlog.get_logger("camera_node.detector_keeper")
_UP_WITHIN_S = 120.0


class DetectorKeeper:
    """The node's side of ``detector_service``."""

    def __init__(self, order: DetectorOrder, *, clock: Clock, backoff: Backoff | None = None) -> None:
        self._order = order
        self._clock = clock
        self._backoff = backoff or Backoff(least_s=0.5, most_s=15.0, stable_s=30.0)
        self._has_worked = False
        self.pid = 0
        """0: it does not run now."""
        self.restarts = 0

    async def run(self) -> None:
        """Keep it running until cancelled.

        Raises:
            ModelRefused: its very first start failed for a reason that trying again can't mend.
        """
        while True:
            began_ms = self._clock.monotonic_ms()
            why = await self._run_once()
            self.pid = 0
            self.restarts += 1
            self._backoff.succeeded_for((self._clock.monotonic_ms() - began_ms) / 1000)
            wait_s = self._backoff.next_delay_s()
            _log.error("shared detector lost", why=why, next_start_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def _run_once(self) -> str:
        """One life of it; how it ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as stack:
            stack.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "camera_node.detector_service", str(theirs.fileno()), pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL, env=child_environment(),
                )  # fmt: skip
            reader, writer = await asyncio.open_connection(sock=ours)
            stack.pop_all()
        self.pid = process.pid
        try:
            writer.write(frame_message(self._order))
            await self._listen(reader)
        except TimeoutError:
            return f"it was not up within {_UP_WITHIN_S:g} s"
        except (asyncio.IncompleteReadError, ConnectionError):
            return "its process ended"
        finally:
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return "it said something that it should not"

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Its one word, up or refused; then its silence for as long as it lives."""
        async with asyncio.timeout(_UP_WITHIN_S):
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            said = await reader.readexactly(min(length, 100_000))
        if said == b"up":
            self._has_worked = True
            _log.info("shared detector up", models=[model.name for model in self._order.models])
            await reader.readexactly(1)
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            report = decode_report(said)
            if isinstance(report, Refusal) and not self._has_worked:
                raise ModelRefused(report.message)
