"""The word to systemd: ready, alive, stopping (sd_notify(3)). Without a service manager, nothing is said and nothing breaks.

"Alive" is said only while ``is_well`` says so: a watchdog that is fed by a timer alone keeps a hung program running. Used by
nodes, relays and the center.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from relay.crew import crew

_log = structlog.get_logger("relay.service_manager")
_WELL_WITHIN_S: Final = 5.0
_LEAST_EVERY_S: Final = 0.5


def told_to_stop() -> asyncio.Event:
    """Set by SIGINT or SIGTERM from now on: to be asked for before anything is opened, so that what was is closed again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    return stop


class ServiceManager:
    """Whoever started this program and wants to know how it is; possibly nobody."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_s(environment)

    @property
    def watchdog_s(self) -> float | None:
        """It kills us when it has heard nothing for this long; None: it does not watch."""
        return self._watchdog_s if self._address else None

    def say(self, **words: str) -> bool:
        """Tell it, for example ``READY="1"``. False: there is nobody, or it can't be reached."""
        if not self._address:
            return False
        # A leading @ is an abstract address: the kernel wants a zero byte there.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        message = "\n".join(f"{name}={_one_line(value)}" for name, value in words.items()).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
                notifier.setblocking(False)
                notifier.connect(address)
                notifier.send(message)
        except OSError as error:
            _log.warning("the service manager can't be told", why=error.strerror)
            return False
        return True

    async def keep_told(self, is_well: Callable[[], Awaitable[str]]) -> None:
        """Say that we are ready, then that we are alive for as long as ``is_well`` answers with an empty text in time.

        Anything else is logged and not passed over: the watchdog runs out and the program is started anew.
        """
        self.say(READY="1", STATUS="running")
        every_s = max(_LEAST_EVERY_S, (self.watchdog_s or 60.0) / 3)
        while True:
            try:
                async with asyncio.timeout(min(_WELL_WITHIN_S, every_s)):
                    problem = await is_well()
            except TimeoutError:
                problem = f"no answer within {min(_WELL_WITHIN_S, every_s):g} s"
            if not problem:
                self.say(WATCHDOG="1", STATUS="running")
            else:
                self.say(STATUS=problem)
                _log.critical("not well: the watchdog is not fed", why=problem)
            await asyncio.sleep(every_s)

    async def keep_told_until(self, stop: asyncio.Event, is_well: Callable[[], Awaitable[str]]) -> None:
        """Keep it told until ``stop`` is set, then say that the end is wanted: what takes its time after that is no hang."""
        async with crew() as members:
            members.start(self.keep_told(is_well), "service manager")
            await stop.wait()
            self.say(STOPPING="1", STATUS="stopping")


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC, unless it is meant for another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() and int(microseconds) else None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
