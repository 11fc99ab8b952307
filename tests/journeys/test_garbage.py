"""The three programs as they are started: none of them lets an alert wait while Python looks through all that it has loaded."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relay import garbage
from tests.journeys.programs import PROGRAMS, ROOT

_TELLS_WHEN_IT_IS_DONE = """
import gc, json
set_threshold = gc.set_threshold

def tell(*numbers):
    set_threshold(*numbers)
    told = {"thresholds": gc.get_threshold(), "set_apart": gc.get_freeze_count(), "left": len(gc.get_objects())}
    print(json.dumps(told), flush=True)

gc.set_threshold = tell
"""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_what_a_program_has_loaded_is_never_looked_through_again(
    program: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    package, *words = program(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", f"{_TELLS_WHEN_IT_IS_DONE}\nfrom {package}.cli import main; main()", *words],
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    try:
        assert process.stdout is not None
        told = json.loads(next(line for line in process.stdout if line.startswith("{")))
    finally:
        process.kill()
        process.communicate()
    assert tuple(told["thresholds"]) == garbage.THRESHOLDS
    assert told["set_apart"] > 20_000
    assert told["left"] < told["set_apart"] / 4


def test_cycles_are_still_found() -> None:
    script = (
        "import gc, weakref\nfrom relay import garbage\ngarbage.spare_alerts_the_search()\n"
        "class Session: pass\n"
        "first = Session(); first.self = first; gone = weakref.ref(first); del first\n"
        "kept = []\n"
        "while gone() is not None and len(kept) < 100_000: kept.append([])\n"
        "print(gone() is None, gc.isenabled())"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True", "True"]
    assert gc.get_threshold() != garbage.THRESHOLDS  # this process's own numbers are not touched by importing it
