"""What the sender keeps in memory of an envelope that waits for its receipt. The spool is the truth, and this a view of it."""

from dataclasses import dataclass

from relay.attempts import Attempt, Entry, Way
from relay.ids import NodeId
from relay.precedence import Precedence
from relay.spool import Waiting


@dataclass(slots=True)
class InWindow:
    """It is planned with."""

    waiting: Waiting
    entry: Entry
    flow: tuple[NodeId, Precedence] | None
    """Whose alert it is, and how urgent; None: no alert."""


@dataclass(slots=True)
class Parked:
    """Enough neighbors hold it: only its number stays, until its receipt comes or this is over."""

    until_ms: int
    attempts: dict[Way, Attempt]
