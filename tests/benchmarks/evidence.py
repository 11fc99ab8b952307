"""What proof costs: journal, export and verification, beside the bare hashing and copying that they can't do without.

``HEARD_BENCH_MIB`` sets how much the clips weigh together (2048 if not given, which the targets are stated for).
"""

import asyncio
import contextlib
import hashlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from command_center import exhibits, facts, journal
from command_center.facts import ObjectStored
from relay.header import Kind
from relay.kinds.exhibit import Exhibit, ExhibitItem
from tests.benchmarks.figure import Figure, rate
from tests.command_center.house import House, running_center

ENTRIES = 5_000
PAYLOAD = os.urandom(400)
ALERTS, CLIPS = 1_000, 250
CLIPS_MIB = int(os.environ.get("HEARD_BENCH_MIB", "2048"))
MEMORY_LIMIT_MIB = 200


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, contextlib.closing(
        sqlite3.connect(Path(name) / "journal.sqlite", isolation_level=None)
    ) as connection:  # fmt: skip
        connection.execute("PRAGMA journal_mode = WAL")
        for step in journal.SCHEMA:
            connection.executescript(step)
        connection.execute("BEGIN")
        at = time.perf_counter()
        for number in range(ENTRIES):
            journal.append(
                connection, at_ms=number, kind="alert", actor="node:1", subject="incident:1", payload=PAYLOAD
            )
        appended = ENTRIES / (time.perf_counter() - at)
        connection.execute("COMMIT")
    hashed = rate(lambda: hashlib.sha256(PAYLOAD).digest())
    inserted = _bare_insert()
    return [
        Figure(name="journal append (entry, leaf and tree)", value=appended, unit="/s", peer="bare SQLite insert, no tree",
               peer_value=inserted),
        Figure(name="journal append", value=appended, unit="/s", peer="bare SHA-256 of the payload", peer_value=hashed),
        *_export_and_verify(),
    ]  # fmt: skip


def _export_and_verify() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder_dir = Path(name)
        asyncio.run(_fill(folder_dir / "center"))
        blobs = sorted(str(file) for file in (folder_dir / "center/blobs").rglob("*") if file.is_file())
        (folder_dir / "copy").mkdir()
        program = [sys.executable, "-c", "from command_center.entry import main; main()"]
        runs: dict[str, list[float]] = {"hash": [], "hash and copy": [], "export": [], "verify": []}
        for turn in range(3):
            bag_file = folder_dir / f"{turn}.zip"
            hashing = _seconds(["sha256sum", *blobs])
            runs["hash"].append(hashing)
            copying = f"cp -r {folder_dir / 'center/blobs'} {folder_dir / 'copy' / str(turn)} && sync {folder_dir / 'copy' / str(turn)}/*/*"
            runs["hash and copy"].append(hashing + _seconds(["sh", "-c", copying]))
            runs["export"].append(
                _seconds([*program, "export", "--all", "--to", str(bag_file), "--state", str(folder_dir / "center")])
            )
            runs["verify"].append(_seconds([*program, "verify", str(bag_file)]))
            bag_file.unlink()
            shutil.rmtree(folder_dir / "copy" / str(turn))
        memory_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    best = {what: min(times) for what, times in runs.items()}
    size = f"{ALERTS} alerts, {CLIPS_MIB} MiB"
    return [
        Figure(name=f"export of {size}", value=best["export"], unit="s", peer="sha256sum and cp of the same clips",
               peer_value=best["hash and copy"], target_ratio=1.3, is_more_better=False),
        Figure(name=f"verify of {size}", value=best["verify"], unit="s", peer="sha256sum of the same clips",
               peer_value=best["hash"], target_ratio=1.2, is_more_better=False),
        Figure(name="memory of export and verify", value=memory_mib, unit="MiB", peer="limit", peer_value=MEMORY_LIMIT_MIB,
               target_ratio=1.0, is_more_better=False),
    ]  # fmt: skip


def _seconds(command: list[str]) -> float:
    at = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - at


async def _fill(root_dir: Path) -> None:
    """Alerts and exhibits through ingest; the clips' bytes straight into the store, as ``assemble`` leaves them."""
    async with running_center(root_dir) as house:
        node = house.node("gate")
        for number in range(ALERTS):
            alert = node.alert(camera=f"cam{number % 50}")
            await house.deliver(node, alert)
            if number < CLIPS:
                block = os.urandom(1 << 16)
                count = CLIPS_MIB * (1 << 20) // CLIPS // len(block)
                digest = hashlib.sha256()
                for _ in range(count):
                    digest.update(block)
                item = ExhibitItem(media_type="video/mp4", sha256=digest.digest(), size_bytes=count * len(block), chunk_bytes=4096,
                                   width_px=640, height_px=360, captured_wall_ms=1, captured_monotonic_ms=1)  # fmt: skip
                await house.deliver(node, node.body(Kind.EXHIBIT, Exhibit(alert_id=alert.id, items=(item,))))
                house.services.blobs.write(item.sha256, (block for _ in range(count)))
                await house.database.run(lambda connection, item=item: _settle(connection, house, item))  # type: ignore[misc]


def _settle(connection: sqlite3.Connection, house: House, item: ExhibitItem) -> None:
    fact = ObjectStored(sha256=item.sha256, size_bytes=item.size_bytes, media_type=item.media_type)
    journal.append(connection, at_ms=house.clock.wall_ms(), kind="object-stored", actor="center",
                   subject=f"object:{item.sha256.hex()}", payload=facts.encode(fact))  # fmt: skip
    exhibits.note_stored(connection, item.sha256, item.size_bytes, item.media_type, house.clock.wall_ms())


def _bare_insert() -> float:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, kind TEXT, payload BLOB)")
        at = time.perf_counter()
        for _ in range(ENTRIES):
            connection.execute("INSERT INTO entry (kind, payload) VALUES ('alert', ?)", (PAYLOAD,))
        return ENTRIES / (time.perf_counter() - at)
