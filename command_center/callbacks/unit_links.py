"""A unit's own link: the small page for a shift, whatever it is assigned to meanwhile. Journalled; its token is kept nowhere."""

import sqlite3
from typing import Final

from command_center import facts, journal
from command_center.callbacks import answers
from command_center.errors import NotPossible
from command_center.facts import Remark
from command_center.units import rows

MOST_HOURS: Final = answers.MOST_MS / 3_600_000


def give(connection: sqlite3.Connection, name: str, hours: float, *, by: str, now: int) -> str:
    """Make one; earlier ones of this unit end, so that a lost phone is answered by a new link.

    Raises:
        NotFound: it is not on the board.
        NotPossible: for too long.
    """
    unit = rows.load(connection, name)
    if not 0 < hours <= MOST_HOURS:
        raise NotPossible(f"expected a link for at most {MOST_HOURS:g} hours, found {hours:g}")
    connection.execute("DELETE FROM capability WHERE receiver = ? AND incident = 0", (unit.name,))
    journal.append(connection, at_ms=now, kind="unit-link-made", actor=by, subject=f"unit:{name}",
                   payload=facts.encode(Remark(what="link", detail=f"{hours:g} h")))  # fmt: skip
    return answers.give(connection, unit.name, 0, now + round(hours * 3_600_000))
