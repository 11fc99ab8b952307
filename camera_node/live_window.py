"""The node's side of live video: hands the center's orders to the stage, the stage's words to the spool, and watches both.

The stage (``camera_node.live.stage``) is a child process without keys. It is started with the node, so that a viewer does not
wait for it, and anew when it dies; whoever watched is told. A stream that nobody could cut any more is cut: when no path has
been up for ``unreachable_cut_s``, the center's word to close would not arrive, so the node closes by itself.
"""

import asyncio
import contextlib
import importlib.util
import socket
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from camera_node.child_process import child_environment
from camera_node.config import CameraConfig, VideoConfig
from camera_node.live.orders import (
    LENGTH,
    MAX_ORDER_BYTES,
    FromStage,
    LiveCamera,
    MoreStills,
    Setup,
    StageHealth,
    ToStage,
    Viewing,
    decode_from_stage,
    framed,
)
from camera_node.packet_tap import sub_tap_file
from relay.backoff import Backoff
from relay.errors import OperatorError
from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.answer import Answer as AnswerBody
from relay.kinds.answer import Still, StreamEnded, StreamOpened, StreamRefused, Word
from relay.kinds.instruction import CloseStream, OpenStream
from relay.precedence import Precedence
from relay.station import Answer, AnswerLevel, Station

_log = structlog.get_logger("camera_node.live_window")

SIGNALING_TTL_S: Final = 60
STILL_TTL_S: Final = 10
START_WITHIN_S: Final = 30.0
KILL_AFTER_S: Final = 10.0
_STILL_ANSWERED_WITHIN_S: Final = 15.0
_MOST_WAITING: Final = 200
_WATCH_EVERY_S: Final = 0.5
NOT_INSTALLED: Final = "live video is not installed on this node: install heard[video] there"
SWITCHED_OFF: Final = "live video is switched off on this node: [video] is_on"


class LiveReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``camera-node status`` shows of live video."""

    why_not: str
    """Empty: this node can be watched."""
    pid: int
    """0: no stage runs now."""
    viewings: tuple[Viewing, ...]
    encodings: int
    memory_bytes: int


def lines(report: LiveReport) -> list[str]:
    """For people."""
    if report.why_not:
        return [f"live video: none ({report.why_not})"]
    watched = [
        f"live video: {view.camera} is watched ({view.rung}, {view.kbps:.0f} kbit/s, {view.loss:.0%} lost)"
        for view in report.viewings
    ]
    return watched or ["live video: nobody watches" if report.pid else "live video: its process is being started"]


class LiveWindow:
    """``run`` owns the stage."""

    def __init__(self, station: Station, settings: VideoConfig, cameras: tuple[CameraConfig, ...], *, state_dir: Path,
                 module: str = "camera_node.live.stage", backoff: Backoff | None = None) -> None:  # fmt: skip
        self._station = station
        self._settings = settings
        self._cameras = cameras
        self._taps_dir = state_dir / "taps"
        self._module = module
        self._backoff = backoff or Backoff(least_s=0.5, most_s=15.0, stable_s=30.0)
        self._writer: asyncio.StreamWriter | None = None
        self._open: dict[bytes, int] = {}
        """Sessions that the stage shows or opens, and when they were asked for."""
        self._words: asyncio.Queue[Word] = asyncio.Queue(_MOST_WAITING)
        self._stills: dict[EnvelopeId, tuple[bytes, int]] = {}
        self._health: StageHealth | None = None
        self._pid = 0
        self._unreachable_since_ms: int | None = None
        self.why_not = self._judge()

    def _judge(self) -> str:
        if not self._settings.is_on:
            return SWITCHED_OFF
        return "" if importlib.util.find_spec("aiortc") is not None else NOT_INSTALLED

    def tap_file_of(self, camera: CameraConfig) -> str:
        """Where this camera's eye lends its packets; empty where live video is off. Makes the folder."""
        if self.why_not:
            return ""
        try:
            self._taps_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(f"can't make {self._taps_dir} for live video: {error.strerror}") from error
        return str(self._taps_dir / f"{quote(camera.name, safe='')}.sock")

    def report(self) -> LiveReport:
        """How it is."""
        health = self._health
        return LiveReport(why_not=self.why_not, pid=self._pid, viewings=health.viewings if health else (),
                          encodings=health.encodings if health else 0,
                          memory_bytes=health.memory_bytes if health else 0)  # fmt: skip

    # ------------------------------------------------------------------ what comes in, on the event loop

    def order(self, order: OpenStream | CloseStream) -> None:
        """The center asks."""
        if isinstance(order, CloseStream):
            self._send(order)
            return
        why = self.why_not or ("" if self._writer is not None else "the node is only just starting: try again")
        if why:
            self._say(StreamRefused(session=order.session, reason=why, is_busy=not self.why_not))
            return
        order = msgspec.structs.replace(order, longest_s=min(order.longest_s, self._settings.longest_s))
        self._open[order.session] = self._station.clock.monotonic_ms()
        self._send(order)

    def answered(self, answer: Answer) -> None:
        """For ``Station.on_answer``: a still that was heard makes room for the next."""
        if answer.level is AnswerLevel.HEARD and answer.envelope_id in self._stills:
            session, _ = self._stills.pop(answer.envelope_id)
            self._send(MoreStills(session=session))

    # ------------------------------------------------------------------ work

    async def run(self) -> None:
        """Keep the stage running until cancelled."""
        if self.why_not:
            _log.info("no live video", why=self.why_not)
            await self._put_words()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._put_words(), name="live words")
            group.create_task(self._watch(), name="live watch")
            group.create_task(self._keep_stage(), name="live stage")

    async def _keep_stage(self) -> None:
        while True:
            began_ms = self._station.clock.monotonic_ms()
            why = await self._run_stage()
            self._writer, self._health, self._pid = None, None, 0
            now_ms = self._station.clock.monotonic_ms()
            for session, since_ms in list(self._open.items()):
                self._open.pop(session)
                self._say(StreamEnded(session=session, reason=f"the process that shows live video ended: {why}"[:200],
                                      shown_ms=now_ms - since_ms, sent_bytes=0))  # fmt: skip
            self._backoff.succeeded_for((now_ms - began_ms) / 1000)
            wait_s = self._backoff.next_delay_s()
            _log.error("stage lost", why=why, next_start_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def _run_stage(self) -> str:
        """One life of the stage; how it ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as stack:
            stack.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", self._module, str(theirs.fileno()), pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL, env=child_environment(),
                )  # fmt: skip
            self._pid = process.pid
            try:
                reader, writer = await asyncio.open_connection(sock=ours)
                stack.pop_all()
                writer.write(framed(self._setup()))
                try:
                    return await self._listen(reader, writer)
                finally:
                    writer.close()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _setup(self) -> Setup:
        settings = self._settings
        cameras = tuple(
            LiveCamera(
                name=camera.name,
                tap_file=self.tap_file_of(camera),
                privacy_masks=camera.privacy_masks,
                sub_tap_file=sub_tap_file(self.tap_file_of(camera))
                if camera.sub_source and not camera.privacy_masks
                else "",
            )
            for camera in self._cameras
        )
        return Setup(cameras=cameras, most_viewers=settings.most_viewers,
                     most_viewers_of_camera=settings.most_viewers_of_camera, main_kbps=settings.main_kbps,
                     sub_kbps=settings.sub_kbps, addresses=settings.addresses,
                     still_every_ms=round(settings.still_every_s * 1000))  # fmt: skip

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        timeout_s = START_WITHIN_S
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                    if length > MAX_ORDER_BYTES:
                        return f"it sent {length} bytes, at most {MAX_ORDER_BYTES} are allowed"
                    message = decode_from_stage(await reader.readexactly(length))
            except TimeoutError:
                return f"it said nothing for {timeout_s:.0f} s and was killed"
            except (asyncio.IncompleteReadError, ConnectionError):
                return "it closed its connection"
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                return f"it sent something that is no message: {error}"
            timeout_s = KILL_AFTER_S
            self._writer = writer
            self._take(message)

    def _take(self, message: FromStage) -> None:
        if isinstance(message, StageHealth):
            self._health = message
            return
        if isinstance(message, StreamEnded | StreamRefused):
            self._open.pop(message.session, None)
        if isinstance(message, StreamOpened):
            _log.info("shown live", session=message.session.hex())
        self._say(message)

    def _send(self, message: ToStage) -> None:
        if self._writer is not None:
            self._writer.write(framed(message))

    def _say(self, word: Word) -> None:
        try:
            self._words.put_nowait(word)
        except asyncio.QueueFull:
            self._station.counters.count("live_words_dropped")

    async def _put_words(self) -> None:
        while True:
            word = await self._words.get()
            is_still = isinstance(word, Still)
            draft = self._station.draft_up(
                Kind.ANSWER, Precedence.PRIORITY if is_still else Precedence.IMMEDIATE,
                body.encode(AnswerBody(word=word)), ttl_s=STILL_TTL_S if is_still else SIGNALING_TTL_S,
            )  # fmt: skip
            try:
                spooled = await self._station.put(draft)
            except OperatorError as error:
                self._station.counters.count("live_words_not_spooled")
                _log.error("not said", what=type(word).__name__, error=str(error))
                continue
            if isinstance(word, Still):
                self._stills[spooled.envelope.id] = (word.session, self._station.clock.monotonic_ms())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            now_ms = self._station.clock.monotonic_ms()
            for identifier, (session, put_ms) in list(self._stills.items()):
                if now_ms - put_ms > _STILL_ANSWERED_WITHIN_S * 1000:  # expired on its way: try a fresh one
                    del self._stills[identifier]
                    self._send(MoreStills(session=session))
            if any(path.is_up for path in self._station.path_health()):
                self._unreachable_since_ms = None
                continue
            self._unreachable_since_ms = self._unreachable_since_ms or now_ms
            if self._open and now_ms - self._unreachable_since_ms > self._settings.unreachable_cut_s * 1000:
                for session in self._open:
                    self._send(CloseStream(session=session, reason="nobody could have closed it: no path is up"))
