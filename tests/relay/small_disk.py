"""A disk that is soon full: a tmpfs of a given size, and what fills the rest of it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder_dir: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of this size under a folder that is made for it; skips the test where none may be mounted."""
    folder_dir.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder_dir)]
    if os.geteuid() != 0 or subprocess.run(mount).returncode:
        pytest.skip("needs root to mount a small tmpfs")
    try:
        yield folder_dir
    finally:
        subprocess.run(["umount", "-l", folder_dir], check=True)


def fill(disk_dir: Path) -> Path:
    """Somebody else's file, which takes every byte that is left."""
    filler_file = disk_dir / "somebody-elses.log"
    with filler_file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            continue
    assert os.statvfs(disk_dir).f_bavail == 0, "the disk is full indeed"
    return filler_file
