"""What this node can do where it stands: a siren, a strobe, a switch, a program. Named in the configuration, started by name.

Called by the fallback when nobody has heard an alert, and by an order of a person at the command center. An action that is
under way is not started twice: who wants it gets its end moved, and no siren stutters. All end by themselves; those that are
under way when the node stops are ended with it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, assert_never

import msgspec
import structlog

from camera_node import program
from hardware import http_switch
from hardware.errors import DeviceFault
from hardware.gpio_line import line_set
from relay.crew import Crew

_log = structlog.get_logger("camera_node.actions")
MOST_S: Final = 3600.0
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=MOST_S)]
ActionName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")]


class GpioAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="gpio"):
    """A line of a GPIO chip is set, then let go."""

    name: ActionName
    chip: str
    """``/dev/gpiochip0``; ``gpiodetect`` lists them."""
    line: Annotated[int, msgspec.Meta(ge=0, le=1023)]
    active_low: bool = False
    for_s: Seconds = 30.0


class HttpAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="http"):
    """A device on the local network is asked, and asked again when the time is over, if it does not switch off by itself."""

    name: ActionName
    url: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    content: str = ""
    off_url: str = ""
    """Empty: it switches off by itself."""
    for_s: Seconds = 30.0

    def __repr__(self) -> str:  # addresses hold passwords
        return f"HttpAction({self.name})"


class CommandAction(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="command"
):
    """A program, without a shell; HEARD_* in its environment says what was seen."""

    name: ActionName
    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    for_s: Seconds = 60.0
    """It is ended after this."""


ActionConfig = GpioAction | HttpAction | CommandAction


class Actions:
    """Those of this node. ``start`` needs a crew to own what it starts."""

    def __init__(self, configured: Sequence[ActionConfig], *, work_dir: Path, gpio_module: str = "gpiod") -> None:
        self._known = {action.name: action for action in configured}
        self._work_dir = work_dir
        self._gpio_module = gpio_module
        self._until_s: dict[str, float] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked for."""
        return tuple(self._known)

    @property
    def under_way(self) -> tuple[str, ...]:
        """What is going on now."""
        return tuple(self._until_s)

    def start(self, crew: Crew, name: str, environment: Mapping[str, str], *, for_s: float | None = None) -> str:
        """Begin, or go on for longer; what happens, in words.

        Raises:
            DeviceFault: there is no such action here.
        """
        action = self._known.get(name)
        if action is None:
            raise DeviceFault(f"this node has no action {name!r}; it has {', '.join(self._known) or 'none'}")
        wanted_s = min(MOST_S, action.for_s if for_s is None else for_s)
        until_s = asyncio.get_running_loop().time() + wanted_s
        if name in self._until_s:
            self._until_s[name] = max(until_s, self._until_s[name])
            return f"{name} goes on for {wanted_s:g} s"
        self._until_s[name] = until_s
        crew.start(self._run_alone(action, dict(environment)), f"action {name}")
        return f"{name} for {wanted_s:g} s"

    async def run_now(self, name: str, environment: Mapping[str, str]) -> tuple[str, str]:
        """Do it and wait for its end; what became of it, in a word and in detail."""
        action = self._known.get(name)
        if action is None:
            return "failed", f"no action {name!r} is configured"
        if name in self._until_s:
            return "done", f"{name} was under way"
        self._until_s[name] = asyncio.get_running_loop().time() + action.for_s
        return await self._run(action, dict(environment))

    async def _run_alone(self, action: ActionConfig, environment: dict[str, str]) -> None:
        await self._run(action, environment)

    async def _run(self, action: ActionConfig, environment: dict[str, str]) -> tuple[str, str]:
        _log.warning("action", action=action.name, reason=environment.get("HEARD_REASON", ""))
        try:
            match action:
                case GpioAction():
                    with line_set(action.chip, action.line, is_active_low=action.active_low, module=self._gpio_module):
                        await self._its_time(action.name)
                case HttpAction():
                    await self._switched(action)
                case CommandAction():
                    return await program.run(
                        action.command, environment, work_dir=self._work_dir, time_limit_s=action.for_s
                    )
                case _:
                    assert_never(action)
        except DeviceFault as error:
            _log.error("action failed", action=action.name, why=str(error))
            return "failed", str(error)
        finally:
            self._until_s.pop(action.name, None)
        return "done", action.name

    async def _its_time(self, name: str) -> None:
        """Until its end, which may be moved meanwhile."""
        loop = asyncio.get_running_loop()
        while (left_s := self._until_s.get(name, 0.0) - loop.time()) > 0:  # noqa: ASYNC110  it waits for a time that moves
            await asyncio.sleep(min(left_s, 0.5))

    async def _switched(self, action: HttpAction) -> None:
        await asyncio.to_thread(http_switch.request, action.url, method=action.method, content=action.content)
        if not action.off_url:
            return
        try:
            await self._its_time(action.name)
        finally:  # the node stops, too: it is switched off all the same
            await asyncio.shield(asyncio.to_thread(http_switch.request, action.off_url, method=action.method))
