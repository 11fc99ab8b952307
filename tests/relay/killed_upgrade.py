"""Work on a database in a process of its own that is killed at one of its SQL statements: an upgrade, or a program of the caller's."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

_SEEN: Final = """
import os, signal, sqlite3, sys
from pathlib import Path
file, left = Path(sys.argv[1]), int(sys.argv[2])
def seen(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""
_UPGRADE: Final = """
from importlib import import_module
from relay.database import prepare
parts = getattr(import_module(sys.argv[3]), sys.argv[4])
connection = sqlite3.connect(file, isolation_level=None)
connection.set_trace_callback(seen)
prepare(connection, file, parts)
connection.close()
print("whole")
"""


def kill_while_upgrading(file: Path, *, statement: int, module: str, parts: str) -> None:
    """Bring ``file`` up to the ``parts`` of that module, killed -9 at the numbered statement. Fails if it was not."""
    kill_at(file, _UPGRADE, module, parts, statement=statement)


def kill_at(file: Path, program: str, *words: str, statement: int) -> None:
    """Run a program that has ``file`` and traces its statements with ``seen``, killed -9 at the numbered one. Fails if it was not."""
    done = subprocess.run([sys.executable, "-c", _SEEN + program, str(file), str(statement), *words],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, f"the kill must have happened: {done.stdout}{done.stderr}"
