"""SQLite's errors in the words of whoever must act."""

import sqlite3
from pathlib import Path

from relay.errors import DiskFull, OperatorError, SpoolDamaged


def explain(error: sqlite3.Error, file: Path) -> OperatorError:
    """The error that says what is wrong with this file, and what to do."""
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return DiskFull(
            f"the disk under {file} is full or failing ({text}): free space there; nothing that was stored is lost"
        )
    if "malformed" in text or "not a database" in text:
        return SpoolDamaged(
            f"{file} is damaged ({text}): stop the service and run the check command on it, which saves what can be saved"
        )
    return OperatorError(f"{file}: {text}")
