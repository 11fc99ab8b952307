"""A viewer that is not our player: aiortc as the receiver, with a data channel as the player has one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aioice.ice
import av
import pytest
from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCIceTransportPolicy


@contextlib.contextmanager
def only(address: str) -> Iterator[None]:
    """Offer this address. The library leaves the loopback out, and a machine for tests may have nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [address])
        yield


@dataclass
class Viewer:
    """``offer``, then ``accept``; what comes is kept."""

    connection: RTCPeerConnection
    channel: RTCDataChannel
    confirms: bool = True
    frames: list[av.VideoFrame] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    stills: list[bytes] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    @property
    def rung(self) -> str:
        return next((line["rung"] for line in reversed(self.lines) if "rung" in line), "")


@contextlib.asynccontextmanager
async def viewer(
    *, servers: list[RTCIceServer] | None = None, confirms: bool = True, is_relay_only: bool = False,
    address: str = "127.0.0.1",
) -> AsyncIterator[Viewer]:  # fmt: skip
    """A connection that wants one video; closed afterwards."""
    policy = RTCIceTransportPolicy.RELAY if is_relay_only else RTCIceTransportPolicy.ALL
    with only(address):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=servers or [], iceTransportPolicy=policy))
        connection.addTransceiver("video", direction="recvonly")
        made = Viewer(connection, connection.createDataChannel("heard"), confirms)
        tasks: list[asyncio.Task[None]] = []

        @made.channel.on("message")
        def _message(message: str | bytes) -> None:
            if isinstance(message, bytes):
                made.stills.append(message)
                if made.confirms:
                    made.channel.send(json.dumps({"got": len(made.stills)}))
            else:
                made.lines.append(json.loads(message))

        @connection.on("connectionstatechange")
        def _state() -> None:
            made.states.append(connection.connectionState)

        @connection.on("track")
        def _track(track: Any) -> None:
            async def read() -> None:
                with contextlib.suppress(MediaStreamError):
                    while True:
                        made.frames.append(await track.recv())

            tasks.append(asyncio.create_task(read()))

        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await connection.close()
