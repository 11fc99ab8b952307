"""Keeps every camera's eye alive, and tells the truth about those that are not.

An eye that exits, is killed, speaks nonsense or falls silent is ended for good and started anew after a jittered wait,
for ever. None of that touches the spool or the paths: they live in this process, the eye in its own.
"""

import asyncio
import contextlib
import signal
import socket
import struct
import sys
from typing import Final, Protocol

import msgspec
import structlog

from camera_node.child_process import child_environment
from camera_node.config import CameraConfig
from camera_node.errors import EyeLost, ModelRefused
from camera_node.governor import FULL_PACE, Pace
from camera_node.messages import (
    LENGTH,
    MAX_MESSAGE_BYTES,
    Assignment,
    ClipEnded,
    ClipReport,
    ClipSegment,
    FramePace,
    Health,
    ModelOrder,
    Picture,
    Recording,
    RecordingOrder,
    Refusal,
    SecondStageOrder,
    Sighting,
    SuppressionsInForce,
    TakenBack,
    decode_report,
    frame_message,
)
from camera_node.suppression import Suppression
from relay.backoff import Backoff
from relay.clock import Clock
from relay.kinds.heartbeat import CameraHealth, CameraState

_log = structlog.get_logger("camera_node.supervision")

START_WITHIN_S: Final = 60.0
"""From the process's start to its first word: loading Ultralytics takes 10 s on a small board."""
SILENT_AFTER_S: Final = 3.0
"""Health comes each second; after this the camera counts as lost."""
KILL_AFTER_S: Final = 6.0
_END_WITHIN_S: Final = 2.0


class Reports(Protocol):
    """Who takes what the eyes report. Called on the event loop, one report of a camera after the other."""

    async def sighted(self, camera: str, sighting: Sighting) -> None:
        """Raise an alert."""

    async def taken_back(self, camera: str, word: TakenBack) -> None:
        """Retract the alert of an earlier sighting."""

    async def pictured(self, camera: str, picture: Picture) -> None:
        """The snapshot of an earlier sighting."""

    def recorded(self, camera: str, report: ClipReport) -> None:
        """A word on this camera's clips."""

    async def eye_ended(self, camera: str) -> None:
        """Its process is gone: nothing that it had begun goes on."""

    def camera_changed(self, camera: str, state: CameraState) -> None:
        """A camera's state is another one now."""


