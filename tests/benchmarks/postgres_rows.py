"""The peer for receipts at a steady rate: PostgreSQL, one row a transaction, durable (``synchronous_commit`` on, its default).

A cluster of its own in a folder on the same disk, asked at the same rate with the same size of row over as many connections as the center
has nodes, each encrypted: TLS over TCP. It verifies no signature, keeps no journal, makes no incidents. Absent where PostgreSQL is not installed.
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
from tests.benchmarks.postgres_load import PostgresLoad, PostgresProgram

ROW_BYTES: Final = 400
"""An alert's envelope and what the center notes beside it."""
_USER: Final = "postgres"


def binaries() -> Path | None:
    """Where the newest PostgreSQL is; None where there is none, or nobody to run it as."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    with contextlib.suppress(KeyError):
        pwd.getpwnam(_USER)
        return found[-1].parent if found and os.geteuid() == 0 else None
    return None


class Cluster:
    """It commits when it is asked."""

    def __init__(self, port: int, connections: int) -> None:
        self._database = f"host=127.0.0.1 sslmode=require dbname={_USER} user={_USER} port={port}"
        self._connections = connections

    def load(self) -> PostgresLoad:
        """By the least that a program in Python can do; the caller closes it."""
        return PostgresLoad(self._database, self._connections, ROW_BYTES)

    async def program(self, *, autocommit: bool) -> PostgresProgram:
        """As programs in Python do; the caller closes it."""
        return await PostgresProgram.connected(self._database, self._connections, ROW_BYTES, autocommit=autocommit)


@contextlib.contextmanager
def cluster(connections: int, *, has_standby: bool = False) -> Iterator[Cluster | None]:
    """A cluster; None where PostgreSQL can't be run here. ``has_standby``: a commit waits for a second one's disk, too (``synchronous_standby_names``)."""
    bin_dir = binaries()
    if bin_dir is None:
        print(
            "PostgreSQL is not installed (or this is not root): its commits are not measured; scripts/install_test_tools.sh --bench"
        )
        yield None
        return
    port = free_port()
    with _cluster(bin_dir, port, has_standby=has_standby):
        yield Cluster(port, connections)


@contextlib.contextmanager
def _cluster(bin_dir: Path, port: int, *, has_standby: bool) -> Iterator[None]:
    owner = pwd.getpwnam(_USER)
    folder_dir = Path(tempfile.mkdtemp(prefix="pg-", dir=Path.cwd()))
    try:
        os.chown(folder_dir, owner.pw_uid, owner.pw_gid)
        data_dir = folder_dir / "data"
        _run([bin_dir / "initdb", "-D", data_dir, "-A", "trust", "--no-instructions"], folder_dir)
        _run(["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost", "-keyout", data_dir / "server.key",
              "-out", data_dir / "server.crt"], folder_dir)  # fmt: skip
        with _server(bin_dir, data_dir, folder_dir, port), contextlib.ExitStack() as stack:
            _sql(bin_dir, folder_dir, port, "CREATE TABLE alert (id bigserial PRIMARY KEY, wire bytea NOT NULL)")
            if has_standby:
                copy_dir, copy_port = folder_dir / "copy", free_port()
                _run([bin_dir / "pg_basebackup", "-h", folder_dir, "-p", str(port), "-U", _USER, "-D", copy_dir, "-R", "-X", "stream",
                      "-c", "fast"], folder_dir)  # fmt: skip
                stack.enter_context(_server(bin_dir, copy_dir, folder_dir, copy_port))
                _sql(bin_dir, folder_dir, port, "ALTER SYSTEM SET synchronous_standby_names = '*'")
                _sql(bin_dir, folder_dir, port, "SELECT pg_reload_conf()")
                stack.callback(_sql, bin_dir, folder_dir, port, "ALTER SYSTEM RESET synchronous_standby_names")
            yield
    finally:
        shutil.rmtree(folder_dir, ignore_errors=True)


@contextlib.contextmanager
def _server(bin_dir: Path, data_dir: Path, folder_dir: Path, port: int) -> Iterator[None]:
    _run([bin_dir / "pg_ctl", "-D", data_dir, "-w", "-l", folder_dir / f"log-{port}", "-o",
          f"-k {folder_dir} -h 127.0.0.1 -p {port} -c ssl=on", "start"], folder_dir)  # fmt: skip
    try:
        yield
    finally:
        _run([bin_dir / "pg_ctl", "-D", data_dir, "-m", "fast", "-w", "stop"], folder_dir)


def _sql(bin_dir: Path, folder_dir: Path, port: int, sql: str) -> None:
    _run([bin_dir / "psql", "-h", folder_dir, "-p", str(port), "-q", "-c", sql, _USER], folder_dir)


def _run(command: list[str | Path], folder_dir: Path) -> None:
    done = subprocess.run(
        ["runuser", "-u", _USER, "--", *command], cwd=folder_dir, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:] or done.stdout[-500:]}")
