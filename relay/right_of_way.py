"""A database's thread stands aside while another thread has something in a hurry: they would take the interpreter's lock from each other at every step."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

GIVES_WAY_FOR_S: Final = 0.003
"""So long at most from when the right of way was taken: an alert is receipted in half of it."""
_LOOKS_EVERY_S: Final = 0.0002


class RightOfWay:
    """Taken by one thread, given by another."""

    def __init__(self) -> None:
        self._taken_s = 0.0

    @property
    def is_taken(self) -> bool:
        """Whether somebody has it."""
        return self._taken_s > 0

    def take(self) -> None:
        """Something in a hurry begins, and ends with ``leave``."""
        self._taken_s = time.monotonic()

    def leave(self) -> None:
        """It is over."""
        self._taken_s = 0.0

    def give(self) -> None:
        """Wait while it is taken; not for long."""
        while self._taken_s and time.monotonic() - self._taken_s < GIVES_WAY_FOR_S:
            time.sleep(_LOOKS_EVERY_S)


class GivingWay(sqlite3.Connection):
    """Gives way before each statement."""

    right_of_way: RightOfWay

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """As ``sqlite3.Connection`` does."""
        self.right_of_way.give()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        """As ``sqlite3.Connection`` does."""
        self.right_of_way.give()
        return super().executemany(*args)


def connected(file: Path, right_of_way: RightOfWay | None) -> sqlite3.Connection:
    """A connection in autocommit mode that may go from thread to thread; it gives way where there is one to give.

    Raises:
        sqlite3.Error: the file can't be opened.
    """
    factory = sqlite3.Connection if right_of_way is None else GivingWay
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=5.0, factory=factory)
    if isinstance(connection, GivingWay) and right_of_way is not None:
        connection.right_of_way = right_of_way
    return connection
