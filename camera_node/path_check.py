"""Whether a path leads anywhere: it can be made as it is written, and something listens at its address, or its modem is there.

Sends nothing. Not checked: that who listens there is its peer, or that a modem has a network; only the running node can prove
that, and ``alert-relay survey`` measures it.
"""

import asyncio
import errno
import importlib.util
import os
import socket
import stat
import urllib.parse
from pathlib import Path
from typing import Final

from camera_node.finding import Finding
from relay.clock import SystemClock
from relay.config import PathConfig
from relay.counters import Counters
from relay.enrollment import Enrollment
from relay.errors import HeardError
from relay.identity import Identity
from relay.paths import catalog
from relay.trust import TrustBook

_WITHIN_S: Final = 5.0
_PORTS: Final = {"https": 443, "http": 80, "mqtt": 1883, "mqtts": 8883, "tcp": 0, "tls": 0}


async def check(path: PathConfig, state_dir: Path) -> Finding:
    """Try it, with the keys and the passports of this node."""
    what = f"path {path.name}"
    if problem := _problem(path, state_dir):
        return Finding(what=what, is_well=False, detail=problem)
    if path.kind == "neighbor":
        has = importlib.util.find_spec("zeroconf") is not None
        return Finding(what=what, is_well=has, detail="looks for neighbors on the local network" if has
                       else "needs the neighbor extra: pip install heard[neighbor]")  # fmt: skip
    if path.endpoint.startswith("serial://"):
        return _modem(what, path.endpoint.removeprefix("serial://"))
    parts = urllib.parse.urlsplit(path.endpoint)
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        return Finding(
            what=what, is_well=False, detail=f"expected an address with scheme, host and port, found {path.endpoint}"
        )
    if parts.scheme in {"http", "https"} and (path.https.proxy or os.environ.get("HTTPS_PROXY")):
        return Finding(what=what, is_well=True, detail="goes through a proxy: only the running node can try it")
    return await _answers(what, path.endpoint, parts.hostname, port)


async def _answers(what: str, endpoint: str, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except TimeoutError:
        return Finding(what=what, is_well=False, detail=f"{endpoint} does not answer within {_WITHIN_S:g} s")
    except socket.gaierror as error:
        return Finding(what=what, is_well=False, detail=f"{host} has no address here ({error.strerror})")
    except OSError as error:
        return Finding(what=what, is_well=False, detail=f"{endpoint} can't be reached ({_reason(error)})")
    return Finding(what=what, is_well=True, detail=f"{endpoint} answers")


def _problem(path: PathConfig, state_dir: Path) -> str:
    """Why the node could not make it. Without keys nothing is found: that these are missing is said for itself."""
    try:
        identity, enrollment = Identity.load(state_dir / "identity.key"), Enrollment.load(state_dir)
        trust = TrustBook(authority=enrollment.authority, clock=SystemClock())
        for passport in (enrollment.passport, *enrollment.peers):
            trust.admit(passport)
    except HeardError:
        return ""
    try:
        catalog.dial_named(path, trust=trust, identity=identity, counters=Counters())
    except HeardError as error:
        return str(error)
    return ""


def _reason(error: OSError) -> str:
    """The system's own word; asyncio puts a call and an address into its place."""
    if error.errno == errno.ECONNREFUSED:
        return "nothing listens there: check address and port, and that the other machine runs"
    return os.strerror(error.errno) if error.errno else str(error)


def _modem(what: str, device: str) -> Finding:
    try:
        is_device = stat.S_ISCHR(Path(device).stat().st_mode)
    except OSError as error:
        return Finding(
            what=what, is_well=False, detail=f"{device} is not there ({error.strerror}): is the modem plugged in?"
        )
    if not is_device:
        return Finding(what=what, is_well=False, detail=f"expected a serial device, found a file: {device}")
    if not os.access(device, os.R_OK | os.W_OK):
        return Finding(what=what, is_well=False, detail=f"this user may not use {device}: add it to the group dialout")
    return Finding(what=what, is_well=True, detail=f"{device} is there")