class Eye:
    """One camera's child process, as the node sees it. ``run`` owns it."""

    def __init__(self, camera: CameraConfig, model: ModelOrder, *, reports: Reports, clock: Clock,
                 backoff: Backoff | None = None, module: str = "camera_node.eye",
                 recording: RecordingOrder | None = None, second_stage: SecondStageOrder | None = None,
                 tap_file: str = "", shared_detector_dir: str = "", keeps_originals: bool = False) -> None:  # fmt: skip
        self.camera = camera
        self._model = model
        self._recording = recording
        self._second_stage = second_stage
        self._shared_detector_dir = shared_detector_dir
        self._keeps_originals = keeps_originals
        self._tap_file = tap_file
        self._suppressions: tuple[Suppression, ...] = ()
        self._pace = FULL_PACE
        self._writer: asyncio.StreamWriter | None = None
        self._reports = reports
        self._clock = clock
        self._backoff = backoff or Backoff(least_s=0.5, most_s=15.0, stable_s=30.0)
        self._module = module
        self._health: Health | None = None
        self._heard_ms = 0
        self._lost_because = ""
        self._told_state: CameraState | None = None
        self._has_worked = False
        self.pid: int | None = None
        self.restarts = 0

    @property
    def last_health(self) -> Health | None:
        """The last word of the eye that runs now; None if it has not said any."""
        return self._health

    def suppress(self, suppressions: tuple[Suppression, ...]) -> None:
        """From now on, and after each restart, these are in force on this camera."""
        if suppressions == self._suppressions:
            return
        self._suppressions = suppressions
        if self._writer is not None:
            self._writer.write(frame_message(SuppressionsInForce(suppressions=suppressions)))

    def pace(self, pace: Pace) -> None:
        """From now on, and after each restart, so many frames are looked at."""
        self._pace = pace
        if self._writer is not None:
            self._writer.write(frame_message(FramePace(frames_per_s=pace.frames_per_s(self.camera.frames_per_s))))

    def camera_health(self) -> CameraHealth:
        """The camera's state as it is now: silence is a state of its own."""
        now_ms = self._clock.monotonic_ms()
        health = self._health
        if health is None:
            state = CameraState.LOST if self._lost_because else CameraState.STARTING
            return CameraHealth(camera=self.camera.name, state=state, frames_per_s=0.0, last_frame_age_ms=0,
                                reconnects=self.restarts, detail=self._lost_because[:200])  # fmt: skip
        silent_ms = max(0, now_ms - self._heard_ms)
        is_silent = silent_ms > SILENT_AFTER_S * 1000
        return CameraHealth(
            camera=self.camera.name, state=CameraState.LOST if is_silent else health.state,
            frames_per_s=0.0 if is_silent else health.frames_per_s,
            last_frame_age_ms=health.last_frame_age_ms + silent_ms, reconnects=health.reconnects + self.restarts,
            detail=f"its process is silent for {silent_ms / 1000:.0f} s" if is_silent else self._detail(health),
        )  # fmt: skip

    def _detail(self, health: Health) -> str:
        """Why it does not see, or why it sees less than it should."""
        if health.detail or not self._pace.why:
            return health.detail[:200]
        looked_at = self._pace.frames_per_s(self.camera.frames_per_s)
        return f"looks at {looked_at:g} of {self.camera.frames_per_s:g} frames/s: {self._pace.why}"[:200]

    async def run(self) -> None:
        """Keep an eye running until cancelled.

        Raises:
            ModelRefused: its very first start failed for a reason that trying again can't mend.
        """
        while True:
            began_ms = self._clock.monotonic_ms()
            try:
                await self._run_once()
            except EyeLost as error:
                self._lost_because = str(error)
            self._health = None
            self.pid = None
            await self._reports.eye_ended(self.camera.name)
            self.restarts += 1
            self._notice()
            self._backoff.succeeded_for((self._clock.monotonic_ms() - began_ms) / 1000)
            wait_s = self._backoff.next_delay_s()
            _log.error("eye lost", camera=self.camera.name, why=self._lost_because, next_start_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def _run_once(self) -> None:
        """One life of a child; its end is always an EyeLost."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as stack:
            stack.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", self._module, str(theirs.fileno()), pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL, env=child_environment(),
                )  # fmt: skip
            self.pid = process.pid
            reader, writer = await asyncio.open_connection(sock=ours)
            stack.pop_all()
            watch = asyncio.create_task(self._watch_silence(), name=f"silence of {self.camera.name}")
            try:
                assignment = Assignment(camera=self.camera, model=self._model, recording=self._recording,
                                        second_stage=self._second_stage, suppressions=self._suppressions,
                                        tap_file=self._tap_file, shared_detector_dir=self._shared_detector_dir,
                                        keeps_originals=self._keeps_originals)  # fmt: skip
                writer.write(frame_message(assignment))
                if self._pace.why:
                    writer.write(
                        frame_message(FramePace(frames_per_s=self._pace.frames_per_s(self.camera.frames_per_s)))
                    )
                self._writer = writer
                await self._listen(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                code = await self._ended(process)
                raise EyeLost(f"its process ended: {_manner(code)}") from None
            finally:
                watch.cancel()
                self._writer = None
                writer.close()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        timeout_s = START_WITHIN_S
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                    if length > MAX_MESSAGE_BYTES:
                        raise EyeLost(f"its process sent {length} bytes, at most {MAX_MESSAGE_BYTES} are allowed")
                    report = decode_report(await reader.readexactly(length))
            except TimeoutError:
                raise EyeLost(f"its process said nothing for {timeout_s:.0f} s and was killed") from None
            except (msgspec.DecodeError, UnicodeDecodeError, struct.error) as error:
                raise EyeLost(f"its process sent something that is no report: {error}") from error
            timeout_s = KILL_AFTER_S
            self._heard_ms = self._clock.monotonic_ms()
            match report:
                case Health():
                    self._health, self._lost_because, self._has_worked = report, "", True
                    self._notice()
                case Sighting():
                    await self._reports.sighted(self.camera.name, report)
                case TakenBack():
                    await self._reports.taken_back(self.camera.name, report)
                case Picture():
                    await self._reports.pictured(self.camera.name, report)
                case Recording() | ClipSegment() | ClipEnded():
                    self._reports.recorded(self.camera.name, report)
                case Refusal() if not self._has_worked and not report.is_of_camera:
                    raise ModelRefused(report.message)
                case Refusal():
                    raise EyeLost(report.message)

    async def _watch_silence(self) -> None:
        """A stopped process reports nothing, its silence included."""
        while True:
            await asyncio.sleep(0.5)
            self._notice()

    def _notice(self) -> None:
        """Tell of a changed state, once."""
        now = self.camera_health()
        if now.state != self._told_state:
            before, self._told_state = self._told_state, now.state
            log = _log.info if now.state <= CameraState.SEEING else _log.warning
            log("camera", camera=self.camera.name, state=now.state.name.lower(), why=now.detail,
                before=before.name.lower() if before is not None else "")  # fmt: skip
            self._reports.camera_changed(self.camera.name, now.state)

    @staticmethod
    async def _ended(process: asyncio.subprocess.Process) -> int:
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()


def _manner(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
