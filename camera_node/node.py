"""The camera node, put together: keys, spool, paths, answers, heartbeat, and one eye per camera.

Reads top to bottom as the start order; the stop order is the reverse by construction.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog

from camera_node import (
    answered,
    clip_book,
    frigate,
    onvif_events,
    site_orders,
    snapshot_hold,
    status_page,
    suppression_book,
)
from camera_node.actions import Actions
from camera_node.alert_builder import AlertBuilder
from camera_node.answered import AlertAnswers, AnswerBook, read
from camera_node.board_care import BoardCare, BoardReport
from camera_node.clip_keeper import ClipKeeper
from camera_node.clip_report import ClipsReport, describe
from camera_node.clip_sender import ClipSender
from camera_node.config import ModelConfig, NodeConfig
from camera_node.detector_keeper import DetectorKeeper
from camera_node.fallback import Fallback
from camera_node.frigate import FrigateEvents
from camera_node.governor import Governor
from camera_node.heartbeat import HeartbeatSender
from camera_node.inbox import NodeInbox
from camera_node.live_window import LiveReport, LiveWindow
from camera_node.messages import ClipReport, DetectorOrder, ModelOrder, Picture, SecondStageOrder, Sighting, TakenBack
from camera_node.other_eyes import OtherEyes
from camera_node.sealed_originals import SealedOriginals
from camera_node.site_orders import SiteOrders
from camera_node.supervision import Eye
from camera_node.weights import Weights, choose
from relay import metrics_server, tracing
from relay.clock import Clock, SystemClock
from relay.config import StationConfig
from relay.crew import Crew, crew
from relay.door import open_door
from relay.identity import Identity
from relay.kinds.heartbeat import CameraHealth, CameraState
from relay.pulses import send_pulses
from relay.service import emit_alert, emit_verb, retract_alert, station_verbs
from relay.spool_room import SpoolLimits
from relay.station import Station, StationStatus

_log = structlog.get_logger("camera_node.node")

REPORTED_ALERTS: Final = 200
NOTHING: Final = msgspec.Raw(b"{}")


class EyeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One camera's process, beyond its health."""

    camera: str
    pid: int = 0
    """0: none runs now."""
    grade: str = "unknown"
    """Of the connection over the last hour: ``connection_grade.Grade``."""
    delivered_per_s: float = 0.0
    provider: str = ""
    inference_ms: float = 0.0
    memory_bytes: int = 0
    skipped: int = 0
    """Frames that the motion gate kept from the detector."""
    stopped: dict[str, int] = {}
    """Findings that the second look stopped, by stage."""
    held_back: dict[str, int] = {}
    """By suppression."""


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``camera-node status`` shows of a running node."""

    pid: int
    started_wall_ms: int
    station: StationStatus
    cameras: tuple[CameraHealth, ...]
    eyes: tuple[int, ...]
    """Process ids, in the order of the cameras; 0: none runs now."""
    model: str
    model_sha256: str
    is_model_verified: bool
    alerts: tuple[AlertAnswers, ...]
    """The newest first."""
    clips: ClipsReport
    live: LiveReport
    board: BoardReport = BoardReport()
    seeing: tuple[EyeReport, ...] = ()
    actions_under_way: tuple[str, ...] = ()


class Node:
    """A running node; made by ``open_node``. Takes what the eyes report."""

    def __init__(
        self, *, config: NodeConfig, station: Station, book: AnswerBook, weights: Weights, eye_module: str
    ) -> None:
        self.station = station
        self.book = book
        self.weights = weights
        self._config = config
        self._crew: Crew | None = None
        self.actions = Actions(config.action, work_dir=config.state_dir)
        self.fallback = Fallback(config.fallback, database=station.database, book=book, clock=station.clock,
                                 actions=self.actions)  # fmt: skip
        originals = SealedOriginals(config.state_dir, config.privacy, counters=station.counters,
                                    authority_sealing_key=station.authority.sealing_key)  # fmt: skip
        self.builder = AlertBuilder(station, book, model_sha256=weights.sha256, on_unspooled=self._not_spooled,
                                    originals=originals)  # fmt: skip
        self.clips = ClipKeeper(config.state_dir, config.clip, database=station.database, clock=station.clock,
                                counters=station.counters)  # fmt: skip
        self.clip_sender = ClipSender(station, self.clips)
        self.live = LiveWindow(station, config.video, config.camera, state_dir=config.state_dir)
        order = model_order(config, weights)
        second_stage = second_stage_order(config)
        self.detector = shared_detector(config, order, second_stage, station.clock)
        shared_dir = str(config.state_dir.absolute()) if self.detector is not None else ""
        self.eyes = [
            Eye(camera, order, reports=self, clock=station.clock, module=eye_module,
                recording=self.clips.order_for(camera), second_stage=second_stage,
                tap_file=self.live.tap_file_of(camera), shared_detector_dir=shared_dir,
                keeps_originals=config.privacy.keeps_originals)
            for camera in config.camera
        ]  # fmt: skip
        self.heartbeat = HeartbeatSender(station, weights=weights, interval_s=config.heartbeat.interval_s,
                                         cameras=self.cameras)  # fmt: skip
        self.other_eyes = OtherEyes(
            emit=lambda request: emit_alert(station, request, book.emitted),
            retract=lambda request: retract_alert(station, request), counters=station.counters,
        )  # fmt: skip
        self.orders = SiteOrders(station, self.actions, self.eyes)
        self.care = BoardCare(
            self.eyes, Governor(config.governor), clock=station.clock, changed=self.heartbeat.send_soon
        )
        self._started_wall_ms = station.clock.wall_ms()

    def cameras(self) -> list[CameraHealth]:
        """The state of every camera."""
        return [eye.camera_health() for eye in self.eyes]

    async def sighted(self, camera: str, sighting: Sighting) -> None:
        """Raise an alert."""
        await self.builder.raise_alert(camera, sighting)

    async def taken_back(self, camera: str, word: TakenBack) -> None:
        """Retract it."""
        await self.builder.take_back(camera, word)

    async def pictured(self, camera: str, picture: Picture) -> None:
        """Attach its picture."""
        await self.builder.attach(camera, picture)

    def recorded(self, camera: str, report: ClipReport) -> None:
        """Keep what its eye recorded."""
        self.clips.recorded(camera, report)

    async def eye_ended(self, camera: str) -> None:
        """End its clips before the next eye begins any."""
        await self.clips.eye_ended(camera)

    def camera_changed(self, camera: str, state: CameraState) -> None:
        """Tell the center at once."""
        if state is CameraState.LOST:
            self.builder.forget_pictures(camera)
        self.heartbeat.send_soon()

    def _not_spooled(self, camera: str, sighting: Sighting, why: str) -> None:
        """Nobody will hear of it for now: act here, without waiting for a deadline."""
        if self._crew is None:
            return
        environment = {"HEARD_ALERT_ID": "", "HEARD_LABEL": sighting.label, "HEARD_CAMERA": camera,
                       "HEARD_ZONE": sighting.zone, "HEARD_CONFIDENCE": f"{sighting.confidence:.2f}",
                       "HEARD_REASON": why}  # fmt: skip
        self._crew.start(self._act_without_spool(environment), f"fallback without spool {camera}")

    async def _act_without_spool(self, environment: dict[str, str]) -> None:
        outcome, detail = await self.fallback.act_now(environment)
        _log.critical("fallback without spool", outcome=outcome, detail=detail, camera=environment["HEARD_CAMERA"])

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            ModelRefused: an eye's very first start can't load the model.
        """
        async with crew() as members:
            self._crew = members
            try:
                members.start(self.fallback.run(), "fallback")
                members.start(self.builder.retry(), "retry unspooled")
                members.start(self.heartbeat.run(), "heartbeat")
                members.start(send_pulses(self.station, self.cameras), "pulses")
                members.start(tracing.tell(self.station), "traces")
                members.start(self.clips.run(), "clips")
                members.start(self.clip_sender.run(), "clip sender")
                members.start(self.live.run(), "live video")
                members.start(self.care.run(), "board care")
                members.start(self.orders.run(), "site orders")
                self._start_other_eyes(members)
                if self.detector is not None:
                    members.start(self.detector.run(), "shared detector")
                for eye in self.eyes:
                    members.start(eye.run(), f"eye {eye.camera.name}")
                await asyncio.Event().wait()
            finally:
                self._crew = None

    def _start_other_eyes(self, members: Crew) -> None:
        """Whatever else sees on this site."""
        station, hear = self.station, self.other_eyes.hear
        if self._config.frigate is not None:
            events = FrigateEvents(self._config.frigate, counters=station.counters)
            members.start(frigate.listen(events, self._config.frigate, hear), "frigate")
        for settings in self._config.onvif:
            listening = onvif_events.listen(
                settings, hear, counters=station.counters, now_ms=station.clock.monotonic_ms
            )
            members.start(listening, f"onvif {settings.camera}")
        if self._config.frigate is not None or self._config.onvif:
            members.start(self.other_eyes.run(), "other eyes")

    def look_at_orders(self) -> None:
        """Instructions were taken in."""
        self.clip_sender.look_again()
        self.orders.look_again()

    async def report(self, _: msgspec.Raw = NOTHING) -> NodeReport:
        """How the node is: the door's ``node``."""
        answers, clips = await self.station.database.run(
            lambda connection: (read(connection, at_most=REPORTED_ALERTS), describe(connection, self.clips.recordings))
        )
        return NodeReport(
            pid=os.getpid(), started_wall_ms=self._started_wall_ms, station=await self.station.status(),
            cameras=tuple(self.cameras()), eyes=tuple(eye.pid or 0 for eye in self.eyes), model=self.weights.name,
            model_sha256=self.weights.sha256.hex(), is_model_verified=self.weights.is_verified, alerts=tuple(answers),
            clips=clips, live=self.live.report(), board=self.care.report, seeing=tuple(_described(eye) for eye in self.eyes), actions_under_way=self.actions.under_way,
        )  # fmt: skip


