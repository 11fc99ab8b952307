"""How far a session's two ends have come in knowing each other, and what may be said at each stage. Decides nothing; ``introduction`` moves it on."""

from enum import Enum


class Acquaintance(Enum):
    """Of one session."""

    NONE = "none"
    """Nothing but notes is said, and nothing else is listened to."""
    PRESUMED = "presumed"
    """We called, and the carrier has proved that the other end holds the transport key in a passport that we hold already; its welcome is on its
    way. It hears our hello before whatever follows on the same connection, so what is worth it follows at once. For whatever must be known to
    work (is the path up?) it is not there yet."""
    KNOWN = "known"
    """It has said who it is."""
