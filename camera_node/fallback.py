"""Heard or fall back: an alert that nobody has heard by its deadline is acted on here, once, and that is recorded.

What is done is the operator's: actions by name (siren, strobe, switch), and a program, run in the state folder
without a shell, with a time limit and with what was seen in its environment. "Started" is durable before anything
runs, so a node that restarts in a loop does not sound the siren in a loop. Sending goes on all the while.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Coroutine
from typing import Final

import structlog

from camera_node import program
from camera_node.actions import Actions
from camera_node.answered import AlertAnswers, AnswerBook, read
from camera_node.config import FallbackConfig
from relay.clock import PLAUSIBLE_SINCE_MS, Clock
from relay.database import Database
from relay.precedence import Precedence

_log = structlog.get_logger("camera_node.fallback")
_LOOK_EVERY_S: Final = 5.0
_AT_MOST_EVERY_S: Final = 0.2
"""A flood of alerts is looked at in one go."""
_AT_ONCE: Final = 8
"""Programs running at the same time; more alerts wait their turn."""


def unheard_for_ms(alert: AlertAnswers, *, boot_id: str, monotonic_ms: int, wall_ms: int) -> int | None:
    """How long nobody has heard an alert; None if no clock can say (it is from an earlier boot, and time was not known).

    Within one boot the monotonic clock says. Across boots only wall clocks could, if both are plausible.
    """
    if alert.boot_id == boot_id:
        return max(0, monotonic_ms - alert.header_monotonic_ms)
    if min(alert.header_wall_ms, wall_ms) < PLAUSIBLE_SINCE_MS or wall_ms < alert.header_wall_ms:
        return None
    return wall_ms - alert.header_wall_ms


class Fallback:
    """Watches the deadlines. ``run`` owns everything that it starts."""

    def __init__(self, config: FallbackConfig, *, database: Database, book: AnswerBook, clock: Clock,
                 actions: Actions | None = None) -> None:  # fmt: skip
        self._config = config
        self._actions = actions
        self._database = database
        self._book = book
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._book.changed.clear()
                wait_s = _LOOK_EVERY_S
                for alert in reversed(await self._unheard()):
                    left_s = await self._consider(alert, group)
                    wait_s = min(wait_s, left_s)
                await asyncio.sleep(_AT_MOST_EVERY_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.05, wait_s)):
                        await self._book.changed.wait()

    async def act_now(self, environment: dict[str, str]) -> tuple[str, str]:
        """Run the program and the actions; what became of them, in a word and in detail. For alerts that have no row, too."""
        works: list[Coroutine[None, None, tuple[str, str]]] = []
        if self._config.command:
            works.append(self._run_command(environment))
        if self._actions is not None:
            works += [self._actions.run_now(name, environment) for name in self._config.actions]
        if not works:
            return "recorded", "no command or action is configured"
        ended = await asyncio.gather(*works)
        failed = [detail for outcome, detail in ended if outcome == "failed"]
        return ("failed", "; ".join(failed)) if failed else ("done", "; ".join(detail for _, detail in ended))

    async def _run_command(self, environment: dict[str, str]) -> tuple[str, str]:
        async with self._slots:
            return await program.run(self._config.command, environment, work_dir=self._database.file.parent,
                                     time_limit_s=self._config.time_limit_s)  # fmt: skip

    async def _unheard(self) -> list[AlertAnswers]:
        def look(connection: sqlite3.Connection) -> list[AlertAnswers]:
            return read(connection, at_most=1000, only_undecided=True)

        least = Precedence[self._config.least_urgent]
        return [alert for alert in await self._database.run(look) if alert.precedence <= least]

    async def _consider(self, alert: AlertAnswers, group: asyncio.TaskGroup) -> float:
        """Act if the deadline has passed; seconds until it does otherwise."""
        unheard_ms = unheard_for_ms(alert, boot_id=self._clock.boot_id, monotonic_ms=self._clock.monotonic_ms(),
                                    wall_ms=self._clock.wall_ms())  # fmt: skip
        # An alert of unknown age is acted on: a siren too many is better than one too few.
        if unheard_ms is not None and unheard_ms < self._config.deadline_s * 1000:
            return self._config.deadline_s - unheard_ms / 1000
        if unheard_ms is not None and unheard_ms > self._config.forget_after_s * 1000:
            await self._record(alert.alert_id, "skipped", f"older than {self._config.forget_after_s:g} s when noticed")
            return _LOOK_EVERY_S
        await self._record(alert.alert_id, "started", "")
        _log.critical("nobody has heard this alert in time: acting locally", alert=alert.alert_id, camera=alert.camera,
                      label=alert.label, command=bool(self._config.command))  # fmt: skip
        group.create_task(self._act(alert), name=f"fallback {alert.alert_id[:8]}")
        return _LOOK_EVERY_S

    async def _act(self, alert: AlertAnswers) -> None:
        outcome, detail = await self.act_now({
            "HEARD_ALERT_ID": alert.alert_id, "HEARD_LABEL": alert.label, "HEARD_CAMERA": alert.camera,
            "HEARD_ZONE": alert.zone, "HEARD_RULE": alert.rule_name, "HEARD_PRECEDENCE": alert.precedence_name,
            "HEARD_CONFIDENCE": f"{alert.confidence:.2f}", "HEARD_SIGHTED_AT_MS": str(alert.sighted_wall_ms),
        })  # fmt: skip
        await self._record(alert.alert_id, outcome, detail)
        _log.log(30 if outcome != "failed" else 40, "fallback", alert=alert.alert_id, outcome=outcome, detail=detail)

    async def _record(self, alert_id: str, outcome: str, detail: str) -> None:
        values = (outcome, self._clock.wall_ms(), detail, bytes.fromhex(alert_id))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE answer SET fallback = ?, fallback_wall_ms = COALESCE(fallback_wall_ms, ?), fallback_detail = ? "
                "WHERE alert_id = ?",
                values,
            )

        await self._database.run(write)
