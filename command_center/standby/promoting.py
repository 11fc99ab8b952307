"""A standby becomes the center. Each step may be interrupted, and promoting again goes on from there.

1. What came is written into the database, which is then durable. A note says that promoting has begun, and the standby's mark goes.
2. In one transaction, as after a restore: a new series of this center's own numbering, because the lost one may have used numbers that never came here;
   every session ends, and of a copy that is old every unit's link and every share; the journal says that this machine leads now.
3. The note goes: from here on a center may start.
"""

import os
import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import facts, journal
from command_center.errors import BadRequest
from command_center.facts import Remark
from command_center.restoring import BY, begin_anew
from command_center.standby.page_file import PageFile
from command_center.state_dir import StateDir
from relay.clock import Clock
from relay.database import lock
from relay.errors import SpoolDamaged
from relay.identity import sync_dir

PROMOTED: Final = "promoted"
FRESH_MS: Final = 3_600_000
"""Units on their way keep their links, and other agencies their shares, if the newest entry is no older: a center that runs writes one every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What the new center has."""

    entries: int
    newest_at_ms: int
    """When the last of them before the promotion was written, by the lost center's clock."""
    term: int


def promote(state: StateDir, clock: Clock) -> Promoted:
    """Make a center of a standby that is not running.

    Raises:
        BadRequest: it is no standby, or never had the whole of a center.
        SpoolBusy: the standby runs.
        SpoolDamaged: the database is not intact.
    """
    state.require_keys()
    if not state.promoting_file.exists():
        if not state.redo_file.exists():
            raise BadRequest(f"{state.root_dir} is no standby: command-center run starts it as it is")
        _finish_following(state)
    database = state.open_database()
    try:
        if (found := database.run_blocking(lambda c: c.execute("PRAGMA quick_check(1)").fetchone()[0])) != "ok":
            raise SpoolDamaged(f"{state.database_file} is not intact: {found}; restore the newest backup instead")
        made = database.run_blocking(lambda connection: _lead(connection, clock))
    finally:
        database.close()
    state.promoting_file.unlink()
    sync_dir(state.root_dir)
    return made


def term_of(connection: sqlite3.Connection) -> int:
    """How often a standby of this center was promoted."""
    return int(connection.execute("SELECT COUNT(*) FROM entry WHERE kind = ?", (PROMOTED,)).fetchone()[0])


def _finish_following(state: StateDir) -> None:
    descriptor = lock(state.database_file, wait_s=1.0)
    try:
        pages = PageFile(state.database_file, state.redo_file)
        pages.close()
        if not pages.is_whole:
            raise BadRequest(
                f"{state.root_dir} never had the whole of a center: let it follow until the leader says that it is in step, or restore a backup"
            )
        state.promoting_file.touch(mode=0o600)
        sync_dir(state.root_dir)
        state.redo_file.unlink()
        sync_dir(state.root_dir)
    finally:
        os.close(descriptor)


def _lead(connection: sqlite3.Connection, clock: Clock) -> Promoted:
    entries = journal.size(connection)
    row = connection.execute("SELECT at_ms FROM entry WHERE id = ?", (entries,)).fetchone()
    newest_at_ms = int(row[0]) if row else 0
    begin_anew(connection, clock, "a standby took over", keeps_links=abs(clock.wall_ms() - newest_at_ms) < FRESH_MS)
    term = term_of(connection) + 1
    journal.append(connection, at_ms=clock.wall_ms(), kind=PROMOTED, actor=BY, subject="center",
                   payload=facts.encode(Remark(what=f"term {term}", detail=f"after entry {entries}")))  # fmt: skip
    return Promoted(entries=entries, newest_at_ms=newest_at_ms, term=term)
