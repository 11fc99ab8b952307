"""The relay's costs: signing, checking, committing, and the bytes on the wire."""

import asyncio
import hashlib
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from nacl.signing import SigningKey

from relay import envelope as envelopes
from relay import receipt
from relay.clock import ClockQuality, SystemClock
from relay.database import Database
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.kinds.alert import Alert, Rule
from relay.limits import LORA_FRAME_BYTES
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.spool import SCHEMA, Draft, Spool
from tests.benchmarks.figure import Figure, percentile, rate

ROW_BYTES = 1024


def measure() -> list[Figure]:
    return [*_signatures(), *_commits(), *_sizes()]


def _alert_body() -> bytes:
    return Alert(label="handgun", camera="gate", zone="yard", confidence=0.9, rule=Rule.CLASS_OF_INTEREST).encode()


def _header(identity: Identity, body: bytes) -> Header:
    return Header(kind=Kind.ALERT, quality=ClockQuality.SYNCHRONIZED, precedence=Precedence.FLASH, origin=identity.node_id,
                  destination=AUTHORITY, series=1, boot=1, sequence=1, wall_ms=1, monotonic_ms=1, ttl_s=0, link=bytes(8),
                  body_sha256=hashlib.sha256(body).digest())  # fmt: skip


def _signatures() -> list[Figure]:
    node, authority, body = Identity.generate(), Identity.generate(), _alert_body()
    secret, header = node.shared_secret(authority.sealing_key), _header(node, body)
    sealed = envelopes.seal(header, body, signing=node.signing, shared_secret=secret)
    bare_key, message = SigningKey.generate(), os.urandom(120)
    signed = bare_key.sign(message)

    def check() -> None:
        envelopes.verify(envelopes.parse(sealed.wire), node.signing_key)

    return [
        Figure(name="sign and seal an alert", value=rate(lambda: envelopes.seal(header, body, signing=node.signing, shared_secret=secret)),
               unit="/s", peer="bare PyNaCl sign", peer_value=rate(lambda: bare_key.sign(message)), target_ratio=0.5),
        Figure(name="parse and verify an alert", value=rate(check), unit="/s", peer="bare PyNaCl verify",
               peer_value=rate(lambda: bare_key.verify_key.verify(signed)), target_ratio=0.8),
    ]  # fmt: skip


def _bare_sqlite(folder: Path, *, batch: int, seconds: float = 1.5) -> tuple[float, list[float]]:
    """Rows a second and ms per commit of plain SQLite at the same durability: WAL, synchronous=FULL."""
    connection = sqlite3.connect(folder / f"bare{batch}.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, wire BLOB)")
    wire, rows, took_ms, started = os.urandom(ROW_BYTES), 0, list[float](), time.perf_counter()
    while time.perf_counter() - started < seconds:
        at = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO row (wire) VALUES (?)", [(wire,)] * batch)
        connection.execute("COMMIT")
        took_ms.append((time.perf_counter() - at) * 1000)
        rows += batch
    connection.close()
    return rows / (time.perf_counter() - started), took_ms


async def _spool_puts(folder: Path, *, together: int, seconds: float = 1.5) -> tuple[float, list[float]]:
    """Puts a second (numbered, signed, sealed, chained, fsynced) and ms per put, with so many callers at once."""
    node, authority = Identity.generate(), Identity.generate()
    database = Database.open(folder / f"spool{together}.sqlite", parts={"spool": SCHEMA})
    spool = Spool(identity=node, clock=SystemClock())
    await database.run(spool.start)
    draft = Draft(
        kind=Kind.ALERT, precedence=Precedence.FLASH, body=_alert_body(), peer_sealing_key=authority.sealing_key
    )
    took_ms: list[float] = []
    ends = time.perf_counter() + seconds

    async def caller() -> None:
        while time.perf_counter() < ends:
            at = time.perf_counter()
            await database.run(lambda connection: spool.put(connection, draft))
            took_ms.append((time.perf_counter() - at) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(together)))
    elapsed = time.perf_counter() - started
    database.close()
    return len(took_ms) / elapsed, took_ms


def _commits() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        alone_bare, alone_bare_ms = _bare_sqlite(folder, batch=1)
        alone, alone_ms = asyncio.run(_spool_puts(folder, together=1))
        grouped_bare, _ = _bare_sqlite(folder, batch=100)
        grouped, _ = asyncio.run(_spool_puts(folder, together=100))
    return [
        Figure(name="put, one caller", value=alone, unit="/s", peer="bare SQLite, 1 row a commit", peer_value=alone_bare, target_ratio=0.3),
        Figure(name="put, one caller, median", value=statistics.median(alone_ms), unit="ms", peer="bare SQLite, median commit",
               peer_value=statistics.median(alone_bare_ms), target_ratio=3.0, is_more_better=False),
        Figure(name="put, one caller, p99", value=percentile(alone_ms, 0.99), unit="ms", peer="bare SQLite, p99 commit",
               peer_value=percentile(alone_bare_ms, 0.99)),
        Figure(name="put, 100 callers (group commit)", value=grouped, unit="/s", peer="bare SQLite, 100 rows a commit, unsigned",
               peer_value=grouped_bare),
        Figure(name="group commit against one caller", value=grouped, unit="/s", peer="put, one caller", peer_value=alone, target_ratio=1.5),
    ]  # fmt: skip


def _sizes() -> list[Figure]:
    node, authority = Identity.generate(), Identity.generate()
    longest = Alert(
        label="l" * 12, camera="c" * 12, zone="z" * 12, confidence=1.0, rule=Rule.CLASS_OF_INTEREST
    ).encode()
    sealed = envelopes.seal(_header(node, longest), longest, signing=node.signing,
                            shared_secret=node.shared_secret(authority.sealing_key))  # fmt: skip
    issued = receipt.issue(RangeSet([(1, (1 << 32) - 1)]), signer=node.node_id, signing=node.signing, stored_at_s=1,
                           origin=node.node_id, series=1)  # fmt: skip
    return [
        Figure(name="largest alert on the wire", value=len(sealed.wire), unit="bytes", peer="one LoRa frame",
               peer_value=LORA_FRAME_BYTES, target_ratio=1.0, is_more_better=False),
        Figure(name="receipt for one node", value=len(issued.wire), unit="bytes", peer="bound", peer_value=100,
               target_ratio=1.0, is_more_better=False),
    ]  # fmt: skip
