"""What ``camera-node check`` has to say of one thing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was tried."""

    what: str
    is_well: bool
    detail: str
    """In plain words; where it is not well, what to do."""
