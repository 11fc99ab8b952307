"""How a station is: one value for heartbeats, for the local door, and for people."""

import msgspec

from relay.path_health import PathReport


class LinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """One session with a neighbor."""

    peer: str
    role: str
    path: str
    """As its dialer calls it."""
    is_outgoing: bool
    rtt_ms: float
    last_word_age_ms: int


class StationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a station is, for heartbeats and for people."""

    name: str
    role: str
    site: str
    node_id: str
    backlog: tuple[int, ...]
    """Envelopes without a receipt, by precedence."""
    oldest_waiting_s: int
    spool_bytes: int
    forgone: tuple[tuple[int, int], ...]
    paths: tuple[PathReport, ...]
    neighbors: tuple[str, ...]
    counters: dict[str, int]
    left_without_receipt: dict[str, int]
    listening_on: tuple[str, ...]
    conduct: dict[str, dict[str, int]] = {}
    """What nodes did that they should not, by name: floods, chain forks, garbage; since the process started."""
    links: tuple[LinkReport, ...] = ()
    """Every session with a neighbor, dialed by us or by it."""
    spool_capacity_bytes: int = 0
    uptime_s: int = 0
    release: str = ""
    room: str = "free"
    """What the spool still takes: free, alerts_only, disk_full (alerts only), or none."""
