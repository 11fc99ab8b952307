"""The other end of ``durability``: a bare center with its ledger and its disk, in a process of its own as in the field.

Verifies, stores, receipts; no journal and no incidents. Run as ``python -m tests.benchmarks.durable_center HOUSEDIR PORTFILE``, with the
house that was settled there; ends when it is terminated.
"""

import asyncio
import contextlib
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from relay.arrival import Arrival
from relay.config import ListenConfig, SpoolConfig, StationConfig
from relay.station import Station
from relay.verifiers import worth_having


class _Ledgered:
    """The ledger keeps the ids, and that is all: a million arrivals must not stay in memory."""

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        """Nothing more to store."""

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        """Nobody to tell."""


async def serve(house_dir: Path, port_file: Path) -> None:
    config = StationConfig(state_dir=house_dir / "center", listen=(ListenConfig(endpoint="tcp://127.0.0.1:0"),),
                           spool=SpoolConfig(ballast_bytes=0))  # fmt: skip
    async with Station.open(config, inbox=_Ledgered(), verifiers=worth_having()) as station:
        port_file.write_text(station.listening_on[0])  # noqa: ASYNC240  once, and nobody waits yet
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await ended


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(*map(Path, sys.argv[1:])))
