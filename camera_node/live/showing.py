"""One viewer's session, from the offer to its end: connection, ladder, stills, and what it tells the viewer.

The viewer's own player opens a data channel; other WHEP clients may not have one, and then get video only. On the channel:

* to the viewer, JSON each second: the rung and why, loss, round trip, kbit/s, how long the camera has been silent;
* to the viewer, a JSON line ``{"still": n, …}`` followed by one binary message, the JPEG;
* from the viewer, ``{"got": n}`` when a still has arrived. Anything else, or longer, ends the session.

``run`` is the whole life, and tells how it ended exactly once.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from camera_node.live.camera_feed import CameraFeed
from camera_node.live.ladder import Ladder, LineReport, Rung
from camera_node.live.named_candidates import taken_out
from camera_node.live.orders import FromStage, Viewing
from camera_node.live.packet_track import PacketTrack
from relay.clock import Clock
from relay.crew import crew
from relay.errors import Malformed
from relay.kinds import offer as offers
from relay.kinds.answer import MAX_STILL_BYTES, Still, StreamEnded, StreamOpened, StreamRefused, StreamRung
from relay.kinds.instruction import OpenStream

_log = structlog.get_logger("camera_node.live.showing")

DESCRIBED_WITHIN_S: Final = 3.0
NEGOTIATED_WITHIN_S: Final = 8.0
"""An unanswering STUN or TURN server costs aiortc 5 s."""
CONNECTED_WITHIN_S: Final = 10.0
_CLOSED_WITHIN_S: Final = 2.0
_EVERY_S: Final = 1.0
_STILL_WITHIN_S: Final = 2.0
MAX_CHANNEL_MESSAGE_CHARACTERS: Final = 200
_MOST_MESSAGES_IN_SECOND: Final = 50
_LEFT_IF_SPOKE_WITHIN_MS: Final = 5000
_CAMERA_GONE_AFTER_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingSettings:
    """What every session has in common."""

    sub_kbps: int
    still_every_ms: int


class Showing:
    """See the module's docstring. On the stage's event loop."""

    def __init__(self, order: OpenStream, feed: CameraFeed, settings: ShowingSettings, *, clock: Clock,
                 tell: Callable[[FromStage], None]) -> None:  # fmt: skip
        self.order = order
        self._feed = feed
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._track: PacketTrack | None = None
        self._channel: RTCDataChannel | None = None
        self._sender: RTCRtpSender | None = None
        self._ladder: Ladder | None = None
        self._told_rung: Rung | None = None
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connected = asyncio.Event()
        self._more_stills = asyncio.Event()
        self._got = asyncio.Event()
        self._got_number = 0
        self._still_number = 0
        self._opened_ms = clock.monotonic_ms()
        self._stills_bytes = 0
        self._report: LineReport | None = None
        self._measured: tuple[int, int] = (0, 0)
        self._looking_up: list[asyncio.Future[None]] = []
        self._reported_at: object = None
        self._reported_ms = 0
        self._messages: tuple[int, int] = (0, 0)

    def end(self, why: str) -> None:
        """From outside: stop now."""
        if not self._over.done():
            self._over.set_result(why)

    def more_stills(self) -> None:
        """The center has the last one."""
        self._more_stills.set()

    def viewing(self) -> Viewing:
        """How it is."""
        report = self._report
        return Viewing(
            session=self.order.session, camera=self.order.camera, rung=self._ladder.rung.value if self._ladder else "",
            kbps=report.sent_kbps if report else 0.0, loss=report.loss if report else 0.0,
            rtt_ms=max(0.0, report.rtt_ms or 0.0) if report else 0.0,
        )  # fmt: skip

    async def run(self) -> None:
        """Open, show, end. Ended or refused is told, whatever happens."""
        async with self._feed.watching():
            if await self._feed.described(DESCRIBED_WITHIN_S) is None:
                self._refuse(f"the camera {self.order.camera} gives no picture now")
                return
            connection = await self._open()
            if connection is None and self.order.offer:
                return
            why = "the node stopped showing it"
            try:
                why = await self._show(connection)
            finally:
                if self._track is not None:
                    self._feed.leave(self._track)
                for lookup in self._looking_up:
                    lookup.cancel()
                if connection is not None:
                    await _close(connection)
                self._tell(StreamEnded(session=self.order.session, reason=why[:200], sent_bytes=self._sent_bytes(),
                                       shown_ms=max(0, self._clock.monotonic_ms() - self._opened_ms)))  # fmt: skip

    # ------------------------------------------------------------------ opening

    async def _open(self) -> RTCPeerConnection | None:
        """Answer the offer; None if there is none, or it was refused."""
        if not self.order.offer:
            self._tell(StreamOpened(session=self.order.session, answer=""))
            return None
        connection = RTCPeerConnection(self._configuration())
        try:
            offers.check(self.order.offer)
            async with asyncio.timeout(NEGOTIATED_WITHIN_S):
                answer = await self._negotiate(connection)
        except Malformed as error:
            why = str(error)
        except TimeoutError:
            why = f"the ICE servers did not answer within {NEGOTIATED_WITHIN_S:.0f} s"
        except Exception as error:  # noqa: BLE001  whatever an offer does to the library, it is the offer that is refused
            why = f"the offer can't be followed: {type(error).__name__}: {error}"
        else:
            self._tell(StreamOpened(session=self.order.session, answer=answer))
            return connection
        self._refuse(why)
        await _close(connection)
        return None

    def _configuration(self) -> RTCConfiguration:
        # An empty list and not None: None is a public STUN server.
        servers = [
            RTCIceServer(urls=server.url, username=server.username or None, credential=server.credential or None)
            for server in self.order.ice_servers
        ]
        policy = RTCIceTransportPolicy.RELAY if self.order.is_relay_only else RTCIceTransportPolicy.ALL
        return RTCConfiguration(iceServers=servers, iceTransportPolicy=policy)

    async def _negotiate(self, connection: RTCPeerConnection) -> str:
        self._track = PacketTrack(on_wanted=self._place)
        self._sender = connection.addTrack(self._track)
        (transceiver,) = connection.getTransceivers()
        transceiver.direction = "sendonly"
        wanted = [codec for codec in RTCRtpSender.getCapabilities("video").codecs
                  if codec.mimeType in {"video/H264", "video/rtx"}]  # fmt: skip
        transceiver.setCodecPreferences(wanted)
        connection.on("datachannel", self._channel_opened)
        connection.on("connectionstatechange", lambda: self._state_changed(connection))
        offer, named = taken_out(self.order.offer)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        self._looking_up = [asyncio.ensure_future(connection.addIceCandidate(candidate)) for candidate in named]
        await connection.setLocalDescription(await connection.createAnswer())
        answer: str = connection.localDescription.sdp
        return answer

    def _refuse(self, why: str) -> None:
        self._tell(StreamRefused(session=self.order.session, reason=why[:200]))

    # ------------------------------------------------------------------ events

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if self._channel is not None:
            self.end("it opened a second data channel")
            return
        self._channel = channel
        channel.on("message", self._message)

    def _state_changed(self, connection: RTCPeerConnection) -> None:
        state = connection.connectionState
        if state == "connected":
            self._connected.set()
        elif state in {"failed", "closed"} and not self._over.done():
            silent_ms = self._clock.monotonic_ms() - self._reported_ms
            if self._connected.is_set() and silent_ms <= _LEFT_IF_SPOKE_WITHIN_MS:
                self.end("the viewer left")
            elif self._ladder is not None:
                self._ladder.disconnected("the connection broke", self._clock.monotonic_ms())

    def _message(self, message: object) -> None:
        if not isinstance(message, str) or len(message) > MAX_CHANNEL_MESSAGE_CHARACTERS:
            size = len(message) if isinstance(message, str | bytes) else 0
            self.end(
                f"it sent {size} bytes on the data channel, at most {MAX_CHANNEL_MESSAGE_CHARACTERS} of text may come"
            )
            return
        second = self._clock.monotonic_ms() // 1000
        count = self._messages[1] + 1 if self._messages[0] == second else 1
        self._messages = (second, count)
        if count > _MOST_MESSAGES_IN_SECOND:
            self.end(f"it sent more than {_MOST_MESSAGES_IN_SECOND} messages in a second")
            return
        try:
            said = json.loads(message)
            number = said["got"]
        except (ValueError, KeyError, TypeError):
            self.end("it sent something on the data channel that is no confirmation")
            return
        if isinstance(number, int):
            self._got_number = max(self._got_number, number)
            self._got.set()
            if self._ladder is not None and self._ladder.rung is Rung.RELAY_STILLS:
                self._ladder.still_arrived(0, 1, self._clock.monotonic_ms())

    # ------------------------------------------------------------------ showing

    async def _show(self, connection: RTCPeerConnection | None) -> str:
        self._opened_ms = self._reported_ms = self._clock.monotonic_ms()
        try:
            async with asyncio.timeout(self.order.longest_s), crew() as members:
                members.start(self._watch_line(connection), "line")
                members.start(self._give_stills(), "stills")
                return await self._over
        except TimeoutError:
            return f"{self.order.longest_s} s are the longest that may be watched at once"

    async def _watch_line(self, connection: RTCPeerConnection | None) -> None:
        is_connected = False
        if connection is not None:
            try:
                async with asyncio.timeout(CONNECTED_WITHIN_S):
                    await self._connected.wait()
                    is_connected = True
            except TimeoutError:
                pass
        now_ms = self._clock.monotonic_ms()
        self._reported_ms = now_ms
        self._ladder = Ladder(has_channel=self._channel is not None, main_kbps=self._feed.main_kbps,
                              sub_kbps=self._settings.sub_kbps, now_ms=now_ms, is_connected=is_connected)  # fmt: skip
        if not is_connected:
            self._ladder.why = "no connection came about" if connection is not None else "asked for"
        self._follow()
        while True:
            await asyncio.sleep(_EVERY_S)
            self._ladder.has_channel = self._channel is not None and self._channel.readyState == "open"
            if self._ladder.rung in {Rung.MAIN, Rung.SUB}:
                self._report = await self._measure()
                self._ladder.video_report(self._report, self._clock.monotonic_ms())
            self._follow()
            self._say_line()
            if self._feed.silent_ms() > _CAMERA_GONE_AFTER_MS:
                self.end("the camera has given no picture for a minute")

    async def _measure(self) -> LineReport:
        assert self._sender is not None
        stats = await self._sender.getStats()
        now_ms = self._clock.monotonic_ms()
        remote = next((entry for entry in stats.values() if entry.type == "remote-inbound-rtp"), None)
        out = next((entry for entry in stats.values() if entry.type == "outbound-rtp"), None)
        before_ms, before_bytes = self._measured
        sent = int(out.bytesSent) if out is not None else 0
        self._measured = (now_ms, sent)
        kbps = (sent - before_bytes) * 8 / max(1, now_ms - before_ms) if before_ms else 0.0
        loss, rtt_ms = 0.0, None
        if remote is not None:
            if remote.timestamp != self._reported_at:
                self._reported_at, self._reported_ms = remote.timestamp, now_ms
            loss = remote.fractionLost / 256
            rtt_ms = remote.roundTripTime * 1000 if remote.roundTripTime is not None else None
        return LineReport(loss=loss, rtt_ms=rtt_ms, age_ms=now_ms - self._reported_ms, sent_kbps=max(0.0, kbps))

    def _place(self) -> None:
        """The connection stands and wants its first packet."""
        if self._track is not None and not self._over.done():
            self._feed.place(self._track, self._ladder.rung if self._ladder is not None else Rung.MAIN)
            self._told_rung = Rung.MAIN if self._ladder is None else self._told_rung

    def _follow(self) -> None:
        """Do what the ladder says, once."""
        assert self._ladder is not None
        rung = self._ladder.rung
        if rung is self._told_rung:
            return
        before, self._told_rung = self._told_rung, rung
        if self._track is not None and (before is not None or rung is not Rung.MAIN):
            self._feed.place(self._track, rung)
        if before is not None:
            _log.info("rung", camera=self.order.camera, rung=rung.value, before=before.value, why=self._ladder.why)
        if Rung.RELAY_STILLS in {rung, before}:
            self._tell(StreamRung(session=self.order.session, rung=rung.value, reason=self._ladder.why[:200]))

    def _say_line(self) -> None:
        channel, ladder, report = self._channel, self._ladder, self._report
        if channel is None or ladder is None or channel.readyState != "open" or channel.bufferedAmount > 4096:
            return
        channel.send(json.dumps({
            "rung": ladder.rung.value, "why": ladder.why, "kbps": round(report.sent_kbps) if report else None,
            "loss": round(report.loss, 4) if report else None,
            "rtt_ms": round(report.rtt_ms) if report and report.rtt_ms is not None else None,
            "silent_ms": self._feed.silent_ms(), "encoded": self._feed.why_encoded,
        }))  # fmt: skip

    # ------------------------------------------------------------------ stills

    async def _give_stills(self) -> None:
        while True:
            rung = self._ladder.rung if self._ladder is not None else None
            if rung not in {Rung.STILLS, Rung.RELAY_STILLS}:
                await asyncio.sleep(0.05)
                continue
            self._feed.keep_stills(is_wanted=True)
            try:
                if rung is Rung.STILLS:
                    await self._give_still_by_channel()
                else:
                    await self._give_still_by_relay()
            finally:
                self._feed.keep_stills(is_wanted=False)

    async def _give_still_by_channel(self) -> None:
        assert self._ladder is not None
        picture = await self._feed.still(MAX_STILL_BYTES, _STILL_WITHIN_S)
        channel = self._channel
        if picture is None or channel is None or channel.readyState != "open":
            await asyncio.sleep(0.2)
            if channel is None or channel.readyState != "open":
                self._ladder.disconnected("the data channel is closed", self._clock.monotonic_ms())
            return
        self._still_number += 1
        began_ms = self._clock.monotonic_ms()
        self._got.clear()
        channel.send(json.dumps({
            "still": self._still_number, "width": picture.width_px, "height": picture.height_px,
            "captured_wall_ms": picture.wall_ms, "age_ms": max(0, began_ms - picture.arrived_ms),
        }))  # fmt: skip
        channel.send(picture.jpeg)
        self._stills_bytes += len(picture.jpeg)
        while self._got_number < self._still_number and self._ladder.rung is Rung.STILLS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._got.wait()
                    self._got.clear()
            now_ms = self._clock.monotonic_ms()
            if self._got_number < self._still_number:
                self._ladder.still_is_late(now_ms - began_ms, now_ms)
        now_ms = self._clock.monotonic_ms()
        if self._got_number >= self._still_number:
            self._ladder.still_arrived(len(picture.jpeg), now_ms - began_ms, now_ms)
        await asyncio.sleep(max(0.0, self._settings.still_every_ms - (now_ms - began_ms)) / 1000)

    async def _give_still_by_relay(self) -> None:
        picture = await self._feed.still(MAX_STILL_BYTES, _STILL_WITHIN_S)
        if picture is None:
            await asyncio.sleep(0.2)
            return
        self._still_number += 1
        began_ms = self._clock.monotonic_ms()
        self._more_stills.clear()
        self._tell(Still(
            session=self.order.session, number=self._still_number, captured_wall_ms=max(0, picture.wall_ms),
            age_ms=max(0, began_ms - picture.arrived_ms), width_px=picture.width_px, height_px=picture.height_px,
            jpeg=picture.jpeg,
        ))  # fmt: skip
        self._stills_bytes += len(picture.jpeg)
        # The next one goes when this one was heard: a thin way is never filled with old pictures.
        await self._more_stills.wait()
        await asyncio.sleep(max(0.0, self._settings.still_every_ms - (self._clock.monotonic_ms() - began_ms)) / 1000)

    def _sent_bytes(self) -> int:
        return self._stills_bytes + (self._track.given_bytes if self._track is not None else 0)


async def _close(connection: RTCPeerConnection) -> None:
    """Close what there is of it: half of a connection that an offer left behind raises whatever comes to it [M]."""
    try:
        async with asyncio.timeout(_CLOSED_WITHIN_S):
            await connection.close()
    except Exception as error:  # noqa: BLE001  there is nobody to tell, and nothing that could be done
        _log.warning("not closed in order", error=f"{type(error).__name__}: {error}")
