"""Room on the disk that is kept for alerts: a file beside the spool, given up when the disk is full.

The spool's own reserve is a share of what the spool may hold. It helps nobody where something else has filled the disk; then this file is
what is left. It is really allocated (``posix_fallocate``), not sparse; a file system that compresses zeros away keeps less. ``database``
gives it up inside the commit that found no room, and tries that commit once more; from then on ``spool_room`` takes in alerts and
heartbeats only, until ``upkeep`` finds room for the file again, with as much left over.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

_ROOM_NEEDED: Final = 2
"""Times its size must be free before it is taken: at the edge it would be given up again at once."""


class Ballast:
    """One file. Used on the database's thread, and before that starts."""

    def __init__(self, file: Path, size_bytes: int) -> None:
        """``size_bytes`` 0: none is wanted, and the disk never counts as short."""
        self._file = file
        self._size_bytes = size_bytes
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """Whether there is something to give up."""
        return self._is_held

    @property
    def is_short(self) -> bool:
        """Whether it is wanted and not there: what room is left is for alerts."""
        return bool(self._size_bytes) and not self._is_held

    def take(self) -> bool:
        """Have it, if the disk has room; whether it is there now. Never raises: without it the disk counts as short."""
        if not self._size_bytes or self._is_held:
            return self._is_held
        with contextlib.suppress(OSError):
            if self._file.is_file() and self._file.stat().st_blocks * 512 >= self._size_bytes:
                self._is_held = True  # of an earlier run: it may be all that is left
                return True
            if shutil.disk_usage(self._file.parent).free < _ROOM_NEEDED * self._size_bytes:
                return False
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size_bytes)
                os.fsync(descriptor)
                self._is_held = True
            finally:
                os.close(descriptor)
                if not self._is_held:
                    self._file.unlink(missing_ok=True)
        return self._is_held

    def give_up(self) -> bool:
        """Free its room; whether there was any to free."""
        if not self._is_held:
            return False
        self._is_held = False
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        return True
