"""The process that shows live pictures: ``python -m camera_node.live.stage <socket>``. It has no keys and no spool.

Started by ``live_window``; gets its setup and its orders over the socket, answers over it, and ends with it. Each viewer is a
task: what breaks in one ends that one. Limits are kept here, where viewers are counted.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import OrderedDict
from typing import Final

import aioice.ice
import psutil
import structlog

from camera_node.child_process import die_with_parent_process
from camera_node.live.camera_feed import CameraFeed
from camera_node.live.orders import (
    LENGTH,
    MAX_ORDER_BYTES,
    FromStage,
    MoreStills,
    Setup,
    StageHealth,
    decode_to_stage,
    framed,
)
from camera_node.live.showing import Showing, ShowingSettings
from relay.clock import SystemClock
from relay.kinds.answer import StreamRefused
from relay.kinds.instruction import CloseStream, OpenStream

_log = structlog.get_logger("camera_node.live.stage")

HEALTH_EVERY_S: Final = 1.0
_CLOSED_REMEMBERED: Final = 1000


class Stage:
    """Everybody who watches, and what they watch."""

    def __init__(self, setup: Setup, writer: asyncio.StreamWriter) -> None:
        self._setup = setup
        self._writer = writer
        self._clock = SystemClock()
        self._feeds = {
            camera.name: CameraFeed(camera, main_kbps=setup.main_kbps, sub_kbps=setup.sub_kbps, clock=self._clock)
            for camera in setup.cameras
        }
        self._showings: dict[bytes, tuple[Showing, asyncio.Task[None]]] = {}
        self._closed: OrderedDict[bytes, None] = OrderedDict()
        self._settings = ShowingSettings(sub_kbps=setup.sub_kbps, still_every_ms=setup.still_every_ms)

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Follow orders until the node closes the connection."""
        health = asyncio.create_task(self._tell_health(), name="health")
        try:
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                if length > MAX_ORDER_BYTES:
                    raise EOFError(f"expected an order of at most {MAX_ORDER_BYTES} bytes, found {length}")
                order = decode_to_stage(await reader.readexactly(length))
                match order:
                    case OpenStream():
                        self._open(order)
                    case CloseStream():
                        self._close(order)
                    case MoreStills(session=session) if session in self._showings:
                        self._showings[session][0].more_stills()
                    case _:
                        pass  # of a session that has ended meanwhile
        finally:
            health.cancel()

    def _open(self, order: OpenStream) -> None:
        if order.session in self._closed or order.session in self._showings:
            return  # the order to close came first, or this one came twice
        feed = self._feeds.get(order.camera)
        if feed is None:
            known = ", ".join(sorted(self._feeds)) or "none"
            self._refuse(order, f"there is no camera {order.camera!r} here; known are {known}")
            return
        of_camera = sum(showing.order.camera == order.camera for showing, _ in self._showings.values())
        if len(self._showings) >= self._setup.most_viewers:
            self._refuse(order, f"{len(self._showings)} people watch at this node already, its limit", is_busy=True)
        elif of_camera >= self._setup.most_viewers_of_camera:
            self._refuse(order, f"{of_camera} people watch this camera already, its limit", is_busy=True)
        else:
            showing = Showing(order, feed, self._settings, clock=self._clock, tell=self._tell)
            task = asyncio.create_task(self._show(showing), name=f"showing {order.session.hex()}")
            self._showings[order.session] = (showing, task)

    async def _show(self, showing: Showing) -> None:
        session = showing.order.session
        try:
            await showing.run()
        except Exception as error:  # noqa: BLE001  one viewer's end must not be everybody's
            _log.error("a showing failed", session=session.hex(), exc_info=error)
        finally:
            self._showings.pop(session, None)

    def _close(self, order: CloseStream) -> None:
        self._closed[order.session] = None
        while len(self._closed) > _CLOSED_REMEMBERED:
            self._closed.popitem(last=False)
        if order.session in self._showings:
            showing, task = self._showings[order.session]
            showing.end(order.reason or "closed by the command center")
            # Whatever it is waiting for, its picture ends now.
            asyncio.get_running_loop().call_later(3.0, task.cancel)

    def _refuse(self, order: OpenStream, why: str, *, is_busy: bool = False) -> None:
        self._tell(StreamRefused(session=order.session, reason=why[:200], is_busy=is_busy))

    def _tell(self, message: FromStage) -> None:
        self._writer.write(framed(message))

    async def _tell_health(self) -> None:
        process = psutil.Process()
        while True:
            self._tell(StageHealth(
                viewings=tuple(showing.viewing() for showing, _ in self._showings.values()),
                memory_bytes=process.memory_info().rss, encodings=sum(feed.encodings for feed in self._feeds.values()),
            ))  # fmt: skip
            await asyncio.sleep(HEALTH_EVERY_S)


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    setup = decode_to_stage(await reader.readexactly(length))
    if not isinstance(setup, Setup):
        raise EOFError(  # noqa: TRY004  the node speaks another language: there is nothing to go on with
            f"expected the setup first, found {type(setup).__name__}"
        )
    if setup.addresses:
        # The library offers every interface's address, with one priority; there is no setting for it.
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [
            address for address in setup.addresses if (use_ipv6 if ":" in address else use_ipv4)
        ]
    await Stage(setup, writer).run(reader)


def main() -> None:
    """Run until the node ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node decides
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    logging.getLogger("aioice").setLevel(logging.ERROR)
    die_with_parent_process()
    connection = socket.socket(fileno=int(sys.argv[1]))
    os.nice(5)
    try:
        asyncio.run(_serve(connection))
    except (EOFError, ConnectionError):
        os._exit(0)  # the node ended


if __name__ == "__main__":
    main()
