"""How urgent an envelope is, in the words of ACP-131."""

import enum


class Precedence(enum.IntEnum):
    """Lower value goes first. 4 bits on the wire."""

    FLASH = 0
    """A life at risk, and what answers it: on every path at once."""
    IMMEDIATE = 1
    """Other alerts, stream signaling."""
    PRIORITY = 2
    """Snapshots, instructions."""
    ROUTINE = 3
    """Heartbeats, telemetry."""
    BULK = 4
    """Clips, models: stops for anything above."""

    @property
    def is_alert(self) -> bool:
        """Whether the spool's reserve is open to it."""
        return self <= Precedence.IMMEDIATE
