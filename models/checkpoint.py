"""Tells what kind of file bare weights are, without letting any library open them.

A PyTorch checkpoint is a pickle, and a pickle runs code while it is read. This file looks at bytes and at pickle
opcodes only (`pickletools` lists them and executes none). `bundle.py` asks it before weights are packed, and when
somebody hands over weights in the place of a bundle.
"""

import io
import pickletools
import struct
import zipfile
import zlib
from enum import Enum
from pathlib import Path
from typing import Final

from models.errors import BundleMalformed

MAX_PICKLE_BYTES: Final = 64 * 1024 * 1024
MAX_MEMBERS: Final = 20_000
# What `zipfile` raises on bytes that are no zip, besides its own error.
NO_ZIP: Final = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,  # a way to compress that `zipfile` does not know
    RuntimeError,
    ValueError,
    struct.error,
)
UNREADABLE: Final = (*NO_ZIP, zlib.error, OSError)  # OSError: a seek to before the start


class FileKind(Enum):
    """What the first bytes of a file say that it is."""

    ARCHIVE = "a zip archive"
    PYTORCH_ARCHIVE = "a PyTorch checkpoint"
    PICKLE = "a Python pickle"
    OTHER = "neither an archive nor a pickle"


def kind_of(file: Path) -> FileKind:
    """What a file is, judged by its bytes and not by its name."""
    with file.open("rb") as source:
        start = source.read(4)
        if start[:1] == b"\x80" and start[1:2] in (b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"):
            return FileKind.PICKLE
        if start != b"PK\x03\x04":
            return FileKind.OTHER
        source.seek(0)
        head = source.read(4096)
    # torch.save puts `<name>/data.pkl` first, so the name stands in the first local header.
    name_length = int.from_bytes(head[26:28], "little")
    first = head[30 : 30 + name_length]
    return FileKind.PYTORCH_ARCHIVE if first.endswith(b"/data.pkl") else FileKind.ARCHIVE


def refuse_legacy_checkpoint(file: Path) -> None:
    """Refuses PyTorch weights that name a module called `models`.

    YOLOv5's old checkpoints pickle classes of a package `models`, which is the name of this one. Unpickled here they
    would import the wrong code, and Ultralytics would answer the failure by trying to install something.

    Raises:
        BundleMalformed: it is such a checkpoint, or not a checkpoint at all.
    """
    named = sorted(text for text in _texts(_pickle_of(file)) if text.split(".")[0] == "models" and "." in text)
    if named:
        raise BundleMalformed(
            f"expected a checkpoint of Ultralytics 8 or later, found a legacy one that needs {named[0]} ({file}): "
            "export it to ONNX with the program that made it, and pack the ONNX file"
        )


def _pickle_of(file: Path) -> bytes:
    if kind_of(file) is FileKind.PICKLE:
        if file.stat().st_size > MAX_PICKLE_BYTES:
            raise BundleMalformed(f"expected a pickle of at most {MAX_PICKLE_BYTES} bytes: {file}")
        return file.read_bytes()
    try:
        with zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
            if len(members) != 1 or len(archive.infolist()) > MAX_MEMBERS or members[0].file_size > MAX_PICKLE_BYTES:
                raise BundleMalformed(f"expected a PyTorch checkpoint with one data.pkl: {file}")
            return archive.read(members[0])
    except UNREADABLE as error:
        raise BundleMalformed(f"expected a PyTorch checkpoint, found something else ({error}): {file}") from error


def _texts(pickled: bytes) -> set[str]:
    """Every text in a pickle's opcodes, module names among them."""
    texts: set[str] = set()
    try:
        for _, argument, _ in pickletools.genops(io.BytesIO(pickled)):
            if isinstance(argument, str):
                texts.add(argument.split(" ")[0])
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise BundleMalformed(f"expected a whole pickle, found a broken one ({error})") from error
    return texts
