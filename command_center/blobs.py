"""Files named by the SHA-256 of their content: durable before anything refers to them, never changed afterwards."""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from relay.errors import SpoolFull
from relay.identity import sync_dir


class WrongHash(Exception):
    """The content is not what its name says."""


class BlobStore:
    """One folder of blobs, ``ab/abcdef…``."""

    def __init__(self, blobs_dir: Path) -> None:
        self._dir = blobs_dir

    def file_of(self, sha256: bytes) -> Path:
        """Where a blob is, or would be."""
        name = sha256.hex()
        return self._dir / name[:2] / name

    def delete(self, sha256: bytes) -> None:
        """Delete a blob, durably; nothing happens if there is none."""
        file = self.file_of(sha256)
        file.unlink(missing_ok=True)
        if file.parent.is_dir():
            sync_dir(file.parent)

    def write(self, sha256: bytes, pieces: Iterable[bytes]) -> int:
        """Write a blob, check its hash, make it durable; returns its size. Blocking: call it on a worker thread.

        Raises:
            WrongHash: the pieces are something else; nothing is kept.
            SpoolFull: the disk has no room.
        """
        target_file = self.file_of(sha256)
        partial_file = target_file.with_suffix(".partial")
        digest, size_bytes = hashlib.sha256(), 0
        try:
            target_file.parent.mkdir(parents=True, exist_ok=True)
            with partial_file.open("wb") as stream:
                for piece in pieces:
                    digest.update(piece)
                    size_bytes += len(piece)
                    stream.write(piece)
                stream.flush()
                os.fsync(stream.fileno())
            if digest.digest() != sha256:
                raise WrongHash(f"expected SHA-256 {sha256.hex()}, found {digest.hexdigest()}")
            partial_file.rename(target_file)
            sync_dir(target_file.parent)
            sync_dir(self._dir)
        except OSError as error:
            raise SpoolFull(f"can't store a snapshot in {self._dir}: {error.strerror}; free space there") from error
        finally:
            with contextlib.suppress(OSError):
                partial_file.unlink(missing_ok=True)
        return size_bytes