def _described(eye: Eye) -> EyeReport:
    health = eye.last_health
    if health is None:
        return EyeReport(camera=eye.camera.name, pid=eye.pid or 0)
    return EyeReport(
        camera=eye.camera.name, pid=eye.pid or 0, grade=health.grade, delivered_per_s=health.delivered_per_s,
        provider=health.provider, inference_ms=health.inference_ms, memory_bytes=health.memory_bytes, skipped=health.skipped,
        stopped=health.stopped, held_back=health.held_back,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def open_node(
    config: NodeConfig, *, clock: Clock | None = None, eye_module: str = "camera_node.eye"
) -> AsyncIterator[Node]:
    """Open keys, model, spool and paths; ``Node.run`` then starts the eyes, from ``eye_module``.

    Raises:
        OperatorError: what is missing or wrong, before anything was started.
    """
    clock = clock or SystemClock()
    weights = choose(config.model, state_dir=config.state_dir)
    if not weights.is_verified:
        _log.warning("UNSIGNED MODEL: nobody has vouched for these weights but the configuration",
                     weights_file=str(weights.file), sha256=weights.sha256.hex())  # fmt: skip
    book = AnswerBook(clock)
    limits = SpoolLimits(capacity_bytes=config.spool.capacity_bytes, reserve_bytes=config.spool.reserve_bytes)
    inbox = NodeInbox(identity=Identity.load(config.state_dir / "identity.key"), book=book, clock=clock, limits=limits)
    station_config = StationConfig(state_dir=config.state_dir, path=config.path, spool=config.spool)
    parts = {snapshot_hold.PART: snapshot_hold.SCHEMA, answered.PART: answered.SCHEMA, clip_book.PART: clip_book.SCHEMA, suppression_book.PART: suppression_book.SCHEMA,
             site_orders.PART: site_orders.SCHEMA}  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        station = await stack.enter_async_context(
            Station.open(station_config, inbox=inbox, extra_parts=parts, clock=clock)
        )
        station.on_answer(book.answered)
        found = await station.database.run(
            lambda connection: book.reconcile(
                connection, station.identity, station.authority.sealing_key, station.spool
            )
        )
        if found:
            _log.info("answers found again after a restart", alerts=found)
        writer = asyncio.create_task(book.run(station.database), name="answers")
        stack.push_async_callback(_cancelled, writer)
        node = Node(config=config, station=station, book=book, weights=weights, eye_module=eye_module)
        await node.clips.recover()
        station.on_answer(node.clip_sender.answered)
        station.on_answer(node.live.answered)
        inbox.on_stream = node.live.order
        inbox.after_orders = node.look_at_orders
        verbs = {**station_verbs(station), "emit": emit_verb(station, book.emitted), "node": node.report}
        await stack.enter_async_context(open_door(config.state_dir, verbs))
        await stack.enter_async_context(
            metrics_server.serving(station, config.metrics.listen, status_page.pages(node.report))
        )
        yield node


def model_order(config: NodeConfig, weights: Weights, model: ModelConfig | None = None) -> ModelOrder:
    """What every eye is told to load."""
    model = model or config.model
    cores = os.cpu_count() or 1
    return ModelOrder(
        name=weights.name, weights_file=str(weights.file), sha256=weights.sha256, detector=model.detector,
        least_confidence=model.least_confidence, labels=weights.labels,
        threads=model.threads or max(1, cores // max(1, len(config.camera))),
    )  # fmt: skip


def second_stage_order(config: NodeConfig) -> SecondStageOrder | None:
    """What every eye is told of the second stage.

    Raises:
        ModelRefused: its weights can't be vouched for.
    """
    wanted = config.second_stage
    if wanted is None:
        return None
    model = None
    if wanted.model is not None:
        model = model_order(config, choose(wanted.model, state_dir=config.state_dir), wanted.model)
    return SecondStageOrder(model=model, look_alikes=wanted.look_alikes, least_confidence=wanted.least_confidence,
                            margin=wanted.margin, is_on_gateway=wanted.tier == "gateway")  # fmt: skip


def shared_detector(
    config: NodeConfig, first_stage: ModelOrder, second_stage: SecondStageOrder | None, clock: Clock
) -> DetectorKeeper | None:
    """The keeper of the one detector process; None: each eye has its own."""
    if not config.model.is_shared:
        return None
    models = [msgspec.structs.replace(first_stage, threads=config.model.threads or os.cpu_count() or 1)]
    if second_stage is not None and second_stage.is_on_gateway and second_stage.model is not None:
        models.append(second_stage.model)
    return DetectorKeeper(DetectorOrder(models=tuple(models), state_dir=str(config.state_dir.absolute())), clock=clock)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
