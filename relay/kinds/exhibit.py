"""An exhibit: what pictures belong to an alert, named by their SHA-256. The bytes follow as chunks."""

from typing import Annotated

import msgspec

from relay import limits
from relay.kinds.body import Count, Salt, Sha256, Text, new_salt


class ExhibitItem(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One picture or clip."""

    media_type: Text
    """``image/jpeg`` or ``video/mp4``."""
    sha256: Sha256
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=limits.MAX_OBJECT_BYTES)]
    chunk_bytes: Annotated[int, msgspec.Meta(ge=1, le=limits.MAX_CHUNK_BYTES)]
    width_px: Count
    height_px: Count
    captured_wall_ms: Count
    captured_monotonic_ms: Count

    @property
    def chunk_count(self) -> int:
        """How many chunks make it up."""
        return -(-self.size_bytes // self.chunk_bytes)


class Exhibit(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of an exhibit."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    alert_id: Sha256
    """The envelope id of the alert that this belongs to."""
    items: Annotated[tuple[ExhibitItem, ...], msgspec.Meta(min_length=1, max_length=16)]
