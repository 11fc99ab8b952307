"""What is sounded, when, and how often: pure rules. ``watch`` carries them out, ``ingest`` asks ``flood`` for each new incident.

*Re-notification.* A FLASH that nobody acknowledges is notified again at 15 s, goes to the second position at 30 s and to the
supervisor at 60 s. Times count on this process's monotonic clock; after a restart they go on from the level reached, so a
restart repeats no level and may lengthen a step, never skip one.

*Flood control.* Outside FLASH, at most ``most`` incidents are annunciated in ten minutes, and at most ``most_of_one`` of them
from one camera, so that one that chatters can't silence the others. The rest are listed, counted and kept, and are
annunciated as room comes back while they still wait. FLASH is never held back and takes no room. ``annunciated_lately`` counts, on this
process's monotonic clock.
Source of the figures: ISA-18.2 / EEMUA 191 (a flood is more than ten alarms in ten minutes for one position).
"""

from collections.abc import Sequence
from typing import Final

from relay.precedence import Precedence

LADDER_S: Final = (15.0, 30.0, 60.0)
"""Seconds without an acknowledgement to level 1 (again), 2 (second position), 3 (supervisor)."""
LEVELS: Final = ("first", "again", "second position", "supervisor")
WINDOW_MS: Final = 10 * 60 * 1000
ACKNOWLEDGEMENT_LASTS_S: Final = {Precedence.FLASH: 15 * 60.0, Precedence.IMMEDIATE: 60 * 60.0}
"""Without any act on the incident; other precedences don't expire."""


def level_due(precedence: Precedence, waited_s: float) -> int:
    """The level that an unacknowledged incident should have reached."""
    if precedence is not Precedence.FLASH:
        return 0
    return sum(waited_s >= step_s for step_s in LADDER_S)


def waited_at(level: int) -> float:
    """How long it had waited at least, s, when it reached a level."""
    return LADDER_S[level - 1] if level else 0.0


def is_flood(precedence: Precedence, recent: Sequence[tuple[bytes, str]], source: tuple[bytes, str], *, most: int,
             most_of_one: int) -> bool:  # fmt: skip
    """Whether a new incident must be held back. ``recent``: (node, camera) of what was annunciated in the last ten minutes."""
    if precedence is Precedence.FLASH:
        return False
    return len(recent) >= most or sum(one == source for one in recent) >= most_of_one
