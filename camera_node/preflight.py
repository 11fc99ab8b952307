"""``camera-node check``: everything the node needs, tried for real, and what is wrong in plain words."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from camera_node import action_check, path_check
from camera_node.config import CameraConfig, NodeConfig
from camera_node.finding import Finding
from camera_node.messages import ClipReport, ModelOrder, Picture, SecondStageOrder, Sighting, TakenBack
from camera_node.node import model_order, second_stage_order
from camera_node.supervision import Eye
from camera_node.weights import choose
from hardware import board
from relay import door, passport
from relay.clock import ClockQuality, SystemClock
from relay.enrollment import Enrollment
from relay.errors import HeardError, NetworkError
from relay.identity import Identity
from relay.kinds.heartbeat import CameraState

_CAMERA_WITHIN_S: Final = 25.0


async def check(config: NodeConfig) -> AsyncIterator[Finding]:
    """Try everything; nothing is sent and no alert is raised."""
    for finding in _check_keys(config.state_dir):
        yield finding
    yield _check_clock()
    yield _check_spool(config.state_dir)
    for path in config.path:
        yield await path_check.check(path, config.state_dir)
    yield _check_board()
    for action in config.action:
        yield await action_check.check(action)
    if config.fallback.command:
        yield action_check.program("fallback", config.fallback.command[0])
    if not config.path:
        yield Finding(
            what="paths", is_well=False, detail="expected at least one [[path]], found none: nobody will hear"
        )
    if not config.camera:
        yield Finding(
            what="cameras", is_well=False, detail="expected at least one [[camera]], found none: it sees nothing"
        )
    try:
        weights = choose(config.model, state_dir=config.state_dir)
    except HeardError as error:
        yield Finding(what="model", is_well=False, detail=str(error))
        return
    signed = "verified" if weights.is_verified else "UNSIGNED, the configuration vouches for it"
    yield Finding(what="model", is_well=True, detail=f"{weights.name}, {signed}")
    try:
        second_stage = second_stage_order(config)
    except HeardError as error:
        yield Finding(what="second stage", is_well=False, detail=str(error))
        second_stage = None
    order = model_order(config, weights)
    for camera in config.camera:
        yield await _check_camera(camera, order, second_stage)


def _check_keys(state_dir: Path) -> Iterator[Finding]:
    try:
        identity = Identity.load(state_dir / "identity.key")
        yield Finding(what="keys", is_well=True, detail=f"node {identity.node_id.hex()}")
    except HeardError as error:
        yield Finding(what="keys", is_well=False, detail=str(error))
        return
    try:
        own = Enrollment.load(state_dir).own_passport().passport
        if own.node_id != identity.node_id:
            yield Finding(what="passport", is_well=False, detail="it belongs to other keys than these: enroll anew")
            return
        clock = SystemClock()
        passport.require_valid_at(own, clock.wall_ms() if clock.quality() > ClockQuality.UNSET else None)
        yield Finding(what="passport", is_well=True, detail=f"{own.name} at {own.site}")
    except HeardError as error:
        yield Finding(what="passport", is_well=False, detail=str(error))


def _check_board() -> Finding:
    """Hot, slowed down or on its battery is said; only a board that slows itself down now is wrong."""
    health = board.measure()
    said = [health.model, *(f"{name} {celsius:.0f} °C" for name, celsius in list(health.temperatures_c.items())[:4])]
    if health.is_on_mains is False:
        said.append(f"on its battery, {health.battery_percent or 0} %")
    slowed = [reason for reason in health.throttled_because if "since the start" not in reason]
    return Finding(what="board", is_well=not slowed, detail=", ".join([*said, *health.throttled_because]))


def _check_clock() -> Finding:
    quality = SystemClock().quality()
    detail = {
        ClockQuality.UNSET: "was never set: alerts will carry no usable wall time (they are sent all the same)",
        ClockQuality.FREE_RUNNING: "is plausible, no time service disciplines it",
    }.get(quality, "is synchronized")
    return Finding(what="clock", is_well=quality is not ClockQuality.UNSET, detail=detail)


def _check_spool(state_dir: Path) -> Finding:
    spool_file = state_dir / "spool.sqlite"
    with contextlib.suppress(NetworkError):
        door.ask(state_dir, "ping")
        return Finding(what="spool", is_well=True, detail="the node runs and its spool answers")
    if not spool_file.exists():
        return Finding(what="spool", is_well=True, detail="none yet, it is made at the first start")
    from relay import spool_check  # SQLite's whole integrity check: only this command needs it

    try:
        report = spool_check.check(spool_file, identity=Identity.load(state_dir / "identity.key"))
    except HeardError as error:
        return Finding(what="spool", is_well=False, detail=str(error))
    if report.findings:
        first = report.findings[0]
        detail = f"{len(report.findings)} findings, the first: {first.what}; run alert-relay check --repair"
        return Finding(what="spool", is_well=False, detail=detail)
    return Finding(what="spool", is_well=True, detail="sound")


class _Unheard:
    """Takes reports and does nothing: a check raises no alerts."""

    async def sighted(self, camera: str, sighting: Sighting) -> None:
        """Not raised."""

    async def taken_back(self, camera: str, word: TakenBack) -> None:
        """Not retracted."""

    async def pictured(self, camera: str, picture: Picture) -> None:
        """Not sent."""

    def recorded(self, camera: str, report: ClipReport) -> None:
        """Not kept."""

    async def eye_ended(self, camera: str) -> None:
        """Nothing was begun."""

    def camera_changed(self, camera: str, state: CameraState) -> None:
        """Nobody to tell."""


async def _check_camera(camera: CameraConfig, order: ModelOrder, second_stage: SecondStageOrder | None) -> Finding:
    """Open the camera, load the model and look at some frames, in a process of its own as in service."""
    what = f"camera {camera.name}"
    eye = Eye(camera, order, reports=_Unheard(), clock=SystemClock(), second_stage=second_stage)
    task = asyncio.create_task(eye.run(), name=f"check {camera.name}")
    try:
        async with asyncio.timeout(_CAMERA_WITHIN_S):
            while not task.done():
                health = eye.last_health
                if health is not None and health.state is CameraState.SEEING and health.frames >= 2:
                    detail = (f"sees, {health.inference_ms:.0f} ms a frame on {health.provider}, "
                              f"{health.memory_bytes // 1_000_000} MB")  # fmt: skip
                    return Finding(what=what, is_well=True, detail=detail)
                if health is not None and health.state in {CameraState.LOST, CameraState.FAULTY}:
                    return Finding(what=what, is_well=False, detail=health.detail or health.fault)
                if eye.restarts:
                    return Finding(what=what, is_well=False, detail=eye.camera_health().detail)
                await asyncio.sleep(0.1)
        await task
    except TimeoutError:
        return Finding(what=what, is_well=False, detail=f"no frame was seen within {_CAMERA_WITHIN_S:g} s")
    except HeardError as error:
        return Finding(what=what, is_well=False, detail=str(error))
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, HeardError):
            await task
    return Finding(what=what, is_well=False, detail="its process ended")
