"""The three programs as a service manager stops them: whenever it does, they close what they opened and end well."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.programs import PROGRAMS, ROOT

_IS_STOPPED_WHEN_IT_IS_OPEN = """
import gc, os, signal
set_threshold = gc.set_threshold

def stop(*numbers):
    set_threshold(*numbers)
    os.kill(os.getpid(), signal.SIGTERM)

gc.set_threshold = stop
"""
"""The last thing that each does before it says that it is open."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_that_is_told_to_stop_before_it_has_said_that_it_is_open_closes_and_ends_well(
    program: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    package, *words = program(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", f"{_IS_STOPPED_WHEN_IT_IS_OPEN}\nfrom {package}.cli import main; main()", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode == os.EX_OK, ended.stderr
    assert list(tmp_path.rglob("*.sqlite")), "it was open"
    assert not [file.name for file in tmp_path.rglob("*.sqlite-wal")], "and was closed: nothing is left to be folded"
