"""A relay that holds 1,000,000 envelopes: its memory, and how long it takes to start. Fills a spool of 600 MB first: minutes.

The relay is the real program, ``alert-relay run``, with a path to a center that nobody has started: what it holds stays.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
import psutil

from relay import door
from relay import envelope as envelopes
from relay.clock import SystemClock
from relay.database import Database
from relay.enrollment import Enrollment
from relay.errors import HeardError
from relay.header import Kind
from relay.identity import Identity
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.precedence import Precedence
from relay.spool import SCHEMA, Draft, Spool
from relay.spool_room import SpoolLimits
from relay.status import StationStatus
from tests.benchmarks.figure import Figure
from tests.relay.house import House

HELD: Final = int(os.environ.get("HEARD_BENCH_HELD", "1000000"))
MAX_RSS_MB: Final = 150
MAX_START_S: Final = 2.0
WATCH_S: Final = 20.0
_TOGETHER: Final = 5_000


def measure() -> list[Figure]:
    """Fill, start, watch."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        relay_dir = _relay_with_a_full_spool(Path(name))
        rss_empty_mb, start_empty_s, _ = _run_relay(_enrolled(Path(name) / "empty"))
        rss_mb, start_s, backlog = _run_relay(relay_dir)
    assert backlog == HELD, f"expected {HELD} envelopes in custody, found {backlog}"
    return [
        Figure(name=f"relay holding {HELD:,} envelopes, peak RSS over {WATCH_S:.0f} s", value=rss_mb, unit="MB", peer="bound",
               peer_value=MAX_RSS_MB, target_ratio=1.0, is_more_better=False),
        Figure(name="the same against an empty relay", value=rss_mb, unit="MB", peer="empty relay", peer_value=rss_empty_mb),
        Figure(name="process start to answering at its door", value=start_s, unit="s", peer="bound", peer_value=MAX_START_S,
               target_ratio=1.0, is_more_better=False),
        Figure(name="the same against an empty relay", value=start_s, unit="s", peer="empty relay", peer_value=start_empty_s),
    ]  # fmt: skip


def _enrolled(root_dir: Path) -> Path:
    """A relay's folder with keys, passports and a configuration."""
    house = House(root_dir)
    for name, role in (("relay", Role.RELAY), ("center", Role.CENTER)):
        house.dir_of(name).mkdir(parents=True)
        house.enroll(name, role)
    relay_dir = house.dir_of("relay")
    Enrollment(
        authority_signing_key=house.authority.signing_key, authority_sealing_key=house.authority.sealing_key,
        passport=house.passports["relay"].wire, peers=(house.passports["center"].wire,),
    ).save(relay_dir)  # fmt: skip
    (relay_dir / "relay.toml").write_text(
        'state_dir = "."\n[[listen]]\nendpoint = "tcp://127.0.0.1:0"\n'
        '[[path]]\nname = "up"\nendpoint = "tcp://127.0.0.1:9"\npeer = "center"\n'
        "[spool]\ncapacity_bytes = 8_000_000_000\n",
        encoding="utf-8",
    )
    return relay_dir


def _relay_with_a_full_spool(root_dir: Path) -> Path:
    """Alerts of one camera, signed and sealed, carried into the relay's spool by its own code."""
    relay_dir = _enrolled(root_dir)
    camera, authority, clock = Identity.generate(), Identity.generate(), SystemClock()
    (root_dir / "camera").mkdir()
    its_own = Database.open(root_dir / "camera" / "spool.sqlite", parts={"spool": SCHEMA})
    theirs = Database.open(relay_dir / "spool.sqlite", parts={"spool": SCHEMA})
    limits = SpoolLimits(capacity_bytes=8_000_000_000, node_share=1.0)
    camera_spool = Spool(identity=camera, clock=clock, limits=limits)
    relay_spool = Spool(identity=Identity.load(relay_dir / "identity.key"), clock=clock, limits=limits)
    its_own.run_blocking(camera_spool.start)
    theirs.run_blocking(relay_spool.start)
    body = Alert(label="handgun", camera="gate", zone="yard", confidence=0.9, rule=Rule.CLASS_OF_INTEREST).encode()
    draft = Draft(kind=Kind.ALERT, precedence=Precedence.IMMEDIATE, body=body, peer_sealing_key=authority.sealing_key)
    for _ in range(HELD // _TOGETHER):
        put = its_own.run_blocking(lambda connection: [camera_spool.put(connection, draft) for _ in range(_TOGETHER)])
        wires = [item.envelope.wire for item in put]
        theirs.run_blocking(
            lambda connection, wires=wires: [relay_spool.carry(connection, envelopes.parse(wire)) for wire in wires]  # type: ignore[misc]
        )
        its_own.run_blocking(lambda connection: connection.execute("DELETE FROM envelope"))
    its_own.close()
    theirs.close()
    return relay_dir


def _run_relay(relay_dir: Path) -> tuple[float, float, int]:
    """Peak RSS in MB over a while, seconds from process start to the first answer at its door, and what waits."""
    program = [str(Path(sys.executable).parent / "alert-relay"), "run", "--config", str(relay_dir / "relay.toml")]
    with (relay_dir / "log").open("wb") as log_file:
        started_s = time.monotonic()
        process = subprocess.Popen(program, stdout=log_file, stderr=log_file)
        try:
            _wait_for_door(relay_dir, process)
            start_s, peak_bytes = time.monotonic() - started_s, 0
            while time.monotonic() < started_s + WATCH_S:
                peak_bytes = max(peak_bytes, psutil.Process(process.pid).memory_info().rss)
                time.sleep(0.25)
            backlog = door_status(relay_dir)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
    return peak_bytes / 1e6, start_s, backlog


def _wait_for_door(relay_dir: Path, process: "subprocess.Popen[bytes]", within_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        assert process.poll() is None, (relay_dir / "log").read_text(encoding="utf-8")
        try:
            door.ask(relay_dir, "ping")
        except HeardError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the relay did not answer at its door")


def door_status(relay_dir: Path) -> int:
    """How many alerts wait."""
    return msgspec.json.decode(door.ask(relay_dir, "status"), type=StationStatus).backlog[Precedence.IMMEDIATE]
