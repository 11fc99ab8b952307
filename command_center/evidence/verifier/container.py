"""Where a bag's files are read from: a folder, or the ZIP as it was exported. Nothing is ever written or unpacked.

Hostile names, links, compressed members and anything between or behind the members are refused before a file is opened.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol

from .errors import Unreadable, Wrong
from .zip_form import FIXED_BYTES, LIMIT, LOCAL, Member, local_header, trailer

MAX_FILES: Final = 2_000_000
MAX_NAME: Final = 200
PIECE_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


class Source(Protocol):
    """Files by name, relative to the bag's folder."""

    def names(self) -> frozenset[str]:
        """All of them."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """One file's content."""

    def close(self) -> None:
        """Let go."""


def read(source: Source, name: str, at_most: int) -> bytes:
    """A small file as a whole.

    Raises:
        Wrong: it is not there, or larger than such a file is.
    """
    if name not in source.names():
        raise Wrong(name, "expected this file, found none")
    data = b""
    for piece in source.pieces(name):
        data += piece
        if len(data) > at_most:
            raise Wrong(name, f"expected at most {at_most} bytes, found more")
    return data


def lines(source: Source, name: str, at_most: int) -> Iterator[str]:
    """A text file line by line, without newlines; each line ends with one and has at most ``at_most`` bytes."""
    if name not in source.names():
        raise Wrong(name, "expected this file, found none")
    rest = b""
    for piece in source.pieces(name):
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > at_most:
            raise Wrong(name, f"expected lines of at most {at_most} bytes")
        for line in whole:
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise Wrong(name, f"expected UTF-8: {error}") from error
    if rest:
        raise Wrong(name, "expected a newline at its end: it was cut off")


def _require_good(name: str, where: str) -> None:
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise Wrong(where, f"expected a plain relative name, found {name[:80]!r}: nothing of it was opened")


class Folder:
    """A bag that somebody unpacked."""

    def __init__(self, root_dir: Path) -> None:
        self._dir = root_dir
        self._names = frozenset(self._walk("", 0))

    def _walk(self, prefix: str, depth: int) -> Iterator[str]:
        with os.scandir(self._dir / prefix) as listing:
            items = sorted(listing, key=lambda item: item.name)
        for found in items:
            name = prefix + found.name
            _require_good(name, str(self._dir))
            if found.is_dir(follow_symlinks=False) and depth < 8:
                yield from self._walk(name + "/", depth + 1)
            elif found.is_file(follow_symlinks=False):
                yield name
            else:
                raise Wrong(name, "expected a regular file, found a link, a device or too many folders in each other")

    def names(self) -> frozenset[str]:
        """All of them."""
        return self._names

    def pieces(self, name: str) -> Iterator[bytes]:
        """One file's content."""
        try:
            with (self._dir / name).open("rb", buffering=0) as stream:
                while piece := stream.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise Wrong(name, f"can't be read: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is held."""


class Archive:
    """The ZIP as it was exported, byte for byte."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: BinaryIO = file.open("rb", buffering=0)
        try:
            self._size = os.fstat(self._stream.fileno()).st_size
            self.members: tuple[Member, ...] = ()
            """As they lie in the archive."""
            self._members = self._parse()
            self._names = frozenset(self._members)
        except BaseException:  # whatever it was goes on; the file does not stay open
            self._stream.close()
            raise

    def _parse(self) -> dict[str, Member]:
        members: list[Member] = []
        seen: set[str] = set()
        offset = 0
        while (fixed := self._at(offset, FIXED_BYTES))[:4] == LOCAL:
            member, offset = self._member(fixed, offset)
            if member.name in seen:
                raise Wrong(member.name, f"expected each name once: it comes again at byte {member.offset}")
            seen.add(member.name)
            members.append(member)
            if len(members) > MAX_FILES:
                raise Wrong(self._file.name, f"expected at most {MAX_FILES} files")
        if not members:
            raise Unreadable(self._file.name, "expected a ZIP that command-center export wrote, found something else")
        end = offset
        for piece in trailer(members, offset):
            if self._at(end, len(piece)) != piece:
                raise Wrong(
                    self._file.name, f"bytes {end} to {end + len(piece) - 1}: the directory was changed or cut off"
                )
            end += len(piece)
        if end != self._size:
            raise Wrong(self._file.name, f"bytes {end} to {self._size - 1}: {self._size - end} bytes too many")
        tops = {name.partition("/")[0] for name in seen}
        if len(tops) != 1:
            raise Wrong(self._file.name, f"expected one folder at the top, found {len(tops)}")
        self.members, self.top = tuple(members), min(tops)
        return {member.name.partition("/")[2]: member for member in members}

    def _member(self, fixed: bytes, offset: int) -> tuple[Member, int]:
        where = f"{self._file.name}, byte {offset}"
        if len(fixed) < FIXED_BYTES:
            raise Wrong(where, "it was cut off")
        _, _, _, method, _, _, crc, size, _, name_bytes, extra_bytes = struct.unpack("<4sHHHHHIIIHH", fixed)
        if method:
            raise Unreadable(where, f"expected stored files, found compression method {method}: this is not the archive "
                                    "as it was exported; unpack it and verify the folder")  # fmt: skip
        label = self._at(offset + FIXED_BYTES, name_bytes)
        try:
            name = label.decode("ascii")
        except UnicodeDecodeError:
            raise Wrong(where, "expected a plain name") from None
        top, _, inside = name.partition("/")
        _require_good(name, where)
        if not top or not inside:
            raise Wrong(where, f"expected a file within the bag's folder, found {name!r}")
        if size == LIMIT:
            extra = self._at(offset + FIXED_BYTES + name_bytes, extra_bytes)
            if len(extra) != 20:
                raise Wrong(where, "expected a 64-bit size")
            size = int(struct.unpack_from("<Q", extra, 4)[0])
        header = local_header(name, size, crc)
        if self._at(offset, len(header)) != header:
            raise Wrong(name, f"its header, bytes {offset} to {offset + len(header) - 1} of the archive, was changed")
        end = offset + len(header) + size
        if end > self._size:
            raise Wrong(name, f"expected {size} bytes, found {self._size - offset - len(header)}: it was cut off")
        return Member(name, size, crc, offset), end

    def _at(self, offset: int, size: int) -> bytes:
        return os.pread(self._stream.fileno(), size, offset)

    def names(self) -> frozenset[str]:
        """All of them."""
        return self._names

    def pieces(self, name: str) -> Iterator[bytes]:
        """One file's content; its checksum is judged at the end."""
        member = self._members[name]
        at, end, crc = member.data_offset, member.data_offset + member.size, 0
        while at < end:
            piece = self._at(at, min(PIECE_BYTES, end - at))
            if not piece:
                raise Wrong(name, "the archive ends within it")
            at += len(piece)
            crc = zlib.crc32(piece, crc)
            yield piece
        if crc != member.crc:
            raise Wrong(name, f"changed within bytes {member.data_offset} to {end - 1} of the archive")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class Opened:
    """A bag for the length of a block.

    Raises:
        Unreadable: there is none at this place.
    """

    def __init__(self, place: Path) -> None:
        try:
            self.source: Source = Folder(place) if place.is_dir() else Archive(place)
        except OSError as error:
            raise Unreadable(str(place), f"can't be read: {error.strerror or error}") from error

    def __enter__(self) -> Source:
        return self.source

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()
