"""The peer for receipts at a steady rate: PostgreSQL, one row a transaction, durable (``synchronous_commit`` on, its default).

A cluster of its own in a folder on the same disk, driven by PostgreSQL's own ``pgbench`` at the same rate with the same size of
row. It verifies no signature, keeps no journal, makes no incidents. Absent where PostgreSQL is not installed.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_SCRIPT: Final = "INSERT INTO alert (wire) VALUES (decode(repeat('ab', 400), 'hex'));\n"
"""400 bytes: an alert's envelope and what the center notes beside it."""
_USER: Final = "postgres"


def binaries() -> Path | None:
    """Where the newest PostgreSQL is; None where there is none, or nobody to run it as."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda file: int(file.parts[-3]))
    with contextlib.suppress(KeyError):
        pwd.getpwnam(_USER)
        return found[-1].parent if found and os.geteuid() == 0 else None
    return None


TookMs = Callable[[int, int], list[float]]
"""Commits at so many a second, for so many seconds: milliseconds of each."""


@contextlib.contextmanager
def cluster(connections: int = 4) -> Iterator[TookMs | None]:
    """A cluster that commits when it is asked; None where PostgreSQL can't be run here."""
    bin_dir = binaries()
    if bin_dir is None:
        print(
            "PostgreSQL is not installed (or this is not root): its commits are not measured; scripts/install_test_tools.sh --bench"
        )
        yield None
        return
    with _cluster(bin_dir) as folder_dir:
        (folder_dir / "insert.sql").write_text(_SCRIPT)

        def took_ms(rate_per_s: int, seconds: int) -> list[float]:
            _run([bin_dir / "pgbench", "-h", folder_dir, "-n", "-c", str(connections), "-j", "1", "-R", str(rate_per_s), "-T",
                  str(seconds), "-l", "--log-prefix", folder_dir / "took", "-f", folder_dir / "insert.sql", "postgres"], folder_dir)  # fmt: skip
            files = list(folder_dir.glob("took.*"))
            lines = [line.split() for file in files for line in file.read_text().splitlines()]
            for file in files:
                file.unlink()
            # client, transaction, µs, script, seconds, µs, schedule lag: the lag is pgbench's own, not the commit's
            return [(int(line[2]) - int(line[6])) / 1000 for line in lines]

        yield took_ms


@contextlib.contextmanager
def _cluster(bin_dir: Path) -> Iterator[Path]:
    owner = pwd.getpwnam(_USER)
    folder_dir = Path(tempfile.mkdtemp(prefix="pg-", dir=Path.cwd()))
    try:
        os.chown(folder_dir, owner.pw_uid, owner.pw_gid)
        data_dir = folder_dir / "data"
        _run([bin_dir / "initdb", "-D", data_dir, "-A", "trust", "--no-instructions"], folder_dir)
        _run(
            [
                bin_dir / "pg_ctl",
                "-D",
                data_dir,
                "-w",
                "-l",
                folder_dir / "log",
                "-o",
                f"-k {folder_dir} -h ''",
                "start",
            ],
            folder_dir,
        )
        try:
            sql = "CREATE TABLE alert (id bigserial PRIMARY KEY, wire bytea NOT NULL)"
            _run([bin_dir / "psql", "-h", folder_dir, "-q", "-c", sql, "postgres"], folder_dir)
            yield folder_dir
        finally:
            _run([bin_dir / "pg_ctl", "-D", data_dir, "-m", "fast", "-w", "stop"], folder_dir)
    finally:
        shutil.rmtree(folder_dir, ignore_errors=True)


def _run(command: list[str | Path], folder_dir: Path) -> None:
    done = subprocess.run(
        ["runuser", "-u", _USER, "--", *command], cwd=folder_dir, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:] or done.stdout[-500:]}")
