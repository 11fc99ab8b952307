"""What each commit changes in a database's file, as images of its pages: another machine that writes them has the same database.

Read from the write-ahead log, on the thread that owns the only writing connection, right after its commit: nothing is under way then, and
the log does not begin anew before the next commit. How far the log goes stands in the wal-index, the file ending in ``-shm``
(https://sqlite.org/walformat.html, sections 2.1 and 4), and is believed only together with the log's own salt.
"""

import os
import struct
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096
_LOG_HEAD: Final = struct.Struct(">IIII8sII")
"""Magic, version, page size, checkpoint sequence, salt, two words of checksum."""
_FRAME_HEAD: Final = struct.Struct(">II8sII")
"""Page number, pages of the database after a commit or 0, salt, two words of checksum."""
_FRAME_BYTES: Final = _FRAME_HEAD.size + PAGE_BYTES
_INDEX: Final = struct.Struct("=IIIBBHII8s8s8s")
"""Version, unused, change counter, is initialized, byte order of checksums, page size, frames, pages, checksum of the last frame, salt, own checksum."""
_INDEX_VERSION: Final = 3_007_000

Pages = dict[int, bytes]
"""Page number, from 1, to its 4096 bytes."""


class CommittedPages:
    """For one open database in WAL mode."""

    def __init__(self, file: Path) -> None:
        """``file``: the database; its log has been begun.

        Raises:
            OSError: there is no log.
        """
        self._file = file
        self._log = os.open(f"{file}-wal", os.O_RDONLY)
        try:
            self._index = os.open(f"{file}-shm", os.O_RDONLY)
        except OSError:
            os.close(self._log)
            raise
        self._salt = b""
        self._frames = 0

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._log)
        os.close(self._index)

    def since_last(self) -> tuple[int, Pages]:
        """How many pages the database has now, and those that were written since the last call, as the last commit left them.

        Raises:
            OSError: the log can't be read, or says something that this does not understand.
        """
        pages_in_all, frames, salt = self._state()
        first = self._frames if salt == self._salt else 0
        changed = self._read(first, frames, salt)
        self._salt, self._frames = salt, frames
        return pages_in_all, changed

    def all_in_log(self) -> tuple[int, Pages]:
        """The same, with every page that is in the log and may not be in the file: the file's other pages stand still until they are in the log, too.

        Raises:
            OSError: as ``since_last``.
        """
        self._salt, self._frames = b"", 0
        return self.since_last()

    def _state(self) -> tuple[int, int, bytes]:
        content = os.pread(self._index, _INDEX.size, 0)
        if len(content) < _INDEX.size:
            raise OSError("the wal-index is empty")
        version, _, _, is_initialized, _, page_bytes, frames, pages_in_all, _, salt, _ = _INDEX.unpack(content)
        if version != _INDEX_VERSION or not is_initialized or page_bytes != PAGE_BYTES:
            raise OSError(
                f"expected a wal-index of version {_INDEX_VERSION} over pages of {PAGE_BYTES} bytes, found {version} over {page_bytes}"
            )
        if not frames:  # everything is in the file
            pages_in_all = self._file.stat().st_size // PAGE_BYTES
        return pages_in_all, frames, salt

    def _read(self, first: int, frames: int, salt: bytes) -> Pages:
        if first >= frames:
            return {}
        content = os.pread(self._log, _LOG_HEAD.size, 0)
        if len(content) < _LOG_HEAD.size or _LOG_HEAD.unpack(content)[4] != salt:
            raise OSError("the write-ahead log has begun anew while it was read")
        content = os.pread(self._log, (frames - first) * _FRAME_BYTES, _LOG_HEAD.size + first * _FRAME_BYTES)
        pages: Pages = {}
        for at in range(0, (frames - first) * _FRAME_BYTES, _FRAME_BYTES):
            if at + _FRAME_BYTES > len(content):
                raise OSError("the write-ahead log is shorter than its index says")
            number, _, frame_salt, _, _ = _FRAME_HEAD.unpack_from(content, at)
            if frame_salt != salt:
                raise OSError("a frame of the write-ahead log is of an earlier round")
            pages[number] = content[at + _FRAME_HEAD.size : at + _FRAME_BYTES]
        return pages
