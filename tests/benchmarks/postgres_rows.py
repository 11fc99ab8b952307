"""The peer for receipts at a steady rate: PostgreSQL, one row a transaction, durable (``synchronous_commit`` on, its default).

A cluster of its own in a folder on the same disk, asked at the same rate with the same size of row over as many connections as the center
has nodes, each encrypted: TLS over TCP, as CURVE over TCP there. Who asks and takes the time is a thread in Python as for the center's alerts
(``postgres_load``); for the record also PostgreSQL's own ``pgbench``, in C, and that over the Unix socket, in the clear, with four connections. It verifies no signature, keeps no journal, makes no incidents. Absent where
PostgreSQL is not installed.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from command_center.demonstration.household import free_port
from tests.benchmarks.postgres_load import PostgresLoad

ROW_BYTES: Final = 400
_SCRIPT: Final = f"INSERT INTO alert (wire) VALUES (decode(repeat('ab', {ROW_BYTES}), 'hex'));\n"
"""``ROW_BYTES``: an alert's envelope and what the center notes beside it."""
_USER: Final = "postgres"


def binaries() -> Path | None:
    """Where the newest PostgreSQL is; None where there is none, or nobody to run it as."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda file: int(file.parts[-3]))
    with contextlib.suppress(KeyError):
        pwd.getpwnam(_USER)
        return found[-1].parent if found and os.geteuid() == 0 else None
    return None


_CONNECTIONS_IN_THE_CLEAR: Final = 4


class Cluster:
    """It commits when it is asked."""

    def __init__(self, bin_dir: Path, folder_dir: Path, port: int, connections: int) -> None:
        self._bin_dir = bin_dir
        self._folder_dir = folder_dir
        self._port = port
        self._connections = connections
        (folder_dir / "insert.sql").write_text(_SCRIPT)

    def load(self) -> PostgresLoad:
        """Connections over TLS, driven from this process; the caller closes it."""
        return PostgresLoad(f"{self._over_tls} user={_USER} port={self._port}", self._connections, ROW_BYTES)

    @property
    def _over_tls(self) -> str:
        return f"host=127.0.0.1 sslmode=require dbname={_USER}"

    def took_ms(self, rate_per_s: int, seconds: int) -> list[float]:
        """Commits by pgbench over TLS at so many a second, for so many seconds: milliseconds of each."""
        return self._took_ms(self._over_tls, self._connections, rate_per_s, seconds)

    def took_in_the_clear_ms(self, rate_per_s: int, seconds: int) -> list[float]:
        """The same over four connections of its Unix socket."""
        return self._took_ms(f"host={self._folder_dir} dbname={_USER}", _CONNECTIONS_IN_THE_CLEAR, rate_per_s, seconds)

    def _took_ms(self, database: str, connections: int, rate_per_s: int, seconds: int) -> list[float]:
        folder_dir = self._folder_dir
        _run([self._bin_dir / "pgbench", "-n", "-c", str(connections), "-j", "1", "-R", str(rate_per_s), "-T", str(seconds), "-l",
              "--log-prefix", folder_dir / "took", "-f", folder_dir / "insert.sql", f"{database} port={self._port}"], folder_dir)  # fmt: skip
        files = list(folder_dir.glob("took.*"))
        lines = [line.split() for file in files for line in file.read_text().splitlines()]
        for file in files:
            file.unlink()
        # client, transaction, µs, script, seconds, µs, schedule lag: the lag is pgbench's own, not the commit's
        return [(int(line[2]) - int(line[6])) / 1000 for line in lines]


@contextlib.contextmanager
def cluster(connections: int) -> Iterator[Cluster | None]:
    """A cluster; None where PostgreSQL can't be run here."""
    bin_dir = binaries()
    if bin_dir is None:
        print(
            "PostgreSQL is not installed (or this is not root): its commits are not measured; scripts/install_test_tools.sh --bench"
        )
        yield None
        return
    port = free_port()
    with _cluster(bin_dir, port) as folder_dir:
        yield Cluster(bin_dir, folder_dir, port, connections)


@contextlib.contextmanager
def _cluster(bin_dir: Path, port: int) -> Iterator[Path]:
    owner = pwd.getpwnam(_USER)
    folder_dir = Path(tempfile.mkdtemp(prefix="pg-", dir=Path.cwd()))
    try:
        os.chown(folder_dir, owner.pw_uid, owner.pw_gid)
        data_dir = folder_dir / "data"
        _run([bin_dir / "initdb", "-D", data_dir, "-A", "trust", "--no-instructions"], folder_dir)
        _run(["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost", "-keyout", data_dir / "server.key",
              "-out", data_dir / "server.crt"], folder_dir)  # fmt: skip
        _run(
            [
                bin_dir / "pg_ctl",
                "-D",
                data_dir,
                "-w",
                "-l",
                folder_dir / "log",
                "-o",
                f"-k {folder_dir} -h 127.0.0.1 -p {port} -c ssl=on",
                "start",
            ],
            folder_dir,
        )
        try:
            sql = "CREATE TABLE alert (id bigserial PRIMARY KEY, wire bytea NOT NULL)"
            _run([bin_dir / "psql", "-h", folder_dir, "-p", str(port), "-q", "-c", sql, "postgres"], folder_dir)
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
