"""An exhibit: what pictures belong to an alert, named by their SHA-256. The bytes follow as chunks.

A clip's exhibit also has the hashes of its segments, so that a damaged copy still proves what is whole in it, and where it is not.
``decode`` reads both; who needs the segments reads ``ClipExhibit``.
"""

from typing import Annotated, Final

import msgspec

from relay import limits
from relay.errors import Malformed
from relay.kinds import body
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


MAX_SEGMENTS: Final = 64
"""An exhibit goes before chunks and must not be larger than one: a clip of more segments is described in longer ones."""
Segment = tuple[Annotated[int, msgspec.Meta(ge=1, le=limits.MAX_OBJECT_BYTES)], Sha256]
"""Size and SHA-256; each begins where the one before it ends."""


class Exhibit(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of an exhibit."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    alert_id: Sha256
    """The envelope id of the alert that this belongs to."""
    items: Annotated[tuple[ExhibitItem, ...], msgspec.Meta(min_length=1, max_length=16)]


class ClipExhibit(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a clip's exhibit."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    alert_id: Sha256
    items: Annotated[tuple[ExhibitItem, ...], msgspec.Meta(min_length=1, max_length=1)]
    segments: Annotated[tuple[Segment, ...], msgspec.Meta(min_length=1, max_length=MAX_SEGMENTS)]
    """Of the one item; together they are the whole file."""


def decode(data: bytes) -> Exhibit:
    """What either kind of exhibit says of its items.

    Raises:
        Malformed: it is neither.
    """
    try:
        return body.decode(data, Exhibit)
    except Malformed:
        clip = body.decode(data, ClipExhibit)
    return Exhibit(salt=clip.salt, alert_id=clip.alert_id, items=clip.items)
