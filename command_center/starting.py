"""A center's first transaction: the start is journalled with what replay needs of its configuration, and what a release before lost is mended."""

import sqlite3

from command_center import facts, journal, retractions_from_before
from command_center.config import CenterConfig
from command_center.facts import Remark
from command_center.views import BodyOpener
from relay.clock import Clock


def note(connection: sqlite3.Connection, clock: Clock, config: CenterConfig, opener: BodyOpener) -> None:
    """Journal the start, and the window that alerts are grouped by: replay needs it where it changed."""
    window = facts.encode(Remark(what="window_ms", detail=str(config.incidents.window_s * 1000)))
    if journal.latest_payload(connection, "configured") != window:
        journal.append(connection, at_ms=clock.wall_ms(), kind="configured", actor="center", subject="center",
                       payload=window)  # fmt: skip
    journal.append(connection, at_ms=clock.wall_ms(), kind="started", actor="center", subject="center")
    retractions_from_before.mend(connection, opener, clock)
