"""Looks after the board: how hot it is, whether it slows itself down, what it runs on; and sets the eyes' pace by it.

Readings are made on a thread, because drivers take their time. What was found is in the node's status, and in each camera's
word where fewer frames are looked at than configured. Called by ``node``; decides nothing itself: ``governor`` does.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil
import structlog

from camera_node.governor import FULL_PACE, Governor, Pace
from camera_node.supervision import Eye
from hardware import board, jetson_stats
from hardware.board import Board, BoardHealth
from hardware.jetson_stats import JetsonStats
from relay.clock import Clock

_log = structlog.get_logger("camera_node.board_care")
_EVERY_S: Final = 5.0


class BoardReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the board is, for the status and its page."""

    model: str = ""
    temperatures_c: dict[str, float] = {}
    throttled_because: tuple[str, ...] = ()
    is_on_mains: bool | None = None
    battery_percent: int | None = None
    power_w: float | None = None
    power_mode: str = ""
    gpu_percent: float | None = None
    cpu_percent: float = 0.0
    memory_free_bytes: int = 0
    pace_share: float = 1.0
    pace_why: str = ""


class BoardCare:
    """``run`` owns it."""

    def __init__(
        self, eyes: Sequence[Eye], governor: Governor, *, clock: Clock, root: Path = Path("/"),
        changed: Callable[[], None] = lambda: None, every_s: float = _EVERY_S,
    ) -> None:  # fmt: skip
        self._eyes = eyes
        self._governor = governor
        self._clock = clock
        self._root = root
        self._changed = changed
        self._every_s = every_s
        self._pace: Pace = FULL_PACE
        self.report = BoardReport()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            health, stats = await asyncio.to_thread(self._read)
            self._set(self._governor.judge(health, self._clock.monotonic_ms()))
            self.report = self._described(health, stats)
            await asyncio.sleep(self._every_s)

    def _read(self) -> tuple[BoardHealth, JetsonStats | None]:
        health = board.measure(self._root)
        return health, jetson_stats.read() if health.board is Board.JETSON else None

    def _set(self, pace: Pace) -> None:
        if pace == self._pace:
            return
        is_changed, self._pace = pace.share != self._pace.share, pace
        for eye in self._eyes:
            eye.pace(pace)
        if is_changed:
            log = _log.warning if pace.why else _log.info
            log("pace of the cameras", share=pace.share, why=pace.why or "the board is well again")
            self._changed()

    def _described(self, health: BoardHealth, stats: JetsonStats | None) -> BoardReport:
        stats = stats or JetsonStats()
        return BoardReport(
            model=health.model, temperatures_c=health.temperatures_c, throttled_because=health.throttled_because,
            is_on_mains=health.is_on_mains, battery_percent=health.battery_percent,
            power_w=health.power_w if stats.power_w is None else stats.power_w, power_mode=stats.power_mode,
            gpu_percent=stats.gpu_percent, cpu_percent=psutil.cpu_percent(), memory_free_bytes=psutil.virtual_memory().available,
            pace_share=self._pace.share, pace_why=self._pace.why,
        )  # fmt: skip
