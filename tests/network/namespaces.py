"""Network namespaces: make, enter, delete. Needs root; whoever calls asks ``can_make`` first."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)


def ip(*words: str, inside: str = "") -> None:
    """Run ``ip``, in a namespace if one is named.

    Raises:
        RuntimeError: it failed; the message says why.
    """
    command = ["ip", *(("-n", inside) if inside else ()), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def can_make() -> bool:
    """Whether this process may make namespaces and TUN devices here."""
    if os.geteuid() != 0 or shutil.which("ip") is None or not Path("/dev/net/tun").exists():
        return False
    name = f"heard-{uuid.uuid4().hex[:8]}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return False
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return True


@contextlib.contextmanager
def made(places: list[str]) -> Iterator[dict[str, str]]:
    """A namespace of its own for each place, gone afterwards. Gives the namespaces' names by place."""
    tag = uuid.uuid4().hex[:6]
    names = {place: f"heard-{tag}-{place}" for place in places}
    try:
        for name in names.values():
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", inside=name)
            with entered(name):
                for setting in Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter"):
                    setting.write_text("0")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """This thread is inside a namespace for the block. Sockets and devices opened there stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _set(there)
        finally:
            os.close(there)
        yield
    finally:
        _set(home)
        os.close(home)


def _set(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
