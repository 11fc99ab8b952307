"""A program of the operator's, run without a shell, with a time limit, and gone with all that it started when that is over."""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


async def run(
    command: Sequence[str], environment: Mapping[str, str], *, work_dir: Path, time_limit_s: float
) -> tuple[str, str]:
    """Run it to its end; what became of it, in a word (done, failed) and in detail."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL, env={**os.environ, **environment}, start_new_session=True,
            cwd=work_dir,  # where a service happens to be started is no place to rely on
        )  # fmt: skip
    except OSError as error:
        return "failed", f"{command[0]} can't be started: {error.strerror}"
    try:
        async with asyncio.timeout(time_limit_s):
            code = await process.wait()
    except TimeoutError:
        return "failed", f"took longer than {time_limit_s:g} s and was killed"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()
    return ("done", "exit code 0") if code == 0 else ("failed", f"exit code {code}")
