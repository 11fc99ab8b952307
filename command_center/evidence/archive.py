"""Writes the bag into a ZIP, file after file, with each one's SHA-256 on the way. What is in memory is some pieces of a file.

Large pieces are hashed on a thread of their own while they are written, and what was written is brought to the disk in the meantime:
hashing, writing and the disk each take about as long for a clip, one after another three times that.
"""

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

from command_center.evidence.progress import Progress
from command_center.evidence.verifier import bag
from command_center.evidence.verifier.zip_form import LIMIT, Member, local_header, trailer
from relay.errors import OperatorError
from relay.identity import sync_dir

PIECE_BYTES: Final = 1 << 20
_APART_BYTES: Final = 1 << 16
"""Pieces of this size and more are worth a thread: waking it costs what hashing some kilobytes does."""
_MOST_WAITING: Final = 8
_BEHIND_BYTES: Final = 64 << 20


class ArchiveWriter:
    """One ZIP in its one form (``verifier/zip_form``)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._members: list[Member] = []
        self._offset = 0
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="bag hashing")
        self._flushing = ThreadPoolExecutor(1, thread_name_prefix="bag flushing")
        self._flushed: Future[None] | None = None
        self._unflushed = 0

    @classmethod
    def resumed(cls, stream: BinaryIO, members: Sequence[Member]) -> "ArchiveWriter":
        """Go on behind the members that are there, over the old directory."""
        writer = cls(stream)
        writer._members = list(members)
        writer._offset = members[-1].data_offset + members[-1].size
        stream.seek(writer._offset)
        return writer

    def add(self, name: str, pieces: Iterable[bytes], size: int | None = None) -> tuple[bytes, int]:
        """Write one file; returns its SHA-256 and size.

        Args:
            name: within the archive.
            pieces: its content.
            size: where known; a file of 4 GiB and more must say it, its header is longer.
        """
        start, digest, crc, written = self._offset, hashlib.sha256(), 0, 0
        waiting: deque[Future[None]] = deque()
        self._stream.write(local_header(name, size or 0, 0))
        for piece in pieces:
            if len(piece) >= _APART_BYTES:
                waiting.append(self._hashing.submit(digest.update, piece))
            else:
                _drain(waiting, 0)
                digest.update(piece)
            crc = zlib.crc32(piece, crc)
            written += len(piece)
            self._stream.write(piece)
            self._flush_behind(len(piece))
            _drain(waiting, _MOST_WAITING)
        _drain(waiting, 0)
        if (size is not None and written != size) or (size is None and written >= LIMIT):
            raise OperatorError(f"expected {size} bytes for {name}, found {written}: it changed while it was exported")
        header = local_header(name, written, crc)
        self._stream.seek(start)
        self._stream.write(header)
        self._offset = start + len(header) + written
        self._stream.seek(self._offset)
        self._members.append(Member(name, written, crc, start))
        return digest.digest(), written

    def finish(self) -> None:
        """Write the directory at its end."""
        for piece in trailer(self._members, self._offset):
            self._stream.write(piece)
        if self._flushed is not None:
            self._flushed.result()  # the kernel tells an error once: the caller's own fsync would not hear of it again
        self.close()

    def close(self) -> None:
        """Let go of the threads."""
        self._hashing.shutdown()
        self._flushing.shutdown()

    def _flush_behind(self, more: int) -> None:
        """Have the disk begin with what was written, so that the last fsync has little left to do."""
        self._unflushed += more
        if self._unflushed < _BEHIND_BYTES or (self._flushed is not None and not self._flushed.done()):
            return
        if self._flushed is not None:
            self._flushed.result()
        self._unflushed = 0
        self._stream.flush()
        self._flushed = self._flushing.submit(os.fdatasync, self._stream.fileno())


def _drain(waiting: deque[Future[None]], most: int) -> None:
    while len(waiting) > most:
        waiting.popleft().result()


class BagWriter:
    """One bag: payload first, then manifests, then the center's signature over them."""

    def __init__(self, stream: BinaryIO, name: str, progress: Progress | None = None) -> None:
        self._archive = ArchiveWriter(stream)
        self.name = name
        self.progress = progress or Progress()
        self._hashes: dict[str, str] = {}
        self._size_bytes = 0

    def add(self, name: str, content: bytes | Iterable[bytes], size: int | None = None) -> bytes:
        """Write one file of the payload; returns its SHA-256."""
        pieces = [content] if isinstance(content, bytes) else content
        sha256, written = self._archive.add(f"{self.name}/data/{name}", self._counted(pieces), size)
        self._hashes[f"data/{name}"] = sha256.hex()
        self._size_bytes += written
        return sha256

    def finish(self, info: dict[str, str], center_key: bytes, sign: Callable[[bytes], bytes],
               stamp: Callable[[bytes], Mapping[str, bytes]] = lambda _: {}) -> bytes:  # fmt: skip
        """Write everything else; returns the SHA-256 of the tag manifest, on which all the rest hangs.

        ``stamp`` gives the files of a timestamp over the tag manifest, if there are any.
        """
        labels = {**info, "Payload-Oxum": f"{self._size_bytes}.{len(self._hashes)}"}
        text = "".join(f"{label}: {' '.join(value.split())}\n" for label, value in sorted(labels.items())).encode()
        tags = {"bag-info.txt": self._tag("bag-info.txt", [text]), "bagit.txt": self._tag("bagit.txt", [bag.BAGIT]),
                bag.MANIFEST: self._tag(bag.MANIFEST, _lines(self._hashes))}  # fmt: skip
        tag_manifest = b"".join(_lines(tags))
        self._tag(bag.TAG_MANIFEST, [tag_manifest])
        self._tag(bag.CENTER_PEM, [bag.pem(center_key)])
        self._tag(bag.SIGNATURE, [sign(tag_manifest)])
        for name, content in stamp(tag_manifest).items():
            self._tag(name, [content])
        self._archive.finish()
        return hashlib.sha256(tag_manifest).digest()

    def close(self) -> None:
        """Let go of the threads, however it ended."""
        self._archive.close()

    def _counted(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        for piece in pieces:
            yield piece
            self.progress.advance(len(piece))

    def _tag(self, name: str, pieces: Iterable[bytes]) -> str:
        return self._archive.add(f"{self.name}/{name}", pieces)[0].hex()


def _lines(hashes: dict[str, str]) -> Iterable[bytes]:
    for name in sorted(hashes):
        yield f"{hashes[name]}  {name}\n".encode()


def require_free(target_file: Path) -> None:
    """Refuse to overwrite, before any work is done.

    Raises:
        OperatorError: there is something of that name, or no folder for it.
    """
    if os.path.lexists(target_file):
        raise OperatorError(
            f"{target_file} is there already and is never overwritten: choose another name, or move it away"
        )
    if not target_file.parent.is_dir():
        raise OperatorError(
            f"expected a folder {target_file.parent} to export into, found none: make it, or choose another"
        )


def put_in_place(partial_file: Path, target_file: Path) -> None:
    """Give a finished, fsynced file its name, durably; a power cut leaves the old state or the new one.

    The name is taken first with an empty file, which no check lets pass, so that two exports can't overwrite each other.

    Raises:
        OperatorError: something of that name appeared meanwhile.
    """
    try:
        os.close(os.open(target_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        require_free(target_file)
        raise
    partial_file.rename(target_file)
    sync_dir(target_file.parent)
