"""A spool without stations: for tests of the file itself."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from relay import ledger, trust
from relay.clock import Clock, SimulatedClock
from relay.database import Database
from relay.header import Kind
from relay.identity import AuthorityKeys, Identity
from relay.precedence import Precedence
from relay.spool import SCHEMA, Draft, Spool, Spooled
from relay.spool_room import SpoolLimits

PARTS: Mapping[str, Sequence[str]] = {"spool": SCHEMA, "ledger": ledger.SCHEMA, "trust": trust.SCHEMA}
ME = Identity.from_seed(bytes(range(32)))
CENTER = Identity.from_seed(bytes(range(1, 33)))
AUTHORITY_KEYS = AuthorityKeys(signing_key=CENTER.signing_key, sealing_key=CENTER.sealing_key)


@contextlib.contextmanager
def opened(
    file: Path, limits: SpoolLimits | None = None, clock: Clock | None = None
) -> Iterator[tuple[Database, Spool]]:
    """The database and a started spool."""
    with contextlib.closing(Database.open(file, parts=PARTS)) as database:
        spool = Spool(identity=ME, clock=clock or SimulatedClock(), limits=limits)
        database.run_blocking(spool.start)
        yield database, spool


def draft(precedence: Precedence = Precedence.FLASH, size_bytes: int = 60, ttl_s: int = 0) -> Draft:
    """Something to say, to the authority."""
    return Draft(kind=Kind.ALERT if precedence.is_alert else Kind.CHUNK, precedence=precedence, body=bytes(size_bytes),
                 peer_sealing_key=CENTER.sealing_key, ttl_s=ttl_s)  # fmt: skip


def put(database: Database, spool: Spool, count: int = 1, what: Draft | None = None) -> list[Spooled]:
    """Each in a commit of its own."""
    return [database.run_blocking(lambda connection: spool.put(connection, what or draft())) for _ in range(count)]
