"""An upgrade of a database in a process of its own that is killed at one of its SQL statements."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

_PROGRAM: Final = """
import os, signal, sqlite3, sys
from importlib import import_module
from pathlib import Path
from relay.database import prepare
parts = getattr(import_module(sys.argv[3]), sys.argv[4])
left = int(sys.argv[2])
def seen(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.set_trace_callback(seen)
prepare(connection, Path(sys.argv[1]), parts)
connection.close()
print("whole")
"""


def kill_while_upgrading(file: Path, *, statement: int, module: str, parts: str) -> None:
    """Bring ``file`` up to the ``parts`` of that module, killed -9 at the numbered statement. Fails if it was not."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM, str(file), str(statement), module, parts],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, f"the kill must have happened: {done.stdout}{done.stderr}"
