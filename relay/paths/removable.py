"""A USB stick is a path: envelopes are carried in a folder, by hand, and receipts come back the same way.

``carry`` copies what waits for its receipt into the folder; ``deliver`` hands what is in the folder to a station, and writes
the receipts that it holds beside it; ``carry`` again takes those receipts in. Nothing leaves the spool for having been copied:
a stick that is lost, or pulled out half-way, costs a walk. Each file is written under another name, fsynced and renamed, so a
torn one is never read; and everything on the stick is signed, so the stick is not trusted.

Layout of the folder::

    heard-carry/
      envelopes/<precedence>-<origin>-<series>-<sequence>-<id prefix>.env
      passports/<node id>.passport
      receipts/<origin>-<destination>-<series>.receipt
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from relay import limits
from relay.errors import Malformed, OperatorError
from relay.identity import sync_dir
from relay.ids import short
from relay.waiting import Waiting

FOLDER: Final = "heard-carry"
_ENVELOPES: Final = "envelopes"
_PASSPORTS: Final = "passports"
_RECEIPTS: Final = "receipts"
_MOST_FILES: Final = 200_000


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied onto the stick."""

    envelopes: int
    already_there: int
    bytes: int
    left_behind: int
    """Did not fit."""


class Stick:
    """The folder on the removable medium."""

    def __init__(self, medium_dir: Path) -> None:
        """Take a mounted medium, or any folder.

        Raises:
            OperatorError: it is not there, or can't be written.
        """
        if not medium_dir.is_dir():
            raise OperatorError(
                f"expected a mounted medium at {medium_dir}, found no such folder: is it plugged in and mounted?"
            )
        self._root_dir = medium_dir / FOLDER
        self.passed_over: dict[str, bool] = {}
        """Names of ours that were not read: True where a file is too large, False where it is a link, a folder or a device."""
        try:
            for name in (_ENVELOPES, _PASSPORTS, _RECEIPTS):
                (self._root_dir / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(f"can't write to {medium_dir}: {error.strerror}; is it write-protected?") from error

    def put_envelopes(self, waiting: Iterable[Waiting]) -> Written:
        """Copy envelopes, most urgent first, until all are there or the medium is full. Each file is whole or absent."""
        done = there = size = left = 0
        is_full = False
        for item in waiting:
            name = f"{int(item.precedence)}-{item.origin.hex()}-{item.series:08x}-{item.sequence:010d}-{short(item.id)}.env"
            file = self._root_dir / _ENVELOPES / name
            if file.exists():
                there += 1
                continue
            if is_full or not _write_whole(file, item.wire):
                is_full = True
                left += 1
                continue
            done += 1
            size += len(item.wire)
        self._sync()
        return Written(envelopes=done, already_there=there, bytes=size, left_behind=left)

    def put_passports(self, passports: Iterable[tuple[bytes, bytes]]) -> None:
        """Copy (node id, signed passport) pairs: who delivers may never have met the origins."""
        for node_id, wire in passports:
            _write_whole(self._root_dir / _PASSPORTS / f"{node_id.hex()}.passport", wire)
        self._sync()

    def put_receipts(self, receipts: Iterable[tuple[str, bytes]]) -> int:
        """Write receipts under their names, replacing older ones; how many. What they cover goes from the stick."""
        count = 0
        for name, wire in receipts:
            count += _write_whole(self._root_dir / _RECEIPTS / f"{name}.receipt", wire)
        self._sync()
        return count

    def envelopes(self) -> Iterator[tuple[Path, bytes]]:
        """What is on the stick: alerts before clips, then in order of origin and number.

        Raises:
            Malformed: more files than any of ours has.
        """
        return self._files(_ENVELOPES, ".env", limits.MAX_ENVELOPE_BYTES)

    def passports(self) -> Iterator[tuple[Path, bytes]]:
        """The passports on the stick; not checked."""
        return self._files(_PASSPORTS, ".passport", limits.MAX_PASSPORT_BYTES)

    def receipts(self) -> Iterator[tuple[Path, bytes]]:
        """The receipts on the stick; not checked."""
        return self._files(_RECEIPTS, ".receipt", 4096)

    def drop(self, files: Iterable[Path]) -> int:
        """Remove envelopes that have their receipt."""
        count = 0
        for file in files:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise self._gone(error) from error
            count += 1
        self._sync()
        return count

    def _files(self, folder: str, suffix: str, most_bytes: int) -> Iterator[tuple[Path, bytes]]:
        try:
            names = sorted(file.name for file in (self._root_dir / folder).iterdir() if file.name.endswith(suffix))
        except OSError as error:
            raise self._gone(error) from error
        if len(names) > _MOST_FILES:
            raise Malformed(f"expected at most {_MOST_FILES} files in {self._root_dir / folder}, found {len(names)}")
        for name in names:
            file = self._root_dir / folder / name
            # Neither a link nor a device: a stick may come from a stranger.
            try:
                is_file = not file.is_symlink() and file.is_file()
                if not is_file or file.stat().st_size > most_bytes:
                    self.passed_over[f"{folder}/{name}"] = is_file
                    continue
                data = file.read_bytes()
            except OSError as error:
                raise self._gone(error) from error
            yield file, data

    def _sync(self) -> None:
        try:
            for name in (_ENVELOPES, _PASSPORTS, _RECEIPTS):
                sync_dir(self._root_dir / name)
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: OSError) -> OperatorError:
        return OperatorError(
            f"{self._root_dir} can't be used any more ({error.strerror}): was the medium pulled out? Nothing is lost: what was copied is "
            "whole, and all of it is still in the spool. Plug it in and say the same again"
        )


def _write_whole(file: Path, data: bytes) -> bool:
    """Write, fsync, rename. False if the medium is full or gone; then no half file is left under the real name."""
    temporary_file = file.with_name(f".{file.name}.part")
    try:
        with temporary_file.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary_file.replace(file)
    except OSError:
        try:
            temporary_file.unlink(missing_ok=True)
        except OSError:  # the stick was pulled out: nothing can be tidied there any more
            return False
        return False
    return True
