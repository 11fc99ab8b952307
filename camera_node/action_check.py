"""Whether an action could be done: its program is there, its chip, its switch. Sounds and switches nothing."""

import asyncio
import importlib.util
import os
import shutil
import urllib.parse
from pathlib import Path
from typing import Final, assert_never

from camera_node.actions import ActionConfig, CommandAction, GpioAction, HttpAction
from camera_node.finding import Finding

_WITHIN_S: Final = 3.0


async def check(action: ActionConfig) -> Finding:
    """Try it as far as that goes without anybody noticing."""
    what = f"action {action.name}"
    match action:
        case CommandAction():
            return program(what, action.command[0])
        case GpioAction():
            return _line(what, action)
        case HttpAction():
            return await _switch(what, action)
        case _:
            assert_never(action)


def program(what: str, name: str) -> Finding:
    """Whether there is such a program, as a path or a name, that this user may run."""
    found = shutil.which(name)
    return Finding(what=what, is_well=found is not None, detail=f"{found} is there" if found
                   else f"expected the program {name}, found none that this user may run")  # fmt: skip


def _line(what: str, action: GpioAction) -> Finding:
    if importlib.util.find_spec("gpiod") is None:
        return Finding(what=what, is_well=False, detail="needs the gpio extra: pip install heard[gpio]")
    if not Path(action.chip).exists():
        return Finding(what=what, is_well=False, detail=f"{action.chip} is not there: gpiodetect lists the chips")
    if not os.access(action.chip, os.R_OK | os.W_OK):
        return Finding(
            what=what, is_well=False, detail=f"this user may not use {action.chip}: add it to the group gpio"
        )
    return Finding(what=what, is_well=True, detail=f"{action.chip} is there; line {action.line} was not touched")


async def _switch(what: str, action: HttpAction) -> Finding:
    parts = urllib.parse.urlsplit(action.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_WITHIN_S):
            _, writer = await asyncio.open_connection(parts.hostname or "", port)
        writer.close()
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        return Finding(
            what=what, is_well=False, detail=f"{parts.hostname}:{port} can't be reached ({reason}): check its power"
        )
    return Finding(what=what, is_well=True, detail=f"{parts.hostname}:{port} answers; nothing was switched")
