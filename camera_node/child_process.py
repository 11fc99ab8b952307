"""What the node's child processes have in common: they end with the node, and get nothing secret from its environment."""

import ctypes
import os
import signal
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent_process() -> None:
    """Ask the kernel for SIGKILL when the node dies. Linux only: the closed socket is the other way of noticing."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def child_environment() -> dict[str, str]:
    """Ours without anything that looks like a secret, and with the place that this package lies in."""
    secret = ("SECRET", "TOKEN", "PASSWORD", "HEARD_")
    kept = {name: value for name, value in os.environ.items() if not any(word in name.upper() for word in secret)}
    here = str(Path(__file__).resolve().parents[1])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [here, kept.get("PYTHONPATH", "")]))
    return kept
